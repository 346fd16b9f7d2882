//! A connection between its acceptance and its client's first word. It takes a small task and no
//! buffer: our KEXINIT and all else that a key exchange needs is made when somebody is there for it.

use std::{mem::MaybeUninit, net::SocketAddr, sync::Arc, time::Duration};

use socket2::SockRef;
use tokio::{net::TcpStream, time::sleep};

use super::{
    Shared,
    accept::{Admitted, Job},
    lobby::Lobby,
    session::IDENT,
};

/// A connection whose client has not said a word yet.
pub(super) struct Silent {
    /// Its task waits at the same one.
    pub(super) stream: Arc<TcpStream>,
    pub(super) admitted: Admitted,
}

impl Silent {
    /// Whether a word is there that nobody has read yet.
    pub(super) fn has_spoken(&self) -> bool {
        let word = &mut [MaybeUninit::uninit()];
        matches!(SockRef::from(&*self.stream).peek(word), Ok(1..))
    }

    /// Ends it, so that another one may come. Its task finds out.
    pub(super) fn make_room(self) {
        reset(&self.stream);
        // A socket that is closed already needs no end.
        let _ = SockRef::from(&*self.stream).shutdown(std::net::Shutdown::Both);
        self.admitted.knock.make_room();
    }
}

/// Says who we are, which some clients wait for.
pub(super) fn greet(stream: &TcpStream) {
    // A new socket takes a line at once, or is closed already: whoever reads finds out.
    let _ = SockRef::from(stream).send(format!("{IDENT}\r\n").as_bytes());
}

/// Waits for the first word of `number` in the lobby; what there is to serve then, or at the end of
/// its `grace`, or when everybody is told to go. `None`: it had to make room, or is dropped.
pub(super) async fn first_word(
    shared: &Shared,
    lobby: &Lobby<Silent>,
    (number, stream): (u64, Arc<TcpStream>),
    (peer, grace): (SocketAddr, Duration),
) -> Option<Job> {
    let mut word = [0];
    let has_spoken = tokio::select! {
        biased;
        // An end and an error are for whoever reads. What merely may be readable is not enough: a
        // new socket may.
        heard = stream.peek(&mut word) => matches!(heard, Ok(1..)),
        _ = shared.registry.farewell() => false,
        () = sleep(grace) => false,
    };
    let Silent { stream: in_lobby, mut admitted } = lobby.leave(number)?;
    drop(in_lobby);
    if !admitted.knock.is_served(has_spoken) {
        reset(&stream);
        return None;
    }
    let stream = Arc::into_inner(stream)?.into_std().ok()?;
    Some(Job { stream, peer, admitted })
}

/// Lets a connection end without a goodbye, of which the kernel would remember something.
pub(super) fn reset(stream: &TcpStream) {
    // Otherwise it ends in the ordinary way.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
