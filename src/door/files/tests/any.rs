//! Streams of any kind, in any pieces.

use proptest::prelude::*;

use super::*;

/// Parts of conversations, proper and not.
fn words() -> impl Strategy<Value = Said> {
    let name = prop::sample::select(vec![&b"a"[..], b"/tmp/b", b"\xff\n\x1b[2J", b""]);
    let handle = prop::sample::select(vec![&b"0"[..], b"1", b"2"]);
    let id = 0..6_u32;
    prop_oneof![
        (id.clone(), name.clone(), 0..4_u32).prop_map(|(id, name, flags)| open(id, name, flags)),
        (id.clone(), handle.clone(), 0..200_usize).prop_map(|(id, h, length)| write(id, h, length)),
        (id.clone(), handle.clone()).prop_map(|(id, handle)| read(id, handle, 100)),
        (id.clone(), handle.clone(), prop::sample::select(vec![4, 8]))
            .prop_map(|(id, handle, kind)| request(kind, id, &[handle])),
        (id.clone(), name.clone(), name, prop::sample::select(vec![13, 14, 15, 18, 20, 200]))
            .prop_map(|(id, one, other, kind)| request(kind, id, &[one, other])),
        (id.clone(), 0..5_u32).prop_map(|(id, code)| status(id, code)),
        (id.clone(), handle, prop::sample::select(vec![102, 103]))
            .prop_map(|(id, content, kind)| answer(kind, id, content)),
        (id, any::<u64>()).prop_map(|(id, bytes)| size(id, bytes)),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| (Client, bytes)),
        prop::sample::select(vec!["\0", "\x01no\n", "C0644 3 x\n", "abc\0", "D0755 0 d\n", "E\n"])
            .prop_map(source),
        prop::sample::select(vec!["\0", "\x01no\n", "C0644 3 x\n", "abc\0", "T0\n", "\x02"])
            .prop_map(sink),
    ]
}

proptest! {
    #[test]
    fn any_pieces_of_any_stream_tell_the_same(
        said in prop::collection::vec(words(), 0..40),
        size in 1..50_usize,
        command in prop::sample::select(vec!["sftp", "scp -t x", "scp -f x"]),
        greets in any::<bool>(),
    ) {
        let mut all = if greets { greeting() } else { Vec::new() };
        all.extend(said);
        let whole = followed(command, &all, usize::MAX);
        prop_assert_eq!(&followed(command, &all, size), &whole);
        prop_assert_eq!(followed(command, &all, 1), whole);
    }

    /// Pipelined puts and gets, in any order of answers, against what was moved.
    #[test]
    fn the_sizes_of_files_are_what_was_moved(
        moved in prop::collection::vec((any::<bool>(), prop::collection::vec(0..3000_usize, 0..6)), 1..8),
        reverse in any::<bool>(),
        piece in 1..4000_usize,
    ) {
        let (mut said, mut expected, mut id) = (greeting(), Vec::new(), 0);
        let mut next = || { id += 1; id };
        for (number, (puts, parts)) in moved.iter().enumerate() {
            let (name, handle) = (format!("file {number}"), vec![u8::try_from(number).unwrap(); 4]);
            let asked = next();
            said.push(open(asked, name.as_bytes(), if *puts { 0x1a } else { 1 }));
            said.push(answer(102, asked, &handle));
            let mut answers = Vec::new();
            for length in parts {
                let asked = next();
                if *puts {
                    said.push(write(asked, &handle, *length));
                    answers.push(status(asked, 0));
                } else {
                    said.push(read(asked, &handle, 32_768));
                    answers.push(answer(103, asked, &vec![0; *length]));
                }
            }
            if !puts {
                let asked = next();
                said.push(read(asked, &handle, 32_768));
                answers.push(status(asked, 1));
            }
            if reverse {
                answers.reverse();
            }
            said.extend(answers);
            let asked = next();
            said.extend([request(4, asked, &[&handle]), status(asked, 0)]);
            let action = if *puts { Action::Put } else { Action::Get };
            expected.push((action, name.into_bytes(), parts.iter().sum::<usize>() as u64));
        }
        let found = followed("sftp", &said, piece).unwrap();
        prop_assert!(found.list.iter().all(|file| file.outcome == Outcome::Done));
        let found: Vec<_> =
            found.list.into_iter().map(|file| (file.action, file.name, file.bytes)).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn random_bytes_do_no_harm(
        said in prop::collection::vec(
            (any::<bool>(), prop::collection::vec(any::<u8>(), 0..300)), 0..20),
        command in prop::sample::select(vec!["sftp", "scp -t x", "scp -f x"]),
    ) {
        let side = |client: bool| if client { Client } else { Container };
        let said: Vec<_> = said.into_iter().map(|(client, bytes)| (side(client), bytes)).collect();
        let whole = followed(command, &said, usize::MAX);
        prop_assert_eq!(followed(command, &said, 1), whole);
    }
}
