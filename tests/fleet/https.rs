//! A backend by HTTPS: pinned, trusted by token, and the same as any other then.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use containarium::{
    fleet::Identity,
    model::{
        fingerprint::Fingerprint,
        inventory::{Inventory, Presence},
    },
    store::keys::ClientCertificate,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::{
    inventory::{follow, is_up},
    lab::{Lab, Running, in_lab},
};

fn identity(lab: &Lab) -> Identity {
    let tls = Arc::new(ClientCertificate::generate().unwrap());
    Identity { ssh: lab.key(), tls }
}

fn away(inventory: &Inventory) -> Option<&str> {
    match &inventory.backends[0].presence {
        Presence::Away { reason, .. } => Some(reason),
        Presence::Up { .. } | Presence::Unknown => None,
    }
}

#[test]
fn a_token_makes_it_trust_us_and_it_is_followed() {
    in_lab(async |lab| {
        let token = lab.token(0, "followed");
        let backend = lab.https(0, token.fingerprint);
        let identity = identity(&lab);
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let running = Running::start_as(identity.clone(), std::slice::from_ref(&backend), folder);
        let untrusted = running.until("away", 10, |i| away(i).is_some()).await;
        let told = away(&untrusted).unwrap();
        assert_eq!(told, "its Incus does not trust the sentinel (keys/client.crt)");

        let client = running.fleet.try_out(&backend);
        client.be_trusted(&token).await.unwrap();
        client.be_trusted(&token).await.unwrap();
        running.fleet.retry(&backend.name);
        running.until("up", 10, is_up).await;
        follow(&lab, running, &backend, "fhttps").await;
        let guest = lab.launch(0, "fhttpsx");
        let mut stream = client.exec(&guest.instance, &["cat"], &BTreeMap::new()).await.unwrap();
        let sent = vec![b'x'; 100_000];
        stream.write_all(&sent).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut got = Vec::new();
        timeout(Duration::from_secs(10), stream.read_to_end(&mut got)).await.unwrap().unwrap();
        assert_eq!(got, sent);
        drop(stream);
        lab.distrust(0, &identity.tls);
        let stranger = client.be_trusted(&token).await.unwrap_err();
        assert!(stranger.to_string().starts_with("incus: "), "{stranger}");
    });
}

#[test]
fn another_certificate_is_refused_in_a_clear_sentence() {
    in_lab(async |lab| {
        let found = lab.token(1, "pinned").fingerprint;
        let pinned = Fingerprint::new([7; 32]);
        let backend = lab.https(1, pinned);
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let running = Running::start_as(identity(&lab), &[backend], folder);
        let inventory = running.until("away", 10, |i| away(i).is_some()).await;
        let told = away(&inventory).unwrap();
        let sentence =
            format!("shows certificate {found}, but {pinned} is pinned: refusing to talk to it");
        assert!(told.ends_with(&sentence), "{told}");
    });
}
