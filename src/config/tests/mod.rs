//! The configuration as its author and the rest of the program see it.

mod gateway;
mod guard;
mod mistakes;
mod record;
mod robust;
mod stacks;
mod tunnel;

use std::{fs, path::Path, time::Duration};

use super::*;
use crate::model::fingerprint::Fingerprint;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqRmYdWkC8NSTf4eDvyGUj0zaPbhj8gHZMpiUm+3HXQ";

/// The least configuration that is valid, on one line so that line 2 is the test's first.
fn minimal() -> String {
    format!("admin.authorized_keys = ['{KEY} ops']\n")
}

fn good(text: &str) -> Config {
    parse(text, "sentinel.toml", Path::new("/etc/containarium")).unwrap_or_else(|problems| {
        panic!("{}", Problems(problems));
    })
}

fn backend(name: &str) -> String {
    format!("[[backend]]\nname = '{name}'\naddress = '{name}.example'\nhost_key = '{KEY}'\n")
}

#[test]
fn defaults_are_what_the_documentation_says() {
    let config = good(&minimal());
    assert_eq!(config.state_dir, Path::new("/var/lib/containarium"));
    assert_eq!(config.control_socket, Path::new("/run/containarium/control.sock"));
    assert_eq!(config.stacks, Path::new("/etc/containarium/stacks"));
    assert_eq!(
        config.ssh,
        Ssh {
            listen: vec!["[::]:22".parse().unwrap()],
            advertise: None,
            host_keys: "/etc/containarium/keys".into(),
            login_grace: Duration::from_secs(30),
            wait: Duration::from_secs(120),
            drain: Duration::from_secs(30),
            user_ca_keys: Vec::new(),
            max_startups_per_source: 32,
            max_startups: 128,
            max_sessions_per_person: 1000,
        }
    );
    assert_eq!(config.admin.login.as_str(), "admin");
    assert_eq!(config.admin.keys.len(), 1);
    assert_eq!(config.admin.keys[0].key.comment(), "ops");
    assert_eq!(
        config.log,
        Log { format: LogFormat::Text, level: "info".to_owned(), openssh: false }
    );
    let (path, days) = ("/var/lib/containarium/audit.db".into(), Duration::from_secs(90 * 86_400));
    let audit = Audit { path, retention: days, strict: false, commands: true, files: true };
    assert_eq!(config.audit, audit);
    assert!(config.backends.is_empty() && config.routes.is_empty());
    assert_eq!(config.gateway, None);
    assert_eq!(config.maintenance, None);
    let Create { image, cpu, memory, disk, remotes, os_types } = &config.create;
    assert_eq!((image.to_string().as_str(), disk.bytes()), ("images:ubuntu/24.04", 20_000_000_000));
    assert_eq!((cpu, memory), (&None, &None));
    assert_eq!(remotes["images"], "https://images.linuxcontainers.org");
    let os_types: Vec<_> = os_types.keys().map(String::as_str).collect();
    assert_eq!(os_types, ["alpine", "debian12", "rhel9", "rocky9", "ubuntu24"]);
}

#[test]
fn every_key_is_read() {
    let text = format!(
        "state_dir = 's'\ncontrol_socket = '/c'\nstacks = '/s'\n[ssh]\nlisten = ['127.0.0.1:0', '[::1]:2222']\n\
         advertise = '[2001:db8::2]:2222'\nhost_keys = 'k'\nlogin_grace = '1500ms'\nwait = '0s'\ndrain = '1h'\n\
         user_ca_keys = ['{KEY}']\nmax_startups_per_source = 2\nmax_startups = 3\nmax_sessions_per_person = 4\n\
         [admin]\nlogin = 'ops'\nuser_ca_keys = ['{KEY}']\n\
         [log]\nformat = 'json'\nlevel = 'warn,containarium::door=trace'\nopenssh = true\n\
         [create]\nimage = 'own:base'\ncpu = 2\nmemory = '4GiB'\ndisk = '50GB'\n\
         remotes = {{ own = 'https://images.example/x/' }}\n\
         os_types = {{ debian12 = 'debian', debian13 = 'own:debian/13' }}\n\
         [[backend]]\nname = 'here'\npool = 'gpu'\naddress = 'local'\nrouted = true\n\
         incus_socket = '/run/incus.sock'\n\
         [[backend]]\nname = 'spot-1'\naddress = '[2001:db8::1]'\nuser = 'c'\nhost_key = '{KEY}'\n\
         [[backend]]\nname = 'far'\naddress = 'https://far.example'\nfingerprint = '{}'\n\
         [[route]]\nlogin = 'git'\nto = 'git@192.0.2.20:2222'\nhost_key = '{KEY}'\n\
         authorized_keys = ['{KEY} alice']\n\
         [maintenance]\nhttp = '[::]:80'\nhttps = '192.0.2.1:443'\n\
         [[maintenance.certificate]]\ncertificate = 'tls/c'\nkey = '/k'\n\
         [[maintenance.certificate]]\nfrom = 'spot-1'\ncaddy = '/var/caddy'\n\
         [[maintenance.certificate]]\nfrom = 'far'\ninstance = 'web'\ncaddy = '/c'\n\
         [[maintenance.certificate]]\ncontainer = 'web'\ncaddy = '/c'\n",
        "0A:".repeat(31) + "0a"
    );
    let config = good(&text);
    assert_eq!(config.state_dir, Path::new("/etc/containarium/s"));
    assert_eq!(config.stacks, Path::new("/s"));
    assert_eq!(config.ssh.login_grace, Duration::from_millis(1500));
    assert_eq!((config.ssh.wait, config.ssh.drain), (Duration::ZERO, Duration::from_secs(3600)));
    assert_eq!(config.ssh.listen.len(), 2);
    let advertise = Advertise { host: "2001:db8::2".to_owned(), port: 2222 };
    assert_eq!(config.ssh.advertise, Some(advertise));
    assert_eq!((config.ssh.max_startups_per_source, config.ssh.max_startups), (2, 3));
    assert_eq!(config.ssh.max_sessions_per_person, 4);
    assert_eq!(config.admin.login.as_str(), "ops");
    assert_eq!((config.admin.keys.len(), config.admin.user_ca_keys.len()), (0, 1));
    assert_eq!((config.log.format, config.log.openssh), (LogFormat::Json, true));
    let create = &config.create;
    assert_eq!(
        (create.image.to_string().as_str(), create.cpu),
        ("own:base", Some(CpuLimit::Count(2)))
    );
    assert_eq!(create.memory.map(Size::bytes), Some(4 << 30));
    assert_eq!((create.disk.bytes(), create.os_types.len()), (50_000_000_000, 6));
    assert_eq!(create.remotes["own"], "https://images.example/x");
    assert_eq!(create.os_types["debian12"].to_string(), "debian");
    let here = &config.backends[0];
    assert_eq!((here.pool.as_str(), here.routed), ("gpu", true));
    assert_eq!(here.address, BackendAddress::Local);
    let BackendAddress::Ssh { address, user, identity, .. } = &config.backends[1].address else {
        panic!("spot-1 is behind SSH");
    };
    let place = address.to_string();
    assert_eq!((place.as_str(), user.as_str(), identity), ("[2001:db8::1]:22", "c", &None));
    assert_eq!(config.backends[1].incus_socket, Path::new("/var/lib/incus/unix.socket"));
    let far = BackendAddress::Https {
        address: "far.example:8443".to_owned(),
        fingerprint: Fingerprint::new([10; 32]),
    };
    assert_eq!(config.backends[2].address, far);
    let route = &config.routes[0];
    assert_eq!((route.user.as_str(), route.address.as_str()), ("git", "192.0.2.20:2222"));
    assert_eq!(route.keys.len(), 1);
    let page = config.maintenance.unwrap();
    assert_eq!(page.https, Some("192.0.2.1:443".parse().unwrap()));
    let sources: Vec<_> = page.certificates.iter().map(ToString::to_string).collect();
    let here = "/etc/containarium/tls/c";
    assert_eq!(sources, [here, "/var/caddy on spot-1", "/c in web on far", "/c in container web"]);
}

#[test]
fn the_sample_is_valid_and_shows_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sentinel.toml");
    let config = load(&path).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.backends.len(), 1);
    let sample = fs::read_to_string(&path).unwrap();
    // Uncommented, every default parses: a `#` before `key = …` or `[[…]]` is taken away.
    let defaults: Vec<_> = sample
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if !rest.contains(['…', '<']) && is_default(rest) => rest,
            _ => line,
        })
        .collect();
    let same = parse(&defaults.join("\n"), "f", path.parent().unwrap());
    assert_eq!(same.unwrap_or_else(|p| panic!("{}", Problems(p))), config);
}

fn is_default(line: &str) -> bool {
    let keys =
        ["state_dir", "control_socket", "listen", "host_keys", "login_grace", "wait", "drain"];
    let more =
        ["max_startups", "login = \"admin\"", "format", "level", "image =", "disk =", "stacks"];
    keys.iter().chain(&more).any(|key| line.starts_with(key))
}

#[test]
fn sample_and_reference_name_every_key() {
    let sample = include_str!("../../../config/sentinel.toml");
    let reference = include_str!("../../../docs/configuration.md");
    // The reader itself knows its keys: it lists them when it is given one that is like none.
    let text = "xyzzyx = 1\n[ssh]\nxyzzyx = 1\n[admin]\nxyzzyx = 1\n[guard]\nxyzzyx = 1\n[log]\nxyzzyx = 1\n\
                [record]\nxyzzyx = 1\n[create]\nxyzzyx = 1\n\
                [gateway]\nxyzzyx = 1\n[[gateway.pool]]\nxyzzyx = 1\n\
                [[backend]]\nxyzzyx = 1\nrecovery = { xyzzyx = 1 }\n[[route]]\nxyzzyx = 1\n[[webhook]]\nxyzzyx = 1\n\
                [maintenance]\nxyzzyx = 1\n[[maintenance.certificate]]\nxyzzyx = 1\n";
    let problems = parse(text, "f", Path::new("/")).unwrap_err();
    let lists = problems.iter().filter(|p| p.key.ends_with("xyzzyx")).map(|p| &p.hints[0]);
    let lists: Vec<_> = lists.filter_map(|hint| hint.strip_prefix("the keys here are ")).collect();
    assert_eq!(lists.len(), 15);
    for key in lists.iter().flat_map(|list| list.split(", ")) {
        let shown = [format!("{key} = "), format!("[{key}]")].iter().any(|s| sample.contains(s));
        assert!(shown, "{key} is not in the sample");
        let told = [format!("`{key}`"), format!("[{key}]")].iter().any(|s| reference.contains(s));
        assert!(told, "{key} is not in the reference");
    }
}

#[test]
fn files_beside_the_main_one_are_merged_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("sentinel.toml");
    let more = dir.path().join("conf.d");
    fs::create_dir(&more).unwrap();
    fs::write(&main, format!("{}[ssh]\nwait = '1m'\n{}", minimal(), backend("a"))).unwrap();
    fs::write(more.join("20.toml"), backend("c")).unwrap();
    fs::write(more.join("10.toml"), format!("[ssh]\ndrain = '1m'\n{}", backend("b"))).unwrap();
    fs::write(more.join("30.toml.old"), "nonsense").unwrap();
    let config = load(&main).unwrap_or_else(|problems| panic!("{problems}"));
    let names: Vec<_> = config.backends.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(config.ssh.wait, config.ssh.drain);
    assert_eq!(config.ssh.host_keys, dir.path().join("keys"));

    fs::write(more.join("40.toml"), format!("[ssh]\nwait = '2m'\n{}", backend("a"))).unwrap();
    let problems = load(&main).unwrap_err().0;
    let last = more.join("40.toml").display().to_string();
    let told: Vec<_> = problems.iter().map(|p| (&p.file, p.line, p.key.as_str())).collect();
    assert_eq!(
        told,
        [(&last, 2, "ssh.wait"), (&last, 4, "backend[3].name"), (&last, 5, "backend[3].address")]
    );
    assert_eq!(problems[0].hints, [format!("it was set first in {}:3", main.display())]);
}

#[test]
fn keys_come_from_a_file_too_and_its_mistakes_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("admins");
    fs::write(&keys, format!("# ours\n\nno-pty {KEY} alice\n")).unwrap();
    let text = format!("[admin]\nauthorized_keys = ['{KEY}']\nauthorized_keys_file = 'admins'\n");
    let config = parse(&text, "f", dir.path()).unwrap();
    assert_eq!(config.admin.keys.len(), 2);
    assert!(config.admin.keys[1].options.no_pty);

    let told = |content: &[u8]| {
        fs::write(&keys, content).unwrap();
        let problems = parse(&text, "f", dir.path()).unwrap_err();
        assert_eq!((problems[0].line, problems[0].key.as_str()), (3, "admin.authorized_keys_file"));
        problems[0].message.clone()
    };
    assert!(told(b"hello\n").starts_with("line 1 of "));
    assert!(told(b"# nothing\n").ends_with("has no key in it"));
    assert!(told(b"\xff\n").contains("cannot be read"));
    assert!(told(&vec![b'#'; 1 << 21]).contains("larger than 1048576 bytes"));
    fs::remove_file(&keys).unwrap();
    let problems = parse(&text, "f", dir.path()).unwrap_err();
    assert!(problems[0].message.contains("No such file"), "{}", problems[0]);
}

#[test]
fn a_check_prints_every_problem_or_ok() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sentinel.toml");
    let shown = path.display();
    let run = |text: &str| {
        fs::write(&path, text).unwrap();
        let mut out = Vec::new();
        let status = check(&path, &mut out);
        (status, String::from_utf8(out).unwrap())
    };
    assert_eq!(run(&minimal()), (0, format!("{shown}: ok\n")));
    let (status, out) = run(&format!("{}[ssh]\nlisen = []\nwait = 120\n", minimal()));
    assert_eq!(status, 78);
    assert_eq!(
        out,
        format!(
            "{shown}:3:1: ssh.lisen: unknown key\n  hint: did you mean `listen`?\n\
             {shown}:4:8: ssh.wait: a duration needs a unit\n  hint: did you mean \"120s\"?\n"
        )
    );
    fs::remove_file(&path).unwrap();
    let mut out = Vec::new();
    assert_eq!(check(&path, &mut out), 78);
    assert!(String::from_utf8(out).unwrap().contains(": there is no such file\n  hint: "));
}

#[test]
fn a_file_that_is_unreadable_hides_no_other_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("sentinel.toml");
    fs::create_dir(dir.path().join("conf.d")).unwrap();
    fs::write(dir.path().join("conf.d/a.toml"), "[log]\nlevle = 'info'\n").unwrap();
    for (bytes, message) in [
        (&b"[admin]\n\xff"[..], "line 2 is not UTF-8"),
        (&vec![b'#'; (1 << 20) + 1][..], "larger than 1048576 bytes"),
        (b"[admin\n", "unclosed table, expected `]`"),
    ] {
        fs::write(&main, bytes).unwrap();
        let problems = load(&main).unwrap_err().0;
        assert_eq!(problems[0].message, message);
        assert_eq!(problems[1].key, "log.levle");
        assert_eq!(problems.len(), 2, "and no word of keys that may be in the bad file");
    }
}

#[test]
fn a_reload_knows_what_needs_a_restart() {
    let old = good(&minimal());
    assert!(needs_restart(&old, &old).is_empty());
    let new = format!("state_dir = '/x'\n{}[ssh]\nlisten = ['[::]:1']\nwait = '1s'\n", minimal());
    assert_eq!(needs_restart(&old, &good(&new)), ["state_dir", "ssh.listen"]);
    let new = format!("{}log.format = 'json'\nssh.host_keys = 'x'\n", minimal());
    assert_eq!(needs_restart(&old, &good(&new)), ["ssh.host_keys", "log.format"]);
    let new = format!("{}[maintenance]\nhttps = '[::]:1'\n", minimal());
    assert_eq!(needs_restart(&old, &good(&new)), ["maintenance.https"]);
    let new = format!("{}[audit]\npath = 'ledger.db'\nstrict = true\n", minimal());
    assert_eq!(needs_restart(&old, &good(&new)), ["audit.path"]);
}

#[test]
fn what_changes_is_named_and_values_are_not() {
    let text = format!("{}{}{}", minimal(), backend("a"), backend("b"));
    let old = good(&text);
    assert!(changes(&old, &old).is_empty());
    let new = text.replace("'b.example'", "'c.example'").replace("'a'", "'c'");
    let new = format!(
        "{new}[audit]\nretention = '30d'\n[guard]\nban = '2h'\n[log]\nopenssh = true\n[ssh]\nwait = '1s'\n"
    );
    let changed = [
        "ssh.wait",
        "guard",
        "log.openssh",
        "audit.retention",
        "backend a removed",
        "backend c added",
        "backend b changed",
    ];
    assert_eq!(changes(&old, &good(&new)), changed);
    assert!(needs_restart(&old, &good(&new)).is_empty());
}

#[test]
fn a_file_that_is_not_there_yet_is_read_with_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("sentinel.toml");
    fs::write(&main, format!("{}{}", minimal(), backend("a"))).unwrap();
    let extra = dir.path().join("conf.d/backend-b.toml");
    let with = |name: &str| load_with(&main, Some((&extra, &backend(name))));
    assert_eq!(with("b").unwrap().backends.len(), 2);
    assert_eq!(load(&main).unwrap().backends.len(), 1, "it was not written");
    let problem = with("a").unwrap_err().0.remove(0);
    assert!(problem.file.ends_with("conf.d/backend-b.toml"), "{problem}");
    assert!(problem.hints[0].ends_with("sentinel.toml:3"), "{problem}");
    assert_eq!(place_of_backend(&main, "a"), Some((main.display().to_string(), 3)));
    fs::create_dir(dir.path().join("conf.d")).unwrap();
    fs::write(&extra, format!("# text\n{}", backend("b"))).unwrap();
    assert_eq!(place_of_backend(&main, "b"), Some((extra.display().to_string(), 3)));
    assert_eq!(place_of_backend(&main, "c"), None);
    assert_eq!(with("c").unwrap().backends[1].name.as_str(), "c", "instead of what is there");
}

#[test]
fn recovery_is_read_for_each_kind() {
    let with = |recovery: &str| {
        let text = format!("{}[[backend]]\nname = 'a'\naddress = 'local'\n{recovery}", minimal());
        good(&text).backends[0].recovery.clone()
    };
    assert_eq!(with(""), None);
    assert_eq!(with("recovery = { kind = 'none' }"), None);
    let gce =
        with("recovery = { kind = 'gce', project = 'p', zone = 'z', instance = 'i' }").unwrap();
    assert_eq!((gce.grace, gce.may_reset, gce.hourly), (Duration::from_secs(120), false, 6));
    let RecoveryKind::Gce(gce) = gce.kind else { panic!("gce") };
    assert_eq!(gce.endpoint.to_string(), "https://compute.googleapis.com");
    assert_eq!(gce.metadata.to_string(), "http://metadata.google.internal");
    let command = with(
        "recovery = { kind = 'command', argv = ['/bin/true', 'a b'], env = { TOKEN = 'x' }, \
         timeout = '5s', grace = '1m', may_reset = true, hourly = 2 }",
    );
    let command = command.unwrap();
    assert_eq!((command.may_reset, command.hourly), (true, 2));
    let RecoveryKind::Command(command) = command.kind else { panic!("command") };
    assert_eq!((command.argv.len(), command.env["TOKEN"].as_str()), (2, "x"));
    assert!(!format!("{command:?}").contains('x'), "values of variables are not shown");
}

#[test]
fn webhooks_keep_their_secrets_in_files() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("url"), "https://hooks.example/T0/SECRET\n").unwrap();
    fs::write(dir.path().join("bot"), "bot@zulip.example:KEY\n").unwrap();
    fs::write(dir.path().join("headers"), "Authorization: Bearer x\n\nX-A: b\n").unwrap();
    let text = format!(
        "{}[[webhook]]\nurl_file = 'url'\nkind = 'slack'\nevents = ['recovery', 'host', 'host']\n\
         [[webhook]]\nurl = 'https://zulip.example'\nkind = 'zulip'\nsecret = 'bot'\n\
         channel = 'ops'\nheaders = 'headers'\n",
        minimal()
    );
    let read = || parse(&text, "f", dir.path());
    let config = read().unwrap();
    assert_eq!(config.webhooks[0].events, [Topic::Host, Topic::Recovery]);
    assert!(!format!("{config:?}").contains("SECRET"));
    let zulip = WebhookForm::Zulip { channel: "ops".into(), topic: "containarium".into() };
    assert_eq!((&config.webhooks[1].form, config.webhooks[1].events.len()), (&zulip, 4));
    fs::write(dir.path().join("url"), "SECRET").unwrap();
    fs::write(dir.path().join("headers"), "X-A: b\nBearer SECRET\n").unwrap();
    let problems = Problems(read().unwrap_err()).to_string();
    assert!(problems.contains("what is in it is no URL: a URL begins with"), "{problems}");
    assert!(problems.contains("line 2 of it is no header"), "{problems}");
    assert!(!problems.contains("SECRET"), "{problems}");
}
