//! `audit verify`: the whole chain, from its beginning.

use serde::Serialize;

use super::{
    super::{
        context::Context,
        failure::Failure,
        report::{Field, Part, Report},
        terminal::{Terminal, stopped},
    },
    read,
};
use crate::store::ledger::{Flaw, Verdict, hexadecimal};

/// What `--json` shows.
#[derive(Serialize)]
struct Verified {
    intact: bool,
    records: i64,
    first: i64,
    last: i64,
    hash: String,
    flaws: Vec<FlawView>,
    more_flaws: usize,
}

#[derive(Serialize)]
struct FlawView {
    what: &'static str,
    first: i64,
    last: i64,
    text: String,
}

pub(super) async fn verify(context: &Context, terminal: &Terminal) -> Result<Report, Failure> {
    let interrupted = terminal.interrupted().clone();
    let walk = read(context, move |reader| reader.verify(|| interrupted.is_cancelled())).await?;
    report(&walk.ok_or_else(stopped)?)
}

fn report(verdict: &Verdict) -> Result<Report, Failure> {
    let Verdict { records, range: (first, last), hash, flaws, more } = verdict;
    let flaws: Vec<_> = flaws.iter().map(|flaw| view(flaw, *last)).collect();
    let intact = flaws.is_empty();
    let mut found: Vec<_> = flaws.iter().map(|flaw| flaw.text.clone()).collect();
    if *more > 0 {
        found.push(format!("{more} more"));
    }
    let result = if intact { "no record was changed, moved or taken away" } else { "NOT intact" };
    let fields = vec![
        Field::one("Result", result),
        Field::one("Records", format!("{records}, numbers {first} to {last}")),
        Field::one("Hash", hexadecimal(hash)),
        Field::many("Found", found),
    ];
    let names = flaws.iter().map(|flaw| flaw.first.to_string()).collect();
    let hash = hexadecimal(hash);
    let (records, first, last, more_flaws) = (*records, *first, *last, *more);
    let shown = Verified { intact, records, first, last, hash, flaws, more_flaws };
    let report = Report::of(shown)?.names(names).part(Part::Fields(fields));
    Ok(Report { status: u8::from(!intact), ..report })
}

fn view(flaw: &Flaw, end: i64) -> FlawView {
    let (what, first, last, text) = match *flaw {
        Flaw::Changed(id) => {
            ("changed", id, id, format!("record {id} was changed or moved, or the hash before it"))
        }
        Flaw::Missing(first, last) if first == last => {
            ("missing", first, last, format!("record {first} is missing"))
        }
        Flaw::Missing(first, last) => {
            ("missing", first, last, format!("records {first} to {last} are missing"))
        }
        Flaw::Behind(id) => {
            ("added", id, end, format!("from {id} on, records were added by somebody else"))
        }
        Flaw::End => ("end", end, end, "the end that was noted is another one".to_owned()),
        Flaw::Beginning => {
            ("beginning", 0, 0, "the beginning is not the one that was noted".to_owned())
        }
    };
    FlawView { what, first, last, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::render::{Format, outcome};

    #[test]
    fn an_intact_ledger_is_0_and_any_other_1() {
        let verdict =
            Verdict { records: 3, range: (4, 6), hash: [1; 32], flaws: Vec::new(), more: 0 };
        let intact = outcome(&report(&verdict), Format::Plain);
        assert_eq!(intact.status, 0);
        assert!(intact.stdout.contains("Records:  3, numbers 4 to 6\n"), "{}", intact.stdout);
        let flaws = vec![
            Flaw::Changed(5),
            Flaw::Missing(1, 3),
            Flaw::Behind(7),
            Flaw::End,
            Flaw::Beginning,
        ];
        let broken = outcome(&report(&Verdict { flaws, more: 9, ..verdict }), Format::Json);
        let json: serde_json::Value = serde_json::from_str(&broken.stdout).unwrap();
        assert_eq!((broken.status, &json["intact"]), (1, &false.into()));
        assert_eq!(json["flaws"][1]["text"], "records 1 to 3 are missing");
        assert_eq!((&json["flaws"][0]["first"], &json["more_flaws"]), (&5.into(), &9.into()));
    }
}
