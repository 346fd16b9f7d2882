//! Clients that say nothing, too little or nonsense keep nobody else from the page, or from SSH.

use super::{ask, section};
use crate::{
    endurance::figure,
    harness::{Sentinel, config, world},
};

/// Opens `$CROWD` connections to both ports: silent ones, beginnings of requests, garbage for TLS.
const CROWD: &str = "\
import os, socket, sys, time
said = [b'', b'GET / HTTP/1.1\\r\\nX-', b'\\x16\\x03\\x01\\xff\\xff' + b'x' * 300, b'\\x00' * 100]
opened = []
crowd = int(os.environ['CROWD'])
for i in range(crowd):
    s = socket.socket()
    s.settimeout(10)
    try:
        s.connect((os.environ['DOOR'], 2375 + i % 2))
        s.send(said[i // 2 % 4])
    except OSError:
        pass
    opened.append(s)
    if i == crowd // 2:
        open('half', 'w').close()
open('all', 'w').close()
time.sleep(1000)
";

#[test]
fn a_crowd_of_hostile_clients_keeps_nobody_out() {
    let text = config(&world().dir, 2374, &section(2375, 2376, ""));
    let sentinel = Sentinel::start(&world().dir, "crowd", &text);
    // From another address than the crowd's, and from the same one.
    let page = |from: &str, port: &str| {
        format!(
            "rm -f page; curl -sk --max-time 60 --interface {from} -o page {port}; grep -c '<h1>Back in a moment' page\n"
        )
    };
    let others =
        page("192.0.2.12", "http://$DOOR:2375/") + &page("192.0.2.12", "https://$DOOR:2376/");
    // While its own crowd comes in, an address may lose any of its connections.
    let all = others.clone()
        + &page("192.0.2.10", "http://$DOOR:2375/")
        + &page("192.0.2.10", "https://$DOOR:2376/");
    let crowd = format!(
        "ulimit -n 20000\nexport CROWD={}\ncat >crowd.py <<'END'\n{CROWD}END\npython3 crowd.py &\n\
         until [ -e half ]; do sleep 0.05; done\n{others}\
         until [ -e all ]; do sleep 0.05; done\n{all}\
         ssh -F $CFG -p 2374 -l alice -i $DIR/alice $DOOR 'id -un'\nkill %1",
        // Twice what both ports serve. With 10,000 the other hosts of a lab hear nothing for seconds.
        figure(2_000, 10_000)
    );
    let expected = format!("{}alice\n", "1\n".repeat(6));
    let run = world().client(&crowd);
    assert_eq!(run.stdout, expected, "{run:?}");
    sentinel.wait("they are let go", || sentinel.usage().descriptors < 100);
    // What a second crowd leaves is no more than what the first one did.
    sentinel.settle();
    let run = world().client(&crowd);
    assert_eq!(run.stdout, expected, "{run:?}");
    let long = ask("-H \"X-Long: $(head -c 40000 /dev/zero | tr '\\0' x)\" http://$DOOR:2375/");
    assert_eq!(long.stderr, "431", "{long:?}");
    assert_eq!(ask("http://$DOOR:2375/").stderr, "503");
}
