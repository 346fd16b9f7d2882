//! Files inside instances, running or not. Reads, and removes what must not stay.

use std::time::Duration;

use hyper::{HeaderMap, Method};

use super::{
    Client, IncusError,
    api::Envelope,
    client::{CALL_DEADLINE, escape, failed},
};

/// Longest list of names, in bytes.
const MAX_NAMES: usize = 256 * 1024;
/// For the first look into an instance that does not run: Incus mounts it.
const FIRST_DEADLINE: Duration = Duration::from_secs(10);

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
        let path = format!("/1.0/instances/{}/files?path={}", escape(instance), escape(path));
        let answer = self.send(Method::GET, &path, None, limit, CALL_DEADLINE).await?;
        if !answer.status.is_success() {
            let error = failed(&path, &answer);
            return if error.is_not_found() { Ok(None) } else { Err(error) };
        }
        if header(&answer.headers, "x-incus-type") != Some("file") {
            return Ok(None);
        }
        let (uid, mode) = owner(&answer.headers);
        Ok(Some(File { contents: answer.body.to_vec(), uid, mode }))
    }

    /// The names in a directory inside an instance; none if there is no such directory.
    ///
    /// # Errors
    /// As [`IncusError`] tells; nothing is retried.
    pub async fn names_in(&self, instance: &str, path: &str) -> Result<Vec<String>, IncusError> {
        let path = format!("/1.0/instances/{}/files?path={}", escape(instance), escape(path));
        let answer = self.send(Method::GET, &path, None, MAX_NAMES, FIRST_DEADLINE).await?;
        if !answer.status.is_success() {
            let error = failed(&path, &answer);
            return if error.is_not_found() { Ok(Vec::new()) } else { Err(error) };
        }
        if header(&answer.headers, "x-incus-type") != Some("directory") {
            return Ok(Vec::new());
        }
        Envelope::open(&path, &answer.body)?.metadata(&path)
    }

    /// Removes a file inside an instance. That it is gone already is no error.
    ///
    /// # Errors
    /// As [`IncusError`] tells; nothing is retried.
    pub async fn remove_file(&self, instance: &str, path: &str) -> Result<(), IncusError> {
        let path = format!("/1.0/instances/{}/files?path={}", escape(instance), escape(path));
        match self.call(Method::DELETE, &path, None).await {
            Err(error) if !error.is_not_found() => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Owner and permission bits of a file or directory inside an instance; `None`: there is none.
    ///
    /// # Errors
    /// As [`IncusError`] tells; nothing is retried.
    pub async fn owner(
        &self,
        instance: &str,
        path: &str,
    ) -> Result<Option<(u32, u32)>, IncusError> {
        let path = format!("/1.0/instances/{}/files?path={}", escape(instance), escape(path));
        let answer = self.send(Method::HEAD, &path, None, 0, CALL_DEADLINE).await?;
        if answer.status.is_success() {
            return Ok(Some(owner(&answer.headers)));
        }
        let error = failed(&path, &answer);
        if error.is_not_found() { Ok(None) } else { Err(error) }
    }
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
