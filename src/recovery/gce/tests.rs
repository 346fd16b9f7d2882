//! The client, against a server that answers as the documentation of Compute Engine says.

use std::collections::VecDeque;

use base64ct::{Base64UrlUnpadded, Encoding};

use super::*;
use crate::{
    recovery::plan::Outcome,
    web::tests::{Server, answer},
};

/// Answers in order, and then the last again. Tokens are numbered.
fn script(answers: &[(&str, &str, &str)]) -> impl FnMut(&str) -> Vec<u8> + Send + use<> {
    let mut answers: VecDeque<_> =
        answers.iter().map(|(status, headers, body)| answer(status, headers, body)).collect();
    let mut tokens = 0;
    move |request: &str| {
        if request.contains("/service-accounts/default/token") || request.contains("jwt-bearer") {
            tokens += 1;
            let body = format!(
                r#"{{"access_token":"T{tokens}","expires_in":3599,"token_type":"Bearer"}}"#
            );
            return answer("200 OK", "Metadata-Flavor: Google\r\n", &body);
        }
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        next.unwrap_or_default()
    }
}

fn gce(server: &Server, web: Web, credentials: Option<&std::path::Path>) -> Gce {
    let config = config::Gce {
        project: "example.com:p".to_owned(),
        zone: "z-a".to_owned(),
        instance: "spot-1".to_owned(),
        credentials: credentials.map(Into::into),
        endpoint: server.url.clone(),
        metadata: server.url.clone(),
    };
    Gce::new(config, web)
}

fn ok(body: &str) -> (&str, &str, &str) {
    ("200 OK", "", body)
}

async fn looked(answers: &[(&str, &str, &str)]) -> (Result<Instance, Fault>, Vec<String>) {
    let server = Server::start(script(answers)).await;
    let looked = gce(&server, Web::new(), None).look().await;
    (looked, server.asked())
}

#[tokio::test]
async fn every_status_of_an_instance_means_something() {
    for (status, instance) in [
        ("TERMINATED", Instance::Stopped),
        ("SUSPENDED", Instance::Stopped),
        ("RUNNING", Instance::Running),
        ("STOPPING", Instance::Changing),
        ("STAGING", Instance::Changing),
        ("PROVISIONING", Instance::Changing),
        ("REPAIRING", Instance::Changing),
        ("NEW_IN_2031", Instance::Changing),
    ] {
        let (looked, asked) =
            looked(&[("200 OK", "", &format!(r#"{{"status":"{status}"}}"#))]).await;
        assert_eq!(looked, Ok(instance), "{status}");
        assert!(asked[0].contains("\r\nmetadata-flavor: Google\r\n"), "{asked:?}");
        let path =
            "GET /compute/v1/projects/example.com:p/zones/z-a/instances/spot-1?fields=status ";
        assert!(asked[1].starts_with(path) && asked[1].contains("authorization: Bearer T1\r\n"));
    }
}

#[tokio::test]
async fn every_refusal_is_a_sentence_and_says_when_to_come_again() {
    let passing = |seconds| Outcome::Failed(Duration::from_secs(seconds));
    let said =
        r#"{"error":{"code":1,"message":"no\u001b[2J way","errors":[{"reason":"forbidden"}]}}"#;
    let rate = r#"{"error":{"message":"slow down","errors":[{"reason":"rateLimitExceeded"}]}}"#;
    for (status, headers, body, outcome) in [
        ("401 Unauthorized", "", said, Outcome::Refused),
        ("403 Forbidden", "", said, Outcome::Refused),
        ("403 Forbidden", "", rate, passing(0)),
        ("429 Too Many Requests", "Retry-After: 77\r\n", rate, passing(77)),
        ("500 Internal Server Error", "", "<html>", passing(0)),
        ("503 Service Unavailable", "Retry-After: 5\r\n", "", passing(5)),
        ("302 Found", "Location: http://localhost/\r\n", "", passing(0)),
        ("200 OK", "", "T0P-SECRET", passing(0)),
        ("200 OK", "", "{\"status\":7}", passing(0)),
        ("200 OK", "", &"[".repeat(100_000), passing(0)),
        ("200 OK", "", &"x".repeat(2 << 20), passing(0)),
    ] {
        let fault = looked(&[(status, headers, body)]).await.0.unwrap_err();
        assert_eq!(fault.outcome, outcome, "{status}: {fault}");
        let text = fault.to_string();
        assert!(!text.contains('\u{1b}') && !text.contains("SECRET") && text.len() < 500, "{text}");
    }
    assert_eq!(looked(&[("404 Not Found", "", said)]).await.0, Ok(Instance::Missing));
}

#[tokio::test]
async fn a_token_is_kept_and_another_one_taken_when_it_is_refused() {
    let running = ("200 OK", "", r#"{"status":"RUNNING"}"#);
    let server = Server::start(script(&[running, ("401 Unauthorized", "", ""), running])).await;
    let gce = gce(&server, Web::new(), None);
    assert_eq!(gce.look().await, Ok(Instance::Running));
    assert_eq!(gce.look().await, Ok(Instance::Running));
    let asked = server.asked();
    let bearers =
        asked.iter().filter_map(|a| Some(a.split_once("Bearer ")?.1.lines().next()?.to_owned()));
    assert_eq!(bearers.collect::<Vec<_>>(), ["T1", "T1", "T2"]);
    assert_eq!(asked.len(), 5, "two of them for tokens");
}

#[tokio::test]
async fn what_was_begun_is_followed_to_its_end() {
    let operation =
        |status: &str, error: &str| format!(r#"{{"name":"op-1/..?","status":"{status}"{error}}}"#);
    let (begun, done) = (operation("RUNNING", ""), operation("DONE", ""));
    let stockout =
        r#","error":{"errors":[{"code":"ZONE_RESOURCE_POOL_EXHAUSTED","message":"none left"}]}"#;
    let failed = operation("DONE", stockout);
    let server = Server::start(script(&[ok(&begun), ok(&begun), ok(&done)])).await;
    gce(&server, Web::new(), None).act(Step::Start).await.unwrap();
    let asked = server.asked();
    assert!(
        asked[1].starts_with(
            "POST /compute/v1/projects/example.com:p/zones/z-a/instances/spot-1/start "
        )
    );
    assert!(
        asked[2].starts_with("GET /compute/v1/projects/example.com:p/zones/z-a/operations/op-1?")
    );
    assert_eq!(asked.len(), 4);

    let server = Server::start(script(&[ok(&failed)])).await;
    let fault = gce(&server, Web::new(), None).act(Step::Reset).await.unwrap_err();
    assert_eq!(fault.to_string(), "ZONE_RESOURCE_POOL_EXHAUSTED: none left");
    assert!(server.asked()[1].contains("/spot-1/reset "));

    let suspended = ("200 OK", "", r#"{"status":"SUSPENDED"}"#);
    let server = Server::start(script(&[suspended, ("409 Conflict", "", "{}")])).await;
    let gce = gce(&server, Web::new(), None);
    assert_eq!(gce.look().await, Ok(Instance::Stopped));
    gce.act(Step::Start).await.unwrap();
    assert!(server.asked()[2].contains("/spot-1/resume "), "what sleeps is woken");
}

#[tokio::test]
async fn a_service_account_signs_for_its_token_over_tls() {
    let running = ("200 OK", "", r#"{"status":"RUNNING"}"#);
    let (server, web) = Server::secure(script(&[running])).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.json");
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der =
        aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let body = base64ct::Base64::encode_string(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    let file = serde_json::json!({
        "type": "service_account", "client_email": "s@p.example", "private_key": pem,
        "private_key_id": "k1", "token_uri": server.url.join("/token").to_string() + "/token",
    });
    std::fs::write(&path, file.to_string()).unwrap();
    assert_eq!(gce(&server, web.clone(), Some(&path)).look().await, Ok(Instance::Running));
    let asked = server.asked().remove(0);
    assert!(asked.starts_with("POST /token HTTP/1.1\r\n"), "{asked}");
    let assertion = asked.split_once("&assertion=").unwrap().1;
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let signature = Base64UrlUnpadded::decode_vec(signature).unwrap();
    let public = aws_lc_rs::signature::KeyPair::public_key(&pair);
    let verifier = aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256,
        public.as_ref(),
    );
    verifier.verify(signed.as_bytes(), &signature).unwrap();
    let claim = Base64UrlUnpadded::decode_vec(signed.split_once('.').unwrap().1).unwrap();
    let claim: serde_json::Value = serde_json::from_slice(&claim).unwrap();
    assert_eq!((&claim["iss"], &claim["aud"]), (&"s@p.example".into(), &file["token_uri"]));
    let life = claim["exp"].as_u64().unwrap() - claim["iat"].as_u64().unwrap();
    assert_eq!(life, 3600);

    std::fs::write(
        &path,
        r#"{"client_email":"s","private_key":"T0P-SECRET","token_uri":"https://localhost"}"#,
    )
    .unwrap();
    let fault = gce(&server, web, Some(&path)).look().await.unwrap_err();
    assert_eq!(fault.to_string(), "the private key of the service account cannot be used");
    assert_eq!(fault.outcome, Outcome::Refused);
}

#[tokio::test]
async fn nobody_there_is_a_fault_that_passes() {
    let server = Server::start(|_| Vec::new()).await;
    let mut gone = gce(&server, Web::new(), None);
    let fault = gone.look().await.unwrap_err();
    assert_eq!(fault.outcome, Outcome::Failed(Duration::ZERO));
    gone.config.endpoint = "http://127.0.0.1:1".parse().unwrap();
    gone.config.metadata = gone.config.endpoint.clone();
    gone.tokens = Tokens::new(&gone.config, Web::new());
    let fault = gone.look().await.unwrap_err().to_string();
    assert!(fault.starts_with("get a token: connect to 127.0.0.1:1: "), "{fault}");
}
