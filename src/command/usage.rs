//! What clap says about words that do not parse, in this program's form: one line and a hint.

use clap::error::ErrorKind;

use super::{
    failure::{Failure, Kind},
    render::Format,
    report::{Part, Report},
};

/// Help that was asked for is a report; everything else is a usage failure. `program` is left out of
/// the usage lines.
pub(super) fn explain(error: &clap::Error, program: &str) -> Result<Report, Failure> {
    let text = without(program, &error.render().to_string());
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let report = Report::of(serde_json::json!({ "text": text }))?;
        return Ok(report.part(Part::Text(text)));
    }
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand
    ) {
        return Err(Failure::new(Kind::Usage, "no command given").hint(HELP));
    }
    let message = text.split("\n\n").next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let tip = text.lines().find_map(|line| line.trim_start().strip_prefix("tip: "));
    Err(Failure::new(Kind::Usage, one_line(message)).hint(tip.unwrap_or(HELP)))
}

/// The format that words ask for which as a whole do not parse.
#[must_use]
pub fn format_of(words: &[String]) -> Format {
    let options = words.iter().take_while(|word| *word != "--");
    if options.into_iter().any(|word| word == "--json") { Format::Json } else { Format::Plain }
}

/// `text` whose usage line does not name the program: at the console nobody types it.
pub(super) fn without(program: &str, text: &str) -> String {
    text.replace(&format!("Usage: {program}"), "Usage: ")
}

const HELP: &str = "type `help` to see the commands";

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
