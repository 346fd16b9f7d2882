//! Identifications that are none.

use crate::{
    fixture::{Evil, Sentinel},
    peer::exchange_bytes,
};

/// CVE-2026-48108 (lines before the identification are kept without end), and lines that would
/// steer a terminal if they were shown: the first line decides.
#[test]
fn a_client_says_who_it_is_in_its_first_line_or_leaves() {
    let sentinel = Sentinel::start("");
    let before = sentinel.forget_peak();
    let lines = b"hello\r\n".repeat(20_000);
    let no_end = vec![b'x'; 1 << 20];
    let long = [b"SSH-2.0-".as_slice(), &[b'x'; 246], b"\r\n"].concat();
    let longest = [b"SSH-2.0-".as_slice(), &[b'x'; 245], b"\r\n"].concat();
    assert_eq!((long.len(), longest.len()), (256, 255));
    let dashes = b"SSH-2.0\r\n".as_slice();
    for bad in [
        &lines,
        &no_end,
        &long,
        dashes,
        b"SSH-2.0-a\0b\r\n",
        b"SSH-2.0-\x1b[2J\x1b]0;t\x07\r\n",
        b"SSH-2.0-\xff\xfe\r\n",
        b"SSH-2.0-a\rb\r\n",
        b"SSH-1.5-old\r\n",
        b"SSH-3.0-new\r\n",
        b"SSH-2.1-x\r\n",
        b"ssh-2.0-x\r\n",
        b"\r\nSSH-2.0-x\r\n",
        b"\0SSH-2.0-x\r\n",
        // What a load balancer would say of its client; whoever is not one must not be believed.
        b"PROXY TCP4 192.0.2.99 203.0.113.10 1 22\r\nSSH-2.0-x\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x63\xcb\0\x71\x0a\0\x01\0\x16SSH-2.0-x\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    ] {
        let answer = exchange_bytes(sentinel.address, bad);
        // Its own identification and KEXINIT, and not a word more.
        assert!(answer.is_empty() || answer.starts_with(b"SSH-2.0-OpenSSH_9.9 "));
        assert!(answer.len() < 2000, "{} bytes", answer.len());
    }
    sentinel.assert_peak(before, 1024);
    let text = sentinel.log();
    assert!(!text.contains("192.0.2.99"), "the peer is where the connection comes from: {text}");
    let told = text.lines().filter(|l| l.contains("not an SSH 2 identification")).count();
    assert_eq!(told, 18, "each is told in the log: {text}");
    // The longest that is allowed, and one without a carriage return.
    for good in [longest.as_slice(), b"SSH-2.0-x\n", b"SSH-1.99-x\r\n"] {
        // An empty packet length: the answer shows that the identification was taken.
        let answer = exchange_bytes(sentinel.address, &[good, &[0; 16]].concat());
        assert!(answer.windows(24).any(|w| w == b"impossible packet length"), "taken");
    }
}

/// The same from an sshd, which may say something first, though not for ever.
#[test]
fn an_sshd_says_who_it_is_before_long_or_is_left() {
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    let before = sentinel.forget_peak();
    let lines = b"hello\r\n".repeat(20_000);
    let no_end = vec![b'x'; 1 << 20];
    let long = [b"SSH-2.0-".as_slice(), &[b'x'; 246], b"\r\n"].concat();
    for bad in [
        &lines[..],
        &no_end,
        &long,
        b"SSH-2.0-a\0b\r\n",
        b"SSH-2.0-\x1b[2J\r\n",
        b"SSH-1.5-old\r\n",
        b"hello\r\nSSH-2.0-\x9b31m\r\n",
    ] {
        let told = evil.apology(&sentinel, |mut far| {
            let _ = far.tx.raw(bad);
            far.rx.skip_to_end();
        });
        assert!(told.err.contains("not an SSH 2 identification"), "{told:?}");
    }
    sentinel.assert_peak(before, 1024);
}
