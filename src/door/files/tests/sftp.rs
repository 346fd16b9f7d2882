//! Conversations of `sftp`.

use super::*;

#[test]
fn files_are_put_and_got_with_many_requests_on_the_way() {
    let found = sftp(&[
        open(0, b"/tmp/a", 0x1a),
        answer(102, 0, b"h\0\0\0"),
        write(1, b"h\0\0\0", 32_768),
        write(2, b"h\0\0\0", 100),
        open(3, b"/tmp/b", 1),
        status(2, 0),
        status(1, 0),
        answer(102, 3, b"i"),
        request(8, 4, &[b"i"]),
        size(4, 7),
        read(5, b"i", 32_768),
        read(6, b"i", 32_768),
        request(4, 7, &[b"h\0\0\0"]),
        answer(103, 5, b"content"),
        status(6, 1),
        status(7, 0),
        request(4, 8, &[b"i"]),
        status(8, 0),
    ]);
    assert_eq!(shown(&found), ["put /tmp/a 32868", "get /tmp/b 7"]);
    assert_eq!((found.put, found.got, found.changed, found.bytes), (1, 1, 0, (32_868, 7)));
    assert!(found.more == 0 && !found.unfollowed, "{found:?}");
}

#[test]
fn what_is_broken_off_or_refused_is_told_as_that() {
    let found = sftp(&[
        open(0, b"/etc/shadow", 1),
        status(0, 3),
        open(1, b"half read", 1),
        answer(102, 1, b"1"),
        read(2, b"1", 10),
        answer(103, 2, b"0123456789"),
        request(4, 3, &[b"1"]),
        status(3, 0),
        open(4, b"full disk", 2),
        answer(102, 4, b"1"),
        write(5, b"1", 10),
        write(6, b"1", 10),
        status(5, 0),
        status(6, 4),
        request(4, 7, &[b"1"]),
        status(7, 0),
        request(13, 8, &[b"not mine"]),
        status(8, 3),
        open(9, b"never closed", 3),
        answer(102, 9, b"2"),
        write(10, b"2", 5),
        status(10, 0),
        open(11, b"never answered", 1),
        // Of what libraries read exactly: by its size it is whole, without an end.
        open(12, b"exact", 1),
        answer(102, 12, b"3"),
        request(8, 13, &[b"3"]),
        size(13, 4),
        read(14, b"3", 4),
        answer(103, 14, b"1234"),
        request(4, 15, &[b"3"]),
        status(15, 0),
    ]);
    let expected = [
        "get /etc/shadow 0 refused",
        "get half read 10 part",
        "put full disk 10 part",
        "remove not mine refused",
        "update never closed 5 part",
        "get never answered 0 part",
        "get exact 4",
    ];
    assert_eq!(shown(&found), expected);
    assert_eq!((found.put, found.got, found.changed), (2, 2, 0));
}

#[test]
fn names_that_change_are_told_and_folders_that_are_read_are_not() {
    let found = sftp(&[
        request(13, 1, &[b"a"]),
        status(1, 0),
        request(18, 2, &[b"b", b"c"]),
        status(2, 0),
        request(200, 3, &[b"posix-rename@openssh.com", b"d", b"e"]),
        status(3, 0),
        request(200, 4, &[b"hardlink@openssh.com", b"old", b"new"]),
        status(4, 0),
        request(20, 5, &[b"target", b"link"]),
        status(5, 0),
        request(14, 6, &[b"made", b""]),
        status(6, 0),
        request(15, 7, &[b"gone"]),
        status(7, 0),
        // A folder's handle, an attribute, a long list of numbers.
        request(11, 8, &[b"/tmp"]),
        answer(102, 8, b"h"),
        request(12, 9, &[b"h"]),
        (Container, packet(104, |p| p.extend([0, 0, 0, 9].into_iter().chain(vec![7; 30_000])))),
        request(4, 10, &[b"h"]),
        status(10, 0),
        request(9, 11, &[b"/tmp", &[0; 300]]),
        status(11, 0),
        request(200, 12, &[b"users-groups-by-id@openssh.com", &vec![0; 20_000]]),
        answer(201, 12, b""),
    ]);
    let expected = [
        "remove a",
        "rename b c",
        "rename d e",
        "link new old",
        "link link target",
        "mkdir made",
        "rmdir gone",
    ];
    assert_eq!(shown(&found), expected);
    assert!(found.changed == 7 && !found.unfollowed, "{found:?}");
}

#[test]
fn a_copy_inside_moves_nothing() {
    let copy = (
        Client,
        packet(200, |p| {
            p.put_uint32(3);
            p.put_string(b"copy-data");
            p.put_string(b"a");
            p.put_uint64(0);
            p.put_uint64(0);
            p.put_string(b"b");
            p.put_uint64(0);
        }),
    );
    let found = sftp(&[
        open(1, b"/from", 1),
        answer(102, 1, b"a"),
        open(2, b"/to", 0x1a),
        answer(102, 2, b"b"),
        copy,
        status(3, 0),
        request(4, 4, &[b"a"]),
        status(4, 0),
        request(4, 5, &[b"b"]),
        status(5, 0),
    ]);
    assert_eq!(shown(&found), ["copy /from /to"]);
    assert_eq!((found.put, found.got, found.changed, found.bytes), (0, 0, 1, (0, 0)));
}

#[test]
fn what_is_no_sftp_of_version_3_is_not_followed_and_says_so() {
    let handles: Vec<_> =
        (0..=256_u32).flat_map(|n| [open(n, b"", 1), answer(102, n, &n.to_be_bytes())]).collect();
    let asked: Vec<_> = (0..=2048).map(|id| request(17, id, &[b"x"])).collect();
    let known = vec![request(13, 1, &[b"known"]), status(1, 0)];
    let then = |more: &[Said]| [&greeting(), known.as_slice(), more].concat();
    let mut endless = then(&[]);
    endless.push((Client, vec![0xff; 5]));
    let cases = [
        ("a greeting in between", then(&greeting()[..1]), 1),
        (
            "another version",
            vec![greeting().remove(0), (Container, packet(2, |p| p.put_uint32(6)))],
            0,
        ),
        ("no greeting", vec![request(13, 1, &[b"a"])], 0),
        (
            "a shell's words",
            vec![greeting().remove(0), (Container, b"Welcome to my host!\n".to_vec())],
            0,
        ),
        ("a number twice", then(&[open(5, b"hidden", 1), request(17, 5, &[b"x"])]), 2),
        ("an answer to nothing", then(&[status(99, 0)]), 1),
        ("an answer of another kind", then(&[open(5, b"a", 1), answer(103, 5, b"x")]), 2),
        ("too long a packet", endless, 1),
        ("a packet without number", then(&[(Client, packet(13, |_| {}))]), 1),
        (
            "a name that is cut off",
            then(&[(Client, packet(13, |p| p.extend([0, 0, 0, 7, 0, 0, 0, 9])))]),
            1,
        ),
        ("a name longer than any", then(&[request(13, 7, &[&[b'x'; 9000]])]), 1),
        ("many files open", then(&handles), 201),
        ("many questions open", then(&asked), 1),
    ];
    for (what, said, count) in cases {
        let found = files("sftp", &said);
        assert!(found.unfollowed, "{what}: {found:?}");
        assert_eq!(found.list.len(), count.min(200), "{what}");
    }
}

#[test]
fn what_is_kept_has_a_limit_and_all_is_counted() {
    let one = |id: u32, name: &[u8]| [request(13, id, &[name]), status(id, 0)];
    let many: Vec<_> = (0..1000).flat_map(|id| one(id, b"name")).collect();
    let found = sftp(&many);
    assert_eq!((found.list.len(), found.more, found.changed), (200, 800, 1000));
    let long: Vec<_> = (0..150).flat_map(|id| one(id, &[b'x'; 4096])).collect();
    let found = sftp(&long);
    assert_eq!((found.list.len(), found.more, found.changed), (ROOM / 864, 150 - 75, 150));
    assert!(found.list.iter().all(|file| file.name.len() == 800));

    // Without names there is a number of everything, and nothing else.
    let (mut nameless, mut room) = (Follower::of_subsystem(b"sftp", false).unwrap(), ROOM);
    let put = [open(1, b"a", 2), answer(102, 1, b"h"), write(2, b"h", 9), status(2, 0)];
    for (side, words) in greeting().iter().chain(&put) {
        match side {
            Client => nameless.client_sent(words, &mut room),
            Container => nameless.container_sent(words, &mut room),
        }
    }
    let expected = Files { more: 1, put: 1, bytes: (9, 0), ..Files::default() };
    assert_eq!(nameless.into_files(), Some(expected));
}
