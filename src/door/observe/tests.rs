//! Packets of both sides, and what is kept of them.

use super::*;
use crate::wire::codec::Write;

fn open(kind: &[u8], near: u32) -> Vec<u8> {
    let mut packet = vec![message::CHANNEL_OPEN];
    packet.put_string(kind);
    for number in [near, 1 << 20, 1 << 15] {
        packet.put_uint32(number);
    }
    packet
}

fn confirm(near: u32, far: u32) -> Vec<u8> {
    let mut packet = vec![message::CHANNEL_OPEN_CONFIRMATION];
    for number in [near, far, 1 << 20, 1 << 15] {
        packet.put_uint32(number);
    }
    packet
}

fn request(channel: u32, kind: &[u8], text: Option<&[u8]>) -> Vec<u8> {
    let mut packet = vec![message::CHANNEL_REQUEST];
    packet.put_uint32(channel);
    packet.put_string(kind);
    packet.put_boolean(true);
    if let Some(text) = text {
        packet.put_string(text);
    }
    packet
}

fn exit(near: u32, status: u32) -> Vec<u8> {
    let mut packet = request(near, b"exit-status", None);
    packet.put_uint32(status);
    packet
}

fn shown(observed: Observed) -> Vec<String> {
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap_or_default()).unwrap();
    let channels = observed.into_channels().into_iter();
    channels
        .map(|c| {
            let (kind, what) = (text(Some(c.kind)), text(c.what));
            let refused = if c.refused { " refused" } else { "" };
            let (request, exit) = (c.request.unwrap_or("-"), c.exit.unwrap_or("-".to_owned()));
            format!("{kind} {request} {what} {exit}{refused}")
        })
        .collect()
}

#[test]
fn data_is_counted_and_commands_are_not_for_the_log() {
    let mut observed = Observed::default();
    let mut data = vec![message::CHANNEL_DATA];
    data.put_uint32(0);
    data.put_string(&[1; 1000]);
    observed.from_client(&data);
    observed.from_upstream(&data);
    observed.from_upstream(&data);
    let exec = request(0, b"exec", Some(b"mysql -pSECRET"));
    observed.from_client(&exec);
    let last = "exec".to_owned();
    assert_eq!(observed, Observed { up: 1000, down: 2000, last, ..Observed::default() });
    observed.from_client(&open(b"x11\x1b[2J", 0));
    assert_eq!((observed.last.as_str(), observed.channels), ("x11\\u{1b}[2J", 1));
}

#[test]
fn channels_are_known_by_what_was_asked_for_and_how_it_ended() {
    let mut observed = Observed::default();
    // Numbers differ on both sides, and are used again.
    for (near, far, command, status) in [(0, 5, &b"true"[..], 0), (5, 0, b"false", 1)] {
        observed.from_client(&open(b"session", near));
        observed.from_upstream(&confirm(near, far));
        observed.from_client(&request(far, b"pty-req", Some(b"xterm")));
        observed.from_client(&request(far, b"exec", Some(command)));
        observed.from_client(&request(far, b"exec", Some(b"a second one is refused")));
        observed.from_upstream(&exit(near, status));
        observed.from_upstream(&exit(near, 99));
    }
    observed.from_client(&open(b"session", 0));
    observed.from_upstream(&confirm(0, 5));
    observed.from_client(&request(5, b"subsystem", Some(b"sftp")));
    let mut signal = request(0, b"exit-signal", Some(b"KILL"));
    signal.put_boolean(false);
    observed.from_upstream(&signal);
    let mut direct = open(b"direct-tcpip", 7);
    direct.put_string(b"db.internal");
    direct.put_uint32(5432);
    observed.from_client(&direct);
    let mut failure = vec![message::CHANNEL_OPEN_FAILURE];
    failure.put_uint32(7);
    observed.from_upstream(&failure);
    let mut listen = vec![message::GLOBAL_REQUEST];
    listen.put_string(b"tcpip-forward");
    listen.put_boolean(true);
    listen.put_string(b"0.0.0.0");
    listen.put_uint32(8080);
    observed.from_client(&listen);
    assert_eq!(
        shown(observed),
        [
            "session exec true 0",
            "session exec false 1",
            "session subsystem sftp KILL",
            "direct-tcpip - db.internal:5432 - refused",
            "tcpip-forward - 0.0.0.0:8080 -",
        ]
    );
}

#[test]
fn commands_are_left_out_where_that_is_wanted() {
    let mut observed = Observed::new(true);
    observed.from_client(&open(b"session", 0));
    observed.from_upstream(&confirm(0, 0));
    observed.from_client(&request(0, b"exec", Some(b"mysql -pSECRET")));
    assert_eq!(shown(observed), ["session exec  -"]);
}

fn data(channel: u32, text: &[u8]) -> Vec<u8> {
    let mut packet = vec![message::CHANNEL_DATA];
    packet.put_uint32(channel);
    packet.put_string(text);
    packet
}

/// A session channel with these numbers, on which this is run.
fn run(observed: &mut Observed, (near, far): (u32, u32), command: &[u8]) {
    observed.from_client(&open(b"session", near));
    observed.from_upstream(&confirm(near, far));
    observed.from_client(&request(far, b"exec", Some(command)));
}

/// A file of three bytes goes up.
fn put(observed: &mut Observed, (near, far): (u32, u32), name: &str) {
    let announced = format!("C0644 3 {name}\n");
    for (from_client, text) in [
        (false, &b"\0"[..]),
        (true, announced.as_bytes()),
        (false, b"\0"),
        (true, b"abc\0"),
        (false, b"\0"),
    ] {
        if from_client {
            observed.from_client(&data(far, text));
        } else {
            observed.from_upstream(&data(near, text));
            // What stands beside the data is no answer.
            let mut beside = vec![message::CHANNEL_EXTENDED_DATA];
            beside.extend([near, 1].iter().flat_map(|number| number.to_be_bytes()));
            beside.put_string(b"\x01an error\n");
            observed.from_upstream(&beside);
        }
    }
}

fn files(observed: Observed) -> Vec<String> {
    let channels = observed.into_channels().into_iter();
    let shown = |files: crate::audit::Files| {
        let names = files.list.iter().map(|file| text::printable_bytes(&file.name, 9) + " ");
        let cut = if files.unfollowed { " cut" } else { "" };
        format!("{}{}{}", names.collect::<String>(), files.put, cut)
    };
    channels.map(|channel| channel.files.map_or_else(String::new, shown)).collect()
}

#[test]
fn channels_that_move_files_are_followed_each_by_itself() {
    let mut observed = Observed::new(false).with_files();
    let (one, other, cat) = ((0, 5), (5, 0), (7, 7));
    run(&mut observed, one, b"scp -t a");
    run(&mut observed, other, b"scp -t b");
    run(&mut observed, cat, b"cat");
    put(&mut observed, one, "a");
    put(&mut observed, cat, "not me");
    put(&mut observed, other, "b");
    put(&mut observed, one, "c");
    // It ends, and its numbers are used again.
    let mut close = vec![message::CHANNEL_CLOSE];
    close.put_uint32(one.0);
    observed.from_upstream(&close);
    put(&mut observed, one, "too late");
    run(&mut observed, one, b"scp -t d");
    put(&mut observed, one, "d");
    // A subsystem that is refused leaves the channel to another.
    let last = (9, 9);
    observed.from_client(&open(b"session", last.0));
    observed.from_upstream(&confirm(last.0, last.1));
    observed.from_client(&request(last.1, b"subsystem", Some(b"sftp")));
    observed.from_client(&request(last.1, b"exec", Some(b"scp -t e")));
    put(&mut observed, last, "e");
    observed.from_client(&request(last.1, b"exec", Some(b"scp -t never")));
    put(&mut observed, last, "f");
    assert_eq!(files(observed), ["a c 2", "b 1", "", "d 1", "e f 2"]);
}

#[test]
fn files_are_followed_where_that_is_wanted_and_as_many_as_there_is_room_for() {
    for (observed, expected) in [
        (Observed::new(false), ""),
        (Observed::new(true), ""),
        (Observed::new(true).with_files(), "1"),
        (Observed::new(false).with_files(), "a 1"),
    ] {
        let mut observed = observed;
        run(&mut observed, (1, 1), b"scp -t a");
        put(&mut observed, (1, 1), "a");
        assert_eq!(files(observed), [expected]);
    }
    let mut observed = Observed::new(false).with_files();
    for number in 0..20 {
        run(&mut observed, (number, number), b"scp -t a");
        put(&mut observed, (number, number), "a");
    }
    let found = files(observed);
    assert!(found[..16].iter().all(|found| found == "a 1"), "{found:?}");
    assert!(found[16..].iter().all(|found| found == "0 cut"), "{found:?}");
}

#[test]
fn what_is_kept_has_a_limit_and_cut_packets_do_no_harm() {
    let mut observed = Observed::default();
    for near in 0..10_000 {
        observed.from_client(&open(b"session", near));
        observed.from_upstream(&confirm(near, near));
        observed.from_client(&request(near, b"exec", Some(&vec![b'x'; 30_000])));
    }
    assert_eq!(observed.channels, 10_000);
    let channels = observed.into_channels();
    assert_eq!(channels.len(), MAX_CHANNELS);
    assert!(channels.iter().all(|c| c.what.as_ref().unwrap().len() == MAX_KEPT));

    let mut direct = open(b"direct-tcpip", 7);
    direct.put_string(b"host");
    direct.put_uint32(1);
    let mut observed = Observed::default();
    let packets = [direct, confirm(7, 7), request(7, b"exec", Some(b"x")), exit(7, 0)];
    for packet in &packets {
        for end in 0..packet.len() {
            observed.from_client(&packet[..end]);
            observed.from_upstream(&packet[..end]);
        }
    }
}
