//! What else shares a connection: agent, X11, many sessions; and what keeps it alive.

use crate::harness::{Guest, world};

#[test]
pub fn the_agent_serves_several_users_at_once() {
    let script = r#"
        eval "$(ssh-agent)" >/dev/null
        trap 'kill $SSH_AGENT_PID' EXIT
        ssh-add -q $DIR/alice $DIR/bob
        ssh-add -l >$TMP/here
        ssh -F $CFG -A box '
            d=$(mktemp -d) && cd $d
            ssh-add -L >keys.pub
            for i in 1 2 3; do { ssh-add -l && ssh-add -T keys.pub && ssh-add -T keys.pub; } >$i 2>&1 & done
            wait
            cat 1 2 3; rm -r $d' >$TMP/there
        cat $TMP/here $TMP/here $TMP/here | cmp - $TMP/there && echo same
        wc -l <$TMP/there
        ssh -F $CFG -a box 'echo [$SSH_AUTH_SOCK]'"#;
    world().same(script, "same\n6\n[]\n", 0);
}

/// An X client: logs in with the cookie that `xauth` knows, prints what the screen says.
const X_CLIENT: &str = r#"
import os, socket, subprocess
display = os.environ["DISPLAY"]
cookie = bytes.fromhex(subprocess.check_output(["xauth", "list", display]).split()[2].decode())
host, number = display.split(":")
screen = socket.create_connection((host, 6000 + int(number.split(".")[0])))
name = b"MIT-MAGIC-COOKIE-1"
screen.sendall(b"l\0\x0b\0\0\0\x12\0\x10\0\0\0" + name + b"\0\0" + cookie)
print(screen.makefile().read(), end="")
"#;

#[test]
fn x11_reaches_the_screen_of_the_person() {
    let script = format!(
        r#"export XAUTHORITY=$TMP/xauth DISPLAY=127.0.0.1:77
        touch $XAUTHORITY
        xauth -q add $DISPLAY MIT-MAGIC-COOKIE-1 00112233445566778899aabbccddeeff
        socat TCP-LISTEN:6077,bind=127.0.0.1,reuseaddr SYSTEM:"head -c 48 >$TMP/seen; echo screen" &
        until grep -q ':17BD 0*:0000 0A' /proc/net/tcp; do sleep 0.02; done
        # The first time, xauth would say that it makes the file.
        ssh -F $CFG box touch .Xauthority
        ssh -F $CFG -X -o ForwardX11Trusted=yes box 'python3 -' <<'END'
{X_CLIENT}
END
        # The real cookie was put in the place of the one made up for the container.
        tail -c 16 $TMP/seen | od -An -tx1"#
    );
    let cookie = " 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff\n";
    world().same(&script, &format!("screen\n{cookie}"), 0);
    world().same("ssh -F $CFG -x box 'echo [$DISPLAY]'", "[]\n", 0);
}

#[test]
pub fn twenty_sessions_share_a_connection() {
    // Ten at once, which is what an sshd allows.
    let script = r"
        ssh -F $CFG -fNM -S $TMP/m box >/dev/null
        for round in 0 10; do
            pids=
            for n in $(seq $round $((round + 9))); do
                seq $n 20000 | ssh -F $CFG -S $TMP/m box 'cat; exit '$n >$TMP/$n &
                pids+=$!' '
            done
            for pid in $pids; do wait $pid; echo $?; done
        done
        for n in {0..19}; do seq $n 20000 | cmp - $TMP/$n || echo $n differs; done
        ssh -F $CFG -S $TMP/m -O exit box 2>/dev/null";
    let statuses: Vec<String> = (0..20).map(|n| format!("{n}\n")).collect();
    world().same(script, &statuses.concat(), 0);
}

#[test]
fn twenty_sessions_run_at_the_same_moment() {
    let guest = Guest::new(&world().sentinel, "b1", "many", "carol");
    guest.root("echo MaxSessions 30 >/etc/ssh/sshd_config.d/20-many.conf; systemctl reload ssh");
    // Each says that it is there, and ends only once all twenty are.
    let script = r"
        go() { ssh -F $CFG -S $TMP/m -l many carol $@; }
        until ssh -F $CFG -l many carol 'sudo sshd -T | grep -q ^maxsessions.30'; do sleep 0.1; done
        go -fNM >/dev/null
        go mkdir -p there
        for n in {0..19}; do
            go 'touch there/'$n'; until [ $(ls there | wc -l) = 20 ]; do sleep 0.1; done; exit '$n &
            pids+=$!' '
        done
        for pid in $pids; do wait $pid; echo $?; done
        go -O exit 2>/dev/null";
    let statuses: Vec<String> = (0..20).map(|n| format!("{n}\n")).collect();
    let run = world().client(script);
    assert_eq!((run.stdout, run.status), (statuses.concat(), 0), "{}", run.stderr);
}

#[test]
pub fn sessions_beyond_the_containers_limit_are_refused() {
    let script = r"
        ssh -F $CFG -fNM -S $TMP/m box >/dev/null
        mkfifo $TMP/hold
        exec 3<>$TMP/hold
        for i in {1..10}; do
            ssh -F $CFG -S $TMP/m box 'echo x; cat' <&3 >$TMP/begun.$i &
        done
        until [ $(cat $TMP/begun.* | wc -l) = 10 ]; do sleep 0.02; done
        ssh -F $CFG -o ProxyCommand=false -S $TMP/m box true 2>&1 | grep -o 'Session open refused by peer'
        ssh -F $CFG -S $TMP/m -O exit box 2>/dev/null";
    let run = world().alike(script);
    assert_eq!(run.stdout, "Session open refused by peer\n", "{run:?}");
}

#[test]
pub fn a_stalled_session_does_not_stall_its_neighbour() {
    let script = r"
        ssh -F $CFG -fNM -S $TMP/m box >/dev/null
        mkfifo $TMP/stalled
        exec 3<>$TMP/stalled
        ssh -F $CFG -S $TMP/m box 'exec yes' >&3 2>/dev/null &
        stalled=$!
        head -c 1M /dev/zero | ssh -F $CFG -S $TMP/m box 'cat; exit 9' | wc -c
        echo ${PIPESTATUS[1]}
        ssh -F $CFG -S $TMP/m -O exit box 2>/dev/null
        kill $stalled 2>/dev/null
        true";
    world().same(script, "1048576\n9\n", 0);
}

#[test]
pub fn both_ends_may_ask_whether_the_other_lives() {
    // SSH_MSG_REQUEST_SUCCESS or _FAILURE: the answer to keepalive@openssh.com.
    let script = r"
        ssh -F $CFG -vvv -E $TMP/log -o UpdateHostKeys=no -o ServerAliveInterval=1 -N box &
        while kill -0 $! && ! grep -qs 'receive packet: type 8[12]' $TMP/log; do sleep 0.05; done
        kill $! && echo lives";
    world().same(script, "lives\n", 0);
}

#[test]
pub fn the_containers_host_keys_are_not_recorded_as_the_doors() {
    let script = r"
        sed -n 's/^\[203[^ ]*/alias/p' $DIR/known_hosts >$TMP/known
        cp $TMP/known $TMP/before
        ssh -F $CFG -v -E $TMP/log -o UserKnownHostsFile=$TMP/known -o HostKeyAlias=alias \
            -o UpdateHostKeys=yes alice cat /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2 >$TMP/key
        cmp $TMP/before $TMP/known && echo unchanged
        [ -s $TMP/key ] && grep -cFf $TMP/key $TMP/known
        grep -c 'rtype hostkeys-00@openssh.com' $TMP/log";
    let run = world().client(script);
    assert_eq!(run.stdout, "unchanged\n0\n1\n", "{run:?}");
}

/// A listener whose queue is full: what comes after is dropped, as by a host that is gone.
const DEAF: &str = r#"
import socket, time
s = socket.socket()
s.bind(("", 4444))
s.listen(0)
held = [socket.socket() for _ in range(4)]
for h in held:
    h.setblocking(False)
    h.connect_ex(("127.0.0.1", 4444))
print("full", flush=True)
time.sleep(600)
"#;

/// A relay that opens channels one after the other hangs with a target that never answers. Here its
/// neighbours go on, through a container's sshd and through the console.
#[test]
fn a_target_that_never_answers_delays_nobody_on_its_connection() {
    let script = r#"
        ssh -F $CFG alice 'cat >deaf.py; echo $$ >deaf.pid; exec python3 deaf.py' <$DIR/deaf.py >full &
        until [ -s full ]; do sleep 0.05; done
        for host in alice sentinel; do
            go() { ssh -F $CFG -S m.$host $host "$@"; }
            case $host in
                alice) target=localhost command='echo version';;
                *) target=alice command=version;;
            esac
            ssh -F $CFG -fNM -S m.$host $host >/dev/null
            dead=
            for i in 1 2 3; do
                ssh -F $CFG -S m.$host -W $target:4444 $host </dev/null >dead.$i 2>&1 &
                dead+=" $!"
            done
            for i in $(seq 10); do go $command | wc -l >>answers; done
            ssh -F $CFG -S m.$host -W $target:22 $host </dev/null | head -c 7; echo
            kill -0 $dead && cat dead.* && echo still waiting
            ssh -F $CFG -S m.$host -O exit $host 2>/dev/null
            wait $dead
        done
        uniq answers
        ssh -F $CFG alice 'kill $(cat deaf.pid); rm deaf.*'"#;
    std::fs::write(world().dir.join("deaf.py"), DEAF).unwrap();
    let run = world().client(script);
    let one = "SSH-2.0\nstill waiting\n";
    assert_eq!(run.stdout, format!("{one}{one}1\n"), "{run:?}");
}
