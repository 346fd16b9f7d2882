//! The whole of it: a host dies under load, and everything comes back without anybody's hands.

use std::{
    fs,
    path::Path,
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{Web, alone, config, power, wait_primary};
use crate::{
    fault::recovery::{file, lines, program},
    harness::{Guest, Run, Sentinel, backend_section, make_key, set, world},
    maintenance::{certify, files, fingerprint, fresh, section, shown},
};

/// People at the door.
const PEOPLE: usize = 20;

/// A script of the client's host that takes as long as an outage.
fn client(script: String) -> JoinHandle<Run> {
    thread::spawn(move || world().client_within(Duration::from_secs(240), &script))
}

/// The sentinel, with the page behind the public ports and a program that starts `b3` when the file
/// `go` is there.
fn sentinel(dir: &Path, calls: &Path) -> Sentinel {
    let go = dir.join("go").display().to_string();
    let before = format!("timeout 100 bash -c 'until [ -e {go} ]; do sleep 0.1; done'");
    let recovery = program("whole.program", calls, &before, "");
    certify(dir, "site", &["site.example"], 90);
    let text = config(2322, "ports = [8480, 8443]\nhold = \"1s\"", &[])
        + &format!("{}pool = \"web\"\nrecovery = {recovery} }}\n", backend_section("b3"))
        + &section(8480, 8443, &files(dir, "site", ""));
    Sentinel::start(&world().dir, "whole", &set(&text, "ssh", "wait", "\"100s\""))
}

/// The order of different answers, without those that did not come.
fn order(codes: &str) -> Vec<&str> {
    let mut order: Vec<_> = codes.lines().filter(|code| *code != "000").collect();
    order.dedup();
    order
}

#[test]
fn a_host_that_dies_under_load_comes_back_by_itself() {
    let _alone = alone();
    make_key(&world().dir, "whole");
    let (dir, calls, _web) = (fresh("whole-files"), file("whole.calls"), Web::start("b3", 8480));
    let sentinel = sentinel(&dir, &calls);
    let guest = Guest::new(&sentinel, "b3", "whole", "whole");
    wait_primary(&sentinel, Some("b3"));
    let shown_here = dir.display();

    let ssh = "ssh -F $CFG -p 2322 -i $DIR/whole -o LogLevel=INFO -l whole $DOOR";
    let open = client(format!(
        "for i in {{1..{PEOPLE}}}; do (\n\
           {ssh} 'echo here; sleep 1000' >>{shown_here}/here 2>err$i; echo $? >>ends) &\n\
         done; wait; cat ends; grep -l 'the host of whole went away; log in again' err* | wc -l"
    ));
    let load = client(format!(
        "while [ ! -e {shown_here}/enough ]; do\n\
           curl -s -m 5 -o /dev/null -w '%{{http_code}}\\n' http://$DOOR:8480/ >>{shown_here}/codes\n\
         done"
    ));
    let codes = || fs::read_to_string(dir.join("codes")).unwrap_or_default();
    sentinel.wait("all are in, and pages come", || {
        fs::read_to_string(dir.join("here")).unwrap_or_default() == "here\n".repeat(PEOPLE)
            && codes().lines().filter(|code| *code == "200").count() > 10
    });

    power("kill");
    wait_primary(&sentinel, None);
    sentinel.wait("the page is served", || codes().ends_with("503\n"));
    let certificate = shown(8443, "-servername site.example", "fingerprint");
    assert_eq!(certificate, fingerprint(&dir, "site"));
    let open = open.join().unwrap();
    assert_eq!(open.stdout, format!("{}{PEOPLE}\n", "255\n".repeat(PEOPLE)), "{open:?}");

    let waiting = client(format!(
        "for i in {{1..{PEOPLE}}}; do (\n\
           {ssh} hostname >out$i 2>>{shown_here}/banners; echo $? >>out$i) &\n\
         done; wait; cat out*"
    ));
    sentinel.wait("all are told and wait", || {
        let banners = fs::read_to_string(dir.join("banners")).unwrap_or_default();
        banners.matches("the host of whole").count() >= PEOPLE
    });
    fs::write(dir.join("go"), "").unwrap();
    let waited = waiting.join().unwrap();
    assert_eq!(waited.stdout, "whole-container\n0\n".repeat(PEOPLE), "{waited:?}");
    wait_primary(&sentinel, Some("b3"));
    sentinel.wait("pages come again", || codes().ends_with("200\n"));
    fs::write(dir.join("enough"), "").unwrap();
    load.join().unwrap();
    // Down once and up once, whatever happened meanwhile.
    assert_eq!(order(&codes()), ["200", "503", "200"]);
    assert_eq!(lines(&calls), ["start b3 1 b3"], "once");
    drop(guest);
}
