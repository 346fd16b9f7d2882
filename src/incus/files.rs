//! Files inside instances, running or not. Reads, and removes what must not stay.

use std::time::Duration;

use hyper::{HeaderMap, Method, StatusCode};
use tokio::time::sleep;

use super::{
    Client, IncusError,
    api::Envelope,
    client::{CALL_DEADLINE, escape, failed},
    http::Answer,
};

/// Longest list of names, in bytes.
const MAX_NAMES: usize = 256 * 1024;
/// Symbolic links that are followed from one to the next: people lay one.
const MAX_LINKS: usize = 8;
/// For the first look into an instance that does not run: Incus mounts it and starts a server for
/// its files, which takes a busy host with twenty creations at once over 10 s.
const FIRST_DEADLINE: Duration = Duration::from_secs(30);

/// How often a file is asked for while Incus is between two of its file servers. An instance's ends
/// when the instance starts, or 15 s after its last use; it may take the socket of one that begins in
/// that moment with it, another instance's too. Nobody reaches that one until it ends in the same way,
/// and whoever asks meanwhile makes the next share its fate (6.0.4). So the pause is longer than that.
const TRIES: usize = 4;
const PAUSE: Duration = Duration::from_secs(20);

/// A regular file inside an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What is in it.
    pub contents: Vec<u8>,
    /// The owner's number inside.
    pub uid: u32,
    /// Permission bits.
    pub mode: u32,
}

impl Client {
    /// Reads a regular file of at most `limit` bytes inside an instance. `None`: there is none,
    /// or it is something else.
    ///
    /// # Errors
    /// [`IncusError::TooLarge`] when it is larger; else as [`IncusError`] tells.
    pub async fn read_file(
        &self,
        instance: &str,
        path: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, IncusError> {
        Ok(self.file(instance, path, limit).await?.map(|f| f.contents))
    }

    /// [`Self::read_file`] with the file's owner and mode.
    ///
    /// # Errors
    /// As [`Self::read_file`].
    pub async fn file(
        &self,
        instance: &str,
        path: &str,
        limit: usize,
    ) -> Result<Option<File>, IncusError> {
        let url = url(instance, path);
        let Some(answer) = self.ask_file(Method::GET, &url, limit, CALL_DEADLINE).await? else {
            return Ok(None);
        };
        if header(&answer.headers, "x-incus-type") != Some("file") {
            return Ok(None);
        }
        let (uid, mode) = owner(&answer.headers);
        Ok(Some(File { contents: answer.body.to_vec(), uid, mode }))
    }

    /// [`Self::read_file`], also where `path` is a symbolic link to it.
    ///
    /// # Errors
    /// As [`Self::read_file`].
    pub async fn read_file_behind(
        &self,
        instance: &str,
        path: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, IncusError> {
        let mut at = path.to_owned();
        for _ in 0..=MAX_LINKS {
            let url = url(instance, &at);
            let asked = self.ask_file(Method::GET, &url, limit, CALL_DEADLINE).await?;
            let Some(answer) = asked else { return Ok(None) };
            match header(&answer.headers, "x-incus-type") {
                Some("file") => return Ok(Some(answer.body.to_vec())),
                Some("symlink") => at = target(&at, &answer.body),
                Some(_) | None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The names in a directory inside an instance; none if there is no such directory.
    ///
    /// # Errors
    /// As [`IncusError`] tells.
    pub async fn names_in(&self, instance: &str, path: &str) -> Result<Vec<String>, IncusError> {
        let url = url(instance, path);
        let answer = self.ask_file(Method::GET, &url, MAX_NAMES, FIRST_DEADLINE).await?;
        match answer.filter(|a| header(&a.headers, "x-incus-type") == Some("directory")) {
            Some(answer) => Envelope::open(&url, &answer.body)?.metadata(&url),
            None => Ok(Vec::new()),
        }
    }

    /// Removes a file inside an instance. That it is gone already is no error.
    ///
    /// # Errors
    /// As [`IncusError`] tells.
    pub async fn remove_file(&self, instance: &str, path: &str) -> Result<(), IncusError> {
        let url = url(instance, path);
        self.ask_file(Method::DELETE, &url, MAX_NAMES, FIRST_DEADLINE).await.map(drop)
    }

    /// Owner and permission bits of a file or directory inside an instance; `None`: there is none.
    ///
    /// # Errors
    /// As [`IncusError`] tells.
    pub async fn owner(
        &self,
        instance: &str,
        path: &str,
    ) -> Result<Option<(u32, u32)>, IncusError> {
        let url = url(instance, path);
        let answer = self.ask_file(Method::HEAD, &url, MAX_NAMES, CALL_DEADLINE).await?;
        Ok(answer.map(|answer| owner(&answer.headers)))
    }

    /// Asks for a file; `None`: there is none.
    async fn ask_file(
        &self,
        mut method: Method,
        url: &str,
        limit: usize,
        deadline: Duration,
    ) -> Result<Option<Answer>, IncusError> {
        let mut left = TRIES;
        loop {
            left -= 1;
            let answer = self.send(method.clone(), url, None, limit, deadline).await?;
            if answer.status.is_success() {
                return Ok(Some(answer));
            }
            let error = failed(url, &answer);
            if error.is_not_found() {
                return Ok(None);
            }
            // The answer to HEAD has no words; GET tells as much and why not.
            if method == Method::HEAD && answer.status == StatusCode::INTERNAL_SERVER_ERROR {
                method = Method::GET;
                continue;
            }
            if left == 0 || !error.is_between_file_servers() {
                return Err(error);
            }
            sleep(PAUSE).await;
        }
    }
}

fn url(instance: &str, path: &str) -> String {
    format!("/1.0/instances/{}/files?path={}", escape(instance), escape(path))
}

/// Where the symbolic link at `path` leads.
fn target(path: &str, link: &[u8]) -> String {
    let link = String::from_utf8_lossy(link);
    let link = link.trim_end_matches(['\n', '\0']);
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    if link.starts_with('/') { link.to_owned() } else { format!("{folder}/{link}") }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

/// Owner and mode of a file. Where they are not told, nothing may be concluded from it: as if it
/// were nobody's and open to all.
fn owner(headers: &HeaderMap) -> (u32, u32) {
    let uid = header(headers, "x-incus-uid").and_then(|u| u.parse().ok());
    let mode = header(headers, "x-incus-mode").and_then(|m| u32::from_str_radix(m, 8).ok());
    (uid.unwrap_or(u32::MAX), mode.unwrap_or(0o777))
}
