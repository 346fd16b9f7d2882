//! What ends the streams to a backend at once when its host is down: TCP would wait for minutes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::{link::leash::Leash, model::name::BackendName};

/// One lifeline for each backend. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Lifelines(Arc<Mutex<HashMap<BackendName, CancellationToken>>>);

impl Lifelines {
    /// `stream`, which ends when the lifeline of `backend` is cut.
    pub(super) fn hang<S>(&self, backend: &BackendName, stream: S) -> Leash<S> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Leash::new(stream, lines.entry(backend.clone()).or_default().clone())
    }

    /// Ends all streams to `backend`; later ones hang on a new lifeline.
    pub(super) fn cut(&self, backend: &BackendName) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.remove(backend) {
            line.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_hangs_on_a_backend_ends_with_it_and_nothing_else_does() {
        let lines = Lifelines::default();
        let [b1, b2]: [BackendName; 2] = ["b1", "b2"].map(|name| name.parse().unwrap());
        let ((near, _far), (other, mut far)) = (tokio::io::duplex(10), tokio::io::duplex(10));
        let (mut near, mut other) = (lines.hang(&b1, near), lines.hang(&b2, other));
        let (ended, ()) = tokio::join!(near.read_u8(), async { lines.cut(&b1) });
        assert!(ended.is_err());
        other.write_all(b"x").await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'x');
        let (later, mut far) = tokio::io::duplex(10);
        lines.hang(&b1, later).write_all(b"y").await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'y');
    }
}
