//! `collaborator add|list|remove NAME`: people who share a container, each with an account and keys
//! of her own.

mod list;
mod write;

use clap::{Args, Subcommand};

use super::{
    context::Context,
    failure::{Failure, Kind},
    key_arg,
    report::Report,
    terminal::Terminal,
};
use crate::model::{
    container::Container,
    name::{Account, ContainerName, RESERVED},
};

/// Arguments of `collaborator`.
#[derive(Debug, Clone, Args)]
pub struct CollaboratorArgs {
    #[command(subcommand)]
    command: CollaboratorCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum CollaboratorCommand {
    /// Let somebody in with an account of her own, or change what she may
    ///
    /// She may become the owner with `sudo su - OWNER`, in a session that is logged, unless --sudo
    /// gives her more. Adding her again makes her rights what this call says; her keys are
    /// replaced if any are given, and stay otherwise.
    Add(AddArgs),
    /// List the people who share a container
    List(ListArgs),
    /// End somebody's access and her sessions; her files stay
    Remove(RemoveArgs),
}

#[derive(Debug, Clone, Args)]
struct AddArgs {
    /// The container's name
    name: ContainerName,
    /// Her account inside
    login: Account,
    /// A public key, or - for standard input; repeatable
    #[arg(long = "ssh-key", value_name = "KEY")]
    keys: Vec<String>,
    /// Anything, without a password
    #[arg(long)]
    sudo: bool,
    /// The groups docker and podman
    #[arg(long)]
    container_runtime: bool,
}

#[derive(Debug, Clone, Args)]
struct ListArgs {
    /// The container's name
    name: ContainerName,
}

#[derive(Debug, Clone, Args)]
struct RemoveArgs {
    /// The container's name
    name: ContainerName,
    /// Her account inside
    login: Account,
}

impl CollaboratorArgs {
    /// The container that it is about.
    pub(super) fn container(&self) -> &ContainerName {
        match &self.command {
            CollaboratorCommand::Add(args) => &args.name,
            CollaboratorCommand::List(args) => &args.name,
            CollaboratorCommand::Remove(args) => &args.name,
        }
    }

    /// What the ledger says.
    pub(super) fn record(&self) -> Option<String> {
        match &self.command {
            CollaboratorCommand::Add(AddArgs { name, login, sudo, container_runtime, keys }) => {
                let sudo = if *sudo { " --sudo" } else { "" };
                let runtime = if *container_runtime { " --container-runtime" } else { "" };
                let keys = key_arg::recorded(keys);
                Some(format!("collaborator add {name} {login}{sudo}{runtime}{keys}"))
            }
            CollaboratorCommand::Remove(args) => {
                Some(format!("collaborator remove {} {}", args.name, args.login))
            }
            CollaboratorCommand::List(_) => None,
        }
    }

    /// Whether standard input is read.
    pub(super) fn reads_input(&self) -> bool {
        match &self.command {
            CollaboratorCommand::Add(args) => key_arg::read_input(&args.keys),
            CollaboratorCommand::List(_) | CollaboratorCommand::Remove(_) => false,
        }
    }
}

pub(super) async fn run(
    args: &CollaboratorArgs,
    context: &Context,
    terminal: &mut Terminal,
) -> Result<Report, Failure> {
    match &args.command {
        CollaboratorCommand::Add(args) => {
            let container = context.find(&context.snapshot(), args.name.as_str())?;
            check_login(&container, &args.login)?;
            let keys = key_arg::read(&args.keys, terminal).await?;
            write::add(&container, args, keys, context, terminal).await
        }
        CollaboratorCommand::List(args) => list::run(args.name.as_str(), context),
        CollaboratorCommand::Remove(args) => {
            let container = context.find(&context.snapshot(), args.name.as_str())?;
            check_login(&container, &args.login)?;
            write::remove(&container, &args.login, context, terminal).await
        }
    }
}

/// Refuses the owner's own account, and names that mean something else at the door.
fn check_login(container: &Container, login: &Account) -> Result<(), Failure> {
    if *login == container.owner {
        let message = format!("{login} is the owner of {}", container.name);
        let hint = format!("her keys are changed with `key add {}`", container.name);
        return Err(Failure::new(Kind::Usage, message).hint(hint));
    }
    if RESERVED.contains(&login.as_str()) {
        let message = format!("the name {login} is reserved");
        return Err(Failure::new(Kind::Usage, message).hint("choose another login name"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{admin, context, execute_line, key, member};

    #[test]
    fn names_that_are_none_or_mean_others_change_nothing() {
        for (line, status) in [
            ("collaborator", 2),
            ("collaborator add alice", 2),
            ("collaborator add alice 'bob;id' --ssh-key x", 2),
            ("collaborator add alice -rf --ssh-key x", 2),
            ("collaborator add alice Bob --ssh-key x", 2),
            ("collaborator add alice alice --ssh-key x", 2),
            ("collaborator add alice root --ssh-key x", 2),
            ("collaborator add alice admin --ssh-key x", 2),
            ("collaborator add alice healthcheck --ssh-key x", 2),
            ("collaborator add alice bob --ssh-key x", 2),
            ("collaborator add nobody bob --ssh-key x", 3),
            ("collaborator remove alice alice", 2),
            ("collaborator list nobody", 3),
        ] {
            let outcome = execute_line(line.as_bytes(), &context(admin()));
            assert_eq!(outcome.status, status, "{line}: {outcome:?}");
        }
        let outcome = execute_line(b"collaborator list alice", &context(member("alice")));
        assert_eq!(outcome.status, 77, "{outcome:?}");
    }

    #[test]
    fn the_list_tells_rights_and_keys() {
        let outcome = execute_line(b"collaborator list alice", &context(admin()));
        let print = key("dave").fingerprint();
        let expected = format!(
            "LOGIN  RIGHTS  KEYS                                                          LAST USE\n\
             dave   sudo    {print} dave@desk  never\n"
        );
        assert_eq!(outcome.stdout, expected);
        let json = execute_line(b"collaborator list alice --json", &context(admin()));
        let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        let expected = serde_json::json!([{
            "login": "dave", "sudo": true, "container_runtime": false, "keys": [{
                "type": "ssh-ed25519", "fingerprint": print, "comment": "dave@desk",
                "last_use": null,
            }],
        }]);
        assert_eq!(json, expected);
    }
}
