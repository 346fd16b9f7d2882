//! What a new container is to be, and how Incus is told so. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    fleet::placement::Wish,
    incus::host::{Card, Devices},
    model::{
        authorized_keys::AuthorizedKey,
        container::LABEL_PREFIX,
        cpu::CpuLimit,
        image::ImageName,
        key::PublicKey,
        name::{Account, ContainerName},
        size::Size,
    },
};

/// The number of NVIDIA on the PCI bus.
const NVIDIA: &str = "10de";

/// A container to make.
#[derive(Debug, Clone)]
pub struct Order {
    /// Its name at the door.
    pub name: ContainerName,
    /// The owner's account inside.
    pub owner: Account,
    /// The owner's keys.
    pub keys: Vec<AuthorizedKey>,
    /// Where it may go.
    pub wish: Wish,
    /// What it is made of.
    pub image: Source,
    /// Its limits.
    pub limits: Limits,
    /// A graphics card of its own.
    pub gpu: Option<Gpu>,
    /// It starts with its host.
    pub autostart: bool,
    /// It can run containers itself.
    pub docker: bool,
    /// What failed is left as it is, to be looked at.
    pub keep_failed: bool,
    /// Who makes it, and what it is to trust.
    pub maker: Maker,
}

/// Who makes a container, and whom it is to trust.
#[derive(Debug, Clone)]
pub struct Maker {
    /// The person, for the label.
    pub person: String,
    /// The CA keys of the sentinel, the one that it signs with first.
    pub ca: Vec<PublicKey>,
}

/// An image, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As people name it.
    pub name: ImageName,
    /// The URL of its server; `None`: it is the backend's own.
    pub server: Option<String>,
}

/// What a container may use. `None`: all that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Processors.
    pub cpu: Option<CpuLimit>,
    /// Memory.
    pub memory: Option<Size>,
    /// The disk's size.
    pub disk: Size,
}

/// A graphics card, as people name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gpu {
    /// By its place in the host's list, from 0.
    Index(usize),
    /// By its address on the PCI bus: `0000:01:00.0`.
    Pci(String),
}

/// A word that names no graphics card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a graphics card is a number from 0, or an address such as 0000:01:00.0")]
pub struct GpuError;

impl std::str::FromStr for Gpu {
    type Err = GpuError;

    fn from_str(text: &str) -> Result<Self, GpuError> {
        if !text.is_empty() && text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().map(Self::Index).map_err(|_| GpuError);
        }
        let long = if text.len() == 7 { format!("0000:{text}") } else { text.to_owned() };
        let form = "hhhh:hh:hh.h";
        let matches = |(b, f): (u8, u8)| if f == b'h' { b.is_ascii_hexdigit() } else { b == f };
        if long.len() == form.len() && long.bytes().zip(form.bytes()).all(matches) {
            return Ok(Self::Pci(long.to_ascii_lowercase()));
        }
        Err(GpuError)
    }
}

impl Gpu {
    /// The card that is meant.
    #[must_use]
    pub fn among<'a>(&self, cards: &'a [Card]) -> Option<&'a Card> {
        match self {
            Self::Index(index) => cards.get(*index).filter(|c| !c.pci_address.is_empty()),
            Self::Pci(address) => {
                cards.iter().find(|c| c.pci_address.eq_ignore_ascii_case(address))
            }
        }
    }
}

/// Protections that not every backend can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Safety {
    /// User ids inside are nobody else's outside.
    isolated: bool,
    /// Its network card sends under its own addresses only.
    filtered: bool,
    /// System calls that Docker's images need are made for it by Incus.
    intercepted: bool,
}

impl Safety {
    /// How many there are.
    pub(super) const COUNT: usize = 3;

    /// All of them.
    pub(super) const ALL: Self = Self { isolated: true, filtered: true, intercepted: true };

    /// Gives up what Incus refused with `message`, and says so; `None`: that was not the reason.
    pub(super) fn loosen(&mut self, message: &str) -> Option<&'static str> {
        let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if self.isolated && says(&["idmap", "uid/gid", "subuid"]) {
            self.isolated = false;
            return Some("it shares its user ids with others: the backend has none left for it");
        }
        if self.intercepted && says(&["security.syscalls.intercept", "seccomp"]) {
            self.intercepted = false;
            return Some("Docker inside cannot make devices: the backend cannot do that for it");
        }
        let network = ["_filtering", "firewall", "nftables", "nft ", "ebtables", "br_netfilter"];
        if self.filtered && says(&network) {
            self.filtered = false;
            return Some("its network card is not filtered: the backend's network cannot do that");
        }
        None
    }
}

impl Order {
    /// What Incus is told: `POST /1.0/instances`. `devices` are those of the profile, `mark` says
    /// who makes it, as long as it is not finished.
    pub(super) fn body(
        &self,
        devices: &Devices,
        card: Option<&Card>,
        safety: Safety,
        mark: &str,
    ) -> Value {
        json!({
            "name": self.name.instance(),
            "type": "container",
            "source": self.image.body(),
            "config": self.config(card, safety, mark),
            "devices": self.devices(devices, card, safety),
            "profiles": ["default"],
            "start": false,
        })
    }

    fn config(&self, card: Option<&Card>, safety: Safety, mark: &str) -> BTreeMap<String, String> {
        let flag = |on: bool| on.to_string();
        let mut config = BTreeMap::from([
            ("boot.autostart".to_owned(), flag(self.autostart)),
            ("security.nesting".to_owned(), flag(self.docker)),
            ("security.privileged".to_owned(), flag(false)),
            (format!("{LABEL_PREFIX}creating"), mark.to_owned()),
        ]);
        if safety.isolated {
            config.insert("security.idmap.isolated".to_owned(), flag(true));
        }
        if self.docker && safety.intercepted {
            for call in ["mknod", "setxattr"] {
                config.insert(format!("security.syscalls.intercept.{call}"), flag(true));
            }
        }
        let limits = &self.limits;
        config.extend(limits.cpu.map(|cpu| ("limits.cpu".to_owned(), cpu.to_string())));
        config.extend(limits.memory.map(|size| ("limits.memory".to_owned(), size.to_string())));
        if card.is_some_and(|c| c.vendor_id.eq_ignore_ascii_case(NVIDIA)) {
            config.insert("nvidia.runtime".to_owned(), flag(true));
        }
        config
    }

    /// The profile's disk and network card, each whole: a device of the same name takes its place.
    fn devices(&self, profile: &Devices, card: Option<&Card>, safety: Safety) -> Devices {
        let mut own = Devices::new();
        let is_root = |d: &BTreeMap<String, String>| d.get("path").is_some_and(|path| path == "/");
        if let Some((name, root)) = profile.iter().find(|(_, device)| is_root(device)) {
            let mut root = root.clone();
            root.insert("size".to_owned(), self.limits.disk.to_string());
            own.insert(name.clone(), root);
        }
        // Only what a bridge of Incus's own gives an address to can be filtered.
        let filtered = |d: &&BTreeMap<String, String>| {
            d.get("type").is_some_and(|kind| kind == "nic") && d.contains_key("network")
        };
        if safety.filtered {
            for (name, nic) in profile.iter().filter(|(_, device)| filtered(device)) {
                let mut nic = nic.clone();
                for key in ["security.mac_filtering", "security.ipv4_filtering"] {
                    nic.insert(key.to_owned(), true.to_string());
                }
                own.insert(name.clone(), nic);
            }
        }
        if let Some(card) = card {
            let device = [("type", "gpu"), ("gputype", "physical"), ("pci", &card.pci_address)];
            let device = device.map(|(key, value)| (key.to_owned(), value.to_owned()));
            own.insert("gpu".to_owned(), device.into());
        }
        own
    }
}

impl Source {
    /// The `source` of a new instance.
    pub(super) fn body(&self) -> Value {
        match (&self.name, &self.server) {
            (ImageName::Fingerprint(fingerprint), _) => {
                json!({"type": "image", "fingerprint": fingerprint})
            }
            (ImageName::Remote { alias, .. }, Some(server)) => json!({
                "type": "image",
                "mode": "pull",
                "server": server,
                "protocol": "simplestreams",
                "alias": alias,
            }),
            (ImageName::Local(alias) | ImageName::Remote { alias, .. }, _) => {
                json!({"type": "image", "alias": alias})
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        Order {
            name: "bob".parse().unwrap(),
            owner: "bob".parse().unwrap(),
            keys: Vec::new(),
            wish: Wish::default(),
            image: Source { name: "debian".parse().unwrap(), server: None },
            limits: Limits {
                cpu: Some("2".parse().unwrap()),
                memory: Some("4GB".parse().unwrap()),
                disk: "20GiB".parse().unwrap(),
            },
            gpu: None,
            autostart: true,
            docker: true,
            keep_failed: false,
            maker: Maker { person: "ops".to_owned(), ca: Vec::new() },
        }
    }

    fn profile() -> Devices {
        let device = |keys: &[(&str, &str)]| {
            keys.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let root = device(&[("type", "disk"), ("path", "/"), ("pool", "fast")]);
        let eth0 = device(&[("type", "nic"), ("name", "eth0"), ("network", "incusbr0")]);
        let lan = device(&[("type", "nic"), ("nictype", "macvlan"), ("parent", "eno1")]);
        [("root", root), ("eth0", eth0), ("lan", lan)].map(|(n, d)| (n.to_owned(), d)).into()
    }

    #[test]
    fn incus_is_told_all_that_is_wanted() {
        let body = order().body(&profile(), None, Safety::ALL, "mark");
        let expected = json!({
            "name": "bob-container",
            "type": "container",
            "source": {"type": "image", "alias": "debian"},
            "config": {
                "boot.autostart": "true",
                "limits.cpu": "2",
                "limits.memory": "4GB",
                "security.idmap.isolated": "true",
                "security.nesting": "true",
                "security.privileged": "false",
                "security.syscalls.intercept.mknod": "true",
                "security.syscalls.intercept.setxattr": "true",
                "user.containarium.creating": "mark",
            },
            "devices": {
                "root": {"type": "disk", "path": "/", "pool": "fast", "size": "20GiB"},
                "eth0": {
                    "type": "nic", "name": "eth0", "network": "incusbr0",
                    "security.mac_filtering": "true", "security.ipv4_filtering": "true",
                },
            },
            "profiles": ["default"],
            "start": false,
        });
        assert_eq!(body, expected);
        let plain = Order { docker: false, autostart: false, ..order() };
        let body = plain.body(&profile(), None, Safety::ALL, "mark");
        assert_eq!(body["config"]["security.nesting"], "false");
        assert_eq!(body["config"]["boot.autostart"], "false");
        assert!(!body.to_string().contains("intercept"), "{body}");
    }

    #[test]
    fn an_image_of_a_server_is_asked_for_as_simplestreams() {
        let source = Source {
            name: "images:ubuntu/24.04".parse().unwrap(),
            server: Some("https://images.linuxcontainers.org".to_owned()),
        };
        let expected = json!({
            "type": "image",
            "mode": "pull",
            "server": "https://images.linuxcontainers.org",
            "protocol": "simplestreams",
            "alias": "ubuntu/24.04",
        });
        assert_eq!(source.body(), expected);
        let own = Source { name: "66ead7e9d59b".parse().unwrap(), server: None };
        assert_eq!(own.body(), json!({"type": "image", "fingerprint": "66ead7e9d59b"}));
    }

    #[test]
    fn each_protection_is_given_up_once_and_only_where_it_was_refused() {
        let mut safety = Safety::ALL;
        assert_eq!(safety.loosen("no space left on device"), None);
        let idmap = "Not enough uid/gid available for the container";
        let nic = "Invalid device option \"security.ipv4_filtering\"";
        let calls = "security.syscalls.intercept.mknod isn't supported";
        for refusal in [idmap, nic, calls] {
            assert!(safety.loosen(refusal).is_some(), "{refusal}");
            assert_eq!(safety.loosen(refusal), None, "{refusal}");
        }
        let body = order().body(&profile(), None, safety, "mark");
        for gone in ["isolated", "_filtering", "intercept"] {
            assert!(!body.to_string().contains(gone), "{gone}: {body}");
        }
    }

    #[test]
    fn a_card_is_found_by_number_or_address() {
        let card = |address: &str, vendor: &str| Card {
            pci_address: address.to_owned(),
            vendor_id: vendor.to_owned(),
            product: String::new(),
        };
        let cards = [card("0000:01:00.0", "10de"), card("0000:0A:00.1", "1002")];
        for (word, found) in [
            ("0", Some(0)),
            ("1", Some(1)),
            ("2", None),
            ("01:00.0", Some(0)),
            ("0000:0a:00.1", Some(1)),
            ("0000:ff:00.0", None),
        ] {
            let gpu: Gpu = word.parse().unwrap();
            assert_eq!(gpu.among(&cards), found.map(|i| &cards[i]), "{word}");
        }
        for bad in ["", "-1", "100", "x", "01:00", "0000:01:00.0; rm", "0000-01:00.0"] {
            assert_eq!(bad.parse::<Gpu>(), Err(GpuError), "{bad}");
        }
        let body = order().body(&profile(), Some(&cards[0]), Safety::ALL, "mark");
        let device = json!({"type": "gpu", "gputype": "physical", "pci": "0000:01:00.0"});
        assert_eq!(body["devices"]["gpu"], device);
        assert_eq!(body["config"]["nvidia.runtime"], "true");
        let body = order().body(&profile(), Some(&cards[1]), Safety::ALL, "mark");
        assert!(body["config"]["nvidia.runtime"].is_null());
    }
}
