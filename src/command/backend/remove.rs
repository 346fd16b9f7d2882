//! `backend remove NAME`: takes away what `backend add` wrote.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::find;
use crate::{
    command::{
        context::Context,
        failure::{Failure, Kind},
        report::{Part, Report},
    },
    config,
    model::{inventory::Backend, name::BackendName},
};

/// Most containers that are named in a sentence.
const NAMED: usize = 5;

/// Arguments of `backend remove`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Nothing is done to the backend or to what runs there.")]
pub struct RemoveArgs {
    /// The backend's name
    pub name: BackendName,
    /// Even if there are containers on it, which nobody reaches through here any more
    #[arg(long)]
    pub force: bool,
}

#[derive(Serialize)]
struct Removed<'a> {
    name: &'a str,
    containers: usize,
}

pub(super) async fn run(args: &RemoveArgs, context: &Context) -> Result<Report, Failure> {
    let name = &args.name;
    let backend = find(name, context)?;
    if !args.force && !backend.containers.is_empty() {
        let message = format!("backend {name} has {}", containers(&backend));
        return Err(Failure::new(Kind::Conflict, message).hint(format!(
            "they stay as they are, but nobody reaches them through here any more: \
             `backend remove {name} --force`"
        )));
    }
    take_away(name, context).await?;
    if backend.drained {
        // One of that name that comes later is another.
        let _ = context.fleet.drain(name, false).await;
    }
    let removed = Removed { name: name.as_str(), containers: backend.containers.len() };
    let text = format!("{name} is removed; nothing on it was touched");
    Ok(Report::of(removed)?.names(vec![name.to_string()]).part(Part::Text(text)))
}

async fn take_away(name: &BackendName, context: &Context) -> Result<(), Failure> {
    let (name, files) = (name.clone(), Arc::clone(&context.backend_files));
    let reload = Arc::clone(&context.reload);
    let work = move || {
        let _one = files.lock();
        let Some(section) = files.read(&name).map_err(|e| failed(&e.to_string()))? else {
            return Err(written_elsewhere(
                &name,
                config::place_of_backend(files.main(), name.as_str()),
            ));
        };
        files.remove(&name).map_err(|e| failed(&e.to_string()))?;
        reload().map(drop).map_err(|mistake| {
            // The rest of the configuration is broken: it is as it was.
            let restored = files.write(&name, &section);
            let end = if restored.is_ok() { "nothing was changed" } else { "its file is gone" };
            let text = format!("configuration not reloaded: {mistake}; {end}");
            Failure::new(Kind::BadConfiguration, text)
                .hint("on the sentinel, `containarium config check` shows every mistake")
        })
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| failed(&e.to_string()))?
}

fn written_elsewhere(name: &BackendName, place: Option<(String, usize)>) -> Failure {
    let (place, hint) = match place {
        Some((file, line)) => (format!("{file}:{line}"), "remove it there, then type `reload`"),
        None => ("no file any more".to_owned(), "type `reload`"),
    };
    let text = format!("backend {name} is in {place}, which `backend add` did not write");
    Failure::new(Kind::Conflict, text).hint(hint)
}

fn containers(backend: &Backend) -> String {
    let all = backend.containers.iter().map(|c| c.name.as_str());
    let named: Vec<_> = all.take(NAMED).collect();
    let rest = backend.containers.len() - named.len();
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let what = if backend.containers.len() == 1 { "container" } else { "containers" };
    format!("{what} {}{more}", named.join(", "))
}

fn failed(reason: &str) -> Failure {
    Failure::new(Kind::Failed, format!("{reason}; nothing was changed"))
}
