//! The executable: runs the sentinel, or has the running one run a console command.

use std::{
    io::{self, ErrorKind, Write},
    path::Path,
    process::ExitCode,
};

use containarium::{
    app,
    cli::{self, Task},
    command::{failure::Kind, render::Outcome},
    console::control::{Person, Stdio, run_remote},
};

/// What a shell shows for a program that a closed pipe ended: 128 + SIGPIPE.
const BROKEN_PIPE: u8 = 141;

fn main() -> ExitCode {
    match cli::read(std::env::args_os()) {
        Task::Serve(config) => app::serve(&config),
        Task::CheckConfig(config) => app::check_config(&config),
        Task::Remote { socket, words, terminal } => remote(&socket, &words, terminal).into(),
        Task::Print(outcome) => print(&outcome).into(),
    }
}

fn print(outcome: &Outcome) -> u8 {
    let written = put(io::stdout(), &outcome.stdout).and(put(io::stderr(), &outcome.stderr));
    match written {
        Ok(()) => outcome.status,
        Err(e) if e.kind() == ErrorKind::BrokenPipe => BROKEN_PIPE,
        Err(_) => Kind::Failed.status(),
    }
}

fn put(mut to: impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

fn remote(socket: &Path, words: &[String], terminal: bool) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Kind::Failed.status() };
    let status = runtime.block_on(async {
        let io = Stdio {
            stdin: tokio::io::stdin(),
            stdout: tokio::io::stdout(),
            stderr: tokio::io::stderr(),
            person: Person::of_process(terminal).ok(),
        };
        run_remote(socket, words, io).await
    });
    // A read of standard input may be under way on a thread that nothing can stop.
    runtime.shutdown_background();
    status
}
