//! Power of `b3`, and a program by which a sentinel switches it on.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{lab_command, lab_name, world};

/// Switches `b3` on or off.
pub fn power(command: &str) {
    let out = lab_command(&[command, "b3"]).output().expect("lab");
    assert!(out.status.success(), "{command}: {}", String::from_utf8_lossy(&out.stderr));
}

/// The network of the machine, in which the lab's script works.
pub fn network() -> String {
    format!("/proc/{}/ns/net", std::process::id())
}

/// A file of this run, empty.
pub fn file(name: &str) -> PathBuf {
    let path = world().dir.join(name);
    fs::write(&path, "").unwrap();
    path
}

pub fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// The path of the lab's script.
pub fn lab_script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/lab")
}

/// A program that writes down how it was called and powers b3 on, with more `before` and `after`.
pub fn program(name: &str, calls: &Path, before: &str, after: &str) -> String {
    let path = world().dir.join(name);
    let (calls, lab, network) = (calls.display(), lab_script().display().to_string(), network());
    let host = lab_name("b3");
    // The program runs in the network of the sentinel, the lab's script in that of the machine.
    let text = format!(
        "#!/bin/bash\necho \"$CONTAINARIUM_ACTION $CONTAINARIUM_BACKEND $CONTAINARIUM_ATTEMPT $*\" \
         >>{calls}\nlab() {{ nsenter --net={network} {lab} \"$@\" </dev/null >&2; }}\n\
         {before}\nlab revive {host}\n{after}\n"
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let variables = ["LAB_NAME", "LAB_CACHE", "LAB_SUBNET"]
        .iter()
        .filter_map(|name| Some(format!("{name} = \"{}\"", std::env::var(name).ok()?)));
    let variables: Vec<_> = variables.collect();
    format!(
        "{{ kind = \"command\", argv = [\"{}\", \"b3\"], env = {{ {} }}, timeout = \"100s\", \
         grace = \"60s\"",
        path.display(),
        variables.join(", ")
    )
}
