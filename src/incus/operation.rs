//! How an operation ended. Both shapes of `/wait` are read: up to 6.0.4 and 6.11 a failure is an
//! error body (with HTTP 200), later it is an operation with a status code.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{IncusError, api::Envelope};

/// An operation in the making.
#[derive(Debug, Clone, Deserialize)]
pub struct Operation {
    /// Its id: the only thing to build its address from.
    pub id: String,
    /// 103 running, 200 success, 400 failure, 401 cancelled.
    #[serde(default)]
    pub status_code: u16,
    /// Why it failed.
    #[serde(default)]
    pub err: String,
    /// What it tells beyond that; depends on what it is.
    #[serde(default)]
    pub metadata: Option<serde_json::Value>,
}

impl Operation {
    /// An exec's secrets by stream name.
    pub(super) fn secrets(&self) -> BTreeMap<String, String> {
        let fds = self.metadata.as_ref().and_then(|m| m.get("fds"));
        fds.and_then(|fds| serde_json::from_value(fds.clone()).ok()).unwrap_or_default()
    }
}

/// Reads the body of `/wait`.
pub(super) fn ended(request: &str, body: &[u8]) -> Result<Operation, IncusError> {
    let envelope = match Envelope::open(request, body) {
        Err(IncusError::Api { message, .. }) if message.contains("context deadline exceeded") => {
            // Also the words of a clean stop that gave up, but with more before them.
            return Err(if message == "context deadline exceeded" {
                IncusError::Timeout(request.to_owned())
            } else {
                IncusError::Api { code: 500, message }
            });
        }
        opened => opened?,
    };
    let operation: Operation = envelope.metadata(request)?;
    match operation.status_code {
        200 => Ok(operation),
        400 | 401 => Err(IncusError::api(operation.status_code, &operation.err)),
        _ => Err(IncusError::Timeout(request.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "GET /1.0/operations/x/wait";

    fn failure(body: &str) -> IncusError {
        ended(NAME, body.as_bytes()).unwrap_err()
    }

    #[test]
    fn the_old_shape_is_an_error_body() {
        let error = failure(
            r#"{"type":"error","error_code":500,"error":"The instance is already running","metadata":null}"#,
        );
        assert!(error.is_already_so(), "{error}");
        let error =
            failure(r#"{"type":"error","error_code":500,"error":"context deadline exceeded"}"#);
        assert!(matches!(error, IncusError::Timeout(_)), "{error}");
        let stop = r#"{"type":"error","error_code":500,"error":"Failed shutting down instance, status is \"Running\": context deadline exceeded"}"#;
        assert!(matches!(failure(stop), IncusError::Api { .. }));
    }

    #[test]
    fn the_new_shape_is_an_operation() {
        let body = |code: u16, err: &str| {
            format!(
                r#"{{"type":"sync","status_code":200,"error_code":0,"error":"","metadata":{{"id":"5507518f","status_code":{code},"err":"{err}","metadata":null}}}}"#
            )
        };
        assert_eq!(ended(NAME, body(200, "").as_bytes()).unwrap().id, "5507518f");
        assert!(failure(&body(400, "The instance is already stopped")).is_already_so());
        assert!(matches!(failure(&body(401, "")), IncusError::Api { code: 401, .. }));
        assert!(matches!(failure(&body(103, "")), IncusError::Timeout(_)));
    }

    #[test]
    fn secrets_come_from_the_metadata() {
        let operation = r#"{"id":"x","metadata":{"command":["true"],"fds":{"0":"aa","control":"bb"},"interactive":false}}"#;
        let secrets = serde_json::from_str::<Operation>(operation).unwrap().secrets();
        assert_eq!(secrets["control"], "bb");
        assert_eq!(secrets.len(), 2);
    }
}
