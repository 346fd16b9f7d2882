//! Where and when a run took place.

use std::{fs, path::Path, process::Command};

/// The machine, its programs, the date and the commit, one line of Markdown each.
pub fn describe() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches(['\t', ' ', ':']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: Option<f64> = memory
        .lines()
        .find_map(|l| l.strip_prefix("MemTotal:"))
        .and_then(|l| l.trim().trim_end_matches(" kB").parse().ok());
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let ssh = first_line(Command::new("ssh").arg("-V"));
    [
        format!(
            "- CPU: {model}, {cores} cores; {:.0} GiB of memory",
            kib.unwrap_or(0.0) / f64::from(1 << 20)
        ),
        format!("- kernel: {}", first_line(Command::new("uname").arg("-sr"))),
        format!("- {ssh} on every host"),
        format!("- date: {}", first_line(Command::new("date").args(["-u", "+%F"]))),
        format!("- commit: {}", commit()),
        format!("- load average at the end: {}", load.split(' ').next().unwrap_or_default()),
    ]
    .join("\n")
}

/// The commit, and whether the sources differ from it.
fn commit() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let git = |args: &[&str]| first_line(Command::new("git").arg("-C").arg(root).args(args));
    let changed = git(&["status", "--porcelain", "--", "src", "benches", "Cargo.lock"]);
    let id = git(&["rev-parse", "--short=10", "HEAD"]);
    if changed.is_empty() { id } else { format!("{id} and changes that are not committed") }
}

fn first_line(command: &mut Command) -> String {
    let Ok(out) = command.output() else { return "unknown".to_owned() };
    // `ssh -V` speaks on standard error.
    let text = if out.stdout.is_empty() { out.stderr } else { out.stdout };
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}
