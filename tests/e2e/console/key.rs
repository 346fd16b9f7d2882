//! `key`: the label and the file inside change together, and a key that is taken away opens nothing.

use super::{assert_done, assert_failed, assert_refused, console, log_in, people, session_during};
use crate::harness::{Guest, Run, Sentinel, config, lab, lab_command, world};

const FILE: &str = "/home/kate/.ssh/authorized_keys";

fn guest(name: &str) -> Guest {
    Guest::new(&world().sentinel, "b1", name, "kate")
}

fn kate() {
    static KATE: std::sync::Once = std::sync::Once::new();
    KATE.call_once(|| drop(people(["kate"])));
}

/// Types a command with a key on standard input.
fn with_key(person: &str, words: &str) -> Run {
    world().client(&format!("ssh -F $CFG sentinel '{words}' <$DIR/{person}.pub"))
}

fn label(guest: &Guest) -> String {
    let key = "user.containarium.authorized-keys";
    lab().incus("b1", &["config", "get", &guest.instance(), key])
}

#[test]
fn a_key_opens_once_added_and_its_sessions_end_when_it_is_removed() {
    kate();
    let [phone] = people(["kate-phone"]);
    let blob = phone.split(' ').nth(1).unwrap();
    let guest = guest("key-life");
    assert_refused(&log_in("kate-phone", "key-life", "true"));
    let added = with_key("kate-phone", "key add key-life -");
    assert_done(&added);
    assert!(added.stdout.contains("kate-phone@laptop opens key-life"), "{added:?}");
    assert_eq!(log_in("kate-phone", "key-life", "id -un").stdout, "kate\n");
    assert!(label(&guest).contains(blob));
    assert_eq!(
        guest.root(&format!("grep -c {blob} {FILE}; stat -c '%U %a' {FILE}")),
        "1\nkate 600\n"
    );

    let list = console("key list key-life --json").stdout;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let of = |comment: &str| {
        list.as_array().unwrap().iter().find(|k| k["comment"] == comment).unwrap().clone()
    };
    let (new, old) = (of("kate-phone@laptop"), of("kate@laptop"));
    assert!(new["label"] == true && new["inside"] == true, "{new}");
    assert!(new["last_use"].is_string() && old["last_use"].is_null(), "{list}");

    let removing = "ssh -F $CFG sentinel key remove key-life kate-phone@laptop";
    let ended = session_during("kate-phone", "key-life", removing);
    assert_eq!(ended.status, 255, "{ended:?}");
    assert!(ended.stderr.contains("your key for key-life was taken away"), "{ended:?}");
    assert_refused(&log_in("kate-phone", "key-life", "true"));
    assert_eq!(guest.root(&format!("grep -c {blob} {FILE} || :")), "0\n");
    assert!(!label(&guest).contains(blob));
    assert_eq!(log_in("kate", "key-life", "id -un").stdout, "kate\n", "the other key stays");
}

#[test]
fn the_last_use_outlives_the_sentinel() {
    kate();
    let guest = guest("key-used");
    let text = config(&world().dir, 2271, "");
    let last_use = |sentinel: &Sentinel| {
        let list = sentinel.console(&["key", "list", "key-used", "--json"]).stdout;
        let list: serde_json::Value = serde_json::from_str(&list).unwrap();
        list[0]["last_use"].as_str().map(str::to_owned)
    };
    let sentinel = Sentinel::start(&world().dir, "used", &text);
    sentinel.wait_until_listed(&[&guest.name]);
    assert_eq!(last_use(&sentinel), None);
    let run = world().client("ssh -F $CFG -p 2271 -i $DIR/kate key-used@$DOOR id -un");
    assert_eq!(run.stdout, "kate\n", "{run:?}");
    let used = last_use(&sentinel);
    assert!(used.is_some());
    sentinel.signal("TERM");
    assert_eq!(sentinel.wait_exit(), Some(0));
    drop(sentinel);
    let sentinel = Sentinel::start(&world().dir, "used", &text);
    sentinel.wait_until_listed(&[&guest.name]);
    assert_eq!(last_use(&sentinel), used);
}

#[test]
fn the_last_key_is_kept_unless_forced() {
    kate();
    let guest = guest("key-last");
    let before = label(&guest);
    let refused = console("key remove key-last kate@laptop");
    assert_failed(
        &refused,
        4,
        &["it is the last key of key-last", "nothing was changed", "hint: "],
    );
    assert_eq!(label(&guest), before);
    assert_eq!(log_in("kate", "key-last", "id -un").stdout, "kate\n");
    assert_done(&console("key remove key-last kate@laptop --force"));
    assert_refused(&log_in("kate", "key-last", "true"));
    assert_failed(&console("key remove key-last kate@laptop --force"), 3, &["has no key"]);
}

#[test]
fn administrators_at_once_lose_no_key_and_a_comment_of_two_is_no_name() {
    kate();
    let guest = guest("key-race");
    let script = "for i in 1 2 3 4 5 6; do ssh-keygen -qt ed25519 -N '' -C twin -f k$i; done\n\
                  for i in 1 2 3 4 5 6; do ssh -F $CFG sentinel key add key-race - <k$i.pub >out$i 2>&1 & pids+=($!); done\n\
                  for pid in ${pids[@]}; do wait $pid || { cat out*; exit 1; }; done\n\
                  cut -d' ' -f2 k?.pub";
    let run = world().client(script);
    assert_done(&run);
    let (label, file) = (label(&guest), guest.root(&format!("cat {FILE}")));
    assert_eq!(run.stdout.lines().count(), 6);
    for blob in run.stdout.lines() {
        assert!(label.contains(blob) && file.contains(blob), "{blob}:\n{label}\n{file}");
    }
    let ambiguous = console("key remove key-race twin");
    assert_failed(&ambiguous, 4, &["means 6 keys", "hint: name one by its fingerprint: SHA256:"]);
    let print = ambiguous.stderr.rsplit(' ').next().unwrap().trim().to_owned();
    assert_done(&console(&format!("key remove key-race {print}")));
    assert_failed(&console("key remove key-race twin"), 4, &["means 5 keys"]);
}

#[test]
fn a_file_that_is_a_trap_leads_nowhere_and_the_same_again_finishes() {
    kate();
    let [spare] = people(["kate-spare"]);
    let blob = spare.split(' ').nth(1).unwrap();
    let guest = guest("key-trap");
    let shadow = guest.root("sha256sum /etc/passwd /etc/shadow");
    for (trap, said) in [
        ("ln -s /etc/passwd", "it is a link"),
        ("mkfifo", "it is no file"),
        ("mkdir", "it is no file"),
        ("truncate -s 10M", "larger than 64 KiB"),
    ] {
        guest.root(&format!("cd /home/kate/.ssh; rm -rf authorized_keys; {trap} authorized_keys"));
        guest.root("chown -h kate: /home/kate/.ssh/authorized_keys");
        let trapped = with_key("kate-spare", "key add key-trap -");
        assert_failed(&trapped, 1, &["the label has the key", said, "type the same again"]);
        assert!(label(&guest).contains(blob), "{trap}");
        assert_eq!(log_in("kate-spare", "key-trap", "id -un").stdout, "kate\n", "{trap}");
        guest.root("rm -rf /home/kate/.ssh");
        assert_done(&with_key("kate-spare", "key add key-trap -"));
        assert_eq!(guest.root(&format!("grep -c {blob} {FILE}")), "1\n", "{trap}");
    }
    assert_eq!(guest.root("sha256sum /etc/passwd /etc/shadow"), shadow);
    // What the owner wrote herself stays, with its options and its missing end of line.
    guest.root(&format!("printf '# hers\\r\\nfrom=\"10.0.0.1\" ssh-ed25519 AAAA x' >{FILE}"));
    assert_done(&with_key("kate-spare", "key add key-trap -"));
    let file = guest.root(&format!("cat {FILE}"));
    assert_eq!(file, format!("# hers\r\nfrom=\"10.0.0.1\" ssh-ed25519 AAAA x\n{spare}\n"));
}

#[test]
fn of_a_container_that_does_not_run_no_key_is_half_removed() {
    kate();
    let [_, _] = people(["kate-away", "kate-later"]);
    let guest = guest("key-away");
    assert_done(&with_key("kate-away", "key add key-away -"));
    let stop = lab_command(&["incus", "b1", "stop", "--force", &guest.instance()]).status();
    assert!(stop.unwrap().success());
    world()
        .sentinel
        .wait("it is stopped", || console("list --state stopped -q").stdout.contains("key-away"));
    let before = label(&guest);
    let refused = console("key remove key-away kate-away@laptop");
    assert_failed(
        &refused,
        4,
        &["key-away is not running", "nothing was changed", "start key-away"],
    );
    assert_eq!(label(&guest), before);
    let added = with_key("kate-later", "key add key-away -");
    assert_done(&added);
    assert!(added.stderr.contains("authorized_keys inside stays as it is"), "{added:?}");
    assert_done(&console("start key-away"));
    assert_eq!(log_in("kate-later", "key-away", "id -un").stdout, "kate\n");
    assert_done(&console("key remove key-away kate-away@laptop"));
    assert_refused(&log_in("kate-away", "key-away", "true"));
}

#[test]
fn bad_keys_and_keys_of_others_change_nothing() {
    kate();
    let [mia] = people(["mia"]);
    let guest = guest("key-bad");
    let before = label(&guest);
    let private = world().client("ssh -F $CFG sentinel key add key-bad - <$DIR/kate");
    assert_failed(&private, 2, &["that is a private key"]);
    let two =
        world().client("cat $DIR/kate.pub $DIR/mia.pub | ssh -F $CFG sentinel key add key-bad -");
    assert_failed(&two, 2, &["more than one line"]);
    let rsa = world().client(
        "{ printf 'ssh-rsa '; { printf '\\0\\0\\0\\7ssh-rsa\\0\\0\\0\\3\\1\\0\\1\\0\\0\\10\\1\\0'; head -c 2048 /dev/zero | tr '\\0' '\\377'; } | base64 -w0; } |\n\
         ssh -F $CFG sentinel key add key-bad -",
    );
    assert_failed(&rsa, 2, &["public key: "]);
    assert_done(&console(&format!("collaborator add key-bad mia --ssh-key \"{mia}\"")));
    let taken = with_key("mia", "key add key-bad -");
    assert_failed(&taken, 4, &["opens key-bad as mia already"]);
    assert_eq!(label(&guest), before);
    // The words of a key as ssh hands them over.
    assert_done(&console("collaborator remove key-bad mia"));
    assert_done(&console(&format!("key add key-bad {mia}")));
    assert_eq!(log_in("mia", "key-bad", "id -un").stdout, "kate\n");
}
