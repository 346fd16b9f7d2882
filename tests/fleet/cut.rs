//! A cable between the fleet and a backend's sshd that can be cut.

use std::sync::Arc;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

pub(crate) struct Cable {
    pub(crate) address: String,
    plugged: Arc<watch::Sender<bool>>,
    _tasks: JoinSet<()>,
}

impl Cable {
    pub(crate) async fn to(sshd: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let plugged = Arc::new(watch::Sender::new(true));
        let mut tasks = JoinSet::new();
        tasks.spawn(carry(listener, sshd, Arc::clone(&plugged)));
        Self { address, plugged, _tasks: tasks }
    }

    pub(crate) fn plug(&self, plugged: bool) {
        self.plugged.send_replace(plugged);
    }
}

async fn carry(listener: TcpListener, sshd: String, plugged: Arc<watch::Sender<bool>>) {
    let mut connections = JoinSet::new();
    let mut changed = plugged.subscribe();
    loop {
        tokio::select! {
            accepted = listener.accept() => if *plugged.borrow() {
                let (mut near, _) = accepted.unwrap();
                let mut far = TcpStream::connect(&sshd).await.unwrap();
                connections.spawn(async move {
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                });
            },
            _ = changed.changed() => if !*changed.borrow_and_update() {
                connections.abort_all();
            },
        }
    }
}
