//! Banned addresses that go on and on, dropped by the kernel: a real `nft`, in the sentinel's network.

use super::asked;
use crate::harness::{Run, Sentinel, config, lab_command, set, world};

/// The door's port, and its address of IPv6, which is there until this is dropped.
const PORT: u16 = 2486;
const SIX: &str = "2001:db8:86::1";

struct Addresses;

/// Runs a script on a host of the lab.
fn on(host: &str, script: &str) -> String {
    let output = lab_command(&["in", host, "sh", "-ec", script]).output().unwrap();
    assert!(output.status.success(), "{host}: {script}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

impl Addresses {
    fn new() -> Self {
        on("sentinel", &format!("ip -6 address replace {SIX}/64 dev clients nodad"));
        on("client", "ip -6 address replace 2001:db8:86::10/64 dev eth0 nodad");
        Self
    }
}

impl Drop for Addresses {
    fn drop(&mut self) {
        for (host, address) in [
            ("sentinel", "2001:db8:86::1/64 dev clients"),
            ("client", "2001:db8:86::10/64 dev eth0"),
        ] {
            let script = format!("ip -6 address del {address}");
            let _ = lab_command(&["in", host, "sh", "-c", &script]).output();
        }
    }
}

/// Python that tries from `$SOURCE` at `$TO`: `begin` opens a connection, `flood` so many seconds of
/// them, until one is lost; `fail` is a login that is refused.
const TRY: &str = "
import os, socket, subprocess, time
source, to, fail = os.environ['SOURCE'], os.environ['TO'], os.environ['FAIL']
def begin(limit=60):
    return socket.create_connection((to, 2486), limit, (source, 0))
def flood(seconds, count=1000000):
    end = time.monotonic() + seconds
    while time.monotonic() < end and count:
        count -= 1
        try:
            begin(5).close()
        except ConnectionResetError:
            pass
        except TimeoutError:
            return True
    return False
";

fn python(source: &str, to: &str, script: &str) -> Run {
    let fail = login(source, to, "mallory");
    world().client(&format!(
        "export SOURCE={source} TO={to} FAIL=\"{fail}\"\npython3 - <<'END'\n{TRY}{script}\nEND"
    ))
}

fn login(source: &str, to: &str, person: &str) -> String {
    format!(
        "ssh -b {source} -p {PORT} -F $CFG -o HostKeyAlias=$DOOR -i $DIR/{person} -l alice {to} hostname"
    )
}

/// Tries to log in, again where an attacker has used up what may be tried.
fn ssh(source: &str, to: &str, person: &str) -> Run {
    let login = login(source, to, person);
    world().client(&format!(
        "for i in 1 2 3 4 5 6 7 8; do\n{login} 2>err; status=$?; cat err >&2\n\
         grep -q reset err || exit $status; sleep 0.5; done"
    ))
}

/// Three failures of this address, and what bans it.
fn ban(sentinel: &Sentinel, source: &str, to: &str) {
    for _ in 0..3 {
        let run = ssh(source, to, "mallory");
        assert!(run.stderr.contains("Permission denied"), "{run:?}");
    }
    sentinel.wait("it is banned", || asked(sentinel, &["ban", "why", source])["banned"] == true);
}

/// Whether a connection is begun: its first packet is lost otherwise.
fn begins(source: &str, to: &str) -> bool {
    let script = "
try:
    begin(3).close()
    print('begun')
except ConnectionResetError:
    print('begun')
except TimeoutError:
    print('lost')";
    let run = python(source, to, script);
    assert!(["begun\n", "lost\n"].contains(&run.stdout.as_str()), "{run:?}");
    run.stdout == "begun\n"
}

fn in_kernel(sentinel: &Sentinel) -> Option<u64> {
    asked(sentinel, &["status"])["guard"]["in_kernel"].as_u64()
}

/// The table as the kernel has it; of another name, too.
fn table(name: &str) -> String {
    on("sentinel", &format!("nft -s list table inet {name} 2>/dev/null || true"))
}

/// A table of somebody else.
const FOREIGN: &str = "nft 'add table inet foreign; add chain inet foreign input \
     { type filter hook input priority 0; }; \
     add rule inet foreign input ip saddr 192.0.2.99 counter drop'";

fn start(door: &str) -> (Sentinel, String) {
    let text = set(&config(&world().dir, PORT, ""), "guard", "allow", "[]");
    let text = set(&text, "guard", "rate_per_source", "10000");
    let text = set(&set(&text, "guard", "rate", "10000"), "guard", "kernel", "true");
    let text = set(&text, "ssh", "login_grace", "\"10m\"");
    let text = set(&text, "ssh", "listen", &format!("[\"{door}:{PORT}\", \"[{SIX}]:{PORT}\"]"));
    let sentinel = Sentinel::start(&world().dir, "guard-kernel", &text);
    sentinel.wait_until_listed(&["alice"]);
    sentinel.wait("the table is there", || table("containarium-guard").contains("dport 2486"));
    assert_eq!(in_kernel(&sentinel), Some(0));
    (sentinel, text)
}

#[test]
fn who_is_banned_and_goes_on_and_on_is_dropped_by_the_kernel_until_the_ban_is_lifted() {
    let _addresses = Addresses::new();
    let door = world().client("echo $DOOR").stdout.trim().to_owned();
    on("sentinel", FOREIGN);
    let foreign = table("foreign");
    let (sentinel, text) = start(&door);
    // Alice is behind the first address: it is never for the kernel.
    let (known, bad) = ("192.0.2.17", "192.0.2.18");
    let run = ssh(known, &door, "alice");
    assert_eq!(run.stdout, "alice-container\n", "{run:?}");
    ban(&sentinel, known, &door);
    let flood = python(known, &door, "print(flood(200, 300))");
    assert_eq!(flood.stdout, "False\n", "{flood:?}");
    // What is open stays open.
    let open = python(
        bad,
        &door,
        "
early = begin()
for _ in range(3):
    subprocess.run(fail, shell=True)
lost = flood(200)
try:
    early.sendall(b'SSH-2.0-early\\r\\n' + bytes(4096))
    while early.recv(4096):
        pass
except ConnectionError:
    # Reset, or where that was heard of before it spoke, a broken pipe.
    pass
print(lost)",
    );
    assert_eq!(open.stdout, "True\n", "{open:?}");
    sentinel.wait("the kernel has it", || in_kernel(&sentinel) == Some(1));
    let listed = table("containarium-guard");
    assert!(listed.contains(bad) && !listed.contains(known), "{listed}");
    assert!(!begins(bad, &door) && begins("192.0.2.19", &door));
    let run = ssh(known, &door, "alice");
    assert_eq!(run.stdout, "alice-container\n", "{run:?}");
    let other =
        world().client(&format!("ssh -b {bad} -F $CFG -i $DIR/alice -l alice $DOOR hostname"));
    assert_eq!(other.stdout, "alice-container\n", "another port is nobody's business: {other:?}");

    // Somebody interferes.
    on("sentinel", "nft flush chain inet containarium-guard input");
    sentinel.wait("it is put back", || table("containarium-guard").contains("dport 2486"));
    assert!(!begins(bad, &door));
    // An administrator's word acts at once.
    let removed = sentinel.console(&["ban", "remove", bad]);
    assert_eq!(removed.status, 0, "{removed:?}");
    assert!(begins(bad, &door), "{}", table("containarium-guard"));

    // IPv6, by /64.
    let six = "2001:db8:86::10";
    ban(&sentinel, six, SIX);
    let flood = python(six, SIX, "print(flood(200))");
    assert_eq!(flood.stdout, "True\n", "{flood:?}");
    sentinel.wait("the kernel has it", || in_kernel(&sentinel) == Some(1));
    assert!(!begins(six, SIX) && begins(bad, &door), "{}", table("containarium-guard"));
    a_second_sentinel_is_refused();
    it_goes_with_the_configuration_and_with_the_sentinel(&sentinel, &text);
    without_its_program_the_door_does_it();
    assert_eq!(table("foreign"), foreign);
    on("sentinel", "nft delete table inet foreign");
}

/// Two would undo each other's tables.
fn a_second_sentinel_is_refused() {
    let text = set(&config(&world().dir, 2487, ""), "guard", "kernel", "true");
    let second = Sentinel::start(&world().dir, "guard-second", &text);
    let said = || second.console(&["status"]).stdout;
    let told = "another sentinel on this machine has its bans there";
    second.wait("it says so", || said().contains(told));
}

fn it_goes_with_the_configuration_and_with_the_sentinel(sentinel: &Sentinel, text: &str) {
    let reload = |kernel: &str| {
        std::fs::write(&sentinel.config, set(text, "guard", "kernel", kernel)).unwrap();
        let run = sentinel.console(&["reload"]);
        assert_eq!(run.status, 0, "{run:?}");
    };
    reload("false");
    sentinel.wait("the table is gone", || table("containarium-guard").is_empty());
    assert_eq!(in_kernel(sentinel), None);
    reload("true");
    sentinel.wait("it is there again", || table("containarium-guard").contains("2001:db8:86::"));
    sentinel.signal("TERM");
    sentinel.wait_exit();
    assert_eq!(table("containarium-guard"), "");
}

fn without_its_program_the_door_does_it() {
    let text = set(&config(&world().dir, 2488, ""), "guard", "kernel", "true");
    let nowhere = [("PATH", "/nonexistent")];
    let sentinel = Sentinel::spawn_with("sentinel", &world().dir, "guard-without", &text, &nowhere);
    sentinel.wait_until_listed(&["alice"]);
    let said = || sentinel.console(&["status"]).stdout;
    let told = "dropped by the door and not by the kernel: run nft: ";
    sentinel.wait("it says so", || said().contains(told));
    let run = world().client("ssh -p 2488 -F $CFG -i $DIR/alice -l alice $DOOR hostname");
    assert_eq!(run.stdout, "alice-container\n", "{run:?}");
}
