//! `[maintenance]`: where the page is served, and where its certificates are.

use std::{path::PathBuf, sync::Arc};

use super::{
    super::{
        Backend, BackendAddress, CertificateFiles, CertificatePlace, CertificateSource,
        Maintenance,
        path::{path, remote},
        problem::Fault,
        section::{Read, Section},
        source::Told,
        tree::{Node, shown},
        value::{name, socket_address, text},
    },
    Scope,
};
use crate::model::name::{BackendName, ContainerName};

/// Most `[[maintenance.certificate]]`: each is read over and over.
const MAX_SOURCES: usize = 100;

/// Longest name of an instance, in bytes: Incus makes host names of them.
const MAX_INSTANCE: usize = 63;

/// Reads the section; nothing is served without it. `backends` are those of the configuration, where
/// they are known.
pub(super) fn maintenance(
    root: &mut Section<'_>,
    scope: Scope<'_>,
    backends: Option<&[Arc<Backend>]>,
) -> Result<Option<Maintenance>, Told> {
    let is_there = root.has("maintenance");
    let mut section = root.section("maintenance")?;
    let http = section.maybe("http", socket_address);
    let https = section.maybe("https", socket_address);
    let sources = section.sections("certificate", MAX_SOURCES);
    let sources: Vec<_> = sources.into_iter().map(|s| source(s, scope, backends)).collect();
    let listens = match (&http, &https) {
        (Ok(None), Ok(None)) if is_there => {
            let hint = "for instance `http = \"[::]:80\"` and `https = \"[::]:443\"`";
            Err(section.missing("http", Fault::new("nothing to listen on").hint(hint)))
        }
        (Ok(Some(http)), Ok(Some(https))) if http == https && http.port() != 0 => {
            let fault = Fault::new("the same address as `http`");
            Err(section.fault("https", fault.hint("HTTPS is usually on port 443")))
        }
        _ => Ok(()),
    };
    section.finish(|_| None);
    listens?;
    let mut certificates = Vec::new();
    for source in sources {
        let source = source?;
        if !certificates.contains(&source) {
            certificates.push(source);
        }
    }
    let maintenance = Maintenance { http: http?, https: https?, certificates };
    Ok(is_there.then_some(maintenance))
}

fn source(
    mut section: Section<'_>,
    scope: Scope<'_>,
    backends: Option<&[Arc<Backend>]>,
) -> Result<CertificateSource, Told> {
    let place = place(&mut section, backends);
    let here = matches!(&place, Ok(CertificatePlace::Sentinel));
    let read = |node: &Node| if here { path(scope.base)(node) } else { remote(node) };
    let files = files(&mut section, read);
    section.finish(|_| None);
    Ok(CertificateSource { place: place?, files: files? })
}

fn place(
    section: &mut Section<'_>,
    backends: Option<&[Arc<Backend>]>,
) -> Result<CertificatePlace, Told> {
    let from = section.maybe("from", name::<BackendName>);
    let instance = section.maybe("instance", instance);
    let container = section.maybe("container", name::<ContainerName>);
    match (from?, instance?, container?) {
        (None, None, None) => Ok(CertificatePlace::Sentinel),
        (None, None, Some(container)) => Ok(CertificatePlace::Container(container)),
        (_, _, Some(_)) => {
            let fault = Fault::new("a container is found wherever it is");
            Err(section.fault("container", fault.hint("remove `from` and `instance`")))
        }
        (None, Some(_), None) => {
            let fault = Fault::new("the backend of the instance is missing");
            Err(section.missing("from", fault.hint("for instance `from = \"spot-1\"`")))
        }
        (Some(from), instance, None) => {
            let Some(known) = backends else {
                // What is wrong with the backends is told already.
                return Ok(CertificatePlace::Backend(from));
            };
            match (known.iter().find(|b| b.name == from).map(|b| &b.address), instance) {
                (None, _) => {
                    let names = known.iter().map(|b| b.name.as_str()).collect::<Vec<_>>();
                    let fault = Fault::new(format!("there is no backend \"{from}\""));
                    let hint = format!("the backends are {}", names.join(", "));
                    Err(section.fault("from", fault.hint(hint)))
                }
                (Some(BackendAddress::Https { .. }), None) => {
                    let fault = Fault::new("files of a backend by HTTPS cannot be read");
                    let hint = "name the `instance` there that has them";
                    Err(section.fault("from", fault.hint(hint)))
                }
                (Some(BackendAddress::Local), None) => Ok(CertificatePlace::Sentinel),
                (Some(_), Some(instance)) => Ok(CertificatePlace::Instance(from, instance)),
                (Some(BackendAddress::Ssh { .. }), None) => Ok(CertificatePlace::Backend(from)),
            }
        }
    }
}

fn files(
    section: &mut Section<'_>,
    read: impl Fn(&Node) -> Read<PathBuf>,
) -> Result<CertificateFiles, Told> {
    let caddy = section.maybe("caddy", &read);
    let certificate = section.maybe("certificate", &read);
    let key = section.maybe("key", &read);
    match (caddy?, certificate?, key?) {
        (Some(caddy), None, None) => Ok(CertificateFiles::Caddy(caddy)),
        (None, Some(certificate), Some(key)) => Ok(CertificateFiles::Pair { certificate, key }),
        (Some(_), _, _) => {
            let fault = Fault::new("Caddy's store has certificates and keys");
            Err(section.fault("caddy", fault.hint("remove `caddy`, or `certificate` and `key`")))
        }
        (None, Some(_), None) => {
            let fault = Fault::new("the certificate's key is missing");
            Err(section.missing("key", fault.hint("for instance `key = \"tls/site.key\"`")))
        }
        (None, None, _) => {
            let hint = "write `certificate` and `key`, or `caddy` for the folder of Caddy's store";
            Err(section.missing("certificate", Fault::new("missing").hint(hint)))
        }
    }
}

/// The name of an Incus instance.
fn instance(node: &Node) -> Read<String> {
    let text = text(node)?;
    let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let begins = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    if begins && text.len() <= MAX_INSTANCE && text.bytes().all(valid) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(format!("\"{}\" is not the name of an instance", shown(text)))
        .hint("as `incus list` shows it, for instance \"caddy\""))
}
