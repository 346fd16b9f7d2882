//! `create NAME`: a new container, from nothing to ready to log in.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::{
    context::Context,
    failure::{Failure, Kind},
    key_arg,
    provision::{self, Ready},
    report::Report,
    stack,
    terminal::Terminal,
    view::size,
    work,
};
use crate::{
    config::Create,
    fleet::{
        Fleet,
        guest::Guest,
        job::Job,
        placement::Wish,
        provision::{
            Made, create,
            order::{Gpu, Limits, Order, Source},
            undo,
        },
        stack::install,
    },
    model::{
        authorized_keys::AuthorizedKey,
        cpu::CpuLimit,
        image::ImageName,
        name::{Account, BackendName, ContainerName, PoolName, StackName},
        size::Size,
        stack::Stack,
        text::printable,
    },
};

/// Least memory that a system with sshd starts in, in bytes.
const MIN_MEMORY: u64 = 64 << 20;
/// Least disk that takes an image, in bytes.
const MIN_DISK: u64 = 256 << 20;
/// Largest size that Incus counts with, in bytes.
const MAX_SIZE: u64 = 1 << 60;

/// Longest name in the ledger, in characters.
const MAX_SHOWN: usize = 100;

/// The pool of backends that are in no other (`[[backend]]` of the configuration).
const DEFAULT_POOL: &str = "default";

/// Arguments of `create`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Sizes are written 4GB (10^9 bytes each) or 4GiB (2^30). Processors are a number, \
    or a range such as 0-3, which are these four and no others. The container is made ready for \
    Docker; its user ids are its own, and its network card sends under its own addresses only, \
    where the backend can do that. Whatever fails is undone; Ctrl-C undoes it, too, and a lost \
    connection does not: see `logs NAME`.\n\nExamples:\n  create bob --ssh-key - < bob.pub\n  \
    create ml --ssh-key - --gpu 0 --memory 32GB --stack gpu < bob.pub"
)]
#[expect(clippy::struct_excessive_bools, reason = "options of a command line")]
pub struct CreateArgs {
    /// The container's name, which is the login at the door
    pub name: ContainerName,
    /// A public key of the owner; `-` reads one from standard input; may be repeated
    #[arg(long, value_name = "KEY|-", required = true)]
    pub ssh_key: Vec<String>,
    /// The owner's account inside [default: NAME]
    #[arg(long, value_name = "LOGIN")]
    pub owner: Option<Account>,
    /// The backend [default: the emptiest of the pool]
    #[arg(long, value_name = "NAME", conflicts_with = "pool")]
    pub backend: Option<BackendName>,
    /// The pool of backends [default: default]
    #[arg(long, value_name = "NAME")]
    pub pool: Option<PoolName>,
    /// The image, as `image list` names it, or one of a server such as images:debian/12
    #[arg(long, value_name = "[SERVER:]ALIAS", conflicts_with = "os_type")]
    pub image: Option<ImageName>,
    /// The system: ubuntu24, debian12, rocky9, rhel9, alpine, or what the configuration adds
    #[arg(long, value_name = "NAME")]
    pub os_type: Option<String>,
    /// How many processors, or which
    #[arg(long, value_name = "N|A-B")]
    pub cpu: Option<CpuLimit>,
    /// How much memory
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Size>,
    /// How large a disk
    #[arg(long, value_name = "SIZE", alias = "disk-quota")]
    pub disk: Option<Size>,
    /// Software to install, as `stack list` names it; may be repeated
    #[arg(long, value_name = "STACK")]
    pub stack: Vec<StackName>,
    /// A graphics card of the host, by number or by PCI address
    #[arg(long, value_name = "N|PCI")]
    pub gpu: Option<Gpu>,
    /// Start it with its host; so it is unless told otherwise
    #[arg(long, overrides_with = "no_autostart")]
    pub autostart: bool,
    /// Do not start it with its host
    #[arg(long)]
    pub no_autostart: bool,
    /// Install Podman
    #[arg(long)]
    pub podman: bool,
    /// Give it nothing of what Docker needs: no containers inside
    #[arg(long, conflicts_with = "podman")]
    pub no_docker: bool,
    /// Leave what failed as it is, to be looked at on the backend
    #[arg(long)]
    pub keep_failed: bool,
}

impl CreateArgs {
    /// What the ledger says.
    pub(super) fn record(&self) -> String {
        let mut record = format!("create {}{}", self.name, key_arg::recorded(&self.ssh_key));
        let shown = [
            ("owner", self.owner.as_ref().map(ToString::to_string)),
            ("backend", self.backend.as_ref().map(ToString::to_string)),
            ("pool", self.pool.as_ref().map(ToString::to_string)),
            ("image", self.image.as_ref().map(ToString::to_string)),
            ("os-type", self.os_type.as_ref().map(|name| printable(name, MAX_SHOWN))),
            ("cpu", self.cpu.map(|limit| limit.to_string())),
            ("memory", self.memory.map(|size| size.to_string())),
            ("disk", self.disk.map(|size| size.to_string())),
            ("gpu", self.gpu.as_ref().map(|_| "yes".to_owned())),
        ];
        let stacks = self.stack.iter().map(|stack| ("stack", Some(stack.to_string())));
        for (option, value) in shown.into_iter().chain(stacks) {
            record.extend(value.map(|value| format!(" --{option} {value}")));
        }
        let flags = [
            ("autostart", self.autostart),
            ("no-autostart", self.no_autostart),
            ("podman", self.podman),
            ("no-docker", self.no_docker),
            ("keep-failed", self.keep_failed),
        ];
        let flags = flags.into_iter().filter(|(_, is_set)| *is_set);
        record.extend(flags.map(|(flag, _)| format!(" --{flag}")));
        record
    }
}

/// What `--json` shows.
#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    ready: Ready,
    image: ImageName,
    cpu: Option<CpuLimit>,
    memory: Option<Size>,
    disk: Size,
    autostart: bool,
    stacks: Vec<String>,
}

pub(super) async fn run(
    args: &CreateArgs,
    context: &Context,
    terminal: &mut Terminal,
) -> Result<Report, Failure> {
    provision::check_name(&args.name, context)?;
    let stacks = stacks(args, context)?;
    let order = Arc::new(order(args, context)?);
    // Last, as it may wait for somebody to paste a key.
    let keys = key_arg::read(&args.ssh_key, terminal).await?;
    let order = Arc::new(Order { keys, ..Order::clone(&order) });
    let task = {
        let (order, stacks) = (Arc::clone(&order), stacks.clone());
        let fleet = context.fleet.clone();
        move |job: Arc<Job>| async move { make(&fleet, &order, &stacks, &job).await }
    };
    let made = work::run((&args.name, "create"), context, terminal, task).await?;
    report(&order, &stacks, &made, context)
}

/// The container and its stacks: all of it or nothing.
async fn make(
    fleet: &Fleet,
    order: &Order,
    stacks: &[Arc<Stack>],
    job: &Job,
) -> Result<Made, Failure> {
    let what = format!("create {}", order.name);
    let made = create(fleet, order, stacks.len(), job).await;
    let made = made.map_err(|error| provision::failure(&what, &order.name, error))?;
    let Some(client) = fleet.incus(&made.backend) else { return Ok(made) };
    let guest = Guest::new(client, order.name.instance());
    for stack in stacks {
        if let Err(error) = install(&guest, &order.owner, stack, job).await {
            undo(fleet, order, &made, job).await;
            let what = format!("install {} in {}", stack.name, order.name);
            return Err(stack::explained(&what, (&order.name, &made.backend), &error));
        }
    }
    Ok(made)
}

fn report(
    order: &Order,
    stacks: &[Arc<Stack>],
    made: &Made,
    context: &Context,
) -> Result<Report, Failure> {
    let door = context.door();
    let ready = Ready::new((&order.name, &order.owner), &order.keys, made, &door);
    let created = Created {
        image: order.image.name.clone(),
        cpu: order.limits.cpu,
        memory: order.limits.memory,
        disk: order.limits.disk,
        autostart: order.autostart,
        stacks: stacks.iter().map(|stack| stack.name.to_string()).collect(),
        ready,
    };
    provision::report(&created, &created.ready)
}

/// What the words ask for, and what the configuration says where they are silent.
fn order(args: &CreateArgs, context: &Context) -> Result<Order, Failure> {
    let config = Arc::clone(&context.config.borrow());
    let owner = match &args.owner {
        Some(owner) => owner.clone(),
        None => {
            args.name.as_str().parse().map_err(|e| Failure::new(Kind::Usage, format!("{e}")))?
        }
    };
    provision::check_owner(&owner)?;
    let wish = Wish {
        backend: args.backend.clone(),
        pool: pool(args, context),
        cpu: args.cpu,
        memory: args.memory,
        disk: args.disk,
    };
    let limits = Limits {
        cpu: args.cpu.or(config.create.cpu),
        memory: args.memory.or(config.create.memory),
        disk: args.disk.unwrap_or(config.create.disk),
    };
    check_sizes(&limits)?;
    Ok(Order {
        name: args.name.clone(),
        owner,
        keys: Vec::<AuthorizedKey>::new(),
        wish,
        image: image(args, &config.create)?,
        limits,
        gpu: args.gpu.clone(),
        autostart: !args.no_autostart,
        docker: !args.no_docker,
        keep_failed: args.keep_failed,
        maker: provision::maker(context),
    })
}

/// Where nothing is said: the pool that backends are in if nothing else is said of them, so that
/// those of special pools stay free.
fn pool(args: &CreateArgs, context: &Context) -> Option<PoolName> {
    let usual: Option<PoolName> = DEFAULT_POOL.parse().ok();
    let usual = usual.filter(|usual| context.snapshot().backends.iter().any(|b| b.pool == *usual));
    args.pool.clone().or(usual.filter(|_| args.backend.is_none()))
}

fn check_sizes(limits: &Limits) -> Result<(), Failure> {
    let memory = limits.memory.map(|size| ("memory", size, MIN_MEMORY));
    for (what, given, least) in memory.into_iter().chain([("disk", limits.disk, MIN_DISK)]) {
        if given.bytes() < least {
            let message = format!("{given} of {what} is too little: the least is {}", size(least));
            return Err(Failure::new(Kind::Usage, message));
        }
        if given.bytes() > MAX_SIZE {
            return Err(Failure::new(
                Kind::Usage,
                format!("{given} of {what} is more than there is"),
            ));
        }
    }
    Ok(())
}

fn image(args: &CreateArgs, create: &Create) -> Result<Source, Failure> {
    let name = match (&args.image, &args.os_type) {
        (Some(image), _) => image,
        (None, Some(os_type)) => create.os_types.get(os_type).ok_or_else(|| {
            let known: Vec<_> = create.os_types.keys().map(String::as_str).collect();
            Failure::new(Kind::Usage, format!("no system named \"{os_type}\""))
                .hint(format!("take one of {}, or name an --image", known.join(", ")))
        })?,
        (None, None) => &create.image,
    };
    let server = match name {
        ImageName::Local(_) | ImageName::Fingerprint(_) => None,
        ImageName::Remote { remote, .. } => {
            let url = create.remotes.get(remote).ok_or_else(|| {
                let known: Vec<_> = create.remotes.keys().map(String::as_str).collect();
                Failure::new(Kind::Usage, format!("no image server named \"{remote}\""))
                    .hint(format!("known are {}; more in [create.remotes]", known.join(", ")))
            })?;
            Some(url.clone())
        }
    };
    Ok(Source { name: name.clone(), server })
}

/// The stacks, each once, all of them there and whole.
fn stacks(args: &CreateArgs, context: &Context) -> Result<Vec<Arc<Stack>>, Failure> {
    let podman = args.podman.then(|| "podman".parse().ok()).flatten();
    let mut names: Vec<StackName> = Vec::new();
    for name in podman.into_iter().chain(args.stack.iter().cloned()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let known = context.stacks();
    names.iter().map(|name| stack::named(&known, name)).collect()
}

/// What `--json` prints, for the reference.
#[cfg(test)]
pub(super) fn example() -> serde_json::Value {
    use super::{Command, Grammar, testing};
    use clap::Parser;

    let reached = Some(([203, 0, 113, 10], 22).into());
    let context = Context { reached, ..testing::context(testing::admin()) };
    let words = ["create", "alice", "--ssh-key", "-", "--cpu", "2", "--stack", "rust"];
    let Command::Create(args) = Grammar::try_parse_from(words).unwrap().command else {
        unreachable!("it is what the words say")
    };
    let keys = vec![testing::authorized("alice")];
    let order = Order { keys, ..order(&args, &context).unwrap() };
    let stacks = stacks(&args, &context).unwrap();
    report(&order, &stacks, &provision::example(), &context).unwrap().json
}
