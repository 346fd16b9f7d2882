//! One connection, as the guard sees it: what it asked for, and how it ended.

use std::net::IpAddr;

use super::{
    book::{Notice, Standing},
    driver::Guard,
    flood,
};

/// One connection before its login. Dropping it tells the guard how it ended, however it did: at
/// most one failure each.
pub struct Knock {
    guard: Guard,
    peer: IpAddr,
    standing: Standing,
    banned: bool,
    notice: Option<Notice>,
    asked: Asked,
}

/// The worst that a connection asked for, so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    /// Nothing.
    Nothing,
    /// Which methods there are (`none`), which is refused.
    Methods,
    /// The same, and a key that would be good.
    Offered,
    /// A method, a key or a signature that was refused.
    Refused,
    /// It does not count any more.
    Excused,
}

impl Knock {
    pub(super) fn new(
        guard: Guard,
        peer: IpAddr,
        (standing, banned): (Standing, bool),
        notice: Option<Notice>,
    ) -> Self {
        Self { guard, peer, standing, banned, notice, asked: Asked::Nothing }
    }

    /// Whether its source is banned, and it may only prove a key that is registered.
    #[must_use]
    pub fn is_banned(&self) -> bool {
        self.banned
    }

    /// What is known of its source; nothing good if that is banned.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// How many of so many places before login may be taken when it comes.
    #[must_use]
    pub fn places(&self, all: usize) -> usize {
        flood::places(self.standing, all)
    }

    /// Whether it is served, now that it has said a word, or has ended its silence in another way.
    /// If not, it is to be dropped: strangers do so too often.
    pub fn is_served(&mut self, has_spoken: bool) -> bool {
        if self.banned || self.standing != Standing::Stranger || self.guard.serves(has_spoken) {
            return true;
        }
        if has_spoken {
            self.excuse();
        }
        self.guard.on_dropped();
        false
    }

    /// It has to make room for others.
    pub fn make_room(self) {
        self.guard.on_dropped();
    }

    /// What its person is to be told before anything else, once.
    pub fn notice(&mut self) -> Option<String> {
        let notice = self.notice.take()?;
        self.guard.on_told(self.peer);
        Some(Guard::sentence(self.peer, &notice))
    }

    /// It asked which methods there are.
    pub fn asked(&mut self) {
        self.asked = self.asked.max(Asked::Methods);
    }

    /// A key that it offered would be good.
    pub fn offered(&mut self) {
        self.asked = self.asked.max(Asked::Offered);
    }

    /// A method, a key or a signature was refused, or a name is not known.
    pub fn refused(&mut self) {
        self.asked = self.asked.max(Asked::Refused);
    }

    /// Its person is in.
    pub fn succeeded(mut self) {
        self.asked = Asked::Excused;
        self.guard.on_success(self.peer);
    }

    /// The sentinel ended it: nobody is to blame.
    pub fn excuse(&mut self) {
        self.asked = Asked::Excused;
    }

    /// The same, for whoever makes one.
    pub(super) fn excused(mut self) -> Self {
        self.excuse();
        self
    }

    /// How it counts if it ends now, for the log.
    #[must_use]
    pub fn counts(&self) -> &'static str {
        match (self.asked, self.standing) {
            (Asked::Excused, _) | (_, Standing::Allowed) => "no",
            (Asked::Nothing | Asked::Offered, _) => "bare",
            // Its source may have been banned since it was let in.
            (Asked::Methods | Asked::Refused, _) if self.guard.bans(self.peer) => "no",
            (Asked::Methods | Asked::Refused, _) => "failure",
        }
    }
}

impl Drop for Knock {
    fn drop(&mut self) {
        match self.asked {
            Asked::Excused => {}
            Asked::Nothing | Asked::Offered => self.guard.on_bare(self.peer),
            Asked::Methods | Asked::Refused => self.guard.on_failure(self.peer),
        }
    }
}
