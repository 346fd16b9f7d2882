//! Becoming a client that an Incus trusts, by a token that its administrator made:
//! `incus config trust add NAME`.

use std::fmt;

use base64ct::{Base64, Encoding};
use hyper::Method;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Client, IncusError};
use crate::model::fingerprint::Fingerprint;

/// Longest token, in bytes: it has some addresses in it.
pub const MAX_TOKEN: usize = 16 * 1024;
/// Most addresses of a token that are looked at.
const MAX_ADDRESSES: usize = 16;

/// A trust token: good for one client, once.
pub struct Token {
    /// Of the certificate that the Incus shows.
    pub fingerprint: Fingerprint,
    /// `HOST:PORT` where it says that it listens.
    pub addresses: Vec<String>,
    text: Zeroizing<String>,
}

/// The text is no trust token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("that is no trust token")]
pub struct TokenError;

impl Token {
    /// Reads what `incus config trust add` printed.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        #[derive(Deserialize)]
        struct Inside {
            fingerprint: String,
            #[serde(default)]
            addresses: Vec<String>,
        }
        let text = Zeroizing::new(text.trim().to_owned());
        let json = Zeroizing::new(Base64::decode_vec(&text).map_err(|_| TokenError)?);
        let inside: Inside = serde_json::from_slice(&json).map_err(|_| TokenError)?;
        let fingerprint = inside.fingerprint.parse().map_err(|_| TokenError)?;
        let addresses = inside.addresses.into_iter().take(MAX_ADDRESSES).collect();
        Ok(Self { fingerprint, addresses, text })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.fingerprint)
    }
}

impl Client {
    /// Has our certificate trusted; that it is so already is no error.
    ///
    /// # Errors
    /// As [`IncusError`] tells: the token was used, taken back, or is of another Incus.
    pub async fn be_trusted(&self, token: &Token) -> Result<(), IncusError> {
        let body = json!({"type": "client", "trust_token": *token.text});
        match self.call(Method::POST, "/1.0/certificates", Some(&body)).await {
            Err(error) if error.says("already trusted") => Ok(()),
            answer => answer.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_where_and_whom_and_is_not_shown() {
        let json = format!(
            r#"{{"client_name":"x","fingerprint":"{}","addresses":["192.0.2.1:8443"],"secret":"SECRET","expires_at":"0001-01-01T00:00:00Z"}}"#,
            "0a".repeat(32)
        );
        let text = Base64::encode_string(json.as_bytes());
        let token = Token::parse(&format!(" {text}\n")).unwrap();
        assert_eq!(token.addresses, ["192.0.2.1:8443"]);
        assert_eq!(token.fingerprint.to_string(), "0a".repeat(32));
        assert!(!format!("{token:?}").contains(&text[..10]), "{token:?}");
        for bad in ["", "x", "e30=", &text[..text.len() - 8], &json] {
            assert!(Token::parse(bad).is_err(), "{bad}");
        }
    }
}
