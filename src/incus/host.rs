//! What a host has: storage pools, images, its certificate.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::{
    Client, IncusError,
    client::{CALL_DEADLINE, escape},
};

/// Most pools whose space is looked at.
const MAX_POOLS: usize = 32;
/// For the space of a pool: one whose driver hangs is not waited for long.
const SPACE_DEADLINE: Duration = Duration::from_secs(2);
/// For a list of images, which can be long.
const IMAGES_DEADLINE: Duration = Duration::from_secs(10);

/// A storage pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// `dir`, `btrfs`, `zfs` and the like.
    pub driver: String,
    /// Used and total bytes; `None` where Incus cannot tell.
    pub space: Option<Space>,
}

/// Room on a disk, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Space {
    /// In use.
    pub used: u64,
    /// In all.
    pub total: u64,
}

/// An image that the host keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Image {
    /// SHA-256, in hexadecimal.
    pub fingerprint: String,
    /// What it can be called.
    #[serde(deserialize_with = "super::api::or_default")]
    pub aliases: Vec<Alias>,
    /// `container` or `virtual-machine`.
    #[serde(rename = "type")]
    pub kind: String,
    /// For instance `x86_64`.
    pub architecture: String,
    /// In bytes.
    pub size: u64,
    /// When it was made, as RFC 3339 has it; 1970 or the year 1 where nobody said.
    pub created_at: String,
    /// What its maker says of it: `os`, `release`, `description` and more.
    #[serde(deserialize_with = "super::api::or_default")]
    pub properties: BTreeMap<String, String>,
}

/// A name of an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Alias {
    /// The name.
    pub name: String,
}

/// Devices of an instance or a profile by name, each with its keys.
pub type Devices = BTreeMap<String, BTreeMap<String, String>>;

/// A graphics card.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Card {
    /// Its address on the PCI bus; empty if it is not on one.
    pub pci_address: String,
    /// The number of its maker, in hexadecimal.
    pub vendor_id: String,
    /// What it is called.
    pub product: String,
}

impl Client {
    /// Used and total bytes of the pool that containers get their root disk from unless something
    /// else is said: that of the profile `default`. `None` if it has none, or Incus cannot tell.
    ///
    /// # Errors
    /// The backend is gone; nothing is retried.
    pub async fn default_space(&self) -> Result<Option<Space>, IncusError> {
        let profile = self.get::<Profile>("/1.0/profiles/default", CALL_DEADLINE).await;
        let Some(profile) = known(profile)? else { return Ok(None) };
        let root = profile.devices.values().find(|d| d.get("path").is_some_and(|p| p == "/"));
        match root.and_then(|device| device.get("pool")) {
            Some(pool) => self.space(pool).await,
            None => Ok(None),
        }
    }

    /// The devices that the profile `default` gives to instances, by name.
    ///
    /// # Errors
    /// As [`IncusError`] tells; nothing is retried.
    pub async fn default_devices(&self) -> Result<Devices, IncusError> {
        Ok(self.get::<Profile>("/1.0/profiles/default", CALL_DEADLINE).await?.devices)
    }

    /// The graphics cards, in the order in which they are counted.
    ///
    /// # Errors
    /// As [`IncusError`] tells; nothing is retried.
    pub async fn graphics(&self) -> Result<Vec<Card>, IncusError> {
        Ok(self.get::<Graphics>("/1.0/resources", CALL_DEADLINE).await?.gpu.cards)
    }

    /// The storage pools, at most 32.
    ///
    /// # Errors
    /// As [`IncusError`] tells; nothing is retried.
    pub async fn pools(&self) -> Result<Vec<Pool>, IncusError> {
        let named: Vec<Named> = self.get("/1.0/storage-pools?recursion=1", CALL_DEADLINE).await?;
        let mut pools = Vec::new();
        for Named { name, driver } in named.into_iter().take(MAX_POOLS) {
            let space = self.space(&name).await?;
            pools.push(Pool { name, driver, space });
        }
        Ok(pools)
    }

    /// The images that are there.
    ///
    /// # Errors
    /// As [`IncusError`] tells; nothing is retried.
    pub async fn images(&self) -> Result<Vec<Image>, IncusError> {
        self.get("/1.0/images?recursion=1", IMAGES_DEADLINE).await
    }

    async fn space(&self, pool: &str) -> Result<Option<Space>, IncusError> {
        let path = format!("/1.0/storage-pools/{}/resources", escape(pool));
        let found = known(self.get::<Resources>(&path, SPACE_DEADLINE).await)?;
        Ok(found.map(|r| r.space).filter(|space| space.total > 0))
    }
}

#[derive(Deserialize)]
struct Profile {
    #[serde(default)]
    devices: Devices,
}

#[derive(Deserialize)]
struct Graphics {
    #[serde(default)]
    gpu: Cards,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cards {
    #[serde(deserialize_with = "super::api::or_default")]
    cards: Vec<Card>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    driver: String,
}

#[derive(Deserialize)]
struct Resources {
    #[serde(default)]
    space: Space,
}

/// What Incus refuses to tell, or takes too long for, is not known; that it is gone is an error.
fn known<T>(answer: Result<T, IncusError>) -> Result<Option<T>, IncusError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(IncusError::Timeout(_)) => Ok(None),
        Err(error) if error.is_unavailable() => Err(error),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Incus 6.0.4 says of one that was imported, and of one that it fetched for a container.
    const IMAGES: &str = r#"[{"aliases":[{"description":"","name":"small"}],"architecture":"x86_64",
        "auto_update":false,"cached":false,"created_at":"2026-11-23T17:23:48Z",
        "expires_at":"0001-01-01T00:00:00Z","filename":"small.squashfs",
        "fingerprint":"177ba4eb66ae75dede27bfef06ef021b6b864cbe970f8448b7e32a0c0bccffcd",
        "last_used_at":"0001-01-01T00:00:00Z","profiles":["default"],"project":"default",
        "properties":{"description":"Containarium test image","os":"Debian"},"public":false,
        "size":8751104,"type":"container","uploaded_at":"2026-11-23T17:37:33.214882947Z"},
        {"aliases":null,"fingerprint":"0e42","properties":null,"type":"virtual-machine"}]"#;

    #[test]
    fn images_decode_with_and_without_a_name() {
        let images: Vec<Image> = serde_json::from_str(IMAGES).unwrap();
        let [small, machine] = images.as_slice() else { panic!("{images:?}") };
        assert_eq!((small.aliases[0].name.as_str(), small.size), ("small", 8_751_104));
        assert_eq!((small.kind.as_str(), small.architecture.as_str()), ("container", "x86_64"));
        assert_eq!(small.created_at, "2026-11-23T17:23:48Z");
        assert_eq!(small.properties["os"], "Debian");
        assert_eq!((machine.kind.as_str(), machine.aliases.len()), ("virtual-machine", 0));
        assert!(machine.properties.is_empty());
    }
}
