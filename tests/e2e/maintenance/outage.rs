//! A host that goes away: the page says so, with the certificates that the host had.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::{ask, certify, files, fingerprint, fresh, section, shown};
use crate::harness::{Sentinel, backend_section, config, power, world};

fn readable(dir: &Path, name: &str, mode: u32) {
    fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
}

/// A store as Caddy has it.
fn caddy(dir: &Path) -> String {
    let site = dir.join("store/certificates/acme/shop.example");
    fs::create_dir_all(&site).unwrap();
    certify(&site, "shop.example", &["shop.example"], 90);
    readable(&site, "shop.example.key", 0o644);
    let store = dir.join("store").display().to_string();
    format!("[[maintenance.certificate]]\nfrom = \"b3\"\ncaddy = \"{store}\"\n")
}

#[test]
fn the_certificates_of_a_host_outlive_it_and_the_page_says_for_how_long_it_is_away() {
    let _alone = crate::harness::b3();
    let dir = fresh("tls-host");
    certify(&dir, "site", &["host.example"], 90);
    readable(&dir, "site.key", 0o600);
    let certificates = files(&dir, "site", "from = \"b3\"\n") + &caddy(&dir);
    let more = backend_section("b3") + &section(2372, 2373, &certificates);
    let text = config(&world().dir, 2371, &more);
    let sentinel = Sentinel::start(&world().dir, "host", &text);
    sentinel.wait("the key cannot be read", || {
        let status = sentinel.console(&["status"]).stdout;
        status.contains("site.key") && status.contains("Permission denied")
    });
    readable(&dir, "site.key", 0o644);
    let serves = |sentinel: &Sentinel, host: &str, expected: &str| {
        let options = format!("-servername {host}");
        sentinel.wait(host, || shown(2373, &options, "fingerprint") == expected);
    };
    let shop = fingerprint(&dir.join("store/certificates/acme/shop.example"), "shop.example");
    serves(&sentinel, "host.example", &fingerprint(&dir, "site"));
    serves(&sentinel, "shop.example", &shop);
    // Renewed there; who reloads does not wait for the next look.
    certify(&dir, "site", &["host.example"], 91);
    readable(&dir, "site.key", 0o644);
    sentinel.signal("HUP");
    let renewed = fingerprint(&dir, "site");
    serves(&sentinel, "host.example", &renewed);

    power("kill");
    let told = || {
        let run = ask("-H 'Accept: application/json' http://$DOOR:2372/");
        serde_json::from_str::<serde_json::Value>(&run.stdout).unwrap()
    };
    sentinel.wait("the page says since when", || told()["since"].is_string());
    sentinel.wait("and for how long", || told()["away_seconds"].as_u64() >= Some(1));
    let page = ask("-H 'Accept: text/html' http://$DOOR:2372/").stdout;
    assert!(page.contains("The machine behind this site went away "), "{page}");

    assert_eq!(sentinel.console(&["backend", "drain", "b3"]).status, 0);
    sentinel.wait("it is planned", || told()["planned"] == true);
    assert_eq!(sentinel.console(&["backend", "resume", "b3"]).status, 0);
    sentinel.wait("it is not planned", || told()["planned"] == false);

    // How long it was away is known to the next sentinel.
    power("revive");
    let outages = world().dir.join("state-2371/outages.json");
    sentinel.wait("it is over and kept", || outages.exists() && told()["since"].is_null());
    sentinel.signal("TERM");
    assert_eq!(sentinel.wait_exit(), Some(0));
    drop(sentinel);
    power("kill");
    let kept = world().dir.join("state-2371/certificates.json");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    // Not even the files are there any more.
    fs::rename(&dir, world().dir.join("tls-host-gone")).unwrap();
    let sentinel = Sentinel::start(&world().dir, "host", &text);
    serves(&sentinel, "host.example", &renewed);
    serves(&sentinel, "shop.example", &shop);
    let log = sentinel.log_text();
    assert!(!log.contains("PRIVATE KEY"), "{log}");
    sentinel.wait("the page says since when again", || told()["since"].is_string());
    let outages = fs::read_to_string(outages).unwrap();
    let usual = &told()["usual_seconds"];
    assert_eq!(outages, format!("{{\"b3\":[{usual}]}}"));
    let page = ask("-H 'Accept: text/html' http://$DOOR:2372/").stdout;
    let usually = format!("That usually takes {usual} second");
    assert!(page.contains(&usually) || page.contains("it takes longer than usual"), "{page}");
    power("revive");
    sentinel.wait("b3 is up", || told()["since"].is_null());
    sentinel.wait("the files are missed", || {
        sentinel.console(&["status"]).stdout.contains("the last good one is served")
    });
    serves(&sentinel, "host.example", &renewed);
}
