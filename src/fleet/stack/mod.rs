//! Installing a stack into a container: as its root, with what is written shown as it comes. A
//! second time changes nothing, for the stack's check is asked first.

use std::time::Duration;

use super::{
    guest::{Guest, GuestError, Script},
    job::Job,
};
use crate::{
    incus::{IncusError, change::Patch},
    model::{
        container::LABEL_PREFIX,
        name::{Account, StackName},
        stack::{Family, Stack, add_to_label},
        text::printable,
    },
};

/// For a script that only looks.
const LOOK: Duration = Duration::from_secs(60);
/// For everything that a stack installs: some GiB over a slow line.
const INSTALL: Duration = Duration::from_secs(3600);
/// For the processes of a script that was stopped to end: the script itself waits 12 s.
const END: Duration = Duration::from_secs(30);

/// What programs say when a file system, or the container's share of it, is full (strerror(3), apt).
const FULL: [&str; 3] =
    ["No space left on device", "Disk quota exceeded", "You don't have enough free space"];

const FAMILY: &str = include_str!("family.sh");
const RUN: &str = include_str!("run.sh");
const LIBRARY: &str = include_str!("library.sh");
const END_ALL: &str = include_str!("end.sh");

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    /// It was installed.
    Now,
    /// It was there already, and nothing was changed.
    Already,
}

/// Why a stack is not installed.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A script could not be run, failed, or was stopped.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// The container's disk is full; the line that says so, printable.
    #[error("its disk is full ({0})")]
    Full(String),
    /// It is installed, but its label could not be written.
    #[error("label of stacks: {0}")]
    Label(#[from] IncusError),
    /// The container's distribution is of no known family; it calls itself so, printable.
    #[error("its distribution ({0}) is not of a known family")]
    Family(String),
    /// The stack has no script for this family.
    #[error("stack {stack} has no script for the {family} family")]
    NoScript {
        /// The stack.
        stack: StackName,
        /// The container's family.
        family: Family,
    },
    /// Its script succeeded, and its check says that it is not installed.
    #[error("the script of stack {0} ended well, but its check does not find it installed")]
    Unproven(StackName),
}

/// Installs a stack into a running container whose owner has the account `owner`, and notes it in
/// the label. It is one step of `job`, and stops when that is cancelled; what was installed by then
/// stays.
///
/// # Errors
/// As [`StackError`] tells.
pub async fn install(
    guest: &Guest,
    owner: &Account,
    stack: &Stack,
    job: &Job,
) -> Result<Installed, StackError> {
    job.step(&format!("install {} ({})", stack.name, stack.title));
    let family = family(guest, job).await?;
    let script = stack.script(family).ok_or_else(|| {
        let stack = stack.name.clone();
        StackError::NoScript { stack, family }
    })?;
    let run = Run { guest, owner, stack, family };
    if run.is_there(job).await? {
        note(guest, &stack.name).await?;
        return Ok(Installed::Already);
    }
    let text = format!("{LIBRARY}\n{script}");
    if let Err(error) = run.script("the script", &text, INSTALL, job).await {
        run.end(&error, job).await;
        return Err(match (&error, job.output_with(&FULL)) {
            (GuestError::Failed { .. }, Some(line)) => StackError::Full(line),
            _ => error.into(),
        });
    }
    if !run.is_there(job).await? {
        return Err(StackError::Unproven(stack.name.clone()));
    }
    note(guest, &stack.name).await?;
    Ok(Installed::Now)
}

async fn family(guest: &Guest, job: &Job) -> Result<Family, StackError> {
    let script = Script {
        what: "looking at the distribution",
        text: FAMILY,
        arguments: &[],
        input: b"",
        limit: LOOK,
    };
    let answer = guest.run(script, job).await?;
    let answer = answer.trim();
    let known = Family::ALL.into_iter().find(|family| family.as_str() == answer);
    known.ok_or_else(|| StackError::Family(printable(answer, 64)))
}

/// Adds the stack to the container's label.
async fn note(guest: &Guest, stack: &StackName) -> Result<(), IncusError> {
    let key = format!("{LABEL_PREFIX}stacks");
    let (client, instance) = guest.instance();
    let change = |seen: &crate::incus::api::Instance| {
        let label = seen.config.get(&key).map_or("", String::as_str);
        Ok(add_to_label(label, stack).map(|label| {
            let mut patch = Patch::default();
            patch.config.insert(key.clone(), label);
            patch
        }))
    };
    client.change::<IncusError>(instance, change).await
}

/// Scripts of one stack in one container.
#[derive(Clone, Copy)]
struct Run<'a> {
    guest: &'a Guest,
    owner: &'a Account,
    stack: &'a Stack,
    family: Family,
}

impl Run<'_> {
    /// What the stack's own check says. What it writes is nobody's concern.
    async fn is_there(&self, job: &Job) -> Result<bool, GuestError> {
        let text = format!("exec >/dev/null 2>&1\n{}", self.stack.check);
        match self.script("the check", &text, LOOK, job).await {
            Ok(()) => Ok(true),
            Err(GuestError::Failed { .. }) => Ok(false),
            Err(error) => {
                self.end(&error, job).await;
                Err(error)
            }
        }
    }

    async fn script(
        &self,
        what: &'static str,
        text: &str,
        limit: Duration,
        job: &Job,
    ) -> Result<(), GuestError> {
        let name = self.stack.name.as_str();
        let arguments = [self.family.as_str(), name, self.owner.as_str(), text];
        let script = Script { what, text: RUN, arguments: &arguments, input: b"", limit };
        self.guest.run(script, job).await.map(drop)
    }

    /// Incus ends the script itself with its connection, but not what that has started.
    async fn end(&self, error: &GuestError, job: &Job) {
        match error {
            GuestError::Failed { .. } => return,
            GuestError::Cancelled(_) | GuestError::Timeout { .. } | GuestError::Incus(_) => {}
        }
        let arguments = [self.stack.name.as_str()];
        let what = "ending what the script started";
        let script = Script { what, text: END_ALL, arguments: &arguments, input: b"", limit: END };
        if let Err(error) = self.guest.clean_up(script, job).await {
            job.note(&error.to_string());
        }
        job.note("what was installed by then stays; installing it again goes on from there");
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    use super::*;
    use crate::config::Stacks;

    /// Runs a script for `sh` on this machine; its output and whether it succeeded.
    fn sh(options: &[&str], script: &str) -> (String, bool) {
        let mut child = Command::new("sh")
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        let text = [out.stdout, out.stderr].concat();
        (String::from_utf8(text).unwrap(), out.status.success())
    }

    #[test]
    fn every_script_is_one_of_a_posix_shell() {
        let own = [FAMILY, RUN, LIBRARY, END_ALL].map(str::to_owned);
        let stacks = Stacks::built_in();
        let theirs = stacks.iter().flat_map(|stack| {
            stack.scripts.iter().map(|(_, script)| script).chain([&stack.check]).cloned()
        });
        for script in own.into_iter().chain(theirs) {
            let (said, good) = sh(&["-n"], &script);
            assert!(good && said.is_empty(), "{said}: {script}");
        }
    }

    #[test]
    fn the_first_package_that_is_known_is_chosen() {
        let script = format!(
            "set -eu; FAMILY=none\n{LIBRARY}\nrefresh() {{ :; }}\n\
             known() {{ case $1 in a | b) ;; *) return 1 ;; esac; }}\nadd() {{ echo add \"$@\"; }}\n\
             packages a 'x|b|a' 'x|' 'x|y|'\npackages 'x|'\npackages x\n"
        );
        let (said, good) = sh(&["-s"], &script);
        assert_eq!((said.as_str(), good), ("add a b\nthis distribution has no package x\n", false));
    }
}
