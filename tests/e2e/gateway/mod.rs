//! Public ports that lead to the backend that is alive: real packets, the kernel's own packet filter
//! on the sentinel's host, and a web server on each backend.

mod alone;
mod family;
mod fault;
mod flap;
mod switch;
mod whole;

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use containarium::gateway::{Firewall, withdraw};
use serde_json::Value;
use tokio::runtime::Builder;

use crate::harness::{
    self, Run, Sentinel, Spare, TICK, Web, backend_section, in_network, lab, lab_command, power,
    world,
};

/// Longest wait for an answer: far less than the 135 s after which a client gives up whose
/// connection still leads to a dead host.
const PATIENCE: Duration = Duration::from_secs(60);

/// The packet filter of the sentinel's host and `b3`, for one test at a time; `b3` runs.
fn alone() -> (MutexGuard<'static, ()>, Spare) {
    static FILTER: Mutex<()> = Mutex::new(());
    let filter = FILTER.lock().unwrap_or_else(PoisonError::into_inner);
    let b3 = harness::b3_itself();
    // A test that failed has killed its sentinel, whose rules stay then.
    in_network("sentinel", || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        for firewall in [Firewall::Iptables, Firewall::Legacy] {
            runtime.block_on(withdraw(firewall)).unwrap();
        }
    });
    (filter, b3)
}

/// Runs a shell script on a host; panics if it fails.
fn on(host: &str, script: &str) -> String {
    let out = lab_command(&["in", host, "sh", "-ec", script]).output().expect("lab in");
    assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// A configuration with the gateway's section and the pool `web` of these backends.
fn config(port: u16, gateway: &str, backends: &[&str]) -> String {
    let mut text = harness::config(&world().dir, port, "");
    for other in ["b1", "b2"] {
        text = text.replace(&backend_section(other), "");
    }
    text += &format!("[gateway]\npool = \"web\"\n{gateway}\n");
    for backend in backends {
        text += &format!("{}pool = \"web\"\n", backend_section(backend));
    }
    text
}

/// Ends a sentinel as systemd does.
fn stop(sentinel: &Sentinel) {
    sentinel.signal("TERM");
    assert_eq!(sentinel.wait_exit(), Some(0), "{}", sentinel.log_text());
}

fn log_in(port: u16) -> Run {
    world().client(&format!("ssh -F $CFG -p {port} -i $DIR/admin -l admin $DOOR version"))
}

/// The only pool of `status --json`; `null` while there is none.
fn pool(sentinel: &Sentinel) -> Value {
    status(sentinel)["gateway"]["pools"][0].clone()
}

fn status(sentinel: &Sentinel) -> Value {
    serde_json::from_str(&sentinel.console(&["status", "--json"]).stdout).unwrap_or_default()
}

/// Waits until the public ports lead to a backend, or to none, and the kernel does so.
fn wait_primary(sentinel: &Sentinel, backend: Option<&str>) {
    sentinel.wait(&format!("ports lead to {backend:?}"), || {
        let pool = pool(sentinel);
        pool["in_force"] == true && pool["primary"] == backend.map_or(Value::Null, Value::from)
    });
}

/// What the client's host gets from a public port, by one connection.
fn ask(address: SocketAddr) -> io::Result<String> {
    in_network("client", || {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.rsplit("\r\n").next().unwrap_or_default().to_owned())
    })
}

/// A port of the sentinel's public address.
fn public(port: u16) -> SocketAddr {
    SocketAddr::new(lab().get("LAB_SENTINEL_ADDRESS").parse().unwrap(), port)
}

/// What other programs have in the packet filter of the sentinel's host, until it is dropped.
struct Foreign;

impl Foreign {
    fn new() -> Self {
        on(
            "sentinel",
            "iptables -t nat -N OTHER; iptables -t nat -A OTHER -p tcp -j DNAT --to 192.0.2.9:80\n\
             iptables -t nat -I PREROUTING -p tcp --dport 9999 -j OTHER\n\
             iptables -A FORWARD -p udp --dport 9999 -j ACCEPT; iptables -P FORWARD DROP\n\
             nft add table inet other; nft add chain inet other input '{ type filter hook input priority 0; }'",
        );
        Self
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let script = "iptables -P FORWARD ACCEPT; iptables -D FORWARD -p udp --dport 9999 -j ACCEPT\n\
            iptables -t nat -D PREROUTING -p tcp --dport 9999 -j OTHER\n\
            iptables -t nat -F OTHER; iptables -t nat -X OTHER; nft delete table inet other";
        let _ = lab_command(&["in", "sentinel", "sh", "-c", script]).output();
    }
}

/// Every rule, chain and policy in the packet filters of the sentinel's host, of both families, with
/// its table and without counters. (Kernel chains that are empty come and go with programs that look.)
fn rules() -> Vec<String> {
    let text = on(
        "sentinel",
        "iptables-save; ip6tables-save; iptables-legacy-save; ip6tables-legacy-save\n\
         nft --stateless list table inet other 2>/dev/null || true",
    );
    let (mut table, mut rules) = ("", Vec::new());
    for line in text.lines().filter(|line| !line.starts_with('#') && *line != "COMMIT") {
        let rule = line.split(" [").next().unwrap_or_default();
        match line.strip_prefix('*') {
            Some(name) => table = name,
            None if rule.starts_with(':') && rule.ends_with(" ACCEPT") => {}
            None => rules.push(format!("{table} {rule}")),
        }
    }
    rules
}

/// The same without ours.
fn foreign_rules() -> Vec<String> {
    rules().into_iter().filter(|rule| !rule.contains("CONTAINARIUM")).collect()
}
