//! Changing instances: create, delete, state, configuration.

use std::{collections::BTreeMap, time::Duration};

use hyper::Method;
use serde_json::{Value, json};

use super::{
    Client, IncusError,
    api::{Envelope, Instance},
    client::{CALL_DEADLINE, MAX_BODY, escape},
};

/// How often a change is tried again when somebody else changed the instance in between: its `ETag`
/// changes at each start and stop, too.
const CHANGE_ATTEMPTS: usize = 4;

/// How long Incus may take to notice that an instance did not do in time what it was told.
const GIVING_UP: Duration = Duration::from_secs(10);

/// What an instance is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// To start.
    Start,
    /// To stop; by force, without asking its first process.
    Stop {
        /// At once.
        force: bool,
    },
    /// To stop and start.
    Restart {
        /// At once.
        force: bool,
    },
    /// To go on after it was frozen.
    Unfreeze,
}

impl Action {
    /// Whether the instance boots by it.
    #[must_use]
    pub fn starts(self) -> bool {
        match self {
            Self::Start | Self::Restart { .. } => true,
            Self::Stop { .. } | Self::Unfreeze => false,
        }
    }
}

/// What changes on an instance: keys and devices that are not named stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// Configuration keys; an empty value removes its key.
    pub config: BTreeMap<String, String>,
    /// Devices, each whole.
    pub devices: BTreeMap<String, BTreeMap<String, String>>,
}

impl Client {
    /// Makes an instance of `body` (`POST /1.0/instances`), and waits for at most `patience`.
    ///
    /// # Errors
    /// As [`IncusError`] tells; what was made when it failed is for the caller to remove.
    pub async fn create_instance(
        &self,
        body: &Value,
        patience: Duration,
    ) -> Result<(), IncusError> {
        self.operate(Method::POST, "/1.0/instances", body, patience).await.map(drop)
    }

    /// Removes an instance that is stopped, with its snapshots; that it is gone already is no
    /// error.
    ///
    /// # Errors
    /// As [`IncusError`] tells; [`IncusError::Timeout`] when it is still on its way.
    pub async fn delete_instance(&self, name: &str, patience: Duration) -> Result<(), IncusError> {
        let path = format!("/1.0/instances/{}", escape(name));
        match self.operate(Method::DELETE, &path, &Value::Null, patience).await {
            Err(error) if error.is_not_found() => Ok(()),
            ended => ended.map(drop),
        }
    }

    /// Tells an instance to start, stop or the like, and waits for at most `patience` until it
    /// has. One that was so already is no error.
    ///
    /// # Errors
    /// As [`IncusError`] tells; [`IncusError::Timeout`] when it is still on its way.
    pub async fn change_state(
        &self,
        instance: &str,
        action: Action,
        patience: Duration,
    ) -> Result<(), IncusError> {
        let (action, force) = match action {
            Action::Start => ("start", false),
            Action::Stop { force } => ("stop", force),
            Action::Restart { force } => ("restart", force),
            Action::Unfreeze => ("unfreeze", false),
        };
        let path = format!("/1.0/instances/{}/state", escape(instance));
        // 0 would kill at once, and no timeout means ten minutes.
        let body = json!({"action": action, "force": force, "timeout": patience.as_secs().max(1)});
        // That it has given up is heard, too.
        match self.operate(Method::PUT, &path, &body, patience + GIVING_UP).await {
            Err(error) if error.is_already_so() => Ok(()),
            ended => ended.map(drop),
        }
    }

    /// Changes an instance at once, running or not.
    ///
    /// # Errors
    /// As [`IncusError`] tells; nothing is retried.
    pub async fn patch(&self, instance: &str, patch: &Patch) -> Result<(), IncusError> {
        self.patch_if(instance, patch, None).await
    }

    /// Changes an instance by what it is: `change` sees it and says what changes, and is asked
    /// again when somebody else was quicker. `None`: nothing.
    ///
    /// # Errors
    /// What `change` refused, or as [`IncusError`] tells.
    pub async fn change<E: From<IncusError>>(
        &self,
        instance: &str,
        mut change: impl FnMut(&Instance) -> Result<Option<Patch>, E>,
    ) -> Result<(), E> {
        let mut last = None;
        for _ in 0..CHANGE_ATTEMPTS {
            let (seen, etag) = self.instance_and_etag(instance).await?;
            let Some(patch) = change(&seen)? else { return Ok(()) };
            match self.patch_if(instance, &patch, Some(&etag)).await {
                Err(error) if error.code() == Some(412) => last = Some(error),
                done => return Ok(done?),
            }
        }
        Err(last.unwrap_or_else(|| IncusError::Timeout(format!("change {instance}"))).into())
    }

    async fn instance_and_etag(&self, name: &str) -> Result<(Instance, String), IncusError> {
        let path = format!("/1.0/instances/{}", escape(name));
        let answer = self.send(Method::GET, &path, None, MAX_BODY, CALL_DEADLINE).await?;
        let etag = answer.headers.get("etag").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let instance = Envelope::open(&path, &answer.body)?.metadata(&path)?;
        Ok((instance, etag.to_owned()))
    }

    async fn patch_if(
        &self,
        instance: &str,
        changes: &Patch,
        etag: Option<&str>,
    ) -> Result<(), IncusError> {
        let path = format!("/1.0/instances/{}", escape(instance));
        let body = json!({"config": changes.config, "devices": changes.devices});
        self.call_if(Method::PATCH, &path, Some(&body), etag).await.map(drop)
    }
}
