//! Packets in, and what watchers see of them, who take it or do not.

use super::*;
use crate::recording::{
    Tap,
    terminals::tests::{confirm, data, numbers, open, pty, request},
};
use crate::wire::message;

/// What is there to be taken now.
fn taken(watch: &mut Watch) -> Vec<Shown> {
    let mut all = Vec::new();
    while let Some(Some(shown)) = futures_util::FutureExt::now_or_never(watch.next()) {
        all.push(shown);
    }
    all
}

fn output(text: &str) -> Shown {
    Shown::Output(Bytes::copy_from_slice(text.as_bytes()))
}

/// A shell on a terminal, on a channel with these numbers.
fn begin(tap: &mut Tap, near: u32, far: u32) {
    tap.from_client(&open(b"session", near));
    tap.from_upstream(&confirm(near, far));
    tap.from_client(&pty(far));
    tap.from_client(&request(far, b"shell", &[]));
}

fn watch(tap: &mut Tap, who: &str, terminal: Option<u32>) -> Watch {
    let (watcher, watch) = pair(who.to_owned(), terminal, Arc::default());
    tap.join(vec![watcher]);
    watch
}

/// What was to be told, without its ends.
fn told(tap: &mut Tap) -> Vec<(u32, String)> {
    let lines = tap.lines().into_iter();
    lines.map(|(near, line)| (near, line.trim().to_owned())).collect()
}

fn line(near: u32, text: &str) -> (u32, String) {
    (near, format!("[{text} this terminal]"))
}

#[test]
fn a_watcher_sees_the_newest_terminal_from_when_she_joins_and_the_next_when_it_ends() {
    let mut tap = Tap::unrecorded();
    let mut early = watch(&mut tap, "early", None);
    begin(&mut tap, 0, 5);
    begin(&mut tap, 1, 6);
    tap.from_upstream(&data(1, b"before"));
    let mut late = watch(&mut tap, "late", None);
    let mut second = watch(&mut tap, "second", Some(2));
    assert_eq!(
        told(&mut tap),
        [line(0, "early watches"), line(1, "late watches"), line(1, "second watches")]
    );
    for (near, text) in [(0, "one"), (1, "two")] {
        tap.from_upstream(&data(near, text.as_bytes()));
        tap.from_client(&data(near + 5, b"typed"));
    }
    let mut resize = request(6, b"window-change", &[]);
    resize.extend([0, 0, 0, 80, 0, 0, 0, 25, 0, 0, 0, 0, 0, 0, 0, 0]);
    tap.from_client(&resize);
    let size = (100, 40);
    assert_eq!(taken(&mut early), [Shown::Terminal(1, size), output("one")]);
    let seen = [Shown::Terminal(2, size), output("two"), Shown::Resized((80, 25))];
    assert_eq!(taken(&mut late), seen);
    assert_eq!(taken(&mut second), seen);
    tap.from_upstream(&numbers(message::CHANNEL_CLOSE, &[1]));
    tap.from_upstream(&data(0, b"three"));
    assert_eq!(taken(&mut late), [Shown::Terminal(1, size), output("three")]);
    assert_eq!((taken(&mut second), second.ending()), (vec![], Ending::Terminal));
    assert_eq!(told(&mut tap), [line(0, "late watches")]);
    tap.from_upstream(&numbers(message::CHANNEL_CLOSE, &[0]));
    assert_eq!(taken(&mut late), [Shown::Nothing]);
    drop(early);
    tap.join(Vec::new());
    assert_eq!(told(&mut tap), [], "nobody is left to be told");
    let mut past = watch(&mut tap, "past", Some(1));
    assert_eq!((taken(&mut past), past.ending()), (vec![], Ending::Terminal));
    drop(tap);
    assert!(futures_util::FutureExt::now_or_never(late.next()) == Some(None));
    assert_eq!(late.ending(), Ending::Session);
}

#[test]
fn who_leaves_is_told_of_and_so_many_watch_at_most() {
    let mut tap = Tap::unrecorded();
    begin(&mut tap, 0, 5);
    let mut all: Vec<_> = (0..MAX_WATCHERS).map(|_| watch(&mut tap, "w", None)).collect();
    let mut more = watch(&mut tap, "more", None);
    assert_eq!((taken(&mut more), more.ending()), (vec![], Ending::Crowded));
    assert_eq!(told(&mut tap).len(), MAX_WATCHERS);
    all.pop();
    tap.join(Vec::new());
    assert_eq!(told(&mut tap), [line(0, "w no longer watches")]);
    let mut more = watch(&mut tap, "more", None);
    assert_eq!(taken(&mut more), [Shown::Terminal(1, (100, 40))]);
}

#[tokio::test(start_paused = true)]
async fn who_is_slow_misses_some_and_who_has_stopped_is_dropped() {
    let mut tap = Tap::unrecorded();
    begin(&mut tap, 0, 5);
    let mut slow = watch(&mut tap, "slow", None);
    let mut stopped = watch(&mut tap, "stopped", None);
    told(&mut tap);
    let packet = data(0, &vec![b'x'; 30_000]);
    let pieces = MAX_WAITING / (30_000 + OVERHEAD);
    for _ in 0..100 {
        tap.from_upstream(&packet);
    }
    let waiting = stopped.flow.waiting.load(Ordering::Relaxed);
    assert!((MAX_WAITING - 31_000..=MAX_WAITING).contains(&waiting), "{waiting}");
    for _ in 0..4 {
        tokio::time::advance(PATIENCE / 4).await;
        // She takes a little now and then.
        assert!(slow.next().await.is_some());
        tap.from_upstream(&packet);
    }
    assert_eq!(told(&mut tap), [line(0, "stopped no longer watches")]);
    assert!(stopped.stopped().is_cancelled() && !slow.stopped().is_cancelled());
    assert_eq!((stopped.ending(), slow.ending()), (Ending::Stopped, Ending::Session));
    taken(&mut stopped);
    assert_eq!(taken(&mut slow).len(), pieces + 1 - 4);
    tap.from_upstream(&data(0, b"after"));
    let lost = (104 - pieces as u64) * 30_000;
    assert_eq!(taken(&mut slow), [Shown::Gap(lost), output("after")]);
    assert_eq!(slow.flow.waiting.load(Ordering::Relaxed), 0, "all room is given back");
}

#[test]
fn changes_of_size_without_end_fill_no_memory() {
    let mut tap = Tap::unrecorded();
    begin(&mut tap, 0, 5);
    let watch = watch(&mut tap, "w", None);
    let mut resize = request(5, b"window-change", &[]);
    resize.extend([0; 16]);
    for _ in 0..100_000 {
        tap.from_client(&resize);
    }
    let waiting = watch.flow.waiting.load(Ordering::Relaxed);
    assert!(waiting <= MAX_WAITING + CHANGES, "{waiting}");
}
