//! Many who wait for the same host.

use std::time::Duration;

use super::{kill, patient, power};
use crate::harness::{Guest, b3, make_key, world};

const PORT: u16 = 2321;

/// People who wait at a time.
const CROWD: usize = 200;

/// All come while the host is down, all are let in when it is back, and none is turned away by an
/// sshd that was run over: the container's stands ten that have not logged in, as OpenSSH does
/// where nobody has said otherwise.
#[test]
fn two_hundred_who_wait_are_let_in_when_the_host_is_back() {
    let _alone = b3();
    make_key(&world().dir, "crowd");
    let sentinel = patient("hold-crowd", PORT, "600s");
    let guest = Guest::new(&sentinel, "b3", "crowd", "crowd");
    guest.root("sshd -T | grep -qx 'maxstartups 10:30:100'");
    kill(&sentinel);
    let limit = Duration::from_secs(500);
    let crowd = std::thread::spawn(move || {
        world().client_within(
            limit,
            &format!(
                "for i in $(seq {CROWD}); do\n\
                 ssh -F $CFG -p {PORT} -i $DIR/crowd -l crowd -o ConnectTimeout=100 $DOOR \
                 'echo in' >out.$i 2>&1 &\n sleep 0.02\ndone\nwait\ncat out.* | sort | uniq -c"
            ),
        )
    });
    let mut held = 0;
    while held < CROWD {
        held = sentinel.log_text().matches(" login=crowd ").count()
            + sentinel.log_text().matches(" login=\"crowd\" ").count();
        assert!(!crowd.is_finished(), "{:?}", crowd.join());
        std::thread::sleep(Duration::from_millis(100));
    }
    power(&["revive", "b3"]);
    let run = crowd.join().unwrap();
    assert_eq!(run.stdout.trim(), format!("{CROWD} in"), "{run:?}");
    let log = sentinel.log_text();
    assert_eq!(log.matches("far side is not there").count(), 0);
    // By exec every login would cost a process on the host.
    let through = log.matches("connected session=").count();
    let exec = log.matches("way=exec").count() + log.matches("way=\"exec\"").count();
    assert!(through >= CROWD && exec < CROWD / 4, "{exec} of {through} by exec");
}
