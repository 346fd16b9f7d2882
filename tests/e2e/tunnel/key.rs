//! What a node key may not do, and what nobody else may.

use super::{known, section};
use crate::harness::{Sentinel, config, lab_command, make_key, world};

const PORT: u16 = 2621;

/// Beside the key itself: what is asked for, and what that is answered with.
const REFUSED: &[(&str, &str)] = &[
    ("key-1@$DOOR true", "carries its tunnel and nothing else"),
    ("-tt key-1@$DOOR", "carries its tunnel and nothing else"),
    ("-A -X key-1@$DOOR true", "carries its tunnel and nothing else"),
    ("-s key-1@$DOOR sftp", "carries its tunnel and nothing else"),
    ("admin@$DOOR status", "carries its tunnel and nothing else"),
    ("alice@$DOOR true", "carries its tunnel and nothing else"),
    ("-W alice:22 key-1@$DOOR", "carries its tunnel and nothing else"),
    ("-W 127.0.0.1:22 admin@$DOOR", "carries its tunnel and nothing else"),
    ("-N -R 22:127.0.0.1:22 key-1@$DOOR", "this key forwards with `-R key-1:22:HOST:PORT`"),
    ("-N -R key-1:23:127.0.0.1:22 key-1@$DOOR", "this key forwards with `-R key-1:22:HOST:PORT`"),
    ("-N -R key-2:22:127.0.0.1:22 key-2@$DOOR", "this key forwards with `-R key-1:22:HOST:PORT`"),
    ("-N -R b1:22:127.0.0.1:22 key-1@$DOOR", "this key forwards with `-R key-1:22:HOST:PORT`"),
    (
        "-N -R key-1:22:127.0.0.1:22 -R 8080:127.0.0.1:22 key-1@$DOOR",
        "this key forwards with `-R key-1:22:HOST:PORT`",
    ),
    (
        "-N -o ExitOnForwardFailure=yes -R /tmp/key-1.sock:127.0.0.1:22 key-1@$DOOR",
        "remote port forwarding failed",
    ),
];

#[test]
fn a_node_key_carries_its_tunnel_and_nothing_else() {
    for name in ["key-1", "key-2"] {
        make_key(&world().dir, name);
    }
    let dir = &world().dir;
    let both =
        section("b3", "key-1") + &section("b3", "key-2").replace("unix.socket", "other.socket");
    let sentinel = Sentinel::start(dir, "key-1", &config(dir, PORT, &both));
    let ssh = format!("ssh -F $CFG -p {PORT} -o LogLevel=INFO");
    for (what, answer) in REFUSED {
        let run = world().client(&format!("timeout 60 {ssh} -i $DIR/key-1 {what} </dev/null"));
        assert!(run.status == 255 && run.stderr.contains(answer), "{what}: {run:?}");
        assert_eq!(run.stdout, "", "{what}: {run:?}");
    }
    // A forward in the other direction opens nothing, though its client may stay.
    let run = world().client(&format!(
        "{ssh} -i $DIR/key-1 -N -R key-1:22:127.0.0.1:9 -L 8621:127.0.0.1:22 key-1@$DOOR \
         2>errors & client=$!
         until nc -z 127.0.0.1 8621; do kill -0 $client || exit 9; sleep 0.05; done
         nc -N 127.0.0.1 8621 </dev/null; kill $client; wait $client; cat errors"
    ));
    assert!(run.stdout.contains("carries its tunnel and nothing else"), "{run:?}");
    assert!(!run.stdout.contains("SSH-2.0"), "{run:?}");
    sentinel.wait("it is gone", || known(&sentinel, "key-1")["tunnel"]["connected"] == false);
    let was = known(&sentinel, "key-1")["tunnel"]["since"].clone();
    // Nobody else has a tunnel: a member's forward is her container's business.
    for (person, login) in [("mallory", "key-1"), ("alice", "alice"), ("admin", "admin")] {
        let run = world().client(&format!(
            "timeout 60 {ssh} -i $DIR/{person} -N -o ExitOnForwardFailure=yes \
             -R key-1:22:127.0.0.1:22 {login}@$DOOR"
        ));
        assert_eq!(run.status, 255, "{person}: {run:?}");
        let refused = ["Permission denied (publickey)", "remote port forwarding failed"];
        assert!(refused.iter().any(|r| run.stderr.contains(r)), "{person}: {run:?}");
    }
    assert_eq!(known(&sentinel, "key-1")["tunnel"]["since"], was);
    assert!(known(&sentinel, "key-2")["tunnel"]["since"].is_null());
    // Nothing listens for it.
    let listening = lab_command(&["in", "sentinel", "ss", "-Hltn"]).output().unwrap();
    let listening = String::from_utf8_lossy(&listening.stdout).into_owned();
    assert!(
        listening.contains(&format!(":{PORT} ")) && !listening.contains(":8080 "),
        "{listening}"
    );
}
