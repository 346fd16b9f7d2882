//! `collaborator list NAME`.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    command::{
        context::Context,
        failure::Failure,
        people::last_use,
        report::{Part, Report, Table},
        view::{KeyView, age},
    },
    model::container::{Collaborator, Container},
};

const COLUMNS: &[&str] = &["LOGIN", "RIGHTS", "KEYS", "LAST USE"];

#[derive(Serialize)]
struct Listed {
    login: String,
    sudo: bool,
    container_runtime: bool,
    keys: Vec<Key>,
}

#[derive(Serialize)]
struct Key {
    #[serde(flatten)]
    view: KeyView,
    last_use: Option<Timestamp>,
}

pub(super) fn run(name: &str, context: &Context) -> Result<Report, Failure> {
    let container = context.find(&context.snapshot(), name)?;
    let people = container.collaborators.iter().map(|c| Listed::new(c, &container, context));
    let people: Vec<Listed> = people.collect();
    let names = people.iter().map(|p| p.login.clone()).collect();
    let rows = people.iter().flat_map(|p| p.rows(context.now)).collect();
    let report =
        Report::of(&people)?.names(names).part(Part::Table(Table { columns: COLUMNS, rows }));
    Ok(if people.is_empty() { report.note("no collaborators") } else { report })
}

/// What somebody may, in words.
pub(super) fn rights(sudo: bool, container_runtime: bool) -> String {
    let power = if sudo { "sudo" } else { "become owner" };
    if container_runtime { format!("{power}, container runtime") } else { power.to_owned() }
}

impl Listed {
    fn new(collaborator: &Collaborator, container: &Container, context: &Context) -> Self {
        let key = |line: &crate::model::authorized_keys::AuthorizedKey| Key {
            view: KeyView::new(&line.key),
            last_use: last_use(context, container, &line.key),
        };
        Self {
            login: collaborator.login.to_string(),
            sudo: collaborator.sudo,
            container_runtime: collaborator.container_runtime,
            keys: collaborator.keys.iter().map(key).collect(),
        }
    }

    /// One for each key; who has none has one all the same.
    fn rows(&self, now: Timestamp) -> Vec<Vec<String>> {
        let rights = rights(self.sudo, self.container_runtime);
        if self.keys.is_empty() {
            return vec![vec![self.login.clone(), rights, "none".to_owned(), String::new()]];
        }
        let row = |key: &Key| {
            let last = key.last_use.map(|at| format!("{} ago", age(now, at)));
            let last = last.unwrap_or_else(|| "never".to_owned());
            vec![self.login.clone(), rights.clone(), key.view.text(), last]
        };
        self.keys.iter().map(row).collect()
    }
}
