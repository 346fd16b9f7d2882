//! `key list NAME`.

use jiff::Timestamp;
use serde::Serialize;

use super::{Held, held};
use crate::{
    command::{
        context::Context,
        failure::Failure,
        people::last_use,
        report::{Part, Report, Table},
        view::{KeyView, age},
    },
    model::{container::Container, text::printable},
};

const COLUMNS: &[&str] = &["TYPE", "FINGERPRINT", "COMMENT", "OPTIONS", "WHERE", "LAST USE"];

/// Longest options shown, in characters.
const MAX_OPTIONS: usize = 200;

#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    key: KeyView,
    /// As in `authorized_keys`.
    options: String,
    label: bool,
    inside: bool,
    last_use: Option<Timestamp>,
}

pub(super) async fn run(name: &str, context: &Context) -> Result<Report, Failure> {
    let container = context.find(&context.snapshot(), name)?;
    let held = held(context, &container).await;
    let keys: Vec<Listed> = held.iter().map(|h| Listed::new(h, &container, context)).collect();
    let names = keys.iter().map(|k| k.key.fingerprint.clone()).collect();
    let rows = keys.iter().map(|k| k.row(context.now)).collect();
    let report =
        Report::of(&keys)?.names(names).part(Part::Table(Table { columns: COLUMNS, rows }));
    Ok(if keys.is_empty() { report.note("no keys") } else { report })
}

impl Listed {
    fn new(held: &Held, container: &Container, context: &Context) -> Self {
        Self {
            key: KeyView::new(&held.line.key),
            options: printable(&held.line.options.to_list(), MAX_OPTIONS),
            label: held.label,
            inside: held.inside,
            last_use: last_use(context, container, &held.line.key),
        }
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let place = match (self.label, self.inside) {
            (true, true) => "label, inside",
            (true, false) => "label",
            (false, _) => "inside",
        };
        let last = self.last_use.map_or("never".to_owned(), |at| format!("{} ago", age(now, at)));
        vec![
            self.key.kind.to_owned(),
            self.key.fingerprint.clone(),
            self.key.comment.clone(),
            self.options.clone(),
            place.to_owned(),
            last,
        ]
    }
}
