//! The command line of the screen, and what is asked for when one comes.

use super::screen::{FIRST, Screen, page};

#[test]
fn a_command_is_completed_run_and_remembered() {
    let screen = Screen::open();
    screen.keys(&[":"]);
    screen.text("collaborator l");
    screen.keys(&["Tab"]);
    screen.wait(":collaborator list");
    screen.text("alic");
    screen.keys(&["Tab"]);
    screen.wait(":collaborator list alice");
    screen.keys(&["C-u"]);
    screen.text("info bo");
    screen.keys(&["Tab"]);
    screen.wait(":info bob");
    screen.keys(&["Enter"]);
    screen.wait_until("all about bob", |s| s.contains("Owner ") && s.contains("bob@laptop"));
    screen.back("Owner ");
    screen.keys(&[":", "Up"]);
    screen.wait(":info bob");
    // A mistake is told with what to do about it, where it was made.
    screen.keys(&["C-u"]);
    screen.text("info nobody-there");
    screen.keys(&["Enter"]);
    let told = screen.wait("error: ");
    assert!(told.contains("nobody-there") && told.contains("hint: "), "{told}");
    screen.back("error: ");
    screen.keys(&[":"]);
    screen.text("quit");
    screen.keys(&["Enter"]);
    screen.wait("left: 0");
}

#[test]
fn a_name_opens_the_page_of_a_container_and_a_shell_inside_comes_back_to_it() {
    let screen = Screen::new();
    screen.run("ssh -F $CFG -t sentinel alice; echo left: $?");
    screen.wait_until("her page", |s| s.contains(&page("alice")) && s.contains("alice@laptop"));
    screen.keys(&["e"]);
    screen.wait_until("a shell", |s| !s.contains(FIRST) && s.trim_end().ends_with(['$', '#']));
    screen.run("echo in''side $(id -un)@$(hostname)");
    screen.wait("inside alice@alice-container");
    screen.run("exit");
    screen.wait_until("the page", |s| s.contains(FIRST) && s.contains(&page("alice")));
    screen.back(&page("alice"));
    screen.wait("bob");
    screen.keys(&["q"]);
    screen.wait("left: 0");
    screen.assert_restored();
}
