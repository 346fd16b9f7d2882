//! Every command: its right, what the ledger says of it, and where it is run.

use clap::{CommandFactory, Subcommand};

use super::{
    AdoptArgs, AuditArgs, BackendCommand, BanArgs, CollaboratorArgs, CompletionArgs, CreateArgs,
    DeleteArgs, ExportArgs, Grammar, HelpArgs, ImageCommand, InfoArgs, KeyArgs, ListArgs, LogsArgs,
    ResizeArgs, RestartArgs, SessionArgs, ShellArgs, StackCommand, StartArgs, StopArgs, adopt,
    audit, backend, ban, collaborator, completion, context::Context, create, delete, export,
    failure::Failure, help, image, info, key, key_arg, list, logs, reload, report::Report, resize,
    session, shell, stack, state, status, terminal::Terminal, version, whoami,
};

use crate::model::name::ContainerName;

/// Every command. A new one does not compile until [`Command::needs`] states its right.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a container that is ready to log in to
    Create(CreateArgs),
    /// List the containers
    List(ListArgs),
    /// Show everything about one container
    Info(InfoArgs),
    /// Start a container
    Start(StartArgs),
    /// Stop a container
    Stop(StopArgs),
    /// Restart a container
    Restart(RestartArgs),
    /// Delete a container with everything in it
    Delete(DeleteArgs),
    /// Change how much a container may use, while it runs
    Resize(ResizeArgs),
    /// Add, list and remove the people who share a container
    Collaborator(CollaboratorArgs),
    /// Print an SSH client configuration for a container
    Export(ExportArgs),
    /// What containers are made of
    #[command(subcommand, arg_required_else_help = false)]
    Image(ImageCommand),
    /// Software for containers
    #[command(subcommand, arg_required_else_help = false)]
    Stack(StackCommand),
    /// Add, list and remove the keys of a container's owner
    Key(KeyArgs),
    /// Open a shell in a container
    Shell(ShellArgs),
    /// Show what was done to a container, and what is being done
    Logs(LogsArgs),
    /// Make a container of an instance that is there already
    Adopt(AdoptArgs),
    /// The hosts that run Incus
    #[command(subcommand, arg_required_else_help = false)]
    Backend(BackendCommand),
    /// List, end, watch and replay the sessions of people
    Session(SessionArgs),
    /// Show what happened: logins, sessions, commands, hosts
    Audit(AuditArgs),
    /// Show the sentinel, its backends and what is wrong
    Status,
    /// List, add and lift the bans of addresses
    Ban(BanArgs),
    /// Read the configuration again
    Reload,
    /// Show who you are to the sentinel
    Whoami,
    /// Show the sentinel's version
    Version,
    /// Explain the commands, or one of them
    Help(HelpArgs),
    /// Print a shell's completion script
    Completion(CompletionArgs),
}

/// What a command asks of the person who types it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To be let in at all: it tells nothing about containers.
    Enter,
    /// To see containers: a member sees those that her key opens, through [`Context::visible`].
    See,
    /// To administer.
    Administer,
}

impl Command {
    /// The right that this command needs.
    #[must_use]
    pub fn needs(&self) -> Right {
        match self {
            Self::List(_) | Self::Info(_) | Self::Export(_) => Right::See,
            Self::Create(_)
            | Self::Adopt(_)
            | Self::Start(_)
            | Self::Stop(_)
            | Self::Restart(_)
            | Self::Delete(_)
            | Self::Shell(_)
            | Self::Resize(_)
            | Self::Image(_)
            | Self::Stack(_)
            | Self::Key(_)
            | Self::Collaborator(_)
            | Self::Logs(_)
            | Self::Backend(_)
            | Self::Session(_)
            | Self::Audit(_)
            | Self::Status
            | Self::Ban(_)
            | Self::Reload => Right::Administer,
            Self::Whoami | Self::Version | Self::Help(_) | Self::Completion(_) => Right::Enter,
        }
    }

    /// What the ledger says of the command when it is run: nothing of one that changes nothing.
    /// Never a secret, and never text as it was typed.
    #[must_use]
    pub fn record(&self) -> Option<String> {
        match self {
            Self::Create(args) => Some(args.record()),
            // An instance may be called anything.
            Self::Adopt(args) => Some(match ContainerName::from_instance(&args.instance) {
                Some(name) => format!("adopt {name}"),
                None => "adopt".to_owned(),
            }),
            Self::Start(args) => Some(format!("start {}", args.name)),
            Self::Stop(args) if args.hold => Some(format!("stop {} --hold", args.name)),
            Self::Stop(args) => Some(format!("stop {}", args.name)),
            Self::Restart(args) => Some(format!("restart {}", args.name)),
            Self::Delete(args) if args.force => Some(format!("delete {} --force", args.name)),
            Self::Delete(args) => Some(format!("delete {}", args.name)),
            Self::Shell(args) if args.root => Some(format!("shell {} --root", args.name)),
            Self::Shell(args) => Some(format!("shell {}", args.name)),
            Self::Resize(args) => Some(args.record()),
            Self::Stack(StackCommand::Install(args)) => {
                Some(format!("stack install {} {}", args.name, args.stack))
            }
            Self::Key(args) => args.record(),
            Self::Collaborator(args) => args.record(),
            Self::Backend(command) => command.record(),
            Self::Session(args) => args.record(),
            Self::Ban(args) => args.record(),
            Self::Reload => Some("reload".to_owned()),
            Self::List(_)
            | Self::Info(_)
            | Self::Image(ImageCommand::List(_))
            | Self::Stack(StackCommand::List)
            | Self::Export(_)
            | Self::Logs(_)
            | Self::Audit(_)
            | Self::Status
            | Self::Whoami
            | Self::Version
            | Self::Help(_)
            | Self::Completion(_) => None,
        }
    }

    /// The container that a recorded command names, if it names one.
    #[must_use]
    pub fn container(&self) -> Option<ContainerName> {
        match self {
            Self::Create(args) => Some(args.name.clone()),
            Self::Adopt(args) => ContainerName::from_instance(&args.instance),
            Self::Start(args) => Some(args.name.clone()),
            Self::Stop(args) => Some(args.name.clone()),
            Self::Restart(args) => Some(args.name.clone()),
            Self::Delete(args) => Some(args.name.clone()),
            Self::Shell(args) => Some(args.name.clone()),
            Self::Resize(args) => Some(args.name.clone()),
            Self::Stack(StackCommand::Install(args)) => Some(args.name.clone()),
            Self::Key(args) => Some(args.container().clone()),
            Self::Collaborator(args) => Some(args.container().clone()),
            Self::List(_)
            | Self::Info(_)
            | Self::Image(ImageCommand::List(_))
            | Self::Stack(StackCommand::List)
            | Self::Export(_)
            | Self::Logs(_)
            | Self::Backend(_)
            | Self::Session(_)
            | Self::Audit(_)
            | Self::Status
            | Self::Ban(_)
            | Self::Reload
            | Self::Whoami
            | Self::Version
            | Self::Help(_)
            | Self::Completion(_) => None,
        }
    }

    /// Whether the command reads standard input.
    #[must_use]
    pub fn reads_input(&self, terminal: &Terminal) -> bool {
        match self {
            // The question whether it is meant.
            Self::Delete(args) => !args.force && terminal.pty().is_some(),
            Self::Shell(_) => true,
            Self::Key(args) => args.reads_input(),
            Self::Collaborator(args) => args.reads_input(),
            Self::Backend(command) => command.reads_input(),
            Self::Session(args) => args.reads_input(terminal),
            Self::Ban(args) => args.reads_input(terminal),
            Self::Create(args) => key_arg::read_input(&args.ssh_key),
            Self::Adopt(args) => key_arg::read_input(&args.ssh_key),
            Self::List(_)
            | Self::Info(_)
            | Self::Start(_)
            | Self::Stop(_)
            | Self::Restart(_)
            | Self::Resize(_)
            | Self::Image(_)
            | Self::Stack(_)
            | Self::Export(_)
            | Self::Logs(_)
            | Self::Audit(_)
            | Self::Status
            | Self::Reload
            | Self::Whoami
            | Self::Version
            | Self::Help(_)
            | Self::Completion(_) => false,
        }
    }

    /// Whether it has the terminal for itself.
    #[must_use]
    pub fn takes_terminal(&self) -> bool {
        match self {
            Self::Shell(_) => true,
            Self::Session(args) => args.takes_terminal(),
            Self::Create(_)
            | Self::Adopt(_)
            | Self::List(_)
            | Self::Info(_)
            | Self::Start(_)
            | Self::Stop(_)
            | Self::Restart(_)
            | Self::Delete(_)
            | Self::Resize(_)
            | Self::Image(_)
            | Self::Stack(_)
            | Self::Export(_)
            | Self::Key(_)
            | Self::Collaborator(_)
            | Self::Logs(_)
            | Self::Backend(_)
            | Self::Audit(_)
            | Self::Status
            | Self::Ban(_)
            | Self::Reload
            | Self::Whoami
            | Self::Version
            | Self::Help(_)
            | Self::Completion(_) => false,
        }
    }

    /// Runs the command for a person who has the right.
    ///
    /// # Errors
    /// Whatever kept it from being done.
    pub async fn run(&self, context: &Context, terminal: &mut Terminal) -> Result<Report, Failure> {
        match self {
            Self::Create(args) => Box::pin(create::run(args, context, terminal)).await,
            Self::Adopt(args) => Box::pin(adopt::run(args, context, terminal)).await,
            Self::List(args) => list::run(args, context),
            Self::Info(args) => info::run(args, context).await,
            Self::Start(args) => state::start(args, context, terminal).await,
            Self::Stop(args) => state::stop(args, context, terminal).await,
            Self::Restart(args) => state::restart(args, context, terminal).await,
            Self::Delete(args) => delete::run(args, context, terminal).await,
            Self::Export(args) => export::run(args, context),
            Self::Shell(args) => shell::run(args, context, terminal).await,
            Self::Resize(args) => resize::run(args, context, terminal).await,
            Self::Image(command) => image::run(command, context).await,
            Self::Stack(command) => stack::run(command, context, terminal).await,
            Self::Key(args) => Box::pin(key::run(args, context, terminal)).await,
            Self::Collaborator(args) => Box::pin(collaborator::run(args, context, terminal)).await,
            Self::Logs(args) => logs::run(args, context, terminal).await,
            Self::Backend(command) => Box::pin(backend::run(command, context, terminal)).await,
            Self::Session(args) => session::run(args, context, terminal).await,
            Self::Audit(args) => Box::pin(audit::run(args, context, terminal)).await,
            Self::Status => status::run(context),
            Self::Ban(args) => ban::run(args, context, terminal).await,
            Self::Reload => reload::run(context),
            Self::Whoami => whoami::run(context),
            Self::Version => version::run(context),
            Self::Help(args) => help::run(args),
            Self::Completion(args) => completion::run(args, Grammar::command()),
        }
    }
}
