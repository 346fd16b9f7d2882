//! What is to be done when, while a recording plays. Pure: the time is told.

use std::time::{Duration, Instant};

use super::super::keys::Key;

/// What an arrow key is worth.
const SEEK: Duration = Duration::from_secs(5);

/// The slowest and the fastest, as powers of two.
const SPEEDS: std::ops::RangeInclusive<i32> = -3..=6;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Show the next frame.
    Show,
    /// Wait for a key, and until then, if it is told.
    Wait(Option<Instant>),
    /// Begin anew, on an empty screen.
    Rewind,
    End,
}

/// Where a recording is.
#[derive(Debug)]
pub(super) struct Player {
    /// The place in the recording, at `since`.
    place: Duration,
    since: Instant,
    /// A power of two.
    speed: i32,
    is_paused: bool,
    rewinds: bool,
    has_ended: bool,
}

impl Player {
    pub(super) fn new(now: Instant) -> Self {
        let (place, since, speed) = (Duration::ZERO, now, 0);
        Self { place, since, speed, is_paused: false, rewinds: false, has_ended: false }
    }

    /// A key was pressed.
    pub(super) fn on_key(&mut self, key: Key, now: Instant) {
        self.place = self.place(now);
        self.since = now;
        match key {
            Key::Pause => self.is_paused = !self.is_paused,
            Key::On => self.place += SEEK,
            Key::Back => {
                self.place = self.place.saturating_sub(SEEK);
                self.rewinds = true;
            }
            Key::Faster => self.speed = (self.speed + 1).min(*SPEEDS.end()),
            Key::Slower => self.speed = (self.speed - 1).max(*SPEEDS.start()),
            Key::Quit => self.has_ended = true,
        }
    }

    /// What is to be done, with the next frame at `next`; `None`: there is none.
    pub(super) fn next(&mut self, next: Option<Duration>, now: Instant) -> Step {
        if self.has_ended {
            return Step::End;
        }
        if std::mem::take(&mut self.rewinds) {
            return Step::Rewind;
        }
        let Some(at) = next else {
            // Whoever paused wants to see the end, or goes back.
            return if self.is_paused { Step::Wait(None) } else { Step::End };
        };
        let ahead = at.saturating_sub(self.place(now));
        if ahead.is_zero() {
            Step::Show
        } else if self.is_paused {
            Step::Wait(None)
        } else {
            // What is too far away to be told as a time never comes.
            let wait = Duration::try_from_secs_f64(ahead.as_secs_f64() / self.factor());
            Step::Wait(wait.ok().and_then(|wait| now.checked_add(wait)))
        }
    }

    fn place(&self, now: Instant) -> Duration {
        if self.is_paused {
            return self.place;
        }
        self.place + now.saturating_duration_since(self.since).mul_f64(self.factor())
    }

    fn factor(&self) -> f64 {
        2_f64.powi(self.speed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn frames_come_when_they_came_and_faster_or_slower_when_asked() {
        let start = crate::clock::now();
        let at = |n| start + seconds(n);
        let mut player = Player::new(start);
        assert_eq!(player.next(Some(seconds(0)), start), Step::Show);
        assert_eq!(player.next(Some(seconds(8)), start), Step::Wait(Some(at(8))));
        player.on_key(Key::Faster, at(2));
        assert_eq!(player.next(Some(seconds(8)), at(2)), Step::Wait(Some(at(5))));
        player.on_key(Key::Slower, at(3));
        player.on_key(Key::Slower, at(3));
        // Four seconds of it are over, and the other four take eight.
        assert_eq!(player.next(Some(seconds(8)), at(3)), Step::Wait(Some(at(11))));
        assert_eq!(player.next(Some(seconds(8)), at(11)), Step::Show);
        assert_eq!(player.next(None, at(11)), Step::End);
    }

    #[test]
    fn it_is_paused_and_sought() {
        let start = crate::clock::now();
        let at = |n| start + seconds(n);
        let mut player = Player::new(start);
        player.on_key(Key::Pause, at(3));
        assert_eq!(player.next(Some(seconds(4)), at(100)), Step::Wait(None));
        assert_eq!(player.next(None, at(100)), Step::Wait(None));
        player.on_key(Key::On, at(100));
        assert_eq!(player.next(Some(seconds(8)), at(100)), Step::Show);
        assert_eq!(player.next(Some(seconds(9)), at(100)), Step::Wait(None));
        player.on_key(Key::Back, at(101));
        assert_eq!(player.next(Some(seconds(9)), at(101)), Step::Rewind);
        assert_eq!(player.next(Some(seconds(3)), at(101)), Step::Show);
        assert_eq!(player.next(Some(seconds(4)), at(101)), Step::Wait(None));
        player.on_key(Key::Pause, at(101));
        assert_eq!(player.next(Some(seconds(4)), at(101)), Step::Wait(Some(at(102))));
        player.on_key(Key::Back, at(101));
        assert_eq!(player.next(None, at(101)), Step::Rewind, "it begins at its beginning");
        assert_eq!(player.next(Some(seconds(1)), at(101)), Step::Wait(Some(at(102))));
        player.on_key(Key::Quit, at(101));
        assert_eq!(player.next(Some(seconds(0)), at(101)), Step::End);
    }

    #[test]
    fn no_key_pressed_too_often_breaks_it() {
        let start = crate::clock::now();
        for key in [Key::Faster, Key::Slower, Key::On, Key::Back] {
            let mut player = Player::new(start);
            for _ in 0..1000 {
                player.on_key(key, start + seconds(1));
            }
            player.next(Some(seconds(1)), start + seconds(2));
            player.next(Some(Duration::MAX), start + seconds(2));
        }
    }
}
