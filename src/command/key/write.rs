//! `key add` and `key remove`: the label first, which is what the door reads, then the file inside.
//! When the second fails, it is said what is done and what is not; the same again finishes it.

use std::sync::Arc;

use serde::Serialize;

use super::{Held, held, select};
use crate::{
    command::{
        context::Context,
        failure::{Failure, Kind},
        people::{Change, change_label, explain_account, need_running, refuse_keys_of_others},
        report::{Part, Report},
        terminal::Terminal,
        view::KeyView,
        work,
    },
    fleet::{
        guest::{
            Guest,
            account::{self, KeyChange},
        },
        job::Job,
    },
    model::{
        authorized_keys::{self, AuthorizedKey},
        container::{Container, Status},
        key::PublicKey,
        label::{with_keys, without_keys},
        principal::Whose,
        text::printable,
    },
};

#[derive(Serialize)]
struct Changed {
    name: String,
    keys: Vec<KeyView>,
    /// Whether the file inside was written, too.
    inside: bool,
}

pub(super) async fn add(
    container: &Arc<Container>,
    keys: Vec<AuthorizedKey>,
    context: &Context,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    refuse_keys_of_others(container, &keys, &container.owner)?;
    let change = Change::new(container, context)?;
    let views: Vec<KeyView> = keys.iter().map(|k| KeyView::new(&k.key)).collect();
    let task = move |job: Arc<Job>| async move {
        let done = change.add_keys(&keys, &job).await;
        change.fleet.forget_keys(&change.container, &change.container.owner);
        change.fleet.refresh(&change.container).await;
        done
    };
    let whose = (&container.name, "key add");
    let inside = work::run_in_turn(whose, context, terminal, task).await?;
    let text = views.iter().map(|v| format!("{} opens {}", v.text(), container.name));
    let text = text.collect::<Vec<_>>().join("\n");
    report(container, (views, inside), text)
}

pub(super) async fn remove(
    container: &Arc<Container>,
    (which, force): (&str, bool),
    context: &Context,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let change = Change::new(container, context)?;
    let held = held(context, container).await;
    let key = only(container, &held, which)?.clone();
    let remaining = held.iter().filter(|h| h.line.key != key).count();
    if remaining == 0 && !force {
        return Err(last_key(container));
    }
    // Of a label alone that may not become empty it matters what it is when it is changed.
    let inside_only = held.iter().any(|h| h.inside && h.line.key != key);
    let may_empty = force || inside_only;
    let stands_inside = held.iter().any(|h| h.inside && h.line.key == key);
    if stands_inside {
        need_running(container, "the key is in its authorized_keys, which opens the door, too")?;
    }
    let views = vec![KeyView::new(&key)];
    let task = move |job: Arc<Job>| async move {
        let done = change.remove_key(&key, may_empty, &job).await;
        change.fleet.forget_keys(&change.container, &change.container.owner);
        change.fleet.refresh(&change.container).await;
        // Now nobody can log in with it who has not yet begun to.
        let sentence = format!("your key for {} was taken away", change.container.name);
        let ended =
            (change.end_sessions)(&change.container.name, &Whose::Key(key.clone()), &sentence);
        done.map(|inside| (inside, ended))
    };
    let whose = (&container.name, "key remove");
    let (inside, ended) = work::run_in_turn(whose, context, terminal, task).await?;
    let shown: Vec<_> = views.iter().map(KeyView::text).collect();
    let text = format!("{} does not open {} any more", shown.join(", "), container.name);
    let report = report(container, (views, inside), text)?;
    Ok(match ended {
        0 => report,
        1 => report.note("its session was ended"),
        n => report.note(format!("its {n} sessions were ended")),
    })
}

impl Change {
    async fn add_keys(&self, keys: &[AuthorizedKey], job: &Job) -> Result<bool, Failure> {
        let (name, owner) = (&self.container.name, &self.container.owner);
        job.plan(2);
        job.step(&format!("write the label of {name}"));
        let what = format!("key add {name}");
        let edit = |before: &str| {
            let after = with_keys(before, keys);
            if after.lines().count() > authorized_keys::MAX_LINES {
                let message = format!("{what}: {name} has as many keys as are read");
                return Err(Failure::new(Kind::Conflict, message));
            }
            Ok(after)
        };
        change_label(&self.client, &self.container, (&what, "authorized-keys"), edit).await?;
        let done = format!(
            "the label has the key, so that it opens the door, but ~{owner}/.ssh/authorized_keys inside has not"
        );
        self.inside(KeyChange { add: keys, remove: &[] }, &done, job).await
    }

    async fn remove_key(
        &self,
        key: &PublicKey,
        may_empty: bool,
        job: &Job,
    ) -> Result<bool, Failure> {
        let (name, owner) = (&self.container.name, &self.container.owner);
        job.plan(2);
        job.step(&format!("write the label of {name}"));
        let what = format!("key remove {name}");
        let edit = |before: &str| {
            let after = without_keys(before, std::slice::from_ref(key));
            if !may_empty && after != before && authorized_keys::parse(&after).0.is_empty() {
                return Err(last_key(&self.container));
            }
            Ok(after)
        };
        change_label(&self.client, &self.container, (&what, "authorized-keys"), edit).await?;
        let done = format!(
            "the label has lost the key, but ~{owner}/.ssh/authorized_keys inside may still have it"
        );
        let remove = std::slice::from_ref(key);
        self.inside(KeyChange { add: &[], remove }, &done, job).await
    }

    /// Whether the file was written: not that of a container that does not run.
    async fn inside(&self, keys: KeyChange<'_>, done: &str, job: &Job) -> Result<bool, Failure> {
        let (name, owner) = (&self.container.name, &self.container.owner);
        job.step(&format!("write authorized_keys of {owner} inside"));
        if self.container.status != Status::Running {
            job.note(&format!("{name} does not run: authorized_keys inside stays as it is"));
            return Ok(false);
        }
        let guest = Guest::of(self.client.clone(), &self.container);
        match account::change_keys(&guest, owner, keys, job).await {
            Ok(()) => Ok(true),
            Err(error) => {
                let failure = explain_account(done, &self.container, &error);
                Err(failure.hint("mend what is wrong, and type the same again"))
            }
        }
    }
}

/// The one key that was meant.
fn only<'h>(
    container: &Container,
    held: &'h [Held],
    which: &str,
) -> Result<&'h PublicKey, Failure> {
    let name = &container.name;
    match select(held, which).as_slice() {
        [key] => Ok(key),
        [] => {
            let message = format!("{name} has no key \"{}\"", printable(which, 80));
            let hint = format!("type `key list {name}` to see its keys");
            Err(Failure::new(Kind::NotFound, message).hint(hint))
        }
        several => {
            let message = format!("\"{}\" means {} keys", printable(which, 80), several.len());
            let prints: Vec<_> = several.iter().map(|key| key.fingerprint()).collect();
            let hint = format!("name one by its fingerprint: {}", prints.join(", "));
            Err(Failure::new(Kind::Conflict, message).hint(hint))
        }
    }
}

fn last_key(container: &Container) -> Failure {
    let message = format!("it is the last key of {}; nothing was changed", container.name);
    Failure::new(Kind::Conflict, message)
        .hint(format!("add another with `key add {}`, or use --force", container.name))
}

fn report(
    container: &Container,
    (keys, inside): (Vec<KeyView>, bool),
    text: String,
) -> Result<Report, Failure> {
    let names = keys.iter().map(|k| k.fingerprint.clone()).collect();
    let changed = Changed { name: container.name.to_string(), keys, inside };
    Ok(Report::of(changed)?.names(names).part(Part::Text(text)))
}
