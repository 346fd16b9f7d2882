//! What the API's JSON means, as far as it is used. Fields that are not named here are ignored.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::IncusError;

/// Number of a status: instances and operations share them.
pub type StatusCode = u16;

/// `GET /1.0`.
#[derive(Debug, Clone, Deserialize)]
pub struct Server {
    /// Names of the API's extensions.
    #[serde(default, deserialize_with = "or_default")]
    pub api_extensions: Vec<String>,
    /// About the host; the default when we are not trusted.
    #[serde(default, deserialize_with = "or_default")]
    pub environment: Environment,
    /// `trusted` or `untrusted`.
    #[serde(default)]
    pub auth: String,
}

/// About the host.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// Of Incus, for instance `6.0.4`.
    pub server_version: String,
    /// The host's name in a cluster, or its host name.
    pub server_name: String,
    /// SHA-256 of the certificate that it shows by HTTPS.
    pub certificate_fingerprint: String,
    /// For instance `Debian GNU/Linux`.
    pub os_name: String,
    /// For instance `12`.
    pub os_version: String,
    /// For instance `6.1.0-28-amd64`.
    pub kernel_version: String,
}

/// `GET /1.0/resources`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Processors.
    pub cpu: Total,
    /// Memory, in bytes.
    pub memory: Memory,
    /// Graphics cards.
    pub gpu: Total,
}

/// How many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Total {
    /// The number.
    pub total: u64,
}

/// Memory of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// In use, in bytes.
    pub used: u64,
    /// Installed, in bytes.
    pub total: u64,
}

/// An instance with its state.
#[derive(Debug, Clone, Deserialize)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// `container` or `virtual-machine`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// 102 stopped, 103 running, 110 frozen, 112 error; others on the way.
    #[serde(default)]
    pub status_code: StatusCode,
    /// Its own configuration.
    #[serde(default, deserialize_with = "or_default")]
    pub config: BTreeMap<String, String>,
    /// With that of its profiles.
    #[serde(default, deserialize_with = "or_default")]
    pub expanded_config: BTreeMap<String, String>,
    /// Its devices by name, with those of its profiles.
    #[serde(default, deserialize_with = "or_default")]
    pub expanded_devices: BTreeMap<String, BTreeMap<String, String>>,
    /// `None` when its cluster member is away.
    #[serde(default)]
    pub state: Option<InstanceState>,
}

/// What runs.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct InstanceState {
    /// Its interfaces by name; empty when stopped.
    #[serde(default, deserialize_with = "or_default")]
    pub network: BTreeMap<String, Interface>,
    /// Processors.
    #[serde(default, deserialize_with = "or_default")]
    pub cpu: CpuState,
    /// Memory.
    #[serde(default, deserialize_with = "or_default")]
    pub memory: MemoryState,
    /// Disks by device; without those whose pool keeps no account.
    #[serde(default, deserialize_with = "or_default")]
    pub disk: BTreeMap<String, DiskState>,
    /// Processes; 0 when stopped.
    #[serde(default)]
    pub processes: i64,
    /// When it started; in the year 1 when stopped.
    #[serde(default)]
    pub started_at: Option<String>,
}

/// Processors that are used.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct CpuState {
    /// In nanoseconds of one processor, since it started.
    pub usage: i64,
    /// What it could use, in nanoseconds for each second; 0 if not known.
    pub allocated_time: i64,
}

/// Memory that is used.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct MemoryState {
    /// In bytes, with files that are kept in memory.
    pub usage: i64,
    /// What there is: the limit, or that of the host.
    pub total: i64,
}

/// A disk that is used.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct DiskState {
    /// In bytes; on btrfs without what it shares with its image.
    pub usage: i64,
    /// Its limit; 0 without one.
    pub total: i64,
}

/// A network interface inside.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Interface {
    /// Its addresses.
    #[serde(default, deserialize_with = "or_default")]
    pub addresses: Vec<Address>,
}

/// An address.
#[derive(Debug, Clone, Deserialize)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// `global`, `link` or `local`.
    #[serde(default)]
    pub scope: String,
}

/// An answer's outside, before it is known what is in it.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(rename = "type", default)]
    pub(super) kind: &'a str,
    #[serde(default)]
    pub(super) error_code: u16,
    #[serde(default)]
    pub(super) error: String,
    #[serde(borrow, default)]
    pub(super) metadata: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    /// Reads an answer's outside; an error in it becomes [`IncusError::Api`].
    pub(super) fn open(request: &str, body: &'a [u8]) -> Result<Self, IncusError> {
        let envelope: Self = serde_json::from_slice(body).map_err(|e| decode(request, &e))?;
        match envelope.kind {
            "error" => Err(IncusError::api(envelope.error_code, &envelope.error)),
            _ => Ok(envelope),
        }
    }

    /// What is in it.
    pub(super) fn metadata<T: DeserializeOwned>(&self, request: &str) -> Result<T, IncusError> {
        let text = self.metadata.map_or("null", RawValue::get);
        serde_json::from_str(text).map_err(|e| decode(request, &e))
    }
}

pub(super) fn decode(request: &str, error: &serde_json::Error) -> IncusError {
    let reason = crate::model::text::printable(&error.to_string(), super::MAX_TEXT);
    IncusError::Decode { request: request.to_owned(), reason }
}

/// Incus writes `null` where there is nothing.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: &str = r#"{"architecture":"x86_64","config":{"limits.cpu":"1","user.fleet.owner":"alice"},
        "devices":{"root":{"path":"/","pool":"default","size":"10GiB","type":"disk"}},"ephemeral":false,
        "expanded_config":{"limits.cpu":"1"},"name":"alice-container","status":"Running","status_code":103,
        "type":"container","project":"default","backups":null,"snapshots":null,
        "state":{"status":"Running","status_code":103,"disk":{"root":{"usage":98181120}},
        "network":{"eth0":{"addresses":[{"family":"inet","address":"10.0.3.228","netmask":"24","scope":"global"},
        {"family":"inet6","address":"fe80::1","netmask":"64","scope":"link"}],"mtu":1500,"state":"up"},
        "lo":{"addresses":null}},"pid":12190,"os_info":null}}"#;

    #[test]
    fn instances_decode_running_stopped_and_away() {
        let instance: Instance = serde_json::from_str(RUNNING).unwrap();
        assert_eq!((instance.kind.as_str(), instance.status_code), ("container", 103));
        let state = instance.state.unwrap();
        assert_eq!((state.disk["root"].usage, state.disk["root"].total), (98_181_120, 0));
        let network = state.network;
        assert_eq!(network["eth0"].addresses[0].address, IpAddr::from([10, 0, 3, 228]));
        assert_eq!(network["eth0"].addresses[1].scope, "link");

        let stopped = r#"{"name":"a","status_code":102,"type":"container","config":null,
            "state":{"network":null,"pid":0,"started_at":"0001-01-01T00:00:00Z"}}"#;
        let stopped: Instance = serde_json::from_str(stopped).unwrap();
        assert!(stopped.state.unwrap().network.is_empty());

        let away = r#"{"name":"a","status":"Error","status_code":112,"state":null}"#;
        assert!(serde_json::from_str::<Instance>(away).unwrap().state.is_none());
    }

    #[test]
    fn errors_and_untrusted_servers_are_told_apart() {
        let body = br#"{"type":"error","status":"","status_code":0,"operation":"","error_code":404,"error":"Failed to fetch instance \"api-nope\" in project \"default\": Instance not found","metadata":null}"#;
        let error = Envelope::open("GET /x", body).unwrap_err();
        assert!(error.is_not_found() && !error.is_unavailable(), "{error}");

        let body = br#"{"type":"sync","metadata":{"auth":"untrusted","environment":null,"api_extensions":["instances"]}}"#;
        let server: Server =
            Envelope::open("GET /1.0", body).unwrap().metadata("GET /1.0").unwrap();
        assert_eq!(server.auth, "untrusted");
        assert_eq!(server.environment.server_version, "");
    }

    #[test]
    fn resources_decode() {
        let text = r#"{"cpu":{"architecture":"x86_64","sockets":[],"total":2},"memory":{"used":1,"total":5,"nodes":[]},"gpu":{"cards":[],"total":0}}"#;
        let resources: Resources = serde_json::from_str(text).unwrap();
        assert_eq!((resources.cpu.total, resources.memory.total), (2, 5));
    }
}
