//! Websockets to Incus. Used by `events` and `exec`.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Error, protocol::WebSocketConfig},
};

use super::{IncusError, api::Envelope};
use crate::link::{Dial, Stream};

/// Largest message, in bytes. Incus sends data in pieces of 32 KiB, and events of a few.
const MAX_MESSAGE: usize = 1024 * 1024;

/// A websocket.
pub(super) type Socket = WebSocketStream<Stream>;

/// Dials and asks for a websocket at `path`.
pub(super) async fn connect(
    dial: &Arc<dyn Dial>,
    path: &str,
    deadline: Duration,
) -> Result<Socket, IncusError> {
    let name = || format!("GET {}", path.split('?').next().unwrap_or_default());
    let connect = async {
        let stream = dial.dial().await.map_err(IncusError::Connect)?;
        let opened =
            client_async_with_config(format!("ws://incus{path}"), stream, Some(config())).await;
        opened.map(|(socket, _)| socket).map_err(|error| failed(&name(), error))
    };
    timeout(deadline, connect).await.unwrap_or_else(|_| Err(IncusError::Timeout(name())))
}

/// The smallest buffers that do: one message is written through before the next is taken.
fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(256 * 1024)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "not our enum")]
fn failed(name: &str, error: Error) -> IncusError {
    match error {
        Error::Http(response) => {
            let status = response.status().as_u16();
            let body = response.into_body().unwrap_or_default();
            match Envelope::open(name, &body) {
                Err(error @ IncusError::Api { .. }) => error,
                Ok(_) | Err(_) => IncusError::api(status, &format!("{name}: HTTP {status}")),
            }
        }
        other => IncusError::Broken(other.to_string()),
    }
}
