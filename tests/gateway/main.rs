//! The packet filter of a network namespace, kept by the gateway while others use it, too. Both of
//! the kernel's filters. Needs root.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    fs::{self, File},
    net::{Ipv4Addr, UdpSocket},
    os::fd::AsFd,
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use containarium::gateway::{
    Firewall, PacketFilter,
    rules::{Forward, Protocol, RuleSet},
    withdraw,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::runtime::Builder;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Longest wait for what should happen soon.
const PATIENCE: Duration = Duration::from_secs(60);

/// What other programs have there: a chain of their own, rules before and behind ours.
const FOREIGN: &str = "\
*nat
:OTHER - [0:0]
-A PREROUTING -p tcp -m tcp --dport 8080 -j OTHER
-A OTHER -p tcp -j DNAT --to-destination 192.0.2.9:80
COMMIT
*filter
:FORWARD DROP [0:0]
-A FORWARD -p udp -m udp --dport 53 -j ACCEPT
COMMIT
";

/// A namespace that is gone when the test is over.
struct Namespace(String);

impl Namespace {
    /// Moves this thread, and what it starts from now on, into a new one with foreign rules.
    fn enter(firewall: Firewall) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let namespace = Self(format!("gateway-{}-{number}", std::process::id()));
        assert!(
            Command::new("ip").args(["netns", "add", &namespace.0]).status().unwrap().success()
        );
        let file = File::open(format!("/run/netns/{}", namespace.0)).unwrap();
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        let forward = Command::new("sysctl").args(["-qw", "net.ipv4.ip_forward=1"]).status();
        assert!(forward.unwrap().success());
        restore(firewall, FOREIGN);
        namespace
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn program(firewall: Firewall, what: &str) -> String {
    match firewall {
        Firewall::Iptables => format!("iptables-{what}"),
        Firewall::Nft => format!("iptables-nft-{what}"),
        Firewall::Legacy => format!("iptables-legacy-{what}"),
    }
}

fn restore(firewall: Firewall, text: &str) {
    let mut child = Command::new(program(firewall, "restore"))
        .arg("--noflush")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), text.as_bytes()).unwrap();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

fn save(firewall: Firewall) -> Vec<String> {
    let out = Command::new(program(firewall, "save")).output().unwrap();
    assert!(out.status.success());
    let text = String::from_utf8(out.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(" [").next().unwrap().to_owned()).collect()
}

/// What is there without us.
fn foreign(firewall: Firewall) -> Vec<String> {
    save(firewall).into_iter().filter(|line| !line.contains("CONTAINARIUM")).collect()
}

fn to(backend: u8) -> RuleSet {
    let forward = |port| Forward {
        protocol: Protocol::Tcp,
        listen: None,
        port,
        to: ([198, 51, 100, backend], port).into(),
        masquerade: true,
    };
    RuleSet::new([80, 443].map(forward))
}

async fn until(filter: &PacketFilter, rules: &RuleSet) {
    let mut applied = filter.applied();
    let made = applied.wait_for(|a| a.rules == *rules && a.problem.is_none());
    let made = tokio::time::timeout(PATIENCE, made).await;
    assert!(made.is_ok(), "{:?}", filter.applied().borrow());
}

/// Runs a test in a namespace of its own, once for each of the kernel's filters.
fn with_both(test: impl AsyncFn(Firewall) + Sync) {
    for firewall in [Firewall::Nft, Firewall::Legacy] {
        std::thread::scope(|scope| {
            let test = &test;
            let run = scope.spawn(move || {
                let _namespace = Namespace::enter(firewall);
                let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(test(firewall));
            });
            run.join().unwrap();
        });
    }
}

#[test]
fn foreign_rules_are_the_same_after_a_hundred_failovers_and_after_the_end() {
    with_both(async |firewall| {
        let before = save(firewall);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let filter = PacketFilter::start(firewall, to(11), &tasks, stop.clone());
        until(&filter, &to(11)).await;
        for i in 0..100 {
            let rules = if i % 3 == 2 { RuleSet::default() } else { to(11 + i % 3) };
            filter.want(rules.clone());
            until(&filter, &rules).await;
            let saved = save(firewall);
            let leads = |to: &str| saved.iter().filter(|l| l.contains(to)).count();
            assert_eq!(leads("198.51.100.11:80"), usize::from(i % 3 == 0), "{saved:?}");
            assert_eq!(leads("198.51.100.12:443"), usize::from(i % 3 == 1), "{saved:?}");
            assert_eq!(leads("-j CONTAINARIUM"), 3, "{saved:?}");
        }
        assert_eq!(foreign(firewall), before);
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        withdraw(firewall).await.unwrap();
        assert_eq!(save(firewall), before);
    });
}

/// Numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        // xorshift64 (Marsaglia 2003)
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// A rule of either family and protocol, for one of few ports, addresses and backends.
    fn forward(&mut self) -> Forward {
        let is_v4 = self.below(2) == 0;
        let address = |network: [&str; 2], number: u64| {
            format!("{}{number}", network[usize::from(is_v4)]).parse().unwrap()
        };
        let to = address(["2001:db8:2::", "198.51.100."], self.below(3));
        let listen = address(["2001:db8::", "203.0.113."], self.below(3));
        let port = u16::try_from(self.below(4) + 1).unwrap();
        Forward {
            protocol: [Protocol::Tcp, Protocol::Udp][usize::try_from(self.below(2)).unwrap()],
            listen: (self.below(2) == 0).then_some(listen),
            port,
            to: std::net::SocketAddr::new(to, port),
            masquerade: self.below(2) == 0,
        }
    }
}

#[test]
fn whatever_is_wanted_is_made() {
    with_both(async |firewall| {
        let on = Command::new("sysctl").args(["-qw", "net.ipv6.conf.all.forwarding=1"]).status();
        assert!(on.unwrap().success());
        let before = save(firewall);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let filter = PacketFilter::start(firewall, RuleSet::default(), &tasks, stop);
        let mut random = Random(5);
        for _ in 0..30 {
            let forwards: Vec<_> = (0..random.below(12)).map(|_| random.forward()).collect();
            let rules = RuleSet::new(forwards);
            filter.want(rules.clone());
            until(&filter, &rules).await;
        }
        filter.end().await.unwrap();
        assert_eq!(save(firewall), before);
    });
}

#[test]
fn what_somebody_changes_of_ours_is_put_back() {
    with_both(async |firewall| {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let filter = PacketFilter::start(firewall, to(11), &tasks, stop.clone());
        until(&filter, &to(11)).await;
        let right = save(firewall);
        for interference in [
            "*nat\n-F CONTAINARIUM-PRE\nCOMMIT\n",
            "*nat\n-D PREROUTING -j CONTAINARIUM-PRE\nCOMMIT\n",
            "*filter\n-A FORWARD -j CONTAINARIUM-FORWARD\nCOMMIT\n",
            "*nat\n-A CONTAINARIUM-PRE -j ACCEPT\nCOMMIT\n",
        ] {
            restore(firewall, interference);
            assert_ne!(save(firewall), right, "{interference}");
            let repaired = async {
                while save(firewall) != right {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            let repaired = tokio::time::timeout(PATIENCE, repaired).await;
            assert!(repaired.is_ok(), "{interference}: {:?}", save(firewall));
        }
        stop.cancel();
    });
}

#[test]
fn a_successor_takes_over_what_a_killed_one_left() {
    with_both(async |firewall| {
        let before = foreign(firewall);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let killed = PacketFilter::start(firewall, to(11), &tasks, stop.clone());
        until(&killed, &to(11)).await;
        let right = save(firewall);
        killed.want(to(12));
        tokio::task::yield_now().await;
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let successor = PacketFilter::start(firewall, to(11), &tasks, stop.clone());
        until(&successor, &to(11)).await;
        assert_eq!((save(firewall), foreign(firewall)), (right, before));
        stop.cancel();
    });
}

#[test]
fn a_kernel_that_does_not_forward_is_a_problem_that_is_told() {
    with_both(async |firewall| {
        let off = Command::new("sysctl").args(["-qw", "net.ipv4.ip_forward=0"]).status();
        assert!(off.unwrap().success());
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let filter = PacketFilter::start(firewall, to(11), &tasks, stop.clone());
        let mut applied = filter.applied();
        let told = applied.wait_for(|a| a.problem.is_some());
        let told = tokio::time::timeout(PATIENCE, told).await.unwrap().unwrap().clone();
        assert!(told.problem.unwrap().contains("net.ipv4.ip_forward"));
        stop.cancel();
    });
}

/// How many connections the table of this namespace holds, and the kernel's limit, which is the same
/// for all of them.
fn table() -> [u64; 2] {
    ["count", "max"].map(|what| {
        let file = format!("/proc/sys/net/netfilter/nf_conntrack_{what}");
        fs::read_to_string(file).unwrap().trim().parse().unwrap()
    })
}

/// Asks so many addresses of this namespace's own, one packet each.
fn crowd(count: u64) {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let silent = UdpSocket::bind("0.0.0.0:9").unwrap();
    for i in 0..u32::try_from(count).unwrap() {
        // 127.0.0.0/8 has room for sixteen million.
        let address = Ipv4Addr::from(0x7f00_0100 + i);
        socket.send_to(b"?", (address, 9)).unwrap();
    }
    drop(silent);
}

#[test]
fn a_table_of_connections_that_is_nearly_full_is_told_and_ports_go_on() {
    let run = std::thread::spawn(|| {
        let _namespace = Namespace::enter(Firewall::Nft);
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
        assert!(up.unwrap().success());
        // Long enough for a slow machine to ask them all.
        let sysctl = "net.netfilter.nf_conntrack_udp_timeout";
        let long = Command::new("sysctl").args(["-qw", &format!("{sysctl}=600")]).status();
        assert!(long.unwrap().success());
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
            let filter = PacketFilter::start(Firewall::Nft, to(11), &tasks, stop.clone());
            until(&filter, &to(11)).await;
            assert_eq!(filter.applied().borrow().warning, None);
            let [_, max] = table();
            crowd(max - max / 20);
            assert!(table()[0] > max - max / 10, "{:?}", table());
            // It is looked at every 5 s, and whenever ports turn.
            filter.want(to(12));
            until(&filter, &to(12)).await;
            let mut applied = filter.applied();
            let told = applied.wait_for(|a| a.warning.is_some());
            let told = tokio::time::timeout(PATIENCE, told).await.unwrap().unwrap().clone();
            let warning = told.warning.unwrap();
            assert!(warning.contains("raise net.netfilter.nf_conntrack_max"), "{warning}");
            assert_eq!((told.rules, told.problem), (to(12), None), "they are in force");
            let flush = Command::new("conntrack").arg("-F").stderr(Stdio::null()).status();
            assert!(flush.unwrap().success());
            filter.want(to(13));
            until(&filter, &to(13)).await;
            let over = applied.wait_for(|a| a.warning.is_none());
            assert!(tokio::time::timeout(PATIENCE, over).await.is_ok(), "{:?}", table());
            stop.cancel();
        });
    });
    run.join().unwrap();
}
