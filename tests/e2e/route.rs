//! Fixed routes: sshds that are no containers.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use crate::harness::{Run, Sentinel, config, lab, make_key, world};

const PORT: u16 = 2221;

/// A plain sshd on backend `b1`, with a host key of its own, that lets in account `containarium`.
struct Plain {
    child: Child,
    port: u16,
    host_key: String,
}

impl Plain {
    fn start(name: &str, port: u16, trust: &str) -> Self {
        let dir = &world().dir;
        make_key(dir, name);
        let line = fs::read_to_string(dir.join(format!("{name}.pub"))).unwrap();
        let host_key = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let file = dir.join(format!("{name}.conf"));
        let text = format!(
            "Port {port}\nHostKey {}\nPidFile none\nStrictModes no\nUsePAM no\nUseDNS no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             AllowUsers containarium\n{trust}\n",
            dir.join(name).display()
        );
        fs::write(&file, text).unwrap();
        let child = Command::new("nsenter")
            .arg(format!("--net={}", lab().netns("b1")))
            .args(["/usr/sbin/sshd", "-D", "-e", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(fs::File::create(dir.join(format!("{name}.log"))).unwrap())
            .spawn()
            .expect("sshd");
        Self { child, port, host_key }
    }

    fn section(&self, login: &str, key: &str, more: &str) -> String {
        format!(
            "[[route]]\nlogin = \"{login}\"\nto = \"containarium@{}:{}\"\nhost_key = \"{}\"\n\
             authorized_keys = [\"{key}\"]\n{more}\n",
            lab().get("LAB_B1_ADDRESS"),
            self.port,
            self.host_key
        )
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn key(person: &str) -> String {
    fs::read_to_string(world().dir.join(format!("{person}.pub"))).unwrap().trim().to_owned()
}

fn log_in(person: &str, login: &str, command: &str) -> Run {
    world().client(&format!("ssh -F $CFG -p {PORT} -i $DIR/{person} -l {login} $DOOR '{command}'"))
}

#[test]
fn a_route_leads_to_a_plain_sshd_by_certificate_or_key_file() {
    let dir = &world().dir;
    for person in ["gil", "route-identity"] {
        make_key(dir, person);
    }
    // Where the account can read it; the run's directory may be root's alone.
    let listed = format!("{}/route-keys", lab().get("LAB"));
    fs::write(&listed, key("route-identity") + "\n").unwrap();
    let ca =
        format!("TrustedUserCAKeys {}\nAuthorizedKeysFile none", dir.join("keys/ca.pub").display());
    let by_ca = Plain::start("route-ca-host", 2222, &ca);
    let by_key = Plain::start("route-key-host", 2223, &format!("AuthorizedKeysFile {listed}"));
    let identity = format!("identity = \"{}\"", dir.join("route-identity").display());
    let gil = key("gil");
    let stale = by_ca.section("stale", &gil, "").replace(&by_ca.host_key, &by_key.host_key);
    let gone = by_ca.section("gone", &gil, "").replace(":2222\"", ":2229\"");
    let sections = [
        by_ca.section("git", &gil, ""),
        by_key.section("depot", &gil, &identity),
        by_key.section("deaf", &gil, ""),
        stale,
        gone,
        by_ca.section("guarded", &format!("command=\\\"echo only this\\\" {gil}"), ""),
    ];
    let sentinel = Sentinel::start(dir, "routes", &config(dir, PORT, &sections.concat()));
    sentinel.wait_until_listed(&["alice"]);
    sentinel.wait("the sshds answer", || {
        ["git", "depot"].iter().all(|login| log_in("gil", login, "true").status == 0)
    });

    for login in ["git", "depot"] {
        let run = log_in("gil", login, "id -un; cat; exit 3 </dev/null");
        assert_eq!(
            (run.stdout.as_str(), run.stderr.as_str(), run.status),
            ("containarium\n", "", 3)
        );
        for stranger in ["alice", "admin", "mallory", "route-identity"] {
            let run = log_in(stranger, login, "id -un");
            assert!(
                run.status == 255
                    && run.stderr.trim_end().ends_with("Permission denied (publickey)."),
                "{run:?}"
            );
        }
    }
    assert_eq!(log_in("gil", "guarded", "id -un").stdout, "only this\n");
    for (login, status, words) in [
        ("stale", 69, "stale shows another host key"),
        ("deaf", 69, "deaf does not accept the sentinel's key"),
        ("gone", 75, "gone does not answer"),
    ] {
        let run = log_in("gil", login, "id -un");
        assert!(run.stderr.starts_with("error: ") && run.stderr.contains(words), "{run:?}");
        assert_eq!(
            (run.stdout.as_str(), run.stderr.lines().count(), run.status),
            ("", 1, status),
            "{run:?}"
        );
    }
    // The route's key opens the route alone.
    let run = log_in("gil", "whoever", "id -un");
    assert!(run.status == 255 && run.stderr.contains("Permission denied"), "{run:?}");
    let _ = fs::remove_file(listed);
}
