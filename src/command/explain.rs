//! What Incus answered, as a sentence for people with the right exit status. Pure.

use super::failure::{Failure, Kind};
use crate::{fleet::guest::GuestError, incus::IncusError, model::name::BackendName};

/// What the sentence says of a call that failed: `what` is a fragment such as `start alice`.
pub(super) fn incus(what: &str, backend: &BackendName, error: &IncusError) -> Failure {
    let text = error.to_string();
    if let Some((kind, sentence, hint)) = known(&text) {
        let failure = Failure::new(kind, format!("{what}: {sentence}"));
        return if hint.is_empty() { failure } else { failure.hint(hint) };
    }
    if error.is_unavailable() {
        let message = format!("{what}: backend {backend} does not answer ({text})");
        return Failure::new(Kind::Unavailable, message).hint("type `status` to see the backends");
    }
    let kind = if error.is_not_found() {
        Kind::NotFound
    } else if error.is_conflict() {
        Kind::Conflict
    } else {
        Kind::Failed
    };
    Failure::new(kind, format!("{what}: {text}"))
}

/// What the sentence says of a script inside that did not do what it should.
pub(super) fn guest(what: &str, backend: &BackendName, error: &GuestError) -> Failure {
    let kind = match error {
        GuestError::Incus(error) => return incus(what, backend, error),
        GuestError::Cancelled(_) => Kind::Interrupted,
        GuestError::Timeout { .. } | GuestError::Failed { .. } => Kind::Failed,
    };
    Failure::new(kind, format!("{what}: {error}"))
}

/// What is said of an instance that may not be deleted.
pub(super) fn protected(what: &str) -> Failure {
    Failure::new(Kind::Conflict, format!("{what}: {PROTECTED}")).hint(UNPROTECT)
}

const PROTECTED: &str = "it is protected against deletion (security.protection.delete)";
const UNPROTECT: &str = "take the protection away on the backend: incus config unset INSTANCE security.protection.delete";

/// What Incus says badly: a piece of its text, and what to say instead.
const KNOWN: [(&str, Kind, &str, &str); 27] = [
    (
        "UNIQUE constraint failed: instances.",
        Kind::Conflict,
        "an instance of that name is there already",
        "type `list` to see the containers, or `adopt` the instance",
    ),
    (
        "Image not provided for instance creation",
        Kind::NotFound,
        "the backend has no such image",
        "type `image list` to see the images, or name one of a server: images:debian/12",
    ),
    (
        "Failed getting remote image info",
        Kind::Unavailable,
        "the image server does not answer, or has no such image",
        "check the image's name, and that the backend reaches the internet",
    ),
    ("Instance is running", Kind::Conflict, "it is running", "stop it first, or use --force"),
    ("Instance is protected", Kind::Conflict, PROTECTED, UNPROTECT),
    ("Instance is not running", Kind::Conflict, "it is not running", "start it first"),
    ("Instance is frozen", Kind::Conflict, "it is frozen", "restart it"),
    (
        "Failed shutting down instance",
        Kind::Failed,
        "it did not stop in time and still runs",
        "stop it at once with --force",
    ),
    (
        "quota exceeded",
        Kind::Failed,
        "the container's disk is full",
        "remove files inside, or give it more: resize NAME --disk SIZE",
    ),
    (
        "no space left on device",
        Kind::Failed,
        "the backend's disk is full",
        "remove what is not needed there: `backend info` tells how full it is",
    ),
    (
        "is busy running a",
        Kind::Conflict,
        "Incus does something else with it at this moment",
        "try again in a moment",
    ),
    (
        "setting cgroup item for the container failed",
        Kind::Conflict,
        "it uses more than that now",
        "stop what runs inside, or stop the container first",
    ),
    (
        "annot be shrunk",
        Kind::Conflict,
        "its storage cannot be made smaller",
        "make another container with a smaller disk, and copy the files",
    ),
    (
        "Failed to start device",
        Kind::Failed,
        "a device that it needs is not there",
        "look at its devices: incus config device show INSTANCE",
    ),
    (
        "forkstart",
        Kind::Failed,
        "it does not boot: what is in it is no system, or is damaged",
        "on the backend, `incus info INSTANCE --show-log` tells more",
    ),
    (
        "Storage pool is unavailable",
        Kind::Unavailable,
        "the backend's storage pool is not there",
        "look at the backend: `incus storage list`",
    ),
    (
        "Storage pool not found",
        Kind::NotFound,
        "the backend has no such storage pool",
        "`backend info` names its pools",
    ),
    (
        "Network not found",
        Kind::NotFound,
        "the backend has no such network",
        "look at the backend: `incus network list`",
    ),
    (
        "Requested profile",
        Kind::NotFound,
        "the backend has no such profile",
        "look at the backend: `incus profile list`",
    ),
    (
        "No root device could be found",
        Kind::Failed,
        "the backend's default profile has no root disk",
        "give it one there: incus profile device add default root disk path=/ pool=POOL",
    ),
    (
        "not supported on this server",
        Kind::Conflict,
        "the backend cannot run that",
        "take another backend",
    ),
    (
        "Server isn't ready yet",
        Kind::Unavailable,
        "the cluster member that it is on does not answer",
        "type `status` to see the backends",
    ),
    (
        "ETag doesn't match",
        Kind::Conflict,
        "somebody else changed it at the same moment",
        "look at it, and try again",
    ),
    (
        "not authorized",
        Kind::Unavailable,
        "the backend does not trust the sentinel",
        "type `status` to see the backends",
    ),
    (
        "Reached maximum number of instances",
        Kind::Conflict,
        "the Incus project is full",
        "delete what is not needed, or raise limits.instances",
    ),
    (
        "Daemon is starting up",
        Kind::TryLater,
        "the backend's Incus is starting",
        "try again in a moment",
    ),
    (
        "Shutting down",
        Kind::TryLater,
        "the backend's Incus is shutting down",
        "try again in a moment",
    ),
];

fn known(text: &str) -> Option<(Kind, &'static str, &'static str)> {
    let row = KNOWN.iter().find(|(piece, ..)| text.contains(piece));
    row.map(|(_, kind, sentence, hint)| (*kind, *sentence, *hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(code: u16, text: &str) -> Failure {
        incus("start alice", &"b1".parse().unwrap(), &IncusError::api(code, text))
    }

    #[test]
    fn what_incus_says_becomes_a_sentence_with_the_right_status() {
        for (code, text, kind) in [
            (500, "UNIQUE constraint failed: instances.project_id, instances.name", Kind::Conflict),
            (409, "Name \"api-a\" already in use", Kind::Conflict),
            (500, "Image not provided for instance creation", Kind::NotFound),
            (404, "Failed to fetch instance \"x\": Instance not found", Kind::NotFound),
            (400, "Instance is running", Kind::Conflict),
            (500, "Invalid CPU limit syntax", Kind::Failed),
            (503, "Daemon is starting up", Kind::TryLater),
            (500, "disk quota exceeded", Kind::Failed),
        ] {
            let failure = explained(code, text);
            assert_eq!(failure.kind, kind, "{text}: {failure:?}");
            assert!(failure.message.starts_with("start alice: "), "{failure:?}");
        }
        let gone = IncusError::Timeout("GET /1.0".to_owned());
        let failure = incus("start alice", &"b1".parse().unwrap(), &gone);
        assert_eq!(failure.kind, Kind::Unavailable);
        assert!(failure.message.contains("backend b1"), "{failure:?}");
    }
}
