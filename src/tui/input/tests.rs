//! Keys, mouse and pastes, however their bytes are cut.

use proptest::prelude::*;

use super::*;

/// What these bytes say, when nothing comes after them.
fn decode(pieces: &[&[u8]]) -> Vec<Input> {
    let mut decoder = Decoder::default();
    let mut said: Vec<_> =
        pieces.iter().flat_map(|p| p.iter()).filter_map(|byte| decoder.feed(*byte)).collect();
    if decoder.patience().is_some() {
        said.extend(decoder.give_up());
    }
    said
}

fn keys(bytes: &[u8]) -> Vec<String> {
    let name = |input| match input {
        Input::Key(Key { code, ctrl, alt }) => {
            let held = format!("{}{}", if ctrl { "C-" } else { "" }, if alt { "A-" } else { "" });
            if let Code::Char(c) = code { format!("{held}{c}") } else { format!("{held}{code:?}") }
        }
        other @ (Input::Mouse(_) | Input::Paste(_) | Input::Ready) => format!("{other:?}"),
    };
    decode(&[bytes]).into_iter().map(name).collect()
}

#[test]
fn keys_of_the_usual_terminals_are_known() {
    for (bytes, expected) in [
        (&b"aZ ~"[..], &["a", "Z", " ", "~"][..]),
        ("äß日".as_bytes(), &["ä", "ß", "日"]),
        (b"\r\n\t\x7f\x08", &["Enter", "Enter", "Tab", "Backspace", "Backspace"]),
        (b"\x03\x15\x1a", &["C-c", "C-u", "C-z"]),
        (b"\x1b", &["Esc"]),
        (b"\x1b\x1b", &["Esc", "Esc"]),
        (b"\x1bx\x1b\r", &["A-x", "A-Enter"]),
        (b"\x1b[A\x1b[B\x1b[C\x1b[D", &["Up", "Down", "Right", "Left"]),
        (b"\x1bOA\x1bOB\x1bOH\x1bOF\x1bOM", &["Up", "Down", "Home", "End", "Enter"]),
        (
            b"\x1b[H\x1b[F\x1b[1~\x1b[4~\x1b[7~\x1b[8~",
            &["Home", "End", "Home", "End", "Home", "End"],
        ),
        (b"\x1b[2~\x1b[3~\x1b[5~\x1b[6~", &["Insert", "Delete", "PageUp", "PageDown"]),
        (b"\x1bOP\x1b[P\x1b[11~\x1b[[A\x1b[[E", &["F(1)", "F(1)", "F(1)", "F(1)", "F(5)"]),
        (b"\x1b[15~\x1b[17~\x1b[21~\x1b[24~", &["F(5)", "F(6)", "F(10)", "F(12)"]),
        (b"\x1b[1;5A\x1b[1;3D\x1b[3;5~\x1b[Z", &["C-Up", "A-Left", "C-Delete", "BackTab"]),
        // kitty and modifyOtherKeys
        (b"\x1b[97;5u\x1b[97;2u\x1b[27u\x1b[13u", &["C-a", "A", "Esc", "Enter"]),
        (b"\x1b[97;1:3u\x1b[57358u\x1b[57441;2u", &[]),
        (b"\x1b[27;5;105~\x1b[27;2;9~", &["C-i", "BackTab"]),
        // what is no key: focus, reports, titles, the old mouse
        (b"\x1b[I\x1b[O\x1b[12;40R\x1b[?62;22c\x1b[?0n\x1b[3n\x1b[201~", &[]),
        // DSR 0
        (b"a\x1b[0nb", &["a", "Ready", "b"]),
        (b"\x1b]0;title\x07a\x1b]52;c;aGk=\x1b\\b\x1bPq#0\x1b\\c", &["a", "b", "c"]),
        (b"\x1b[M !!a", &["a"]),
        // half sequences, garbage
        (b"\x1bO", &["A-O"]),
        (b"\x1bO\x1b[A\x1b]0;half\x1b[B\x1b[M!\x1b[C", &["Up", "Down", "Right"]),
        (b"\x1b[1;", &[]),
        (b"\x1b[1;\x03\x1b[\x1b[A", &["C-c", "Up"]),
        (b"\xff\xfe\xc3(\xe2\x82a\x80\xf5b\x00", &["(", "a", "b"]),
        (b"\xc2\x9b1A", &["1", "A"]),
    ] {
        assert_eq!(keys(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
    }
    let long = [b"\x1b[".as_slice(), &b"1;".repeat(1000), b"Aq"].concat();
    assert_eq!(keys(&long), ["q"]);
}

#[test]
fn a_mouse_is_read_with_its_cell() {
    let at = |act, column, row| Input::Mouse(Mouse { act, column, row });
    for (bytes, expected) in [
        (&b"\x1b[<0;1;1M"[..], Some(at(Act::Press, 0, 0))),
        (b"\x1b[<0;80;24m", Some(at(Act::Release, 79, 23))),
        (b"\x1b[<32;3;4M", Some(at(Act::Drag, 2, 3))),
        (b"\x1b[<16;3;4M", Some(at(Act::Press, 2, 3))),
        (b"\x1b[<64;3;4M", Some(at(Act::WheelUp, 2, 3))),
        (b"\x1b[<65;3;4M", Some(at(Act::WheelDown, 2, 3))),
        (b"\x1b[<2;3;4M", None),
        (b"\x1b[<35;3;4M", None),
        (b"\x1b[<0;0;1M", None),
        (b"\x1b[<0;70000;1M", None),
        (b"\x1b[<0;1M", None),
        (b"\x1b[<;;M", None),
    ] {
        assert_eq!(decode(&[bytes]).pop(), expected, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn a_paste_is_one_piece_however_long_and_whatever_is_in_it() {
    let paste = |text: &str| Input::Paste(text.to_owned());
    assert_eq!(decode(&[b"\x1b[200~a\rb\x1b[Aq\x1b[201~"]), [paste("a\rb\x1b[Aq")]);
    assert_eq!(decode(&[b"\x1b[200~\x1b\x1b[201\x1b[201~"]), [paste("\x1b\x1b[201")]);
    assert_eq!(decode(&[b"\x1b[200~\xff\x1b[201~"]), [paste("\u{fffd}")]);
    let long = [b"\x1b[200~".as_slice(), &vec![b'k'; 1 << 20], b"\x1b[201~q"].concat();
    let said = decode(&[&long]);
    assert_eq!(said, [paste(&"k".repeat(MAX_PASTE)), plain(Code::Char('q'))]);
    // One that never ends is left as everything else is.
    assert_eq!(
        decode(&[b"\x1b[200~abc\x03q"]),
        [key(Code::Char('c'), true, false), plain(Code::Char('q'))]
    );
}

#[test]
fn only_what_may_be_a_key_is_waited_for() {
    let waits = |bytes: &[u8]| {
        let mut decoder = Decoder::default();
        for byte in bytes {
            decoder.feed(*byte);
        }
        decoder.patience().is_some()
    };
    for bytes in [&b"\x1b"[..], b"\x1b[", b"\x1bO", b"\x1b[1;2", b"\x1b]0;x"] {
        assert!(waits(bytes), "{bytes:?}");
    }
    for bytes in [&b""[..], b"a", b"\xc3", b"\x1b[200~abc", b"\x1b[A", b"\x1b[M"] {
        assert!(!waits(bytes), "{bytes:?}");
    }
    // Alt-] begins a string that never ends.
    let mut decoder = Decoder::default();
    assert_eq!(b"\x1b]".map(|byte| decoder.feed(byte)), [None, None]);
    assert_eq!((decoder.give_up(), decoder.feed(b'q')), (None, Some(plain(Code::Char('q')))));
}

#[test]
fn the_beginning_of_an_answer_counts_as_one() {
    for cut in [&b"\x1b["[..], b"\x1b[0"] {
        assert_eq!(decode(&[cut]), [Input::Ready], "{cut:?}");
    }
    for other in [&b"\x1b[1"[..], b"\x1b[00", b"\x1b[?0", b"\x1b[0;"] {
        assert_eq!(decode(&[other]), [], "{other:?}");
    }
}

/// What begins a sequence and does not end it.
fn half() -> impl Strategy<Value = Vec<u8>> {
    const FIRST: [&[u8]; 6] = [b"\x1b", b"\x1b[", b"\x1b[M", b"\x1bO", b"\x1b]", b"\x1bP"];
    let first = prop::sample::select(&FIRST[..]);
    (first, "[0-9;?<!]{0,5}").prop_map(|(first, rest)| [first, rest.as_bytes()].concat())
}

fn fragment() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![
            &b"\x1b"[..],
            b"\x1b[",
            b"\x1bO",
            b"\x1b[200~",
            b"\x1b[201~",
            b"\x1b[<0;5;5M",
            b"\x1b[1;5A",
            b"\x1b]0;",
            b"\x07",
            b"\x1b\\",
            b"\x03",
            b"\r",
            b"\xe6\x97\xa5",
            b"\x1b[97;5u",
            b"\x1b[M",
        ])
        .prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..8),
    ]
}

proptest! {
    #[test]
    fn no_half_sequence_swallows_an_answer(half in half()) {
        let said = decode(&[&half, b"\x1b[0n"]);
        prop_assert_eq!(said.last(), Some(&Input::Ready), "{:?}", said);
        let typed = |input: &&Input| **input == plain(Code::Char('n'));
        prop_assert_eq!(said.iter().find(typed), None);
    }

    #[test]
    fn any_bytes_are_read_and_ctrl_c_is_heard_within_a_few(
        fragments in prop::collection::vec(fragment(), 0..40)
    ) {
        let bytes = fragments.concat();
        let mut decoder = Decoder::default();
        for byte in &bytes {
            decoder.feed(*byte);
        }
        let ctrl_c = key(Code::Char('c'), true, false);
        // An Esc takes what follows for Alt, and the old mouse three bytes for its place.
        let heard = (0..5).filter_map(|_| decoder.feed(CTRL_C)).any(|input| input == ctrl_c);
        prop_assert!(heard, "{:?}", String::from_utf8_lossy(&bytes));
    }
}
