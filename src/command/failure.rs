//! Why a command failed: a kind, which decides the exit status, one sentence, and what to type next.

/// Kinds of failure. Each has one exit status and one stable code for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It was tried and did not work.
    Failed,
    /// The words were not understood.
    Usage,
    /// The name means nothing, or nothing that this person may see.
    NotFound,
    /// It exists already, or is in the wrong state.
    Conflict,
    /// The backend (or the sentinel itself) does not answer.
    Unavailable,
    /// The host is on its way back.
    TryLater,
    /// This person may not do it.
    NotPermitted,
    /// The configuration is invalid.
    BadConfiguration,
    /// The user stopped it.
    Interrupted,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Failed,
        Self::Usage,
        Self::NotFound,
        Self::Conflict,
        Self::Unavailable,
        Self::TryLater,
        Self::NotPermitted,
        Self::BadConfiguration,
        Self::Interrupted,
    ];

    /// The exit status. Never 255, which `ssh` uses for itself.
    #[must_use]
    pub fn status(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Conflict => 4,
            Self::Unavailable => 69,
            Self::TryLater => 75,
            Self::NotPermitted => 77,
            Self::BadConfiguration => 78,
            Self::Interrupted => 130,
        }
    }

    /// The `code` of `--json`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Unavailable => "unavailable",
            Self::TryLater => "try_later",
            Self::NotPermitted => "not_permitted",
            Self::BadConfiguration => "bad_configuration",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A command that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind.
    pub kind: Kind,
    /// One fragment for people: lowercase, no final period. May hold untrusted text, which the
    /// renderer makes printable.
    pub message: String,
    /// What to do next, best a command to type.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_status_and_a_code_of_its_own_and_none_is_255() {
        let statuses: BTreeSet<u8> = Kind::ALL.iter().map(|k| k.status()).collect();
        let codes: BTreeSet<&str> = Kind::ALL.iter().map(|k| k.code()).collect();
        assert_eq!((statuses.len(), codes.len()), (Kind::ALL.len(), Kind::ALL.len()));
        assert!(!statuses.contains(&0) && !statuses.contains(&255));
    }
}
