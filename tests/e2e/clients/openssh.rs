//! The newest OpenSSH: what holds for Debian 12's holds for it, and what it alone has.

use std::process::Command;

use super::run;
use crate::harness::{Sentinel, config, set, with_newest_clients, world};

/// Repeats tests of other modules with the newest `ssh`, `scp`, `sftp` and `ssh-agent`.
macro_rules! again {
    ($($module:ident: $($test:ident)+;)+) => {$(
        mod $module {
            $(
                #[test]
                fn $test() {
                    super::with_newest_clients(crate::$module::$test);
                }
            )+
        }
    )+};
}

again! {
    session:
        exit_statuses_arrive
        death_by_a_signal_is_told_as_such
        output_and_errors_stay_apart
        the_end_of_input_arrives_and_output_goes_on
        input_goes_on_after_the_end_of_output
        a_reader_that_leaves_ends_the_writer
        the_environment_passes_as_sshd_allows
        subsystems_start_or_are_refused
        bytes_of_a_command_arrive_as_they_are
        compression_may_be_asked_for;
    terminal:
        a_terminal_has_its_size_and_follows_it
        terminal_modes_arrive
        keys_reach_the_job_as_signals
        a_terminal_without_a_command_is_a_login_shell;
    channel:
        the_agent_serves_several_users_at_once
        twenty_sessions_share_a_connection
        sessions_beyond_the_containers_limit_are_refused
        a_stalled_session_does_not_stall_its_neighbour
        both_ends_may_ask_whether_the_other_lives
        the_containers_host_keys_are_not_recorded_as_the_doors;
    forward:
        a_server_on_the_containers_loopback_is_reached
        a_port_of_the_container_leads_back
        socks_reaches_what_the_container_reaches
        unix_sockets_are_forwarded_both_ways
        nothing_listens_there_is_told
        the_allocated_port_is_told
        a_port_that_is_taken_is_refused;
    transfer:
        scp_copies_in_both_modes_and_directions
        sftp_runs_a_batch
        git_clones_and_pushes
        bulk_survives_a_key_exchange_every_megabyte
        bulk_survives_key_exchanges_of_both_ends_at_once;
    jump:
        a_container_is_reached_by_its_own_name
        an_administrator_jumps_to_names_and_addresses;
    smoke:
        a_login_name_is_a_container
        an_administrator_lists_the_fleet;
}

/// What only a script with the newest clients shows.
fn newest(script: &str) -> String {
    let run = with_newest_clients(|| run(script));
    assert_eq!(run.status, 0, "{run:?}");
    run.stdout
}

#[test]
fn its_defaults_agree_on_post_quantum_exchange_without_a_warning() {
    // It warns of servers that do not.
    let script = "ssh -V 2>&1 | grep -oE '^OpenSSH_[0-9]{2}' >$TMP/version
        [ $(tr -cd 0-9 <$TMP/version) -ge 10 ] && echo new
        ssh -F $CFG -o LogLevel=INFO alice true 2>&1
        ssh -F $CFG -v -E $TMP/log alice true
        grep -oE 'kex: (algorithm|host key algorithm): .*' $TMP/log | tr -d '\\r'
        grep -oE 'kex: server->client cipher: [^ ]+' $TMP/log";
    let expected = "new\nkex: algorithm: mlkem768x25519-sha256\n\
        kex: host key algorithm: ssh-ed25519\n\
        kex: server->client cipher: chacha20-poly1305@openssh.com\n";
    assert_eq!(newest(script), expected);
}

#[test]
fn an_exchange_that_the_door_does_not_have_is_refused_in_its_words() {
    for kex in ["sntrup761x25519-sha512@openssh.com", "diffie-hellman-group16-sha512"] {
        let script = format!(
            "ssh -F $CFG -o LogLevel=INFO -o KexAlgorithms={kex} alice true 2>&1 |
                grep -o 'no matching key exchange method found. Their offer: mlkem768x25519-sha256'"
        );
        let words = "no matching key exchange method found. Their offer: mlkem768x25519-sha256\n";
        assert_eq!(newest(&script), words);
        assert_eq!(run(&script).stdout, words);
    }
}

#[test]
fn keystrokes_are_hidden_among_pings_that_the_door_answers() {
    // The container's sshd is older than SSH_MSG_PING (192): it would say SSH_MSG_UNIMPLEMENTED.
    let script = r"
        mkfifo $TMP/keys
        exec 3<>$TMP/keys
        ssh -F $CFG -vvv -E $TMP/log -tt alice 'stty -echo; echo ready; read x; echo [$x]' <&3 >$TMP/out &
        until_told $TMP/out ready
        for key in h e l l o; do printf $key >&3; sleep 0.05; done
        printf '\n' >&3
        wait $!
        tail -1 $TMP/out | tr -d '\r'
        echo $(($(sed -n 's/.*(\([0-9]*\) chaff packets sent.*/\1/p' $TMP/log) > 0))
        grep -c UNIMPLEMENTED $TMP/log
        true";
    assert_eq!(newest(script), "[hello]\n1\n0\n");
}

/// All that the client may learn.
const ALGORITHMS: &str = "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256";

/// The port of a sentinel that has host keys for old clients, too.
const PORT: u16 = 2251;

#[test]
fn who_knows_one_host_key_of_the_door_learns_the_others() {
    let dir = &world().dir;
    let keys = dir.join("keys-old");
    let copied = Command::new("cp").arg("-r").arg(dir.join("keys")).arg(&keys).status();
    assert!(copied.expect("cp").success());
    for (kind, bits) in [("rsa", "3072"), ("ecdsa", "256")] {
        let mut make = Command::new("ssh-keygen");
        make.args(["-q", "-t", kind, "-b", bits, "-N", "", "-f"]);
        let file = keys.join(format!("ssh_host_{kind}_key"));
        assert!(make.arg(file).status().expect("ssh-keygen").success());
    }
    let place = format!("\"{}\"", keys.display());
    let text = set(&config(dir, PORT, ""), "ssh", "host_keys", &place);
    let sentinel = Sentinel::start(dir, "old-clients", &text);
    sentinel.wait_until_listed(&["alice"]);
    for (algorithm, file) in [
        ("ssh-ed25519", "ed25519"),
        ("ecdsa-sha2-nistp256", "ecdsa"),
        ("rsa-sha2-512", "rsa"),
        ("rsa-sha2-256", "rsa"),
    ] {
        let script = format!(
            "echo \"[$DOOR]:{PORT} $(cut -d' ' -f1,2 $DIR/keys-old/ssh_host_{file}_key.pub)\" >$TMP/known
            ssh -F $CFG -p {PORT} -v -E $TMP/log -o UserKnownHostsFile=$TMP/known -o UpdateHostKeys=yes \
                -o HostKeyAlgorithms={algorithm},{ALGORITHMS} -N alice &
            for i in {{1..1000}}; do [ $(wc -l <$TMP/known) = 3 ] && break; sleep 0.02; done
            kill $!
            cut -d' ' -f2,3 $TMP/known | sort >$TMP/learned
            cat $DIR/keys-old/ssh_host_*.pub | cut -d' ' -f1,2 | sort | cmp - $TMP/learned && echo all
            grep -o 'host key algorithm: .*' $TMP/log | tr -d '\\r'"
        );
        let expected = format!("all\nhost key algorithm: {algorithm}\n");
        let old = run(&script);
        assert_eq!(old.stdout, expected, "{old:?}");
        let new = with_newest_clients(|| run(&script));
        assert_eq!(new.stdout, expected, "{new:?}");
    }
}
