//! The stacks that can be installed: those built in, and the administrator's own, a file each in
//! one folder. Read when a command needs them, so that a dropped file is there at once.

use std::{collections::BTreeMap, io, path::Path, sync::Arc};

use super::{
    Problem, Problems,
    load::{name_of, read_limited, toml_files},
    problem::Fault,
    read,
    source::{At, Sink, Sources, Told},
    tree,
};
use crate::model::{name::StackName, stack::Stack};

/// Most files in the folder.
const MAX_FILES: usize = 200;

/// Those that are built in.
const BUILT_IN: [(&str, &str); 12] = [
    ("android", include_str!("../../config/stacks/android.toml")),
    ("database", include_str!("../../config/stacks/database.toml")),
    ("datascience", include_str!("../../config/stacks/datascience.toml")),
    ("devops", include_str!("../../config/stacks/devops.toml")),
    ("docker", include_str!("../../config/stacks/docker.toml")),
    ("fullstack", include_str!("../../config/stacks/fullstack.toml")),
    ("golang", include_str!("../../config/stacks/golang.toml")),
    ("gpu", include_str!("../../config/stacks/gpu.toml")),
    ("nodejs", include_str!("../../config/stacks/nodejs.toml")),
    ("podman", include_str!("../../config/stacks/podman.toml")),
    ("python", include_str!("../../config/stacks/python.toml")),
    ("rust", include_str!("../../config/stacks/rust.toml")),
];

/// The stacks that can be installed, and what is wrong with the files of others.
#[derive(Debug, Clone, Default)]
pub struct Stacks {
    usable: BTreeMap<StackName, Arc<Stack>>,
    /// Names whose own file is broken: the stack that is built in is not what was meant.
    broken: BTreeMap<StackName, Problem>,
    problems: Vec<Problem>,
}

/// Why there is no such stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoStack {
    /// Nothing is called so.
    Unknown,
    /// Its file is broken.
    Broken(Problem),
}

impl Stacks {
    /// Those that are built in.
    #[must_use]
    pub fn built_in() -> Self {
        let mut stacks = Self::default();
        for (name, text) in BUILT_IN {
            stacks.add(name, None, text.to_owned());
        }
        stacks
    }

    /// Those that are built in and, by name in their place, those of the files `NAME.toml` in
    /// `folder`, which need not be there.
    #[must_use]
    pub fn load(folder: &Path) -> Self {
        let mut stacks = Self::built_in();
        let paths = match toml_files(folder) {
            Ok(paths) => paths,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => {
                stacks.problem(folder, Fault::new(format!("cannot be read: {e}")));
                Vec::new()
            }
        };
        if paths.len() > MAX_FILES {
            let fault = Fault::new(format!("{} files, the limit is {MAX_FILES}", paths.len()));
            stacks.problem(folder, fault);
        }
        for path in paths.iter().take(MAX_FILES) {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            match read_limited(path) {
                Ok(text) => stacks.add(stem, Some(name_of(path)), text),
                Err(fault) => {
                    stacks.problem(path, fault);
                    stacks.shut(stem, stacks.problems.len() - 1);
                }
            }
        }
        stacks
    }

    /// All that can be installed, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Stack>> {
        self.usable.values()
    }

    /// What is wrong with files in the folder.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether every file can be used.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn check(&self) -> Result<(), Problems> {
        if self.problems.is_empty() { Ok(()) } else { Err(Problems(self.problems.clone())) }
    }

    /// One by name.
    ///
    /// # Errors
    /// There is none, or its file is broken.
    pub fn find(&self, name: &StackName) -> Result<Arc<Stack>, NoStack> {
        if let Some(problem) = self.broken.get(name) {
            return Err(NoStack::Broken(problem.clone()));
        }
        self.usable.get(name).cloned().ok_or(NoStack::Unknown)
    }

    fn add(&mut self, name: &str, file: Option<String>, text: String) {
        let (mut sources, sink) = (Sources::default(), Sink::default());
        let table = tree::parse(&text, sources.next(), &sink);
        sources.add(file.clone().unwrap_or_else(|| format!("{name}.toml")), Some(text));
        let stack = match (name.parse::<StackName>(), table) {
            (Ok(name), Some(table)) => read::stack::stack(name, file, &table, &sink),
            (Ok(_), None) => Err(Told),
            (Err(e), _) => {
                let fault = Fault::new(format!("the file is not called like a stack: {e}"));
                Err(sink.add(At::default(), "", fault))
            }
        };
        match stack {
            Ok(stack) if sink.is_empty() => {
                self.usable.insert(stack.name.clone(), Arc::new(stack));
            }
            Ok(_) | Err(Told) => {
                let first = self.problems.len();
                self.problems.extend(sources.resolve(sink));
                self.shut(name, first);
            }
        }
    }

    fn problem(&mut self, path: &Path, fault: Fault) {
        let (mut sources, sink) = (Sources::default(), Sink::default());
        sources.add(name_of(path), None);
        sink.add(At::default(), "", fault);
        self.problems.extend(sources.resolve(sink));
    }

    /// What is called so is broken, which problem number `first` is the first to tell.
    fn shut(&mut self, name: &str, first: usize) {
        if let (Ok(name), Some(problem)) = (name.parse::<StackName>(), self.problems.get(first)) {
            self.usable.remove(&name);
            self.broken.insert(name, problem.clone());
        }
    }
}
