//! A stack: software that can be installed into a container, described by a file. Pure data: read
//! by `config`, installed by `fleet`, remembered in a label of the container.

use std::fmt;

use serde::Serialize;

use super::name::StackName;

/// A family of distributions: those that share a package manager and names of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Debian, Ubuntu and what comes from them: apt.
    Debian,
    /// Red Hat Enterprise Linux, Rocky Linux, Alma Linux, Fedora: dnf.
    Rhel,
    /// Alpine Linux: apk.
    Alpine,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 3] = [Self::Debian, Self::Rhel, Self::Alpine];

    /// As it is called in a stack's file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Rhel => "rhel",
            Self::Alpine => "alpine",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Software that can be installed into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// What it is called.
    pub name: StackName,
    /// What it is, for people: `Node.js`.
    pub title: String,
    /// What it installs, for people.
    pub description: String,
    /// A script that succeeds when it is installed, and changes nothing.
    pub check: String,
    /// The script that installs it, by family; at least one.
    pub scripts: Vec<(Family, String)>,
    /// The file that it comes from; `None`: it is built in.
    pub file: Option<String>,
}

impl Stack {
    /// The script that installs it on a family of distributions.
    #[must_use]
    pub fn script(&self, family: Family) -> Option<&str> {
        self.scripts.iter().find(|(f, _)| *f == family).map(|(_, script)| script.as_str())
    }

    /// The families that it can be installed on.
    pub fn families(&self) -> impl Iterator<Item = Family> {
        self.scripts.iter().map(|(family, _)| *family)
    }
}

/// The stacks that a label names, in the order of their installation. What is no name is passed
/// over.
pub fn in_label(label: &str) -> impl Iterator<Item = StackName> {
    label.split(',').filter_map(|name| name.trim().parse().ok())
}

/// The label with one more stack; `None` if it has it already.
#[must_use]
pub fn add_to_label(label: &str, stack: &StackName) -> Option<String> {
    let mut names: Vec<StackName> = in_label(label).collect();
    if names.contains(stack) {
        return None;
    }
    names.push(stack.clone());
    Some(names.iter().map(StackName::as_str).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_names_each_stack_once_in_order() {
        let node: StackName = "nodejs".parse().unwrap();
        for (label, with) in [
            ("", Some("nodejs")),
            ("python", Some("python,nodejs")),
            ("python, golang", Some("python,golang,nodejs")),
            ("nodejs", None),
            ("python,nodejs", None),
            ("\x1b[2J,,Python,rust", Some("rust,nodejs")),
        ] {
            assert_eq!(add_to_label(label, &node).as_deref(), with, "{label:?}");
        }
    }
}
