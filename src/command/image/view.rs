//! What backends said of their images, as people and scripts see it. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    command::{
        failure::Failure,
        report::{Part, Report, Table},
        view::{described, size},
    },
    config::Create,
    incus::host::Image,
    model::{image::ImageName, name::BackendName, text::printable},
};

/// Longest text of an image's maker, in characters.
const MAX_TEXT: usize = 100;

/// Longest reason for which a backend's images are not known, in characters: as long as what Incus says.
const MAX_REASON: usize = 300;

/// Names that are taken of one backend: nobody reads more, and they are kept by screens.
const MAX_NAMES: usize = 1000;

/// Characters of a fingerprint that stand for an image without a name, as `incus image list` has it.
const SHORT: usize = 12;

/// What one backend said.
pub(super) struct Answer {
    pub(super) backend: BackendName,
    /// Its images, or why they are not known.
    pub(super) images: Result<Vec<Image>, Failure>,
}

/// What `--json` shows.
#[derive(Serialize)]
pub(super) struct View {
    default: Meant,
    images: Vec<ImageView>,
    systems: Vec<System>,
    silent: Vec<Silent>,
    /// Backends that have more than is shown.
    #[serde(skip)]
    cut: Vec<String>,
}

/// An image by the name that `create --image` takes.
#[derive(Serialize)]
struct ImageView {
    image: String,
    backends: Vec<String>,
    fingerprint: String,
    description: Option<String>,
    os: Option<String>,
    release: Option<String>,
    architecture: String,
    size_bytes: u64,
    created_at: Option<Timestamp>,
}

/// An image that somebody means without naming it.
#[derive(Serialize)]
struct Meant {
    image: ImageName,
    /// Those that have it; null: any fetches it from its server.
    backends: Option<Vec<String>>,
}

/// What `--os-type` means.
#[derive(Serialize)]
struct System {
    name: String,
    #[serde(flatten)]
    meant: Meant,
}

#[derive(Serialize)]
struct Silent {
    backend: String,
    reason: String,
}

/// Order of rows: those with a name of their own first, by name; then by fingerprint.
type Key = (bool, String, String);

impl View {
    pub(super) fn new(answers: &[Answer], create: &Create) -> Self {
        let mut images: BTreeMap<Key, ImageView> = BTreeMap::new();
        let (mut silent, mut cut) = (Vec::new(), Vec::new());
        for Answer { backend, images: said } in answers {
            let said = match said {
                Ok(said) => said,
                Err(failure) => {
                    let reason = printable(&failure.message, MAX_REASON);
                    silent.push(Silent { backend: backend.to_string(), reason });
                    continue;
                }
            };
            // Virtual machines cannot be made containers of.
            let said = said.iter().filter(|image| image.kind == "container");
            let mut named = said.flat_map(|image| keys(image).map(move |key| (key, image)));
            for (key, image) in named.by_ref().take(MAX_NAMES) {
                let view = images.entry(key).or_insert_with_key(|key| ImageView::new(key, image));
                if view.backends.last().is_none_or(|last| last != backend.as_str()) {
                    view.backends.push(backend.to_string());
                }
            }
            cut.extend(named.next().map(|_| backend.to_string()));
        }
        let images: Vec<_> = images.into_values().collect();
        let meant = |name: &ImageName| Meant::new(name, &images);
        let systems = create.os_types.iter();
        let systems =
            systems.map(|(name, image)| System { name: name.clone(), meant: meant(image) });
        let (default, systems) = (meant(&create.image), systems.collect());
        Self { default, images, systems, silent, cut }
    }

    pub(super) fn report(&self) -> Result<Report, Failure> {
        let mut names: Vec<_> = self.images.iter().map(|image| image.image.clone()).collect();
        names.dedup();
        let columns = &["IMAGE", "BACKENDS", "DESCRIPTION", "ARCH", "SIZE", "DATE"];
        let rows = self.images.iter().map(ImageView::row).collect();
        let images = Table { columns, rows };
        let default = vec!["(default)".to_owned(), self.default.image.to_string()];
        let default = [default, vec![self.holders(&self.default)]].concat();
        let system = |System { name, meant }: &System| {
            vec![name.clone(), meant.image.to_string(), self.holders(meant)]
        };
        let rows = std::iter::once(default).chain(self.systems.iter().map(system)).collect();
        let systems = Table { columns: &["OS-TYPE", "IMAGE", "BACKENDS"], rows };
        let report = Report::of(self)?.names(names);
        let report = report.part(Part::Table(images)).part(Part::Table(systems));
        Ok(self.notes().into_iter().fold(report, Report::note))
    }

    fn notes(&self) -> Vec<String> {
        let none = self.images.is_empty() && self.silent.is_empty();
        let none = none.then(|| "no backend has an image; any fetches those of servers".to_owned());
        let silent = self.silent.iter().map(|silent| &silent.reason);
        let silent = silent.map(|reason| format!("{reason}; what it has is not shown"));
        let cut = self.cut.iter();
        let cut = cut.map(|name| format!("{name} has more images than {MAX_NAMES}, not all shown"));
        none.into_iter().chain(silent).chain(cut).collect()
    }

    /// Who has an image that is meant, for people.
    fn holders(&self, meant: &Meant) -> String {
        match meant.backends.as_deref() {
            None => "any".to_owned(),
            Some([]) if self.silent.is_empty() => "none".to_owned(),
            Some([]) => "not known".to_owned(),
            Some(backends) => backends.join(", "),
        }
    }
}

/// What an image can be called, with what it is sorted by: its aliases, as far as `create` takes them;
/// without any the beginning of its fingerprint.
fn keys(image: &Image) -> impl Iterator<Item = Key> {
    let fingerprint = &image.fingerprint;
    let is_name = |alias: &&str| match alias.parse() {
        Ok(ImageName::Local(name)) => name == **alias,
        Ok(ImageName::Fingerprint(_) | ImageName::Remote { .. }) | Err(_) => false,
    };
    let aliases = image.aliases.iter().map(|alias| alias.name.as_str()).filter(is_name);
    let mut keys: Vec<Key> =
        aliases.map(|alias| (false, alias.to_owned(), fingerprint.clone())).collect();
    if let (true, Ok(ImageName::Fingerprint(_))) = (keys.is_empty(), fingerprint.parse()) {
        let short = fingerprint.chars().take(SHORT).collect();
        keys.push((true, short, fingerprint.clone()));
    }
    keys.into_iter()
}

impl ImageView {
    fn new((_, name, fingerprint): &Key, image: &Image) -> Self {
        let text = |text: &str| Some(printable(text, MAX_TEXT)).filter(|text| !text.is_empty());
        let property = |key: &str| image.properties.get(key).and_then(|value| text(value));
        let created_at = image.created_at.parse::<Timestamp>().ok();
        Self {
            image: name.clone(),
            backends: Vec::new(),
            fingerprint: printable(fingerprint, MAX_TEXT),
            description: property("description"),
            os: property("os"),
            release: property("release"),
            architecture: text(&image.architecture).unwrap_or_default(),
            size_bytes: image.size,
            created_at: created_at.filter(|at| at.as_second() > 0),
        }
    }

    fn row(&self) -> Vec<String> {
        let said = [&self.os, &self.release, &self.description];
        let [os, release, description] = said.map(Option::as_deref);
        vec![
            self.image.clone(),
            self.backends.join(", "),
            described(os, release, description),
            self.architecture.clone(),
            size(self.size_bytes),
            self.created_at.map(|at| at.strftime("%F").to_string()).unwrap_or_default(),
        ]
    }
}

impl Meant {
    fn new(image: &ImageName, images: &[ImageView]) -> Self {
        let backends = |is_meant: &dyn Fn(&ImageView) -> bool| {
            let backends = images.iter().filter(|image| is_meant(image)).flat_map(|i| &i.backends);
            let mut found: Vec<String> = Vec::new();
            for backend in backends {
                if !found.contains(backend) {
                    found.push(backend.clone());
                }
            }
            found
        };
        let backends = match image {
            ImageName::Remote { .. } => None,
            ImageName::Local(alias) => Some(backends(&|image| image.image == *alias)),
            ImageName::Fingerprint(start) => {
                Some(backends(&|image| image.fingerprint.starts_with(start)))
            }
        };
        Self { image: image.clone(), backends }
    }
}
