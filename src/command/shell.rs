//! `shell NAME`: a shell inside a container, through Incus. It needs neither network nor sshd there.

use clap::Args;
use tokio::sync::mpsc;

use super::{
    context::Context,
    explain,
    failure::{Failure, Kind},
    render::Format,
    report::Report,
    terminal::{Piece, Pty, Terminal},
};
use crate::{
    incus::{
        attach::{End, Tty},
        script::Output,
    },
    model::name::ContainerName,
};

/// Pieces of output between Incus and the session; each is 32 KiB at most.
const PIECES: usize = 2;

/// Root's own login shell, without `su`, which may be what is broken.
const ROOT: &str = r#"cd
shell=$(awk -F: '$3 == 0 { print $7; exit }' /etc/passwd)
[ -x "$shell" ] || shell=/bin/sh
exec "$shell" -l"#;

/// Arguments of `shell`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Without a terminal standard input is the script: ssh admin@SENTINEL shell NAME < \
    script. The exit status is the shell's. It works without network and sshd inside."
)]
pub struct ShellArgs {
    /// The container's name
    pub name: ContainerName,
    /// As root instead of the owner
    #[arg(long)]
    pub root: bool,
}

pub(super) async fn run(
    args: &ShellArgs,
    context: &Context,
    terminal: &mut Terminal,
) -> Result<Report, Failure> {
    if context.format == Format::Json {
        let message = "what a shell writes is no JSON";
        return Err(Failure::new(Kind::Usage, message).hint("leave --json away"));
    }
    let container = context.find(&context.snapshot(), args.name.as_str())?;
    let control = context.incus(&container)?;
    let client = (context.incus_for_people)(&container.backend).unwrap_or(control);
    let root = ["/bin/sh", "-c", ROOT];
    let owner = ["su", "-", container.owner.as_str()];
    let words = if args.root { root } else { owner };
    let tty = terminal.pty().cloned().map(|Pty { term, size, output: _ }| Tty { term, size });
    terminal.make_raw();
    let interrupted = terminal.interrupted().clone();
    let (output, mut written) = mpsc::channel(PIECES);
    let (input, pieces) = terminal.split();
    let instance = container.name.instance();
    let attached = client.attach(&instance, &words, tty, End { input, output, interrupted });
    let passed_on = async {
        while let Some(piece) = written.recv().await {
            let piece = match piece {
                Output::Stdout(bytes) => Piece::Stdout(bytes),
                Output::Stderr(bytes) => Piece::Stderr(bytes),
            };
            // Failing means that nobody is left to read: the session is about to end.
            let _ = pieces.send(piece).await;
        }
    };
    let (status, ()) = tokio::join!(attached, passed_on);
    let what = format!("shell {}", container.name);
    let status = status.map_err(|e| explain::incus(&what, &container.backend, &e))?;
    let status = u8::try_from(status).map_err(|_| {
        let message = format!("{what}: the container stopped, or the shell was killed with it");
        Failure::new(Kind::Failed, message)
    })?;
    Ok(Report { status, ..Report::default() })
}

#[cfg(test)]
mod tests {
    use crate::command::testing::*;

    #[test]
    fn a_shell_is_for_administrators_of_containers_that_are_there() {
        assert_eq!(execute_line(b"shell alice", &context(member("alice"))).status, 77);
        assert_eq!(execute_line(b"shell nobody", &context(admin())).status, 3);
        assert_eq!(execute_line(b"shell carol", &context(admin())).status, 69);
        assert_eq!(execute_line(b"shell alice --json", &context(admin())).status, 2);
        assert_eq!(execute_line(b"shell 'alice;id'", &context(admin())).status, 2);
    }
}
