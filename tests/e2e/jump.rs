//! Jumping through the sentinel, although both backends have the same container network.

use crate::harness::{
    CONTAINERS, Run, Sentinel, TWINS, config, lab, lab_command, shell, twins, world,
};

/// `hostname` at `target`, by a jump with alice's key, expecting the host key of `container`.
fn hostname(jump: &str, target: &str, (container, backend): (&str, &str)) -> Run {
    let label = ["config", "get", &format!("{container}-container"), "user.containarium.host-keys"];
    let keys = lab().incus(backend, &label);
    let key = keys.lines().next().unwrap();
    world().client(&format!(
        "echo 'there {key}' >$TMP/known
        cat - $CFG >$TMP/cfg <<END
Host there
  HostName {target}
  User alice
  IdentityFile $DIR/alice
  UserKnownHostsFile $TMP/known
  HostKeyAlias there
END
        sed -i 's/LogLevel ERROR/LogLevel INFO/' $TMP/cfg
        ssh -F $TMP/cfg -J {jump} there hostname"
    ))
}

fn lands(jump: &str, target: &str, container: (&str, &str)) {
    let run = hostname(jump, target, container);
    let expected = (format!("{}-container\n", container.0), 0);
    assert_eq!((run.stdout.clone(), run.status), expected, "{target} by {jump}: {run:?}");
}

#[test]
fn an_address_means_the_container_that_was_jumped_through() {
    let address = twins();
    lands("twin1@alice", address, TWINS[0]);
    lands("twin2@alice", address, TWINS[1]);
    // Inside others it is what they reach from there: something on their own backend.
    lands("alice", address, TWINS[0]);
    lands("bob", address, TWINS[1]);
}

#[test]
pub fn a_container_is_reached_by_its_own_name() {
    twins();
    for target in ["twin2", "Twin2", "twin2-container", "localhost", "127.0.0.1"] {
        lands("twin2@alice", target, TWINS[1]);
    }
}

#[test]
fn another_containers_name_means_nothing_inside() {
    let run = hostname("alice", "bob", CONTAINERS[1]);
    assert_eq!((run.stdout.as_str(), run.status), ("", 255), "{run:?}");
    assert!(run.stderr.contains("open failed: connect failed"), "{run:?}");
}

#[test]
pub fn an_administrator_jumps_to_names_and_addresses() {
    let twins = twins();
    lands("sentinel", "twin1", TWINS[0]);
    lands("sentinel", "twin2", TWINS[1]);
    lands("sentinel", "alice-container", CONTAINERS[0]);
    let address = world().address("b1", "alice");
    if !shared(&address) {
        lands("sentinel", &address, CONTAINERS[0]);
    }
    let run = hostname("sentinel", twins, TWINS[0]);
    let reason = format!(
        "administratively prohibited: address {twins} is that of several containers: \
         twin1 on b1, twin2 on b2; use a name"
    );
    assert!(run.stderr.contains(&reason) && run.status == 255, "{run:?}");
    let run = hostname("sentinel", "198.51.100.11", TWINS[0]);
    assert!(run.stderr.contains("no container of yours is called"), "{run:?}");
}

/// Whether a container of the other backend happens to have the address.
fn shared(address: &str) -> bool {
    lab().incus("b2", &["list", "-c4", "-fcsv"]).contains(&format!("{address} "))
}

#[test]
fn a_backend_with_a_route_is_not_passed_through() {
    let world = world();
    let address = world.address("b1", "alice");
    let route = |action| {
        let via = lab().get("LAB_B1_ADDRESS");
        let args = ["in", "sentinel", "ip", "route", action, &address, "via", via];
        assert!(lab_command(&args).status().expect("ip").success());
    };
    let text =
        config(&world.dir, 2240, "").replace("name = \"b1\"\n", "name = \"b1\"\nrouted = true\n");
    let sentinel = Sentinel::start(&world.dir, "routed", &text);
    sentinel.wait_until_listed(&["alice"]);
    route("replace");
    let run = world.client("ssh -F $CFG -p 2240 alice hostname");
    route("del");
    assert_eq!((run.stdout.as_str(), run.status), ("alice-container\n", 0), "{run:?}");
    assert!(sentinel.log_text().contains("way=\"direct\""), "{}", sentinel.log_text());
    // Without the route the next way is taken, and nobody notices.
    let run = world.client("ssh -F $CFG -p 2240 alice hostname");
    assert_eq!((run.stdout.as_str(), run.status), ("alice-container\n", 0), "{run:?}");
    assert!(sentinel.log_text().contains("way=\"link\""), "{}", sentinel.log_text());
    assert!(!world.sentinel.log_text().contains("way=\"direct\""));
}

#[test]
fn a_sentinel_beside_its_incus_needs_no_link() {
    let (world, lab) = (world(), lab());
    let address = lab.get("LAB_B1_ADDRESS");
    let mut text = config(&world.dir, 2241, "").replace(lab.get("LAB_SENTINEL_ADDRESS"), address);
    text.truncate(text.find("[[backend]]").unwrap());
    text += "[[backend]]\nname = \"here\"\naddress = \"local\"\n";
    text += &format!("incus_socket = \"{}\"\n", lab.get("LAB_B1_INCUS_SOCKET"));
    let sentinel = Sentinel::spawn_on("b1", &world.dir, "local", &text);
    sentinel.wait_until_listed(&["alice"]);
    let options = "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no";
    let script = format!("ssh -F $CFG {options} -p 2241 -o HostName={address} alice hostname");
    let run = shell("b1", &script, &world.dir, &world.dir.join("ssh_config"));
    assert_eq!((run.stdout.as_str(), run.status), ("alice-container\n", 0), "{run:?}");
    assert!(sentinel.log_text().contains("way=\"direct\""), "{}", sentinel.log_text());
}
