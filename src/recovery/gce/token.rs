//! Access tokens: of the machine's own account, from the metadata server, or of a service account,
//! for a signature of its key. They are kept until shortly before they end, in memory alone.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64ct::{Base64UrlUnpadded, Encoding};
use bytes::Bytes;
use hyper::{
    Method,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

use super::{super::provider::Fault, CALL, decode, granted};
use crate::{
    clock,
    config::Gce,
    model::url::Url,
    web::{Request, Web},
};

/// What is asked for: all of Compute Engine that the account may do.
const SCOPE: &str = "https://www.googleapis.com/auth/compute";

/// How long a signed claim is good, in seconds: the longest that is taken.
const CLAIM: u64 = 3600;

/// A token is not used in its last minute: a call may take a while.
const MARGIN: Duration = Duration::from_secs(60);

/// Largest answer with a token, and largest key file, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
const MAX_FILE: u64 = 64 * 1024;

pub(super) struct Tokens {
    source: Source,
    web: Web,
    /// And when it is not to be used any more.
    kept: Mutex<Option<(Token, std::time::Instant)>>,
}

type Token = Arc<Zeroizing<String>>;

enum Source {
    Metadata(Url),
    Key(std::path::PathBuf),
}

#[derive(Deserialize)]
struct Granted {
    access_token: Zeroizing<String>,
    #[serde(default)]
    expires_in: u64,
}

/// The file that Google makes for a service account.
#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: Zeroizing<String>,
    #[serde(default)]
    private_key_id: String,
    token_uri: String,
}

impl Tokens {
    pub(super) fn new(config: &Gce, web: Web) -> Self {
        let source = match &config.credentials {
            Some(path) => Source::Key(path.clone()),
            None => Source::Metadata(config.metadata.clone()),
        };
        Self { source, web, kept: Mutex::default() }
    }

    /// The token that is kept, or a new one.
    pub(super) async fn get(&self) -> Result<Token, Fault> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((token, _)) = kept.filter(|(_, until)| clock::now() < *until) {
            return Ok(token);
        }
        let request = match &self.source {
            Source::Metadata(url) => metadata_request(url),
            Source::Key(path) => key_request(&key_file(path).await?)?,
        };
        let answer = self.web.send(request, MAX_ANSWER, CALL).await;
        let answer = answer.map_err(|e| Fault::passing(&format!("get a token: {e}")))?;
        let Granted { access_token, expires_in } = decode(&granted(&answer)?.body)?;
        let token = Arc::new(access_token);
        // However long it claims to be good, it is asked for again within the hour.
        let life = Duration::from_secs(expires_in.min(3600)).saturating_sub(MARGIN);
        let until = clock::now() + life;
        let kept = Some((Arc::clone(&token), until));
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        Ok(token)
    }

    /// It was refused.
    pub(super) fn forget(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn metadata_request(url: &Url) -> Request {
    let path = "/computeMetadata/v1/instance/service-accounts/default/token";
    let flavor = HeaderName::from_static("metadata-flavor");
    Request {
        method: Method::GET,
        url: url.join(path),
        headers: vec![(flavor, HeaderValue::from_static("Google"))],
        body: Bytes::new(),
    }
}

/// The file as it is now, so that a key can be changed without a reload.
async fn key_file(path: &Path) -> Result<KeyFile, Fault> {
    let mut text = Zeroizing::new(String::new());
    let read =
        async { tokio::fs::File::open(path).await?.take(MAX_FILE).read_to_string(&mut text).await };
    read.await.map_err(|e| Fault::refused(&format!("read the service account's key: {e}")))?;
    // Without the parser's words, as they quote the file.
    serde_json::from_str(&text)
        .map_err(|_| Fault::refused("the key file of the service account is not one"))
}

/// A claim that is signed with the account's key (RFC 7523).
fn key_request(key: &KeyFile) -> Result<Request, Fault> {
    let url: Url = key
        .token_uri
        .parse()
        .map_err(|e| Fault::refused(&format!("token_uri of the service account's key: {e}")))?;
    let now = clock::unix_seconds();
    let head = json!({ "alg": "RS256", "typ": "JWT", "kid": key.private_key_id });
    let claim = json!({
        "iss": key.client_email,
        "scope": SCOPE,
        "aud": key.token_uri,
        "iat": now,
        "exp": now + CLAIM,
    });
    let encode =
        |json: serde_json::Value| Base64UrlUnpadded::encode_string(json.to_string().as_bytes());
    let signed = format!("{}.{}", encode(head), encode(claim));
    let unusable = || Fault::refused("the private key of the service account cannot be used");
    let der = PrivatePkcs8KeyDer::from_pem_slice(key.private_key.as_bytes());
    let pair = RsaKeyPair::from_pkcs8(der.map_err(|_| unusable())?.secret_pkcs8_der());
    let pair = pair.map_err(|_| unusable())?;
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| unusable())?;
    let signature = Base64UrlUnpadded::encode_string(&signature);
    let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    Ok(Request {
        method: Method::POST,
        url,
        headers: vec![(CONTENT_TYPE, form)],
        body: format!("grant_type={grant}&assertion={signed}.{signature}").into(),
    })
}
