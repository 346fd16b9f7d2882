//! `export NAME`: an OpenSSH client configuration for a container, complete with host keys, so that
//! whoever pastes it types `ssh NAME` and is asked nothing.

use std::{fmt::Write as _, net::IpAddr};

use clap::Args;
use serde::Serialize;

use super::{
    context::Context,
    failure::Failure,
    report::{Part, Report},
};
use crate::{
    config::Advertise,
    model::{container::Container, key::PublicKey, name::ContainerName},
};

/// Longest name of a host (RFC 1035) and of a file (Linux), in bytes.
const MAX_HOST: usize = 253;
const MAX_PATH: usize = 4096;

/// Keeps a connection through a router that forgets after a minute, and ends one that is dead after
/// two: as long as the door waits for a host by default.
const KEEPALIVE: &str = "  ServerAliveInterval 30\n  ServerAliveCountMax 4\n";

/// One connection for all sessions, kept for those that come soon. `%C` stands for where it leads.
const SHARED: &str =
    "  ControlMaster auto\n  ControlPath ~/.ssh/containarium-%C\n  ControlPersist 10m\n";

/// Arguments of `export`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Paste the output into ~/.ssh/config, or keep it in a file of its own:\n\n  \
    ssh admin@SENTINEL export alice --key '~/.ssh/id_alice' > ~/.ssh/alice.conf\n\nand begin \
    ~/.ssh/config with `Include alice.conf`. Then `ssh alice` logs in at the door, and `ssh \
    alice-jump` jumps through it to the container's own sshd. Host keys are in it (with \
    KnownHostsCommand, OpenSSH 8.5 and later), so ssh asks nothing. For older clients append the \
    output of --known-hosts to ~/.ssh/known_hosts, too. A second export says the same, unless a \
    key or an address changed."
)]
pub struct ExportArgs {
    /// The container's name
    pub name: ContainerName,
    /// Where the user reaches the sentinel, instead of what it knows of itself
    #[arg(long, alias = "jump-ip", value_name = "HOST[:PORT]", value_parser = place)]
    pub jump_host: Option<Advertise>,
    /// The user's private key, as a path on the user's machine: it is written down, not read
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub key: Option<String>,
    /// Print lines for `known_hosts` instead
    #[arg(long)]
    pub known_hosts: bool,
}

#[derive(Serialize)]
struct Exported {
    name: String,
    host: String,
    port: u16,
    login: String,
    config: String,
    known_hosts: Vec<String>,
}

pub(super) fn run(args: &ExportArgs, context: &Context) -> Result<Report, Failure> {
    let container = context.find(&context.snapshot(), args.name.as_str())?;
    let door = args.jump_host.clone().unwrap_or_else(|| context.door());
    let export =
        Export { container: &container, door, keys: &context.keys.host, file: args.key.as_deref() };
    let (config, known_hosts) = (export.config(), export.known_hosts());
    let mut text = config.clone();
    if args.known_hosts {
        text = known_hosts.iter().fold(String::new(), |all, line| all + line + "\n");
    }
    let exported = Exported {
        name: container.name.to_string(),
        host: export.door.host.clone(),
        port: export.door.port,
        login: container.name.to_string(),
        config,
        known_hosts,
    };
    let names = vec![container.name.to_string(), format!("{}-jump", container.name)];
    let report = Report::of(exported)?.names(names).part(Part::Text(text));
    Ok(if container.host_keys.is_empty() {
        report.note("no host key of the container is known: only the way through the door is given")
    } else {
        report
    })
}

/// What is written. Pure.
struct Export<'a> {
    container: &'a Container,
    door: Advertise,
    /// The door's host keys.
    keys: &'a [PublicKey],
    file: Option<&'a str>,
}

impl Export<'_> {
    /// Begins and ends with lines that put what the user's file says around it where it was.
    fn config(&self) -> String {
        let name = &self.container.name;
        let Advertise { host, port } = &self.door;
        let mut out = format!(
            "# BEGIN containarium {name}\n\
             # Written by `export {name}`. Put it into ~/.ssh/config in place of an earlier one, then:\n\
             #   ssh {name}\n"
        );
        if self.file.is_none() {
            out += "# Name your key with `IdentityFile FILE` if it has no name that ssh tries by itself.\n";
        }
        let _ = write!(out, "Match all\n  IgnoreUnknown KnownHostsCommand\n");
        let _ = write!(out, "Host {name}\n  HostName {host}\n  Port {port}\n  User {name}\n");
        self.rest(&mut out, self.keys);
        if !self.container.host_keys.is_empty() {
            let (alias, owner) = (self.alias(), &self.container.owner);
            // Not the name alone: ssh takes a way to a host of the same name for a loop.
            let instance = name.instance();
            let _ = write!(
                out,
                "# The same container by its own sshd, jumping through the door.\n\
                 Host {name}-jump\n  ProxyJump {name}\n  HostName {instance}\n  HostKeyAlias {alias}\n  \
                 User {owner}\n"
            );
            self.rest(&mut out, &self.container.host_keys);
        }
        let _ = write!(out, "Match all\n# END containarium {name}\n");
        out
    }

    fn rest(&self, out: &mut String, keys: &[PublicKey]) {
        if let Some(file) = self.file {
            let _ = write!(out, "  IdentityFile \"{}\"\n  IdentitiesOnly yes\n", escape(file));
        }
        if let Some(key) = best(keys) {
            // ssh says for which name it looks, so that the line fits however the host is called.
            let _ = writeln!(out, "  KnownHostsCommand /bin/echo %H {}", line(key));
        }
        *out += "  StrictHostKeyChecking yes\n  UpdateHostKeys no\n";
        *out += KEEPALIVE;
        *out += SHARED;
    }

    fn known_hosts(&self) -> Vec<String> {
        let Advertise { host, port } = &self.door;
        let door = if *port == 22 { host.clone() } else { format!("[{host}]:{port}") };
        let alias = self.alias();
        let ours = self.keys.iter().map(|key| format!("{door} {}", line(key)));
        let theirs = self.container.host_keys.iter().map(|key| format!("{alias} {}", line(key)));
        ours.chain(theirs).collect()
    }

    /// Under which name the container's host key is looked up: other fleets have an alice, too.
    fn alias(&self) -> String {
        format!("{}.{}", self.container.name, self.door.host)
    }
}

/// The key that a client will choose if it knows only one.
fn best(keys: &[PublicKey]) -> Option<&PublicKey> {
    keys.iter().find(|key| key.algorithm() == "ssh-ed25519").or_else(|| keys.first())
}

/// Type and key, without the comment, which is anybody's text.
fn line(key: &PublicKey) -> String {
    key.to_line().split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// `%` begins a token there.
fn escape(path: &str) -> String {
    path.replace('%', "%%")
}

fn place(text: &str) -> Result<Advertise, String> {
    let fault = || "a host name or an address, with :PORT if it is not 22".to_owned();
    let port = |text: &str| text.parse().ok().filter(|port: &u16| *port > 0).ok_or_else(fault);
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) if host.parse::<IpAddr>().is_ok() => match rest.strip_prefix(':') {
            Some(given) => (host, port(given)?),
            None if rest.is_empty() => (host, 22),
            None => return Err(fault()),
        },
        Some(_) => return Err(fault()),
        None if text.parse::<IpAddr>().is_ok() => (text, 22),
        None => match text.rsplit_once(':') {
            Some((host, given)) => (host, port(given)?),
            None => (text, 22),
        },
    };
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_name = host.chars().all(valid)
        && host.starts_with(|c: char| c.is_ascii_alphanumeric())
        && host.len() <= MAX_HOST;
    if is_name || host.parse::<IpAddr>().is_ok() {
        Ok(Advertise { host: host.to_owned(), port })
    } else {
        Err(fault())
    }
}

fn path(text: &str) -> Result<String, String> {
    if text.contains('\n') {
        return Err("the name of a file on the user's machine, not what is in it".to_owned());
    }
    let odd = |c: char| c.is_control() || matches!(c, '"' | '\\');
    if text.is_empty() || text.len() > MAX_PATH || text.contains(odd) || text.contains("${") {
        return Err("the name of a file, without quotes and backslashes".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::*;

    #[test]
    fn it_is_the_same_each_time_and_leaves_its_surroundings_alone() {
        let export = |line: &str| execute_line(line.as_bytes(), &context(admin()));
        let text = export("export alice --jump-host jump.example.org:2222 --key '~/my keys/50%'");
        assert_eq!(text.status, 0, "{text:?}");
        let common = "  IdentityFile \"~/my keys/50%%\"\n  IdentitiesOnly yes\n";
        let rest = "  StrictHostKeyChecking yes\n  UpdateHostKeys no\n  ServerAliveInterval 30\n  \
            ServerAliveCountMax 4\n  ControlMaster auto\n  ControlPath ~/.ssh/containarium-%C\n  \
            ControlPersist 10m\n";
        let key = key("host").to_line();
        let key = key.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let expected = format!(
            "# BEGIN containarium alice\n\
             # Written by `export alice`. Put it into ~/.ssh/config in place of an earlier one, then:\n\
             #   ssh alice\n\
             Match all\n  IgnoreUnknown KnownHostsCommand\n\
             Host alice\n  HostName jump.example.org\n  Port 2222\n  User alice\n{common}{rest}\
             # The same container by its own sshd, jumping through the door.\n\
             Host alice-jump\n  ProxyJump alice\n  HostName alice-container\n  \
             HostKeyAlias alice.jump.example.org\n  User alice\n{common}  \
             KnownHostsCommand /bin/echo %H {key}\n{rest}\
             Match all\n# END containarium alice\n"
        );
        assert_eq!(text.stdout, expected);
        let again = export("export alice --jump-ip jump.example.org:2222 --key '~/my keys/50%'");
        assert_eq!(text, again);
        let known = export("export alice --jump-host 2001:db8::1 --known-hosts").stdout;
        assert!(known.ends_with('\n') && known.starts_with("alice.2001:db8::1 ssh-ed25519 AAAA"));
        let bob = export("export bob --jump-host h");
        assert!(!bob.stdout.contains("bob-jump") && bob.stderr.starts_with("note: "), "{bob:?}");
        let json: serde_json::Value =
            serde_json::from_str(&export("export alice --jump-host h --json").stdout).unwrap();
        assert_eq!((&json["host"], &json["port"]), (&"h".into(), &22.into()));
        assert_eq!(export("export alice -q").stdout, "alice\nalice-jump\n");
    }

    #[test]
    fn what_could_say_more_than_it_should_is_refused() {
        for bad in
            ["", "-h", "h h", "h\nHost *", "h:0", "h:99999", "h:x", "%h", "[h]:22", "[::1]x", "a@h"]
        {
            let words = ["export", "alice", &format!("--jump-host={bad}")].map(str::to_owned);
            assert_eq!(execute(&words, &context(admin())).status, 2, "{bad:?}");
        }
        for bad in ["", "a\n  ProxyCommand id", "a\"b", "a\\", "${HOME}/x", "\u{1b}[2J"] {
            let words = ["export", "alice", &format!("--key={bad}")].map(str::to_owned);
            assert_eq!(execute(&words, &context(admin())).status, 2, "{bad:?}");
        }
        assert_eq!(execute_line(b"export nobody", &context(admin())).status, 3);
    }
}
