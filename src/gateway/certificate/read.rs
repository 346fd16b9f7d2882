//! Reads certificates where they are: here, on a backend's host, in an instance. Bounded in size,
//! number and time; nothing is judged.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::pem::{MAX_FILE, Pem};
use crate::{
    config::{CertificateFiles, CertificatePlace, CertificateSource},
    fleet::Fleet,
    incus::Client,
    link::files::Files,
    model::{inventory::Presence, name::BackendName, text::printable},
};

/// Most certificates of one store.
const MAX_CERTIFICATES: usize = 64;

/// Longest reason that is shown, in characters.
const MAX_SHOWN: usize = 300;

/// What was found at a source.
#[derive(Default)]
pub(super) struct Found {
    /// By a name that tells one from another.
    pub(super) pems: BTreeMap<String, Pem>,
    /// Why there may be more than that.
    pub(super) complaint: Option<String>,
}

/// Why nothing was found.
pub(super) enum Missed {
    /// Whoever has the files is away.
    Away(String),
    /// They are not there, or cannot be read.
    Unreadable(String),
}

/// Reads everything at a source.
pub(super) async fn read(source: &CertificateSource, fleet: &Fleet) -> Result<Found, Missed> {
    match &source.place {
        CertificatePlace::Sentinel => {
            let files = source.files.clone();
            let read = tokio::task::spawn_blocking(move || here(&files)).await;
            read.map_err(|e| unreadable(&e)).and_then(|found| found)
        }
        CertificatePlace::Backend(backend) => on_host(backend, &source.files, fleet).await,
        CertificatePlace::Instance(backend, instance) => {
            inside(&client(fleet, backend)?, instance, &source.files).await
        }
        CertificatePlace::Container(name) => {
            let found = fleet.inventory().borrow().container(name).cloned();
            let Some(container) = found else {
                return Err(Missed::Away(format!("there is no container {name}")));
            };
            let client = client(fleet, &container.backend)?;
            inside(&client, &name.instance(), &source.files).await
        }
    }
}

fn unreadable(why: &dyn std::fmt::Display) -> Missed {
    Missed::Unreadable(printable(&why.to_string(), MAX_SHOWN))
}

/// Nothing is asked of a backend that is away.
fn present(fleet: &Fleet, backend: &BackendName) -> Result<(), Missed> {
    let presence = fleet.inventory().borrow().backend(backend).map(|b| b.presence.clone());
    match presence {
        Some(Presence::Up { .. }) => Ok(()),
        Some(Presence::Away { .. } | Presence::Unknown) => {
            Err(Missed::Away(format!("backend {backend} is away")))
        }
        None => Err(Missed::Away(format!("there is no backend {backend}"))),
    }
}

fn client(fleet: &Fleet, backend: &BackendName) -> Result<Client, Missed> {
    present(fleet, backend)?;
    fleet.incus(backend).ok_or_else(|| Missed::Away(format!("there is no backend {backend}")))
}

fn pem(certificate: Vec<u8>, key: Vec<u8>) -> Pem {
    Pem { certificate, key: Zeroizing::new(key) }
}

fn shown(path: &Path) -> String {
    printable(&path.display().to_string(), MAX_SHOWN)
}

/// Reads files of this machine.
fn here(files: &CertificateFiles) -> Result<Found, Missed> {
    let pair = |certificate: &Path, key: &Path| {
        Ok(pem(
            file(certificate).map_err(|e| unreadable(&e))?,
            file(key).map_err(|e| unreadable(&e))?,
        ))
    };
    match files {
        CertificateFiles::Pair { certificate, key } => {
            let pems = [(shown(certificate), pair(certificate, key)?)].into();
            Ok(Found { pems, complaint: None })
        }
        CertificateFiles::Caddy(store) => {
            let mut found = Found::default();
            let root = store.join("certificates");
            for issuer in names(&root).map_err(|e| unreadable(&format!("{}: {e}", shown(&root))))? {
                for site in names(&issuer).unwrap_or_default() {
                    let Some((certificate, key)) = in_folder(&site) else { continue };
                    if found.pems.len() >= MAX_CERTIFICATES || !certificate.exists() {
                        continue;
                    }
                    match pair(&certificate, &key) {
                        Ok(pem) => drop(found.pems.insert(shown(&site), pem)),
                        Err(Missed::Away(why) | Missed::Unreadable(why)) => {
                            found.complaint = Some(why);
                        }
                    }
                }
            }
            Ok(found)
        }
    }
}

/// What Caddy writes into the folder of a site.
fn in_folder(site: &Path) -> Option<(PathBuf, PathBuf)> {
    let name = site.file_name()?.to_str()?;
    Some((site.join(format!("{name}.crt")), site.join(format!("{name}.key"))))
}

fn names(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let found = fs::read_dir(folder)?.take(MAX_CERTIFICATES * 4).flatten();
    let mut paths: Vec<_> = found.map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

/// Reads a file, one byte more than allowed at most, so that it is seen to be too large.
fn file(path: &Path) -> io::Result<Vec<u8>> {
    let told = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", shown(path)));
    // Opening a pipe would wait for its writer.
    if !fs::metadata(path).map_err(told)?.is_file() {
        return Err(told(io::Error::other("not a file")));
    }
    let mut bytes = Vec::new();
    let limit = MAX_FILE as u64 + 1;
    fs::File::open(path).and_then(|f| f.take(limit).read_to_end(&mut bytes)).map_err(told)?;
    Ok(bytes)
}

/// Reads files of a backend's host.
async fn on_host(
    backend: &BackendName,
    files: &CertificateFiles,
    fleet: &Fleet,
) -> Result<Found, Missed> {
    present(fleet, backend)?;
    let Some(link) = fleet.link(backend) else {
        return Err(unreadable(&format!("backend {backend} is not behind an sshd")));
    };
    let text = |path: &Path| path.to_string_lossy().into_owned();
    match files {
        CertificateFiles::Pair { certificate, key } => {
            let (certificate, key) = (text(certificate), text(key));
            let read = link.read_files(&[&certificate, &key]).await;
            let Files { mut files, complaint } = read.map_err(|e| unreadable(&e))?;
            let both = files.remove(&certificate).zip(files.remove(&key));
            let Some((bytes, key)) = both else {
                let why = complaint.unwrap_or_else(|| "nothing was read".to_owned());
                return Err(Missed::Unreadable(why));
            };
            Ok(Found { pems: [(certificate, pem(bytes, key))].into(), complaint: None })
        }
        CertificateFiles::Caddy(store) => {
            let read = link.read_caddy(&text(store)).await;
            let Files { mut files, complaint } = read.map_err(|e| unreadable(&e))?;
            let stems: Vec<_> =
                files.keys().filter_map(|p| p.strip_suffix(".crt").map(str::to_owned)).collect();
            let mut found = Found { pems: BTreeMap::new(), complaint };
            for stem in &stems {
                let certificate = files.remove(&format!("{stem}.crt"));
                let both = certificate.zip(files.remove(&format!("{stem}.key")));
                if let Some((certificate, key)) = both {
                    found.pems.insert(printable(stem, MAX_SHOWN), pem(certificate, key));
                }
            }
            if found.pems.is_empty() {
                let nothing = || format!("no certificate that can be read in {}", shown(store));
                return Err(Missed::Unreadable(found.complaint.unwrap_or_else(nothing)));
            }
            Ok(found)
        }
    }
}

/// Reads files of an instance.
async fn inside(
    client: &Client,
    instance: &str,
    files: &CertificateFiles,
) -> Result<Found, Missed> {
    match files {
        CertificateFiles::Pair { certificate, key } => {
            let (path, key) = (certificate.to_string_lossy(), key.to_string_lossy());
            let pem = pair_inside(client, instance, &path, &key).await?;
            Ok(Found { pems: [(shown(certificate), pem)].into(), complaint: None })
        }
        CertificateFiles::Caddy(store) => {
            let root = format!("{}/certificates", store.to_string_lossy().trim_end_matches('/'));
            let names = async |path: &str| {
                let names = client.names_in(instance, path).await.map_err(|e| unreadable(&e))?;
                // What is in a path of ours stays in the folder that it was found in.
                let plain = names.into_iter().filter(|name| !name.contains('/') && name != "..");
                Ok::<_, Missed>(plain.take(MAX_CERTIFICATES).collect::<Vec<_>>())
            };
            let mut found = Found::default();
            for issuer in names(&root).await? {
                for site in names(&format!("{root}/{issuer}")).await? {
                    if found.pems.len() >= MAX_CERTIFICATES {
                        break;
                    }
                    let stem = format!("{root}/{issuer}/{site}/{site}");
                    let (certificate, key) = (format!("{stem}.crt"), format!("{stem}.key"));
                    match pair_inside(client, instance, &certificate, &key).await {
                        Ok(pem) => drop(found.pems.insert(printable(&stem, MAX_SHOWN), pem)),
                        Err(Missed::Away(why) | Missed::Unreadable(why)) => {
                            found.complaint = Some(why);
                        }
                    }
                }
            }
            if found.pems.is_empty() {
                let nothing = || format!("no certificate in {}", shown(store));
                return Err(Missed::Unreadable(found.complaint.unwrap_or_else(nothing)));
            }
            Ok(found)
        }
    }
}

async fn pair_inside(
    client: &Client,
    instance: &str,
    certificate: &str,
    key: &str,
) -> Result<Pem, Missed> {
    let read = async |path: &str| {
        let read = client.read_file_behind(instance, path, MAX_FILE).await;
        let read = read.map_err(|e| unreadable(&format!("{path}: {e}")))?;
        read.ok_or_else(|| unreadable(&format!("{path}: there is no such file")))
    };
    Ok(pem(read(certificate).await?, read(key).await?))
}
