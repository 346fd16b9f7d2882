//! Bulk through key exchanges from every side: the client's, the container's, ours.

use super::{TOOLS, client, figure};
use crate::harness::{Guest, world};

const CIPHERS: [&str; 2] = ["chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com"];

/// One direction, in MiB, with the client's limit in MiB; 0: the client never begins.
fn one_way(up: bool, cipher: &str, mib: u64, limit: u64) {
    let options = if limit > 0 { format!("-o RekeyLimit={limit}M") } else { String::new() };
    let ssh = format!("ssh -F $CFG -v -E $TMP/log {options} -c {cipher} alice");
    let flow = if up {
        format!("stream {mib}M | {ssh} sha256sum")
    } else {
        format!(r#"{ssh} "$(declare -f stream); stream {mib}M" | sha256sum"#)
    };
    let script = format!(
        r#"{TOOLS}
        want=$(stream {mib}M | sha256sum)
        [ "$({flow})" = "$want" ] && echo same
        exchanges"#
    );
    let run = client(&script);
    let (same, count) = run.stdout.split_once('\n').unwrap_or_default();
    let count: u64 = count.trim().parse().unwrap_or_default();
    // Ours begin each GiB. A key exchange does not begin at once: what flows meanwhile is extra.
    let expected = (mib - mib / 16) / if limit > 0 { limit } else { 1024 };
    assert!(same == "same" && count > expected, "{cipher}, up {up}, not {expected}: {run:?}");
}

#[test]
fn much_arrives_down_through_key_exchanges_of_the_client() {
    one_way(false, CIPHERS[0], figure(200, 5120), 16);
}

#[test]
fn much_arrives_up_through_key_exchanges_of_the_client() {
    one_way(true, CIPHERS[1], figure(200, 5120), 16);
}

#[test]
fn much_arrives_down_through_key_exchanges_of_ours() {
    // OpenSSH itself would begin with AES only after 64 GiB.
    one_way(false, CIPHERS[1], figure(1100, 5120), 0);
}

#[test]
fn much_arrives_up_through_key_exchanges_of_ours() {
    one_way(true, CIPHERS[1], figure(1100, 5120), 0);
}

/// A container whose sshd changes keys as `limit` says, and speaks only `cipher`.
fn restless(name: &str, limit: &str, cipher: &str) -> Guest {
    let guest = Guest::new(&world().sentinel, "b1", name, "alice");
    guest.root(&format!(
        "printf 'RekeyLimit {limit}\\nCiphers {cipher}\\n' >/etc/ssh/sshd_config.d/20-restless.conf
        systemctl restart ssh"
    ));
    guest
}

/// Sends a stream to `cat` and back while both ends begin key exchanges.
fn both_ways(name: &str, cipher: &str, mib: u64) {
    let guest = restless(name, "1M", cipher);
    let script = format!(
        r#"{TOOLS}
        got=$(stream {mib}M | ssh -F $CFG -v -E $TMP/log -o RekeyLimit=1M -c {cipher} -l {} alice cat | sha256sum)
        [ "$got" = "$(stream {mib}M | sha256sum)" ] && echo same
        [ $(exchanges) -gt {mib} ] && echo often"#,
        guest.name
    );
    let run = client(&script);
    assert_eq!(run.stdout, "same\noften\n", "{cipher}: {run:?}");
}

#[test]
fn both_ways_survive_a_key_exchange_each_megabyte_from_both_ends_with_chacha20() {
    both_ways("grind-chacha", CIPHERS[0], figure(50, 400));
}

#[test]
fn both_ways_survive_a_key_exchange_each_megabyte_from_both_ends_with_aes_gcm() {
    both_ways("grind-gcm", CIPHERS[1], figure(50, 400));
}

#[test]
fn keys_that_both_ends_change_every_second_disturb_nobody() {
    let guest = restless("clockwork", "default 1", CIPHERS[0]);
    // sshd and ssh look at the time when they send something.
    let script = format!(
        r#"{TOOLS}
        lines() {{ for i in {{1..60}}; do echo $i; sleep 0.1; done; }}
        lines | ssh -F $CFG -v -E $TMP/log -o RekeyLimit='default 1' -l {} alice cat | sha256sum >got
        [ "$(cat got)" = "$(seq 60 | sha256sum)" ] && echo same
        [ $(exchanges) -gt 3 ] && echo often"#,
        guest.name
    );
    let run = client(&script);
    assert_eq!(run.stdout, "same\noften\n", "{run:?}");
}
