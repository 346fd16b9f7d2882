//! What strangers and far sides say of themselves, in the log and on terminals.

use containarium::wire::{
    codec::{Reader, Write},
    identity::Identity,
    message,
};

use crate::{
    fixture::{Evil, Sentinel, admin, member},
    peer::{Answer, Payload, Signed, signed},
};

/// Texts that clear a screen, set a title or the clipboard, begin a line, turn the direction of
/// reading, hide, pile up, or are no text at all.
fn corpus() -> Vec<Vec<u8>> {
    let texts = [
        "a\u{1b}[2J\u{1b}[31mred",
        "a\u{1b}]0;title\u{7}",
        "a\u{1b}]8;;http://x\u{1b}\\link",
        "a\u{1b}]52;c;cm0gLXJm\u{7}",
        "a\u{1b}P0;1|17/ab\u{1b}\\",
        "a\u{1b}_apc\u{1b}\\",
        "a\u{9b}31m\u{9d}0;t\u{9c}\u{85}\u{90}",
        "a\rb",
        "a\n2026-11-22T00:00:00.000000Z  INFO containarium: login session=7 login=\"root\"",
        "a\r\n{\"level\":\"INFO\",\"message\":\"login\"}",
        "a\0b",
        "a\u{7}b",
        "a\u{202e}b\u{2066}c\u{2069}",
        "a\u{200b}\u{feff}\u{ad}\u{e0041}b",
        "a\u{2028}b\u{2029}c",
        "x\" accepted for root from 192.0.2.4 session=1 login=\"root",
        "%n%s{}$(id)`id`",
        "",
    ];
    let mut all: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    all.push(format!("a{}", "\u{301}".repeat(1000)).into_bytes());
    all.push(vec![b'x'; 30_000]);
    all.push(b"a\xff\xfe\xc3\x28\xf0\x90b".to_vec());
    all
}

/// Whether a text could do anything to whoever looks at it.
fn is_harmless(text: &str) -> bool {
    let odd = |c: char| matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}' | '\u{300}'..='\u{36f}');
    !text.chars().any(|c| (c.is_control() && c != '\n') || odd(c))
}

/// A certificate of the administrators' authority whose id is `id`.
fn certificate(authority: &Identity, subject: &Identity, id: &[u8]) -> Vec<u8> {
    let point = &subject.public_key().blob()[19..];
    let principals = Payload(Vec::new()).string("admin").0;
    let mut blob = Payload(Vec::new()).string("ssh-ed25519-cert-v01@openssh.com").string("n");
    blob = blob.string(point).bytes(&[0; 8]).uint32(1).string(id).string(principals);
    blob = blob.bytes(&[0; 8]).bytes(&[0xff; 8]).string("").string("").string("");
    let mut blob = blob.string(authority.public_key().blob()).0;
    let signature = authority.sign("ssh-ed25519", &blob).unwrap();
    blob.put_string(&signature);
    blob
}

/// Says a text wherever a client may say one.
fn say_as_client(sentinel: &Sentinel, authority: &Identity, text: &[u8]) {
    let goodbye = Payload::new(message::DISCONNECT).uint32(11).string(text).string(text).0;
    sentinel.established().send(&goodbye);
    let mut peer = sentinel.serviced();
    let query = signed(&peer, text, member()).query();
    assert_eq!(peer.ask(&query), Answer::Failure);
    // Any name that is no container's leads an administrator to the console.
    let login = [text, b"!"].concat();
    let request = signed(&peer, login, admin()).payload(admin());
    assert_eq!(peer.ask(&request), Answer::Success);
    let told = peer.run(&String::from_utf8_lossy(text));
    assert!(is_harmless(&told.err) && is_harmless(&told.out), "{told:?}");
    let open = Payload::new(message::CHANNEL_OPEN).string("direct-tcpip").uint32(5).uint32(1);
    peer.send(&open.uint32(1).string(text).uint32(22).string(text).uint32(1).0);
    let answer = peer.next().expect("an answer");
    // Number, channel and reason, and then what the person reads; or the end, of the same form.
    let at = if answer[0] == message::DISCONNECT { 5 } else { 9 };
    let shown = Reader::new(&answer[at..]).string().unwrap();
    assert!(is_harmless(&String::from_utf8_lossy(shown)), "{answer:?}");
    peer.send(&Payload::new(message::CHANNEL_OPEN).string(text).0);
    peer.send(&goodbye);
    peer.rx.skip_to_end();
    let subject = Identity::generate_ed25519().unwrap();
    let shown = certificate(authority, &subject, text);
    let kind = "ssh-ed25519-cert-v01@openssh.com".to_owned();
    let mut peer = sentinel.serviced();
    let request = Signed {
        algorithm: kind.clone(),
        signed_algorithm: kind,
        key: shown.clone(),
        signed_key: shown,
        ..signed(&peer, "admin", &subject)
    };
    // An id that is no UTF-8 is no certificate.
    let expected = if std::str::from_utf8(text).is_ok() && text.len() < 10_000 {
        Answer::Success
    } else {
        Answer::Failure
    };
    assert_eq!(peer.ask(&request.payload(&subject)), expected);
}

/// Says a text wherever an sshd may say one; what of it the person is told.
fn say_as_sshd(evil: &Evil, sentinel: &Sentinel, text: &[u8]) {
    let goodbye = Payload::new(message::DISCONNECT).uint32(11).string(text).string(text).0;
    let told = evil.apology(sentinel, |mut far| {
        far.greet("SSH-2.0-evil");
        far.shake_hands(&evil.host_key);
        far.next_number(message::SERVICE_REQUEST);
        far.send(&Payload::new(message::SERVICE_ACCEPT).string("ssh-userauth").0);
        far.send(&Payload::new(message::USERAUTH_BANNER).string(text).string("").0);
        far.send(&goodbye);
        far.rx.skip_to_end();
    });
    assert!(is_harmless(&told.err), "{told:?}");
    let (mut near, mut far) = evil.session(sentinel);
    near.send(&Payload::new(message::CHANNEL_OPEN).string(text).uint32(1).0);
    far.next_number(message::CHANNEL_OPEN);
    far.send(&goodbye);
    let (_, words) = near.ended();
    assert!(is_harmless(&words) && words.len() <= 4000, "{words:?}");
}

/// A running sentinel with everything of the corpus said to it, by everybody; its log.
fn log_of(format: &str) -> String {
    let evil = Evil::listen();
    let authority = Identity::generate_ed25519().unwrap();
    let ca = format!("user_ca_keys = [\"{}\"]", authority.public_key().to_line());
    let log = format!("[log]\nformat = \"{format}\"\nlevel = \"debug\"\n");
    let sentinel = Sentinel::configured("", &ca, &(log + &evil.section()));
    std::thread::scope(|scope| {
        let (sentinel, authority) = (&sentinel, &authority);
        for text in corpus() {
            scope.spawn(move || say_as_client(sentinel, authority, &text));
        }
        for text in corpus() {
            say_as_sshd(&evil, sentinel, &text);
        }
    });
    let text = sentinel.log();
    assert!(text.contains("red") && text.contains("accepted for root"), "the texts are there");
    text
}

/// T33: each record is one line that begins with its time, and steers no terminal.
#[test]
fn a_line_of_the_log_is_ours_whatever_it_quotes() {
    let log = log_of("text");
    assert!(is_harmless(&log), "{:?}", log.lines().find(|line| !is_harmless(line)));
    for line in log.lines() {
        assert!(line.starts_with("20") && line.get(10..11) == Some("T"), "{line}");
        // Where it is quoted, it stays quoted.
        assert!(!line.contains(" session=1 login=\"root\""), "{line}");
    }
}

/// T33: each record is one JSON object, and whoever prints its strings is not steered either.
#[test]
fn a_record_of_the_log_is_json_whatever_it_quotes() {
    let log = log_of("json");
    assert!(is_harmless(&log), "{:?}", log.lines().find(|line| !is_harmless(line)));
    for line in log.lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect(line);
        let fields = value.as_object().unwrap();
        assert!(fields["timestamp"].is_string() && fields["level"].is_string(), "{line}");
        let strings = fields.values().filter_map(|v| v.as_str());
        strings.for_each(|text| assert!(is_harmless(text) && !text.contains('\n'), "{line}"));
    }
}
