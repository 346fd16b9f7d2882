//! `backend add NAME`: tries a host, and then takes it into the configuration.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use clap::Args;
use serde::Serialize;
use tokio::time::timeout;

use super::{info::address, view::BackendView};
use crate::{
    command::{
        context::Context,
        failure::{Failure, Kind},
        report::{Part, Report},
        terminal::{Terminal, stopped},
    },
    config::{self, Backend, Problems},
    incus::{
        IncusError,
        trust::{MAX_TOKEN, Token},
    },
    model::{
        fingerprint::Fingerprint,
        inventory::Presence,
        name::{BackendName, PoolName},
    },
    store::backends::BackendFiles,
};

/// For a host to answer at one address: two connects and two calls.
const PATIENCE: Duration = Duration::from_secs(20);
/// For its containers to be listed, once it is in the configuration.
const LISTED: Duration = Duration::from_secs(10);

/// Arguments of `backend add`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "One of:\n  \
    backend add spot-1 --address 198.51.100.2 --user containarium --host-key 'ssh-ed25519 AAAA…'\n  \
    backend add spot-1 --token - [--address https://HOST[:8443]]    the token that \
    `incus config trust add containarium` prints there\n  \
    backend add here --address local\n\n\
    It is tried first; one that cannot be used changes nothing.")]
pub struct AddArgs {
    /// Its name
    pub name: BackendName,
    /// `HOST[:PORT]` of its sshd, `https://HOST[:PORT]` of its Incus, or `local`
    #[arg(long, required_unless_present = "token")]
    pub address: Option<String>,
    /// Its pool
    #[arg(long, default_value = "default")]
    pub pool: PoolName,
    /// An account there that may use the Incus socket
    #[arg(long)]
    pub user: Option<String>,
    /// The public host key of its sshd
    #[arg(long, value_name = "KEY")]
    pub host_key: Option<String>,
    /// SHA-256 of the certificate that its Incus shows, for one that trusts the sentinel already
    #[arg(long, value_name = "SHA256", conflicts_with = "token")]
    pub fingerprint: Option<Fingerprint>,
    /// `-`: a trust token of its Incus, on standard input
    #[arg(long, value_name = "-", conflicts_with_all = ["user", "host_key"])]
    pub token: Option<String>,
    /// The Incus socket on it
    #[arg(long, value_name = "PATH")]
    pub incus_socket: Option<String>,
    /// The addresses of its containers can be dialled from the sentinel
    #[arg(long)]
    pub routed: bool,
}

#[derive(Serialize)]
struct Added {
    #[serde(flatten)]
    view: Option<BackendView>,
    file: String,
    address: String,
}

pub(super) async fn run(
    args: &AddArgs,
    context: &Context,
    terminal: &mut Terminal,
) -> Result<Report, Failure> {
    let token = read_token(args, terminal).await?;
    let files = Arc::clone(&context.backend_files);
    let sections = sections(args, token.as_ref())?;
    let candidates = {
        let name = args.name.clone();
        blocking(move || candidates(&files, &sections, &name)).await?
    };
    let interrupted = terminal.interrupted().clone();
    let tried = interrupted.run_until_cancelled(try_all(args, candidates, token.as_ref(), context));
    let (section, backend) = tried.await.ok_or_else(stopped)??;
    take_over(&args.name, section, context).await?;
    report(args, &backend, context).await
}

/// A section of the configuration as it will be written, and what it means.
type Candidate = (String, Arc<Backend>);

async fn read_token(args: &AddArgs, terminal: &mut Terminal) -> Result<Option<Token>, Failure> {
    let refused = |text: &str| {
        Failure::new(Kind::Usage, text).hint(
            "on that host, `incus config trust add -q containarium` prints one; \
             give it on standard input, with `--token -`",
        )
    };
    match args.token.as_deref() {
        None => return Ok(None),
        Some("-") => {}
        // Not repeated: it may be one.
        Some(_) => return Err(refused("a token is a secret, and is not given as an argument")),
    }
    if terminal.pty().is_some() {
        terminal.say("paste the token, then press Enter:\n").await;
    }
    let text = match terminal.pty() {
        Some(_) => terminal.line().await?.unwrap_or_default(),
        None => terminal.read_all(MAX_TOKEN).await?,
    };
    let text = String::from_utf8(text).map_err(|_| refused("that is no trust token"))?;
    Token::parse(&text).map(Some).map_err(|e| refused(&e.to_string()))
}

/// The sections that are tried, one for each address.
fn sections(args: &AddArgs, token: Option<&Token>) -> Result<Vec<String>, Failure> {
    let fingerprint = token.map(|token| token.fingerprint).or(args.fingerprint);
    let https = |address: &str| match address.strip_prefix("https://") {
        Some(_) => address.to_owned(),
        None => format!("https://{address}"),
    };
    if args.address.as_deref() == Some("tunnel") {
        let text = "a host that connects by itself cannot be tried before it is configured";
        return Err(Failure::new(Kind::Usage, text)
            .hint("write its section by hand, as docs/tunnels.md tells, and type `reload`"));
    }
    let addresses: Vec<String> = match (&args.address, token) {
        (Some(address), Some(_)) => vec![https(address)],
        (Some(address), None) => vec![address.clone()],
        (None, Some(token)) => token.addresses.iter().map(|a| https(a)).collect(),
        (None, None) => Vec::new(),
    };
    if addresses.is_empty() {
        return Err(Failure::new(Kind::Usage, "the token has no address in it")
            .hint("give one with `--address https://HOST:8443`"));
    }
    Ok(addresses.iter().map(|address| section(args, address, fingerprint)).collect())
}

fn section(args: &AddArgs, address: &str, fingerprint: Option<Fingerprint>) -> String {
    let mut text = "[[backend]]\n".to_owned();
    let fingerprint = fingerprint.map(|f| f.to_string());
    let values = [
        ("name", Some(args.name.as_str())),
        ("pool", Some(args.pool.as_str())),
        ("address", Some(address)),
        ("user", args.user.as_deref()),
        ("host_key", args.host_key.as_deref()),
        ("fingerprint", fingerprint.as_deref()),
        ("incus_socket", args.incus_socket.as_deref()),
    ];
    for (key, value) in values {
        if let Some(value) = value {
            let quoted = toml::Value::String(value.trim().to_owned());
            let _ = writeln!(text, "{key} = {quoted}");
        }
    }
    if args.routed {
        text.push_str("routed = true\n");
    }
    text
}

/// What the sections mean beside the rest of the configuration.
fn candidates(
    files: &BackendFiles,
    sections: &[String],
    name: &BackendName,
) -> Result<Vec<Candidate>, Failure> {
    if let Some((file, line)) = config::place_of_backend(files.main(), name.as_str()) {
        let text = format!("backend {name} is in {file}:{line} already");
        return Err(
            Failure::new(Kind::Conflict, text).hint("take another name, or remove that one")
        );
    }
    let read = |section: &String| {
        let path = files.path(name);
        let config = config::load_with(files.main(), Some((&path, section)))
            .map_err(|problems| mistaken(&path.display().to_string(), &problems))?;
        let found = config.backends.iter().find(|b| b.name == *name);
        let backend = found.ok_or_else(|| unusable(name, "its section means nothing"))?;
        Ok((section.clone(), Arc::clone(backend)))
    };
    // A token may name addresses that mean nothing here beside others that do.
    let (mut candidates, mut mistakes) = (Vec::new(), Vec::new());
    for section in sections {
        match read(section) {
            Ok(candidate) => candidates.push(candidate),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if let Some(first) = mistakes.into_iter().next().filter(|_| candidates.is_empty()) {
        return Err(first);
    }
    files.try_out().map_err(|e| {
        let by_hand =
            sections.first().map(|s| s.trim_end().replace('\n', "; ")).unwrap_or_default();
        Failure::new(Kind::Failed, format!("the sentinel may not write its configuration: {e}"))
            .hint(format!("add these lines to it by hand, then type `reload`: {by_hand}"))
    })?;
    Ok(candidates)
}

/// The first mistake: in what was typed, or in what is there.
fn mistaken(file: &str, Problems(problems): &Problems) -> Failure {
    let Some(problem) = problems.first() else {
        return Failure::new(Kind::BadConfiguration, "the configuration cannot be read");
    };
    if problem.file != file {
        let text = format!(
            "the configuration has mistakes already: {}:{}: {}",
            problem.file, problem.line, problem.message
        );
        return Failure::new(Kind::BadConfiguration, text)
            .hint("on the sentinel, `containarium config check` shows every mistake");
    }
    let key = problem.key.rsplit('.').next().unwrap_or_default();
    let option = format!("--{}", key.replace('_', "-"));
    let is_taken = problem.message.starts_with("there is another");
    let kind = if is_taken { Kind::Conflict } else { Kind::Usage };
    let failure = Failure::new(kind, format!("{option}: {}", problem.message));
    match problem.hints.first() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The first candidate whose Incus answers, and trusts us.
async fn try_all(
    args: &AddArgs,
    candidates: Vec<Candidate>,
    token: Option<&Token>,
    context: &Context,
) -> Result<Candidate, Failure> {
    let mut last = unusable(&args.name, "there is nothing to try");
    for (section, backend) in candidates {
        match timeout(PATIENCE, try_one(&backend, token, context)).await {
            Ok(Ok(())) => return Ok((section, backend)),
            Ok(Err(failure)) => last = failure,
            Err(_) => last = unusable(&args.name, "no answer in time"),
        }
    }
    Err(last)
}

async fn try_one(
    backend: &Backend,
    token: Option<&Token>,
    context: &Context,
) -> Result<(), Failure> {
    let name = &backend.name;
    let client = context.fleet.try_out(backend);
    let failed = |error: IncusError| {
        if error.is_untrusted() { untrusted(name) } else { unusable(name, &error.to_string()) }
    };
    if let Some(token) = token {
        client.be_trusted(token).await.map_err(|error| {
            if matches!(error, IncusError::Api { .. }) {
                token_refused(name)
            } else {
                failed(error)
            }
        })?;
    }
    let server = client.server().await.map_err(failed)?;
    if server.auth == "untrusted" { Err(untrusted(name)) } else { Ok(()) }
}

fn token_refused(name: &BackendName) -> Failure {
    let text =
        format!("backend {name} does not take the token: it was used, taken back or has expired");
    Failure::new(Kind::NotPermitted, text)
        .hint("make another there: `incus config trust add -q containarium`")
}

fn untrusted(name: &BackendName) -> Failure {
    let text =
        format!("the Incus of backend {name} does not trust the sentinel; nothing was changed");
    Failure::new(Kind::Unavailable, text)
        .hint("make a token there (`incus config trust add -q containarium`), and give it with `--token -`")
}

fn unusable(name: &BackendName, why: &str) -> Failure {
    let text = format!("backend {name} cannot be used: {why}; nothing was changed");
    Failure::new(Kind::Unavailable, text)
        .hint("check its address and its keys; `help backend add` has examples")
}

/// Writes the section and has it taken over; a configuration that is refused is as it was.
async fn take_over(name: &BackendName, section: String, context: &Context) -> Result<(), Failure> {
    let (name, files) = (name.clone(), Arc::clone(&context.backend_files));
    let reload = Arc::clone(&context.reload);
    blocking(move || {
        let _one = files.lock();
        // Somebody may have been quicker.
        candidates(&files, std::slice::from_ref(&section), &name)?;
        files
            .write(&name, &section)
            .map_err(|e| Failure::new(Kind::Failed, format!("{e}; nothing was changed")))?;
        reload().map(drop).map_err(|mistake| {
            let _ = files.remove(&name);
            let text = format!("configuration not reloaded: {mistake}; nothing was changed");
            Failure::new(Kind::BadConfiguration, text)
                .hint("on the sentinel, `containarium config check` shows every mistake")
        })
    })
    .await
}

async fn report(args: &AddArgs, backend: &Backend, context: &Context) -> Result<Report, Failure> {
    let name = &args.name;
    let mut inventory = context.inventory.clone();
    let listed = inventory
        .wait_for(|i| i.backend(name).is_some_and(|b| matches!(b.presence, Presence::Up { .. })));
    let is_up = timeout(LISTED, listed).await.is_ok();
    let view = context.snapshot().backend(name).map(|b| BackendView::new(b, context));
    let file = context.backend_files.path(name).display().to_string();
    let (address, containers) = (address(backend), view.as_ref().map_or(0, |v| v.containers));
    let text =
        format!("{name} is added ({address}), with {containers} containers; it is in {file}");
    let report = Report::of(Added { view, file, address })?.names(vec![name.to_string()]);
    let report = report.part(Part::Text(text));
    Ok(if is_up {
        report
    } else {
        report.note(format!("{name} was not listed yet: see `backend info {name}`"))
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Failure::new(Kind::Failed, format!("write the configuration: {e}")))?
}
