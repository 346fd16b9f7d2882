//! The SSH events of one connection: what is accepted, what is refused, in the connection's order.
//!
//! Nothing here waits: a callback that waits stops every channel of its connection. Sessions and
//! forwards run as tasks of the connection.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use russh::{
    Channel, ChannelId, ChannelOpenFailure, Pty, Sig,
    server::{Auth, ChannelOpenHandle, Handler, Msg, Session},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Leave, Presence, Services, Stream, Visit, forward,
    jump::resolve,
    session::{self, Slot},
};

/// Sessions that a connection may have open at once.
const MAX_SESSIONS: usize = 32;

/// Jumps that a connection may have open at once; each may hold `forward::SPILL` bytes.
const MAX_FORWARDS: usize = 64;

/// Channels that a connection may open in its life: russh keeps about 5 KB for each that it closed
/// itself until the connection ends.
const MAX_CHANNELS: usize = 4096;

/// How long opening a container's port may take: whoever opens it waits for its host for an hour at
/// most, and gives up by itself.
const OPEN: Duration = Duration::from_secs(3660);

/// RFC 4254, section 5.1: `SSH_OPEN_ADMINISTRATIVELY_PROHIBITED`, `SSH_OPEN_CONNECT_FAILED` and
/// `SSH_OPEN_RESOURCE_SHORTAGE`.
const PROHIBITED: u32 = 1;
const CONNECT_FAILED: u32 = 2;
const SHORTAGE: u32 = 4;

/// One visitor's connection.
pub(super) struct Visitor {
    services: Arc<Services>,
    visit: Arc<Visit>,
    tracker: TaskTracker,
    stop: CancellationToken,
    leave: Leave,
    presence: watch::Sender<Presence>,
    sessions: HashMap<ChannelId, Weak<Slot>>,
    forwards: Arc<Semaphore>,
    channels: usize,
}

impl Visitor {
    /// A visitor, whose tasks run on `tracker` until `stop`, its sessions until `leave`, and what its
    /// owner may watch.
    pub(super) fn new(
        services: Arc<Services>,
        visit: Visit,
        (tracker, stop, leave): (TaskTracker, CancellationToken, Leave),
    ) -> (Self, watch::Receiver<Presence>) {
        let (presence, watched) = watch::channel(Presence::default());
        let visitor = Self {
            services,
            visit: Arc::new(visit),
            tracker,
            stop,
            leave,
            presence,
            sessions: HashMap::new(),
            forwards: Arc::new(Semaphore::new(MAX_FORWARDS)),
            channels: 0,
        };
        (visitor, watched)
    }

    /// Runs a task that ends with the connection.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tracker.spawn(async move { stop.run_until_cancelled(task).await });
    }

    /// Counts one more channel; `false`: the connection had its share.
    fn count_channel(&mut self) -> bool {
        self.channels += 1;
        self.channels <= MAX_CHANNELS
    }

    fn slot(&self, channel: ChannelId) -> Option<Arc<Slot>> {
        self.sessions.get(&channel).and_then(Weak::upgrade)
    }

    /// Replies to the request that a session runs: there is one a session.
    fn reply_start(&self, channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        let starts = self.slot(channel).is_some_and(|slot| slot.start());
        reply(starts, channel, session)
    }

    /// What a jump needs before its port is opened, or why there is none.
    fn admit_forward(
        &mut self,
        host: &str,
        port: u32,
    ) -> Result<(OwnedSemaphorePermit, Opening), ChannelOpenFailure> {
        let shortage = || refusal(SHORTAGE, "too many forwards on this connection");
        let inventory = Arc::clone(&self.services.environment.inventory.borrow());
        let container = resolve(host, &self.visit, &inventory)
            .map_err(|e| refusal(PROHIBITED, e.to_string()))?;
        let port = u16::try_from(port).ok().filter(|port| *port > 0);
        let port = port.ok_or_else(|| refusal(PROHIBITED, "no such port"))?;
        if !self.count_channel() {
            return Err(shortage());
        }
        let permit = Arc::clone(&self.forwards).try_acquire_owned().map_err(|_| shortage())?;
        let opening = (self.services.open_port)(container, port);
        Ok((permit, opening))
    }
}

type Opening = futures_util::future::BoxFuture<'static, Result<Stream, String>>;

impl Handler for Visitor {
    type Error = russh::Error;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_succeeded(&mut self, _session: &mut Session) -> Result<(), Self::Error> {
        self.presence.send_modify(|p| p.entered = true);
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.sessions.retain(|_, slot| slot.strong_count() > 0);
        if self.sessions.len() >= MAX_SESSIONS || !self.count_channel() {
            reply.reject(refusal(SHORTAGE, "too many sessions on this connection")).await;
            return Ok(());
        }
        let slot = Arc::new(Slot::default());
        self.sessions.insert(channel.id(), Arc::downgrade(&slot));
        self.presence.send_modify(|p| p.sessions += 1);
        let (services, visit) = (Arc::clone(&self.services), Arc::clone(&self.visit));
        let (leave, ended) = (self.leave.clone(), self.leave.session());
        self.spawn(async move {
            Box::pin(session::run(channel, services, visit, leave)).await;
            drop((slot, ended));
        });
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.admit_forward(host, port) {
            Ok((permit, opening)) => self.spawn(async move {
                match timeout(OPEN, opening).await {
                    Ok(Ok(stream)) => {
                        reply.accept().await;
                        forward::copy(channel, stream).await;
                    }
                    Ok(Err(reason)) => reply.reject(refusal(CONNECT_FAILED, reason)).await,
                    Err(_) => reply.reject(refusal(CONNECT_FAILED, "no answer in time")).await,
                }
                drop(permit);
            }),
            Err(refusal) => reply.reject(refusal).await,
        }
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let reason = match &*self.visit {
            Visit::Apology { sentence, .. } => sentence.clone(),
            Visit::Console(..) | Visit::Choice { .. } => {
                "unix sockets are reached through a container's own login".to_owned()
            }
        };
        reply.reject(refusal(PROHIBITED, reason)).await;
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let early = self.slot(channel).is_some_and(|slot| !slot.is_started());
        reply(early, channel, session)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        _value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        // They are for the container that will be chosen.
        let chooses = matches!(&*self.visit, Visit::Choice { .. });
        reply(chooses, channel, session)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.reply_start(channel, session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _line: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.reply_start(channel, session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if session::has_subsystems(&self.visit) {
            self.reply_start(channel, session)
        } else {
            session.channel_failure(channel)
        }
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        _signal: Sig,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }
}

fn reply(success: bool, channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
    if success { session.channel_success(channel) } else { session.channel_failure(channel) }
}

fn refusal(code: u32, reason: impl Into<String>) -> ChannelOpenFailure {
    ChannelOpenFailure::Other { code, reason: reason.into() }
}
