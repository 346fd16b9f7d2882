//! What happens to instances, as it happens. Nothing is replayed: after a reconnect the caller
//! lists everything again.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use serde::Deserialize;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::{
    IncusError,
    websocket::{self, Socket},
};
use crate::link::Dial;

const PATH: &str = "/1.0/events?type=lifecycle";
/// For the connection to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// Incus pings every 10 s: after this long it is gone.
const SILENCE: Duration = Duration::from_secs(15);

/// Something happened to an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// For instance `instance-started`.
    pub action: String,
    /// The instance's name (the new one when it was renamed).
    pub instance: String,
}

/// A stream of events. Must be read all the time.
pub struct Events {
    socket: Socket,
}

impl Events {
    /// The next event; pings are answered on the way.
    ///
    /// # Errors
    /// The stream ended or was silent for too long.
    pub async fn next(&mut self) -> Result<Event, IncusError> {
        loop {
            let message = timeout(SILENCE, self.socket.next()).await;
            let silent = |_| IncusError::Broken(format!("no sign of life for {SILENCE:?}"));
            let message = message.map_err(silent)?;
            let ended = || IncusError::Broken("event stream ended".to_owned());
            let message = message.ok_or_else(ended)?;
            let message = message.map_err(|e| IncusError::Broken(format!("events: {e}")))?;
            match message {
                Message::Text(text) => {
                    if let Some(event) = parse(text.as_bytes()) {
                        return Ok(event);
                    }
                }
                Message::Close(_) => return Err(ended()),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }
}

pub(super) async fn open(dial: &Arc<dyn Dial>) -> Result<Events, IncusError> {
    Ok(Events { socket: websocket::connect(dial, PATH, CONNECT).await? })
}

/// An event about an instance; `None` for any other message.
fn parse(text: &[u8]) -> Option<Event> {
    #[derive(Deserialize)]
    struct Outside {
        metadata: Inside,
    }
    #[derive(Deserialize)]
    struct Inside {
        action: String,
        #[serde(default)]
        source: String,
        #[serde(default)]
        name: String,
    }
    let Inside { action, source, name } = serde_json::from_slice::<Outside>(text).ok()?.metadata;
    if !action.starts_with("instance-") {
        return None;
    }
    // Servers without `event_lifecycle_name_and_project` name it in `source` alone.
    let from_source = || {
        let rest = source.strip_prefix("/1.0/instances/")?;
        rest.split(['/', '?']).next().map(str::to_owned)
    };
    let instance = if source.starts_with("/1.0/instances/") { from_source() } else { Some(name) };
    instance.filter(|i| !i.is_empty()).map(|instance| Event { action, instance })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifecycle_events_name_their_instance() {
        let event = parse(br#"{"type":"lifecycle","timestamp":"2026-11-22T13:13:59.769879997Z","metadata":{"action":"instance-started","source":"/1.0/instances/api-s","requestor":{"username":"root"},"name":"api-s","project":"default"},"location":"none","project":"default"}"#);
        let expected =
            Event { action: "instance-started".to_owned(), instance: "api-s".to_owned() };
        assert_eq!(event, Some(expected));
        let snapshot = parse(br#"{"type":"lifecycle","metadata":{"action":"instance-snapshot-created","source":"/1.0/instances/a/snapshots/s"}}"#);
        assert_eq!(snapshot.unwrap().instance, "a");
    }

    #[test]
    fn everything_else_is_passed_over() {
        for other in [
            r#"{"type":"lifecycle","metadata":{"action":"image-created","source":"/1.0/images/x"}}"#,
            r#"{"type":"lifecycle","metadata":{"action":"instance-started"}}"#,
            r#"{"type":"logging","metadata":{"message":"x"}}"#,
            "hello",
            "",
        ] {
            assert_eq!(parse(other.as_bytes()), None, "{other}");
        }
    }
}
