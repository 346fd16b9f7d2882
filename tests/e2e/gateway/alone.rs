//! One sentinel for each packet filter.

use super::{alone, config, log_in, status, stop, wait_primary};
use crate::harness::{Sentinel, world};

#[test]
fn a_second_sentinel_with_a_gateway_is_refused() {
    let _alone = alone();
    let dir = &world().dir;
    let text = config(2347, "ports = [8087]", &["b3"]);
    let first = Sentinel::start(dir, "gateway-first", &text);
    wait_primary(&first, Some("b3"));
    let text = config(2348, "ports = [8088]", &["b3"]);
    let second = Sentinel::spawn(dir, "gateway-second", &text);
    assert_eq!(second.wait_exit(), Some(1));
    let said = second.log_text();
    let error = format!("another sentinel (process {}) on this machine has a gateway", first.pid());
    assert!(said.contains(&error) && said.contains("\nhint: stop it"), "{said}");
    assert!(!said.contains("listening"), "{said}");

    // One that is told so by a reload goes on without, and says so.
    let without = text.split("[gateway]").next().unwrap();
    let third = Sentinel::start(dir, "gateway-third", without);
    assert_eq!(status(&third)["gateway"], serde_json::Value::Null);
    std::fs::write(&third.config, &text).unwrap();
    third.signal("HUP");
    third.wait("it is told", || {
        let problems = status(&third)["problems"].to_string();
        problems.contains("gateway: keep the packet filter: another sentinel")
    });
    assert_eq!(log_in(2348).status, 0);
    wait_primary(&first, Some("b3"));
    stop(&first);
}
