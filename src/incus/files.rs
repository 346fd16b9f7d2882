//! Files inside instances, running or not. Only ever reads.

use hyper::{HeaderMap, Method};

use super::{
    Client, IncusError,
    client::{CALL_DEADLINE, escape, failed},
};

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
