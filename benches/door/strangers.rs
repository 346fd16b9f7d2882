//! Clients that come in crowds, each connection from an address of its choice: the programs that the
//! loads run on the client's host.

use std::{
    io::{self, Read},
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use russh::{
    client,
    keys::{PrivateKey, PrivateKeyWithHashAlg, load_secret_key},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::watch,
    task::{JoinSet, yield_now},
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::idle::AnyKey;

/// The arguments that make this program one of the clients.
pub const CROWD: &str = "come-in-a-crowd";
pub const LOG_IN: &str = "log-in-from";
pub const STALL: &str = "stall";

/// What takes longer has failed.
const LIMIT: Duration = Duration::from_secs(10);

/// `ADDRESS` or `ADDRESS+COUNT`: addresses in a row, taken in turns.
#[derive(Clone, Copy)]
struct Sources {
    first: u32,
    count: u32,
}

impl Sources {
    fn parse(text: &str) -> Self {
        let (first, count) = text.split_once('+').unwrap_or((text, "1"));
        let first: Ipv4Addr = first.parse().unwrap();
        Self { first: first.to_bits(), count: count.parse().unwrap() }
    }

    async fn connect(self, number: u32, door: SocketAddr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        let source = Ipv4Addr::from_bits(self.first + number % self.count);
        socket.bind((source, 0).into())?;
        timeout(LIMIT, socket.connect(door)).await?
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// How one of a crowd fared.
enum Fate {
    /// Ended without a word after so long.
    Dropped(Duration),
    /// Greeted after so long.
    Greeted(Duration),
    /// There was no connection.
    None,
}

/// Connects so often, so many a second, never speaks, and stays until standard input ends; says `come`
/// when all have, and last how they fared: dropped, greeted, most held at once, none; then p99 in ms
/// of those dropped and of those greeted.
pub fn crowd(arguments: &[String]) {
    let [door, sources, count, rate] = arguments else { panic!("{CROWD} DOOR SOURCES COUNT RATE") };
    let (door, sources) = (door.parse().unwrap(), Sources::parse(sources));
    let (count, rate): (u32, u32) = (count.parse().unwrap(), rate.parse().unwrap());
    let (end, ended) = watch::channel(false);
    std::thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        end.send_replace(true);
    });
    let (held, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let fates = run(async {
        let (start, mut all) = (Instant::now(), JoinSet::new());
        for number in 0..count {
            sleep_until(start + Duration::from_secs(1) * number / rate).await;
            let (held, most, ended) = (Arc::clone(&held), Arc::clone(&most), ended.clone());
            all.spawn(stranger(door, sources, number, (held, most), ended));
        }
        println!("come");
        all.join_all().await
    });
    let (mut dropped, mut greeted, mut none) = (Vec::new(), Vec::new(), 0);
    for fate in fates {
        match fate {
            Fate::Dropped(after) => dropped.push(after.as_secs_f64() * 1e3),
            Fate::Greeted(after) => greeted.push(after.as_secs_f64() * 1e3),
            Fate::None => none += 1,
        }
    }
    let p99 = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times.get((times.len() * 99).div_ceil(100).max(1) - 1).copied().unwrap_or(0.0)
    };
    println!("{} {} {} {none}", dropped.len(), greeted.len(), most.load(Ordering::Relaxed));
    println!("{:.2} {:.2}", p99(&mut dropped), p99(&mut greeted));
}

async fn stranger(
    door: SocketAddr,
    sources: Sources,
    number: u32,
    (held, most): (Arc<AtomicUsize>, Arc<AtomicUsize>),
    mut ended: watch::Receiver<bool>,
) -> Fate {
    let start = Instant::now();
    let mut stream = match sources.connect(number, door).await {
        Ok(stream) => stream,
        // Dropped before we saw that it was accepted.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            return Fate::Dropped(start.elapsed());
        }
        Err(_) => return Fate::None,
    };
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer).await {
        Ok(0) | Err(_) => return Fate::Dropped(start.elapsed()),
        Ok(_) => {}
    }
    let greeted = start.elapsed();
    let mut gone =
        pin!(async { while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {} });
    // Whoever made room for it was told so first: all such ends are seen before it counts as held.
    tokio::select! {
        biased;
        () = &mut gone => return Fate::Greeted(greeted),
        () = yield_now() => {}
    }
    most.fetch_max(held.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
    tokio::select! {
        _ = ended.wait_for(|ended| *ended) => {}
        () = gone => {}
    }
    held.fetch_sub(1, Ordering::Relaxed);
    Fate::Greeted(greeted)
}

/// Logs in so often, one after the other with a pause between them, each in at most so many tries;
/// says of each how many ms the try took that succeeded (`-`: none did) and which one it was.
pub fn log_in(arguments: &[String]) {
    let [door, sources, user, key, count, tries, pause] = arguments else {
        panic!("{LOG_IN} DOOR SOURCES USER KEY COUNT TRIES PAUSE")
    };
    let (door, sources) = (door.parse().unwrap(), Sources::parse(sources));
    let key = Arc::new(load_secret_key(key, None).unwrap());
    let (count, tries): (u32, u32) = (count.parse().unwrap(), tries.parse().unwrap());
    let pause = Duration::from_millis(pause.parse().unwrap());
    run(async {
        for number in 0..count {
            let mut told = format!("- {tries}");
            for n in 1..=tries {
                let start = Instant::now();
                let one = login(door, sources, number, user, &key);
                if let Ok(Ok(())) = timeout(LIMIT, one).await {
                    told = format!("{:.1} {n}", start.elapsed().as_secs_f64() * 1e3);
                    break;
                }
                // As somebody who types the same again.
                sleep(Duration::from_millis(200)).await;
            }
            println!("{told}");
            sleep(pause).await;
        }
    });
}

async fn login(
    door: SocketAddr,
    sources: Sources,
    number: u32,
    user: &str,
    key: &Arc<PrivateKey>,
) -> Result<(), russh::Error> {
    let stream = sources.connect(number, door).await?;
    let mut connection = client::connect_stream(Arc::default(), stream, AnyKey).await?;
    let key = PrivateKeyWithHashAlg::new(Arc::clone(key), None);
    if !connection.authenticate_publickey(user, key).await?.success() {
        return Err(russh::Error::NotAuthenticated);
    }
    connection.channel_open_session().await?;
    Ok(())
}

/// Where a slow client stops.
const STAGES: [&str; 6] =
    ["nothing", "the first line", "KEXINIT", "a byte a second", "new keys", "a refused key"];

/// Opens so many connections for each stage, and goes no further; says `come` when all are there, and
/// of each stage after how many seconds the first and the last of them were cut.
pub fn stall(arguments: &[String]) {
    let [door, source, key, count] = arguments else { panic!("{STALL} DOOR SOURCE KEY COUNT") };
    let (door, source) = (door.parse().unwrap(), Sources::parse(source));
    let count: usize = count.parse().unwrap();
    let key = Arc::new(load_secret_key(key, None).unwrap());
    run(async {
        let mut all = JoinSet::new();
        for number in 0..STAGES.len() * count {
            let stage = number % STAGES.len();
            let key = Arc::clone(&key);
            all.spawn(async move { (stage, slow(door, source, stage, key).await) });
            sleep(Duration::from_millis(2)).await;
        }
        println!("come");
        let cut = all.join_all().await;
        for (stage, name) in STAGES.iter().enumerate() {
            let of = cut.iter().filter(|(s, _)| *s == stage).map(|(_, after)| after.as_secs_f64());
            let (least, most) = of.fold((f64::MAX, 0.0_f64), |(a, b), t| (a.min(t), b.max(t)));
            println!("{least:.2} {most:.2} {name}");
        }
    });
}

/// After how long a client that stops at a stage is cut.
async fn slow(door: SocketAddr, source: Sources, stage: usize, key: Arc<PrivateKey>) -> Duration {
    let mut stream = source.connect(0, door).await.expect("a connection");
    let start = Instant::now();
    if stage >= 4 {
        let connection = client::connect_stream(Arc::default(), stream, AnyKey).await;
        let mut connection = connection.expect("new keys");
        if stage == 5 {
            let key = PrivateKeyWithHashAlg::new(key, None);
            let _ = connection.authenticate_publickey("nobody", key).await;
        }
        while !connection.is_closed() {
            sleep(Duration::from_millis(20)).await;
        }
        return start.elapsed();
    }
    let mut heard = vec![0; 4096];
    let _ = stream.read(&mut heard).await.unwrap();
    let line = b"SSH-2.0-slow\r\n";
    if stage == 1 || stage == 2 {
        let _ = stream.write_all(line).await;
    }
    if stage == 2 {
        // The server's own proposal comes after our first line, and is as good as any.
        let count = stream.read(&mut heard).await.unwrap();
        let _ = stream.write_all(&heard[..count]).await;
    }
    let mut next = line.iter().cycle();
    loop {
        let end = timeout(Duration::from_secs(1), stream.read(&mut heard)).await;
        match end {
            Ok(Ok(0) | Err(_)) => return start.elapsed(),
            Err(_) if stage == 3 => {
                let byte = next.next().copied().filter(|byte| *byte != b'\n').unwrap_or(b'x');
                let _ = stream.write_all(&[byte]).await;
            }
            Ok(Ok(_)) | Err(_) => {}
        }
    }
}
