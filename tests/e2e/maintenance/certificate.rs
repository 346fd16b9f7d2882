//! Which certificate a client gets, whatever happens to the files.

use std::fs;

use super::{ask, certify, certify_years, files, fingerprint, fresh, section, shown};
use crate::harness::{Guest, Sentinel, config, lab, make_key, world};

#[test]
fn each_name_gets_its_certificate_and_everybody_the_page() {
    let dir = fresh("tls-names");
    certify(&dir, "site", &["site.example", "www.site.example"], 90);
    certify(&dir, "wild", &["*.wild.example"], 90);
    let certificates = files(&dir, "site", "") + &files(&dir, "wild", "");
    let text = config(&world().dir, 2360, &section(2361, 2362, &certificates));
    let sentinel = Sentinel::start(&world().dir, "names", &text);
    let (site, wild) = (fingerprint(&dir, "site"), fingerprint(&dir, "wild"));
    sentinel.wait("both are served", || {
        shown(2362, "-servername a.wild.example", "fingerprint") == wild
            && shown(2362, "-servername www.site.example -tls1_2", "fingerprint") == site
    });
    for (options, expected) in [
        ("-servername site.example -tls1_3", &site),
        ("-servername SITE.example", &site),
        ("-servername unknown.example", &site),
        ("-noservername", &site),
        ("-servername a.b.wild.example", &site),
    ] {
        assert_eq!(shown(2362, options, "fingerprint"), *expected, "{options}");
    }
    let crt = dir.join("site.crt").display().to_string();
    let page = world().client(&format!(
        "curl -s --cacert {crt} --resolve site.example:2362:$DOOR -w '%{{stderr}}%{{http_code}}' \
         -H 'Accept: text/html' https://site.example:2362/some/path?x"
    ));
    assert_eq!((page.status, page.stderr.as_str()), (0, "503"), "{page:?}");
    assert!(page.stdout.contains("<h1>Back in a moment</h1>"), "{page:?}");
    let api = ask("-H 'Accept: application/json' http://$DOOR:2361/v1/things");
    let json: serde_json::Value = serde_json::from_str(&api.stdout).unwrap();
    assert_eq!((&json["status"], api.stderr.as_str()), (&"maintenance".into(), "503"));
    let health = ask("https://$DOOR:2362/healthz");
    assert_eq!((health.stdout.as_str(), health.stderr.as_str()), ("maintenance\n", "503"));
    let head = ask("-I http://$DOOR:2361/");
    assert!(head.stdout.to_lowercase().contains("retry-after: 5\r\n"), "{head:?}");
    for method in ["PROPFIND", "DELETE", "POST -d @/etc/services"] {
        assert_eq!(ask(&format!("-X {method} http://$DOOR:2361/")).stderr, "503", "{method}");
    }
    let status = sentinel.console(&["status", "--json"]).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["certificates"][0]["names"][1], "www.site.example", "{status}");

    // The ports are taken: nobody else gets half of them.
    let text = config(&world().dir, 2363, &section(2364, 2362, ""));
    let second = Sentinel::spawn(&world().dir, "names-too", &text);
    assert_eq!(second.wait_exit(), Some(1));
    let told =
        "error: listen on 203.0.113.10:2362 for the maintenance page: Address already in use";
    assert!(second.log_text().contains(told), "{}", second.log_text());
}

#[test]
fn files_are_followed_and_the_last_good_certificate_stays() {
    let dir = fresh("tls-files");
    let text = config(&world().dir, 2365, &section(2366, 2367, &files(&dir, "site", "")));
    let sentinel = Sentinel::start(&world().dir, "files", &text);
    let serves = |what: &str, expected: &str| {
        sentinel.wait(what, || shown(2367, "-servername s.example", "fingerprint") == expected);
    };
    let tells = |words: &str| {
        sentinel.wait(words, || sentinel.console(&["status"]).stdout.contains(words));
    };
    tells("site.crt: No such file");
    tells("203.0.113.10:2367 has no certificate but one of its own");
    let own = shown(2367, "-servername s.example", "subject");
    assert!(own.contains("maintenance.invalid"), "{own}");

    certify(&dir, "site", &["s.example"], 90);
    let first = fingerprint(&dir, "site");
    serves("the first one", &first);
    // Renewed, and only half of it is written.
    certify(&dir, "next", &["s.example"], 90);
    fs::copy(dir.join("next.crt"), dir.join("site.crt")).unwrap();
    tells("do not belong together");
    serves("the first one still", &first);
    fs::copy(dir.join("next.key"), dir.join("site.key")).unwrap();
    serves("the second one", &fingerprint(&dir, "next"));
    sentinel.wait("nothing is wrong", || {
        !sentinel.console(&["status"]).stdout.contains("certificate ")
    });
    fs::write(dir.join("site.crt"), "-----BEGIN CERT").unwrap();
    tells("its PEM is cut off or damaged");
    fs::copy(dir.join("next.key"), dir.join("site.crt")).unwrap();
    tells("give them the other way round");
    serves("the second one still", &fingerprint(&dir, "next"));

    // One that is about to expire is served, and told.
    certify(&dir, "site", &["s.example"], 3);
    serves("the third one", &fingerprint(&dir, "site"));
    tells("certificate of s.example");
    sentinel.wait_log("certificate expires soon");
    certify_years(&dir, "site", "s.example", 2020, 2021);
    serves("the one that has expired", &fingerprint(&dir, "site"));
    sentinel.wait_log("certificate has expired");
    tells("certificate of s.example");
    certify_years(&dir, "site", "s.example", 2090, 2091);
    serves("the one that is not valid yet", &fingerprint(&dir, "site"));
    tells("not valid before 2090-01-01");
    assert_eq!(ask("https://$DOOR:2367/").stderr, "503");
}

#[test]
fn certificates_come_out_of_containers() {
    let dir = fresh("tls-inside");
    make_key(&world().dir, "webster");
    certify(&dir, "caddy", &["caddy.example"], 90);
    certify(&dir, "link", &["link.example"], 90);
    let guest = Guest::new(&world().sentinel, "b1", "tlsweb", "webster");
    guest.root("mkdir -p /srv/caddy/certificates/acme/caddy.example /srv/live");
    let push = |from: &str, to: &str| {
        let from = dir.join(from).display().to_string();
        lab().incus("b1", &["file", "push", "-q", &from, &format!("tlsweb-container{to}")]);
    };
    let folder = "/srv/caddy/certificates/acme/caddy.example/caddy.example";
    push("caddy.crt", &format!("{folder}.crt"));
    push("caddy.key", &format!("{folder}.key"));
    push("link.crt", "/srv/link-1.crt");
    push("link.key", "/srv/link-1.key");
    guest.root("ln -s ../link-1.crt /srv/live/x.crt; ln -s /srv/link-1.key /srv/live/x.key");
    let certificates = "[[maintenance.certificate]]\ncontainer = \"tlsweb\"\ncaddy = \"/srv/caddy\"\n\
        [[maintenance.certificate]]\nfrom = \"b1\"\ninstance = \"tlsweb-container\"\n\
        certificate = \"/srv/live/x.crt\"\nkey = \"/srv/live/x.key\"\n";
    let text = config(&world().dir, 2368, &section(2369, 2370, certificates));
    let sentinel = Sentinel::start(&world().dir, "inside", &text);
    sentinel.wait("both are served", || {
        ["caddy", "link"].iter().all(|name| {
            let options = format!("-servername {name}.example");
            shown(2370, &options, "fingerprint") == fingerprint(&dir, name)
        })
    });
}
