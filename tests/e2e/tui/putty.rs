//! plink on a real terminal, which is what people on Windows have, or something made of it.

use super::screen::{FIRST, HELP, Screen, page};

/// It sends no locale, has a question of its own before a session begins, and its own way with terminals.
#[test]
fn plink_shows_screens_takes_keys_and_gives_the_terminal_back() {
    let screen = Screen::new();
    screen.run("export HOME=$DIR; puttygen $DIR/admin -o $DIR/plink.ppk -O private");
    screen.run("PRINT=$(ssh-keygen -lf $DIR/keys/ssh_host_ed25519_key.pub | cut -d' ' -f2)");
    let plink = "TERM=xterm plink -hostkey $PRINT -i $DIR/plink.ppk";
    screen.run(&format!("clear; {plink} admin@$DOOR; echo left: $?"));
    screen.wait("Press Return to begin session");
    screen.keys(&["Enter"]);
    screen.wait(FIRST);
    let first = screen.wait_until("a row", |s| here(s).is_some());
    screen.keys(&["Down"]);
    let is_another = |s: &str| here(s).is_some() && here(s) != here(&first);
    screen.wait_until("another row", is_another);
    screen.keys(&["Up"]);
    screen.wait_until("the first row", |s| here(s) == here(&first));
    screen.keys(&["End"]);
    screen.wait_until("the last row", is_another);
    screen.keys(&["?"]);
    screen.wait(HELP);
    screen.back(HELP);
    screen.enter("alice");
    screen.back(&page("alice"));
    screen.resize(132, 43);
    let is_whole = |s: &str| s.lines().count() == 43 && s.contains("ADDRESS");
    screen.wait_until("43 rows, and more columns", is_whole);
    screen.click("2 Hosts");
    screen.wait("HEARTBEAT");
    screen.keys(&["q"]);
    screen.wait("left: 0");
    screen.assert_restored();

    screen.run(&format!("clear; {plink} -t -no-antispoof admin@$DOOR alice; echo left again: $?"));
    screen.wait(&page("alice"));
    screen.keys(&["C-c"]);
    screen.wait("left again: 0");
    screen.assert_restored();
}

/// The row that somebody is at.
fn here(screen: &str) -> Option<&str> {
    let row = screen.lines().find_map(|line| line.strip_prefix("▸ "))?;
    row.split_whitespace().next()
}
