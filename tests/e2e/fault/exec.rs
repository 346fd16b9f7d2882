//! Containers that no network leads to: the way through Incus.

use super::{assert_told, log_in, newcomer};
use crate::harness::{Guest, lab, lab_command, label, world};

#[test]
fn a_container_without_sshd_is_entered_all_the_same() {
    newcomer("una");
    let guest = Guest::new(&world().sentinel, "b1", "mute", "una");
    assert_eq!(log_in(22, "una", "mute", "true").status, 0);
    assert_eq!(world().sentinel.way_of("mute"), "link");
    guest.root("systemctl disable --now ssh.service; ! pgrep -x sshd");
    let run = log_in(22, "una", "mute", "hostname; id -un; exit 42");
    assert_eq!(
        (run.stdout.as_str(), run.stderr.as_str(), run.status),
        ("mute-container\nuna\n", "", 42)
    );
    assert_eq!(world().sentinel.way_of("mute"), "exec");
    guest.root("systemctl enable --now ssh.service");
    world().sentinel.wait("sshd is used again", || {
        assert_eq!(log_in(22, "una", "mute", "true").status, 0);
        world().sentinel.way_of("mute") == "link"
    });
}

#[test]
fn a_container_without_network_takes_and_gives_files_whole() {
    newcomer("olga");
    let guest = Guest::new(&world().sentinel, "b2", "island", "olga");
    guest.root("ip link set eth0 down");
    let run = world().client(
        "printf 'Host island\\n HostName %s\\n User island\\n IdentityFile %s/olga\\n' $DOOR $DIR >cfg\n\
         cat $CFG >>cfg; set -e\n\
         head -c 5000000 /dev/urandom >blob; sum=$(sha256sum <blob)\n\
         mkdir tree; for i in $(seq 200); do echo $i >tree/$i; done; cp blob tree\n\
         { scp -q -F cfg blob island:up; scp -q -F cfg island:up down; cmp blob down && echo scp >1; } &\n\
         { rsync -a -e 'ssh -F cfg' tree island: && echo rsync >2; } &\n\
         { [ \"$(ssh -F cfg island 'tee copy | cat' <blob | sha256sum)\" = \"$sum\" ] && echo cat >3; } &\n\
         wait; cat 1 2 3\n\
         ssh -F cfg island 'ip -br link show eth0 | grep -c DOWN; cmp up copy && cmp up tree/blob && ls tree | wc -l'",
    );
    assert_eq!((run.stdout.as_str(), run.status), ("scp\nrsync\ncat\n1\n201\n", 0), "{run:?}");
    assert_eq!(world().sentinel.way_of("island"), "exec");
}

/// The address that the sentinel knows belongs to a neighbour, who would let the certificate in.
#[test]
fn an_address_that_is_somebody_elses_never_leads_there() {
    newcomer("nina");
    let sentinel = &world().sentinel;
    let (mine, other) = std::thread::scope(|scope| {
        let mine = scope.spawn(|| Guest::new(sentinel, "b1", "mine", "nina"));
        let other = Guest::new(sentinel, "b1", "other", "nina");
        (mine.join().unwrap(), other)
    });
    assert_eq!(log_in(22, "nina", "mine", "hostname").stdout, "mine-container\n");
    assert_eq!(sentinel.way_of("mine"), "link");
    mine.root("ip address flush dev eth0");
    other.root(&format!("ip address add {}/24 dev eth0", mine.address));
    let others_key = other.root("cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub");
    sentinel.wait("the neighbour answers for the address", || {
        let script = "ip neigh flush dev incusbr0; ssh-keyscan -T 2 -t ed25519 \"$0\" 2>/dev/null";
        let args = ["in", "b1", "bash", "-c", script, &mine.address];
        let out = lab_command(&args).output().unwrap();
        String::from_utf8_lossy(&out.stdout).contains(others_key.trim())
    });
    for _ in 0..2 {
        let run = log_in(22, "nina", "mine", "hostname");
        assert_eq!(
            (run.stdout.as_str(), run.stderr.as_str(), run.status),
            ("mine-container\n", "", 0)
        );
        assert_eq!(sentinel.way_of("mine"), "exec");
    }
    assert_eq!(log_in(22, "nina", "other", "hostname").stdout, "other-container\n");
}

#[test]
fn a_container_that_does_not_run_is_told_and_entered_again_once_it_does() {
    newcomer("sue");
    let guest = Guest::new(&world().sentinel, "b2", "dormant", "sue");
    let sentinel = &world().sentinel;
    for (command, state) in [("pause", "frozen"), ("stop", "stopped")] {
        let force: &[&str] = if command == "stop" { &["--force"] } else { &[] };
        label("b2", "dormant", "hold", "true");
        lab().incus("b2", &[&[command, guest.instance().as_str()], force].concat());
        sentinel.wait(&format!("{state} is known"), || {
            log_in(22, "sue", "dormant", "true").stderr.contains(state)
        });
        let run = log_in(22, "sue", "dormant", "true");
        assert_told(&run, 69, &[&format!("container dormant is {state}")]);
        super::assert_copiers_are_told(22, "sue", "dormant", &format!("dormant is {state}"));
        lab().incus("b2", &["start", &guest.instance()]);
        sentinel.wait("it runs again", || log_in(22, "sue", "dormant", "true").status == 0);
    }
}
