//! Files and commands inside a container, over both ways.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use containarium::incus::IncusError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

use crate::lab::in_lab;

const BULK: usize = 50 * 1024 * 1024;

#[expect(clippy::disallowed_methods, reason = "measures")]
fn clock() -> Instant {
    Instant::now()
}

fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|i| u8::try_from((i * 31 + i / 256) % 251).unwrap()).collect()
}

#[test]
fn a_command_is_a_byte_stream() {
    in_lab(async |lab| {
        let guest = lab.launch(0, "fexec");
        let env = BTreeMap::new();
        for (way, client) in lab.clients(0) {
            // Both directions at once, at their own pace, until each has ended.
            let started = clock();
            let stream = client.exec(&guest.instance, &["cat"], &env).await.unwrap();
            println!("{way}: attached after {:?}", started.elapsed());
            let (mut output, mut input) = tokio::io::split(stream);
            let sent = pattern(BULK);
            let bulk = sent.clone();
            let write = async move {
                input.write_all(&bulk).await.unwrap();
                input.shutdown().await.unwrap();
                input
            };
            let read = async {
                let mut got = Vec::with_capacity(BULK);
                output.read_to_end(&mut got).await.unwrap();
                got
            };
            let both = async { tokio::join!(write, read) };
            let (_input, got) = timeout(Duration::from_secs(60), both).await.expect("stuck");
            println!("{way}: 50 MiB through cat in {:?}", started.elapsed());
            assert!(got == sent, "{way}: {} bytes", got.len());

            // Its end is ours, what it says on standard error is not ours.
            let argv = ["sh", "-c", "echo out; echo err >&2; exit 3"];
            let mut stream = client.exec(&guest.instance, &argv, &env).await.unwrap();
            let mut got = String::new();
            timeout(Duration::from_secs(5), stream.read_to_string(&mut got))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(got, "out\n", "{way}");

            // Dropping it kills it.
            let stream = client.exec(&guest.instance, &["sleep", "4711"], &env).await.unwrap();
            drop(stream);
            sleep(Duration::from_millis(500)).await;
            guest.sh("! grep -aqs 'sleep.471[1]' /proc/*/cmdline");

            // Incus looks for the command when all is attached: one that is not there says nothing.
            let mut stream = client.exec(&guest.instance, &["/nonexistent"], &env).await.unwrap();
            let mut got = Vec::new();
            timeout(Duration::from_secs(5), stream.read_to_end(&mut got)).await.unwrap().unwrap();
            assert!(got.is_empty(), "{way}");
            let nobody = client.exec("nope-container", &["true"], &env).await;
            assert!(matches!(nobody, Err(IncusError::Api { code: 404, .. })), "{way}");
        }
    });
}

/// Over the local socket alone: on a control connection nobody may stop reading.
#[test]
fn a_reader_that_stops_stops_the_command() {
    in_lab(async |lab| {
        let guest = lab.launch(0, "fslow");
        let [(_, client), ..] = lab.clients(0);
        let script =
            "i=0; while :; do head -c 65536 /dev/zero; i=$((i+1)); echo $i >/root/count; done";
        let argv = ["sh", "-c", script];
        let mut stream = client.exec(&guest.instance, &argv, &BTreeMap::new()).await.unwrap();
        sleep(Duration::from_secs(3)).await;
        let count = || client.read_file(&guest.instance, "/root/count", 64);
        let before = count().await.unwrap();
        // Past a ping, too.
        sleep(Duration::from_secs(12)).await;
        let after = count().await.unwrap();
        let blocks = String::from_utf8(after.clone().unwrap()).unwrap();
        println!("stopped after {} blocks of 64 KiB", blocks.trim());
        assert_eq!(before, after);
        assert!(blocks.trim().parse::<u32>().unwrap() < 64, "{blocks}");
        let mut some = vec![0; 32 << 20];
        timeout(Duration::from_secs(20), stream.read_exact(&mut some)).await.unwrap().unwrap();
    });
}

#[test]
fn sshd_greets_without_any_network() {
    in_lab(async |lab| {
        let guest = lab.launch(0, "fsshd");
        guest.sh("for i in $(seq 50); do test -s /etc/ssh/ssh_host_ed25519_key && exit; sleep .1; done; ssh-keygen -A");
        let argv = ["/bin/sh", "-c", "mkdir -p /run/sshd; exec /usr/sbin/sshd -i"];
        for (way, client) in lab.clients(0) {
            let started = clock();
            let mut stream = client.exec(&guest.instance, &argv, &BTreeMap::new()).await.unwrap();
            let mut banner = [0; 8];
            timeout(Duration::from_secs(5), stream.read_exact(&mut banner)).await.unwrap().unwrap();
            println!("{way}: banner after {:?}", started.elapsed());
            assert_eq!(&banner, b"SSH-2.0-");
        }
    });
}

#[test]
fn files_are_read_within_limits() {
    in_lab(async |lab| {
        let guest = lab.launch(0, "ffile");
        guest.sh("echo hi >'/root/a b'; chmod 640 '/root/a b'; chown 7 '/root/a b'; ln -s /etc/passwd /root/link");
        for (way, client) in lab.clients(0) {
            let file = client.file(&guest.instance, "/root/a b", 100).await.unwrap().unwrap();
            assert_eq!((file.contents.as_slice(), file.uid, file.mode), (&b"hi\n"[..], 7, 0o640));
            assert_eq!(
                client.owner(&guest.instance, "/root").await.unwrap(),
                Some((0, 0o700)),
                "{way}"
            );
            for absent in ["/root", "/nope/x", "/root/link"] {
                let read = client.read_file(&guest.instance, absent, 10_000).await.unwrap();
                assert_eq!(read, None, "{way}: {absent}");
            }
            let large = client.read_file(&guest.instance, "/etc/passwd", 10).await;
            assert!(matches!(large, Err(IncusError::TooLarge { limit: 10, .. })), "{way}");
            let nobody = client.instance("nope-container").await.unwrap_err();
            assert!(nobody.is_not_found(), "{nobody}");
        }
    });
}
