//! `adopt INSTANCE`: an instance that Incus has already becomes a container.

use std::sync::Arc;

use clap::Args;

use super::{
    context::Context,
    failure::{Failure, Kind},
    key_arg,
    provision::{self, Ready},
    report::Report,
    terminal::Terminal,
    work,
};
use crate::{
    fleet::{
        job::Job,
        provision::{Adoption, adopt},
    },
    model::{
        name::{Account, BackendName, ContainerName, INSTANCE_SUFFIX},
        text::printable,
    },
};

/// Longest name of an instance that is repeated, in characters: Incus allows no longer ones.
const MAX_SHOWN: usize = 63;

/// Arguments of `adopt`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "What is inside stays: data, accounts, keys. What is missing is added: sshd and \
    sudo, the owner's account with her keys, trust in the sentinel's CA. One that is stopped is \
    started. Only an instance called NAME-container can be adopted; NAME is then the login at the \
    door."
)]
pub struct AdoptArgs {
    /// The instance, as Incus calls it: NAME-container
    pub instance: String,
    /// A public key of the owner; `-` reads one from standard input; may be repeated
    #[arg(long, value_name = "KEY|-", required = true)]
    pub ssh_key: Vec<String>,
    /// The owner's account inside, made if it is missing
    #[arg(long, value_name = "LOGIN")]
    pub owner: Account,
    /// The backend, if several have an instance of that name
    #[arg(long, value_name = "NAME")]
    pub backend: Option<BackendName>,
}

pub(super) async fn run(
    args: &AdoptArgs,
    context: &Context,
    terminal: &mut Terminal,
) -> Result<Report, Failure> {
    let name = container(&args.instance)?;
    provision::check_name(&name, context)?;
    provision::check_owner(&args.owner)?;
    if let Some(backend) = &args.backend
        && context.snapshot().backend(backend).is_none()
    {
        return Err(Failure::new(Kind::NotFound, format!("no backend named \"{backend}\""))
            .hint("type `status` to see the backends"));
    }
    let keys = key_arg::read(&args.ssh_key, terminal).await?;
    let adoption = Arc::new(Adoption {
        name: name.clone(),
        owner: args.owner.clone(),
        keys,
        backend: args.backend.clone(),
        maker: provision::maker(context),
    });
    let task = {
        let (adoption, fleet) = (Arc::clone(&adoption), context.fleet.clone());
        move |job: Arc<Job>| async move {
            let made = adopt(&fleet, &adoption, &job).await;
            let what = format!("adopt {}", adoption.name.instance());
            made.map_err(|error| provision::failure(&what, &adoption.name, error))
        }
    };
    let made = work::run((&name, "adopt"), context, terminal, task).await?;
    let ready = Ready::new((&name, &args.owner), &adoption.keys, &made, &context.door());
    provision::report(&ready, &ready)
}

/// The container that an instance's name makes it.
fn container(instance: &str) -> Result<ContainerName, Failure> {
    let shown = printable(instance, MAX_SHOWN);
    let Some(name) = instance.strip_suffix(INSTANCE_SUFFIX) else {
        let message = format!("only an instance called NAME{INSTANCE_SUFFIX} can be adopted");
        let hint = format!(
            "stop it and rename it on its backend: incus rename {shown} {shown}{INSTANCE_SUFFIX}"
        );
        return Err(Failure::new(Kind::Usage, message).hint(hint));
    };
    name.parse().map_err(|why| {
        Failure::new(Kind::Usage, format!("{shown}: {why}"))
            .hint("rename it on its backend: incus rename INSTANCE NAME-container")
    })
}

/// What `--json` prints, for the reference.
#[cfg(test)]
pub(super) fn example() -> serde_json::Value {
    use super::testing;

    let (name, owner) = ("alice".parse().unwrap(), "alice".parse().unwrap());
    let door = crate::config::Advertise { host: "203.0.113.10".to_owned(), port: 22 };
    let keys = [testing::authorized("alice")];
    let ready = Ready::new((&name, &owner), &keys, &provision::example(), &door);
    provision::report(&ready, &ready).unwrap().json
}
