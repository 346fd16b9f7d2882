//! What people get wrong, and what they are told: position, key and suggestion.

use super::*;

/// Of a certificate.
const FINGERPRINT: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A file's lines after the first (which makes the rest valid), the line, key and hint that the
/// first problem has to have.
const MISTAKES: &[(&str, usize, &str, &str)] = &[
    ("[ssh]\nlisen = []", 3, "ssh.lisen", "did you mean `listen`?"),
    ("[ssh]\nhost-keys = 'k'", 3, "ssh.host-keys", "did you mean `host_keys`?"),
    ("[sssh]\nwait = '1s'", 2, "sssh", "did you mean `ssh`?"),
    ("[ssh]\nzebra = 1", 3, "ssh.zebra", "the keys here are listen, advertise"),
    ("listen = ['[::]:22']", 2, "listen", "did you mean `ssh.listen`?"),
    ("[ssh]\nlisten = '[::]:22'", 3, "ssh.listen", "write `listen = [\"[::]:22\"]`"),
    ("[ssh]\nlisten = []", 3, "ssh.listen", "write `listen = [\"[::]:22\"]`"),
    ("[ssh]\nlisten = [22]", 3, "ssh.listen[0]", "did you mean \"[::]:22\"?"),
    ("[ssh]\nlisten = [':2222']", 3, "ssh.listen[0]", "did you mean \"[::]:2222\"?"),
    ("[ssh]\nlisten = ['[::]:22', '0.0.0.0']", 3, "ssh.listen[1]", "did you mean \"0.0.0.0:22\"?"),
    ("[ssh]\nlisten = ['::1']", 3, "ssh.listen[0]", "did you mean \"[::1]:22\"?"),
    ("[ssh]\nlisten = ['localhost:22']", 3, "ssh.listen[0]", "for instance \"[::]:22\""),
    ("[ssh]\nwait = 120", 3, "ssh.wait", "did you mean \"120s\"?"),
    ("[ssh]\nwait = '120'", 3, "ssh.wait", "did you mean \"120s\"?"),
    ("[ssh]\nwait = '2 minutes'", 3, "ssh.wait", "did you mean \"2m\"?"),
    ("[ssh]\nwait = 'soon'", 3, "ssh.wait", "\"500ms\", \"30s\", \"10m\", \"1h\""),
    ("[ssh]\nwait = '2h'", 3, "ssh.wait", "from \"0s\" to \"1h\""),
    ("[ssh]\nlogin_grace = '0s'", 3, "ssh.login_grace", "from \"1s\" to \"10m\""),
    ("[ssh]\nwait = 30s", 3, "", "`wait = \"30s\"`"),
    ("[ssh]\nadvertise = 'ssh://h/'", 3, "ssh.advertise", "did you mean \"h\"?"),
    ("[ssh]\nmax_startups = 0", 3, "ssh.max_startups", "from 1 to 10000"),
    ("[ssh]\nmax_sessions_per_person = 0", 3, "ssh.max_sessions_per_person", "from 1 to 100000"),
    ("[ssh]\nmax_startups = '10'", 3, "ssh.max_startups", "a whole number"),
    ("[ssh]\nhost_keys = '~/keys'", 3, "ssh.host_keys", "write the whole path"),
    ("[admin]\nlogin = 'Ops_Team'", 3, "admin.login", "did you mean \"ops-team\"?"),
    ("[admin]\nlogins = 'ops'", 3, "admin.logins", "did you mean `login`?"),
    ("[admin]\nauthorized_keys_file = 'none'", 3, "admin.authorized_keys_file", "relative paths"),
    (
        "[admin]\nuser_ca_keys = ['ssh-dss AAAA']",
        3,
        "admin.user_ca_keys[0]",
        "ssh-keygen -t ed25519",
    ),
    ("[log]\nformat = 'jsno'", 3, "log.format", "did you mean \"json\"?"),
    ("[log]\nformat = 'pretty'", 3, "log.format", "one of text, json"),
    ("[log]\nlevel = 'inof'", 3, "log.level", "did you mean \"info\"?"),
    ("[log]\nlevel = 'info,containarium::door'", 3, "log.level", "\"containarium::door=debug\"?"),
    ("[log]\nlevel = 'containarium=loud'", 3, "log.level", "for instance \"info\""),
    ("[log]\nlevel = 3", 3, "log.level", "write it in quotes: \"3\""),
    ("[create]\nimage = 'a b'", 3, "create.image", "images:ubuntu/24.04"),
    ("[create]\nimage = 'own:base'", 3, "create.image", "own = \"https://"),
    ("[create]\nos_types = { x = 'own:base' }", 3, "create.os_types.x", "own = \"https://"),
    ("[create]\ncpu = 0", 3, "create.cpu", "for instance \"4\""),
    ("[create]\nmemory = '4G'", 3, "create.memory", "\"4GB\""),
    ("[create]\ndisk = 20", 3, "create.disk", "write it in quotes: \"20\""),
    ("[create.remotes]\nx = 'http://h'", 3, "create.remotes.x", "begins with https://"),
    ("[create.remotes]\nlocal = 'https://h'", 3, "create.remotes.local", "lowercase letters"),
    ("[backend]\nname = 'a'", 2, "backend", "begins with `[[backend]]`"),
    ("[[backend]]\naddress = 'local'", 2, "backend[0].name", "name = \"spot-1\""),
    ("[[backend]]\nname = 'a'", 2, "backend[0].address", "address = \"198.51.100.2:22\""),
    (
        "[[backend]]\nname = 'a'\naddress = 'h'",
        2,
        "backend[0].host_key",
        "ssh-keyscan -t ed25519 h",
    ),
    ("[[backend]]\nname = 'a'\naddress = 'c@h'", 4, "backend[0].address", "`user = \"c\"`"),
    ("[[backend]]\nname = 'a'\naddress = 'localhost'", 4, "backend[0].address", "is \"local\""),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\nuser = 'c'",
        5,
        "backend[0].user",
        "remove `user`",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\nfingerprint = 'FINGERPRINT'",
        5,
        "backend[0].fingerprint",
        "remove `fingerprint`",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'h'\nhost_key = 'KEY'\nfingerprint = 'FINGERPRINT'",
        6,
        "backend[0].fingerprint",
        "https://",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'https://h'",
        2,
        "backend[0].fingerprint",
        "certificate_fingerprint",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'https://h'\nfingerprint = 'SHA256:abc'",
        5,
        "backend[0].fingerprint",
        "certificate_fingerprint",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'https://h'\nfingerprint = 'FINGERPRINT'\nhost_key = 'KEY'",
        6,
        "backend[0].host_key",
        "remove `host_key`",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'https://h/1.0'\nfingerprint = 'FINGERPRINT'",
        4,
        "backend[0].address",
        "for instance",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\nrouted = 'true'",
        5,
        "backend[0].routed",
        "without quotes",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\nincus_socket = 'x'",
        5,
        "backend[0].incus_socket",
        "/var/lib/incus",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\nhealth = { fall = 1 }",
        5,
        "backend[0].health.fall",
        "from 2 to 100",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\nhealth = { interval = '1ms' }",
        5,
        "backend[0].health.interval",
        "100ms",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\nhealth = { ports = [70000] }",
        5,
        "backend[0].health.ports[0]",
        "65535",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\nhealth = { port = [22] }",
        5,
        "backend[0].health.port",
        "did you mean `ports`?",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'https://a'\nfingerprint = '\
         0000000000000000000000000000000000000000000000000000000000000000'\nhealth = { incus = true }",
        6,
        "backend[0].health.incus",
        "remove `incus`",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\nrecovery = { kind = 'gec' }",
        5,
        "backend[0].recovery.kind",
        "did you mean \"gce\"?",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\nrecovery = { grace = '1m' }",
        5,
        "backend[0].recovery.kind",
        "for instance `kind = \"gce\"`",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\nrecovery = { kind = 'gce', project = 'p', zone = 'z' }",
        5,
        "backend[0].recovery.instance",
        "instance = \"spot-1\"",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\nrecovery = { kind = 'gce', project = 'p/../q' }",
        5,
        "backend[0].recovery.project",
        "lowercase letters, digits and -",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\nrecovery = { kind = 'gce', endpoint = 'http://far.example' }",
        5,
        "backend[0].recovery.endpoint",
        "for instance \"https://",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\nrecovery = { kind = 'gce', credentials = 'none.json' }",
        5,
        "backend[0].recovery.credentials",
        "relative paths begin at",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\nrecovery = { kind = 'command' }",
        5,
        "backend[0].recovery.argv",
        "argv = [\"/usr/local/bin/start-host\"",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\nrecovery = { kind = 'command', argv = '/bin/true' }",
        5,
        "backend[0].recovery.argv",
        "write `argv = [\"/bin/true\"]`",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\nrecovery = { kind = 'command', argv = ['true'] }",
        5,
        "backend[0].recovery.argv",
        "no shell reads this",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\nrecovery = { kind = 'command', argv = ['/etc/passwd'] }",
        5,
        "backend[0].recovery.argv",
        "chmod +x",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\n\
         recovery = { kind = 'command', argv = ['/bin/true'], env = { CONTAINARIUM_X = '1' } }",
        5,
        "backend[0].recovery.env.CONTAINARIUM_X",
        "does not begin with CONTAINARIUM_",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\n\
         recovery = { kind = 'command', argv = ['/bin/true'], zone = 'z' }",
        5,
        "backend[0].recovery.zone",
        "remove `zone`",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\nrecovery = { kind = 'none', hourly = 3 }",
        5,
        "backend[0].recovery.hourly",
        "remove `hourly`",
    ),
    ("[[webhook]]\nkind = 'json'", 2, "webhook[0].url", "`url_file` where it is secret"),
    ("[[webhook]]\nurl = 'http://far.example'", 3, "webhook[0].url", "for instance \"https://"),
    ("[[webhook]]\nurl = 'https://h'\nkind = 'slak'", 4, "webhook[0].kind", "\"slack\"?"),
    ("[[webhook]]\nurl = 'https://h'\nevents = ['hots']", 4, "webhook[0].events[0]", "\"host\"?"),
    ("[[webhook]]\nurl = 'https://h'\ntopic = 'x'", 4, "webhook[0].topic", "remove `topic`"),
    ("[[webhook]]\nurl = 'https://h'\nkind = 'zulip'", 2, "webhook[0].secret", "EMAIL:KEY"),
    ("[[webhook]]\nurl = 'https://h'\nsecret = 'none'", 4, "webhook[0].secret", "relative paths"),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\n[[backend]]\nname = 'a'\naddress = 'h'\nhost_key = 'KEY'",
        6,
        "backend[1].name",
        "the first is in sentinel.toml:3",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'local'\n[[backend]]\nname = 'b'\naddress = 'local'",
        7,
        "backend[1].address",
        "the first is in sentinel.toml:4",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'h'\nhost_key = 'h KEY'",
        5,
        "backend[0].host_key",
        "leave out \"h\"",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'h'\nhost_key = '/etc/key.pub'",
        5,
        "backend[0].host_key",
        "give the key itself",
    ),
    (
        "[[backend]]\nname = 'a'\naddress = 'h'\nhost_key = 'ssh-ed25519 AAAA'",
        5,
        "backend[0].host_key",
        "copy it again",
    ),
    (
        "[[route]]\nlogin = 'root'\nto = 'a@b'\nhost_key = 'KEY'",
        2,
        "route[0].authorized_keys",
        "authorized_keys = [",
    ),
    (
        "[[route]]\nlogin = 'root'\nto = 'a@b'\nhost_key = 'KEY'\nauthorized_keys = ['KEY']",
        3,
        "route[0].login",
        "another name",
    ),
    (
        "admin.login = 'ops'\n[[route]]\nlogin = 'ops'\nto = 'a@b'\nhost_key = 'KEY'\nauthorized_keys = ['KEY']",
        4,
        "route[0].login",
        "or `admin.login`",
    ),
    (
        "[[route]]\nlogin = 'git'\nto = 'b:22'\nhost_key = 'KEY'\nauthorized_keys = ['KEY']",
        4,
        "route[0].to",
        "\"git@b:22\"",
    ),
    (
        "[[route]]\nlogin = 'git'\nto = 'a@b'\nhost_key = 'KEY'\nauthorized_keys = ['KEY', '-----BEGIN OPENSSH PRIVATE %-----']",
        6,
        "route[0].authorized_keys[1]",
        "give the public key",
    ),
    (
        "[[route]]\nlogin = 'git'\nto = 'a@b'\nhost_key = 'KEY'\nauthorized_keys = ['KEY']\nidentity = 'none'",
        7,
        "route[0].identity",
        "relative paths",
    ),
    (
        "[admin]\nauthorized_keys = ['environment=\"A=b\" KEY']",
        3,
        "admin.authorized_keys[0]",
        "options are those of sshd(8)",
    ),
    ("[audit]\nretention = 90", 3, "audit.retention", "did you mean \"90s\"?"),
    ("[audit]\nretention = '1h'", 3, "audit.retention", "from \"24h\" to \"3650d\""),
    ("[audit]\nretention = '2 days'", 3, "audit.retention", "did you mean \"2d\"?"),
    ("[audit]\nstrict = 'yes'", 3, "audit.strict", ""),
    ("[audit]\nretension = '90d'", 3, "audit.retension", "did you mean `retention`?"),
    ("retention = '90d'", 2, "retention", "did you mean `audit.retention`?"),
    ("gateway = 80", 2, "gateway", "write `[gateway]`"),
    ("[gateway]\nport = [80]", 3, "gateway.port", "did you mean `ports`?"),
    ("[gateway]\nports = 80", 3, "gateway.ports", "write `ports = ["),
    ("[gateway]\nports = []", 3, "gateway.ports", "leave `ports` out"),
    ("[gateway]\nports = [0]", 3, "gateway.ports[0]", "for instance 443"),
    ("[gateway]\nports = [80, '53/dns']", 3, "gateway.ports[1]", "\"443/udp\""),
    ("[gateway]\nports = [80, '80/tcp']", 3, "gateway.ports", "remove one of them"),
    ("[gateway]\nports = [22]", 3, "gateway.ports", "or change `ssh.listen`"),
    (
        "ssh.listen = ['0.0.0.0:80']\n[gateway]\naddresses = ['203.0.113.10']",
        3,
        "gateway.ports",
        "or change `ssh.listen`",
    ),
    ("[gateway]\naddresses = ['0.0.0.0']", 3, "gateway.addresses[0]", "all of them"),
    ("[gateway]\naddresses = ['127.0.0.1']", 3, "gateway.addresses[0]", "clients reach"),
    (
        "[gateway]\naddresses = ['203.0.113.10:80']",
        3,
        "gateway.addresses[0]",
        "write \"203.0.113.10\", without port",
    ),
    ("[gateway]\nfirewall = 'nft'", 3, "gateway.firewall", "iptables-nft"),
    ("[gateway]\nhold = 60", 3, "gateway.hold", "did you mean \"60s\"?"),
    ("[gateway]\nfailover = 'yes'", 3, "gateway.failover", ""),
    ("[gateway]\nmasquerade = 'false'", 3, "gateway.masquerade", "without quotes"),
    ("[gateway]\npool = 'Web'", 3, "gateway.pool", "did you mean \"web\"?"),
    ("[gateway.pool]\nname = 'web'", 2, "gateway.pool", "[[gateway.pool]]"),
    ("[[gateway.pool]]\nports = [80]", 2, "gateway.pool[0].name", "name = "),
    ("[[gateway.pool]]\nname = 'a'\nhost = 'b'", 4, "gateway.pool[0].host", "the keys here are"),
    (
        "[[gateway.pool]]\nname = 'a'\n[[gateway.pool]]\nname = 'a'\nports = [81]",
        5,
        "gateway.pool[1].name",
        "one section",
    ),
    (
        "[[gateway.pool]]\nname = 'a'\n[[gateway.pool]]\nname = 'b'\nports = [8080, 443]",
        6,
        "gateway.pool[1].ports",
        "of its own",
    ),
    ("[maintenance]", 2, "maintenance.http", "https = \"[::]:443\""),
    ("[maintenance]\nhttp = 80", 3, "maintenance.http", "did you mean \"[::]:80\"?"),
    ("[maintenance]\nhttp = '[::]:1'\nhttps = '[::]:1'", 4, "maintenance.https", "port 443"),
    (
        "[maintenance]\nhttps = '[::]:1'\n[[maintenance.certificate]]\nkey = 'k'",
        4,
        "maintenance.certificate[0].certificate",
        "or `caddy` for the folder",
    ),
    (
        "[maintenance]\nhttps = '[::]:1'\n[[maintenance.certificate]]\ncertificate = 'c'",
        4,
        "maintenance.certificate[0].key",
        "for instance `key = ",
    ),
    (
        "[maintenance]\nhttps = '[::]:1'\n[[maintenance.certificate]]\ncaddy = '/c'\nkey = '/k'",
        5,
        "maintenance.certificate[0].caddy",
        "remove `caddy`, or",
    ),
    (
        "[maintenance]\nhttps = '[::]:1'\n[[maintenance.certificate]]\ncaddy = 'c'\ncontainer = 'web'",
        5,
        "maintenance.certificate[0].caddy",
        "/etc/ssl/site.crt",
    ),
    (
        "[maintenance]\nhttps = '[::]:1'\n[[maintenance.certificate]]\ncaddy = '/c'\nfrom = 'b1'",
        6,
        "maintenance.certificate[0].from",
        "the backends are",
    ),
    (
        "[maintenance]\nhttps = '[::]:1'\n[[maintenance.certificate]]\ncaddy = '/c'\ninstance = 'w'",
        4,
        "maintenance.certificate[0].from",
        "from = \"spot-1\"",
    ),
    (
        "[maintenance]\nhttps = '[::]:1'\n[[maintenance.certificate]]\ncaddy = '/c'\ncontainer = 'w'\nfrom = 'b'",
        6,
        "maintenance.certificate[0].container",
        "remove `from`",
    ),
    ("[metrics]", 2, "metrics", "remove `metrics`"),
    ("control_socket = 'LONG'", 2, "control_socket", "the kernel allows 107"),
    ("state_dir = true", 2, "state_dir", "write it in quotes: \"true\""),
    ("ssh = 3", 2, "ssh", "write `[ssh]`"),
    ("\"a\\u001b[2Jb\" = 1", 2, "\"a\\u{1b}[2Jb\"", "the keys here are"),
    ("[ssh\nwait = '1s'", 2, "", "a section begins with `[ssh]`"),
    ("[ssh]\nwait: '1s'", 3, "", "written `KEY = VALUE`"),
    ("[ssh]\nwait = '1s'\nwait = '2s'", 4, "", ""),
];

#[test]
fn each_mistake_is_told_with_its_place_and_a_way_out() {
    for (text, line, key, hint) in MISTAKES {
        let text = text
            .replace("FINGERPRINT", FINGERPRINT)
            .replace("KEY", KEY)
            .replace('%', "KEY")
            .replace("LONG", &format!("/{}", "x".repeat(107)));
        let text = format!("{}{text}\n", first_line(&text));
        let Err(problems) = parse(&text, "sentinel.toml", Path::new("/nonexistent")) else {
            panic!("accepted: {text}");
        };
        let found = problems.iter().find(|p| p.key == *key);
        let problem = found.unwrap_or_else(|| panic!("{text}\n{}", Problems(problems.clone())));
        assert_eq!(problem.line, *line, "{text}\n{problem}");
        assert!(problem.hints.join("\n").contains(hint), "{text}\n{problem}");
        assert!(!problem.to_string().contains('\u{1b}'), "{problem}");
    }
}

/// Keys of administrators, written so that a later `[admin]` is not a second one.
fn first_line(text: &str) -> String {
    let key = format!("authorized_keys = ['{KEY}']");
    if text.contains("[admin]") { "# no keys\n".to_owned() } else { format!("admin.{key}\n") }
}

#[test]
fn without_a_key_nobody_could_administer() {
    let problems = parse("[ssh]\n", "f", Path::new("/")).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!((problems[0].line, problems[0].key.as_str()), (1, "admin.authorized_keys"));
    assert!(problems[0].hints[0].contains("authorized_keys = [\"ssh-ed25519 AAAA…"));
    let problems = parse("\n\n[admin]\nlogin = 'a'\n", "f", Path::new("/")).unwrap_err();
    assert_eq!(problems[0].line, 3);
    let problems = parse("[admin]\nauthorized_keys = ['x']\n", "f", Path::new("/")).unwrap_err();
    assert_eq!(problems.len(), 1, "a bad key is told once");
}

#[test]
fn all_mistakes_are_told_at_once_in_file_order() {
    let text = "[[backend]]\nname = 'A'\naddress = 'h:0'\nhost_key = 'x'\nroutde = 1\n\
                [ssh]\nwait = 1\nlisten = [1, '2', '[::]:3']\n[later]\n";
    let problems = parse(text, "f", Path::new("/")).unwrap_err();
    let told: Vec<_> = problems.iter().map(|p| (p.line, p.column, p.key.as_str())).collect();
    assert_eq!(
        told,
        [
            (1, 1, "admin.authorized_keys"),
            (2, 8, "backend[0].name"),
            (3, 11, "backend[0].address"),
            (4, 12, "backend[0].host_key"),
            (5, 1, "backend[0].routde"),
            (7, 8, "ssh.wait"),
            (8, 11, "ssh.listen[0]"),
            (8, 14, "ssh.listen[1]"),
            (9, 2, "later"),
        ]
    );
}

#[test]
fn columns_count_characters() {
    let text = format!("{}ssh = {{ \"wäit\" = 1, wait = 2 }}\n", minimal());
    let problems = parse(&text, "f", Path::new("/")).unwrap_err();
    let told: Vec<_> = problems.iter().map(|p| (p.line, p.column, p.key.as_str())).collect();
    assert_eq!(told, [(2, 9, "ssh.\"wäit\""), (2, 28, "ssh.wait")]);
}
