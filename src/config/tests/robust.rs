//! Whatever stands in the file, the loader answers.

use proptest::prelude::*;

use super::*;

const SAMPLE: &str = include_str!("../../../config/sentinel.toml");

fn answers(text: &str) {
    if let Err(problems) = parse(text, "f", Path::new("/nonexistent")) {
        assert!(!problems.is_empty());
        let lines = text.split('\n').count();
        for problem in &problems {
            assert!((1..=lines).contains(&problem.line) && problem.column > 0, "{problem:?}");
            assert!(!problem.to_string().replace('\n', "").contains(char::is_control));
        }
    }
}

/// The sample, with all that it shows behind a `#`.
fn full_sample() -> String {
    let bare =
        |line: &str| line.strip_prefix("# ").filter(|l| l.contains(" = ")).map(str::to_owned);
    SAMPLE.lines().map(|line| bare(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

proptest! {
    #[test]
    fn arbitrary_text_is_answered(text in "(?s).{0,300}") {
        answers(&text);
    }

    #[test]
    fn text_of_toml_like_pieces_is_answered(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "[", "]", "[[backend]]\n", "[ssh]\n", "\n", " = ", "\"", "'", "{", "}", ",", "#",
                "listen", "wait", "name", "backend", "address", "host_key", "local", "1", "30s",
                "\\u", "ä", "\r", "\"\"\"", ".", "true", "-", "1979-05-27", "0x", "inf", "\0",
            ]),
            0..40,
        )
    ) {
        answers(&pieces.concat());
    }

    #[test]
    fn a_mutated_sample_is_answered(at in 0_usize..4000, cut in 0_usize..40, insert in "(?s).{0,8}") {
        let sample: Vec<char> = full_sample().chars().collect();
        let at = at % sample.len();
        let end = (at + cut).min(sample.len());
        let text: String = sample[..at].iter().copied().chain(insert.chars())
            .chain(sample[end..].iter().copied()).collect();
        answers(&text);
    }
}

#[test]
fn a_file_of_ten_thousand_keys_is_answered_briefly() {
    let lines: Vec<_> = (0..10_000).map(|i| format!("listne{i} = '{i}'\n")).collect();
    let problems = parse(&lines.concat(), "f", Path::new("/")).unwrap_err();
    assert_eq!(problems.len(), 500);
    assert!(problems[499].hints.last().unwrap().ends_with("more problems are not shown"));
    let inline: Vec<_> = (0..10_000).map(|i| format!("k{i} = {i}")).collect();
    answers(&format!("ssh = {{ {} }}", inline.join(", ")));
}

#[test]
fn the_number_of_backends_is_bounded() {
    let text: String = (0..501).map(|i| backend(&format!("b{i}"))).collect();
    let problems = parse(&format!("{}{text}", minimal()), "f", Path::new("/")).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!((problems[0].line, problems[0].key.as_str()), (2, "backend"));
    assert_eq!(problems[0].message, "501 entries, the limit is 500");
}

#[test]
fn deep_nesting_and_long_keys_are_answered() {
    answers(&"[".repeat(100_000));
    answers(&format!("{} = 1", vec!["a"; 100_000].join(".")));
    answers(&format!("{} = 1", "a".repeat(1_000_000)));
    answers(&format!("ssh.wait = '{}s'", "9".repeat(100_000)));
    answers(&format!("ssh.max_startups = {}", "9".repeat(100_000)));
}
