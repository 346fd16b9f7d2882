//! Containers of one test: running ones that may be broken, and labels on instances that never run.

use std::{
    collections::HashMap,
    fs,
    panic::Location,
    sync::{Mutex, PoisonError},
};

use super::{Sentinel, lab, lab_command, world};

/// A running container that one test owns, and may break. It is removed when the test is done.
pub struct Guest {
    /// The name at the door.
    pub name: String,
    /// The backend.
    pub backend: String,
    /// Its address.
    pub address: String,
}

impl Guest {
    /// Makes container `name` of `owner`, whose key is `$DIR/OWNER`, and waits until `sentinel`
    /// lists it.
    #[track_caller]
    pub fn new(sentinel: &Sentinel, backend: &str, name: &str, owner: &str) -> Self {
        quiet_delete(backend, &[name]);
        let address = world().container(backend, name, owner, &[]);
        sentinel.wait_until_listed(&[name]);
        Self { name: name.to_owned(), backend: backend.to_owned(), address }
    }

    /// The instance.
    pub fn instance(&self) -> String {
        format!("{}-container", self.name)
    }

    /// Runs a shell script in it as root; panics if it fails.
    pub fn root(&self, script: &str) -> String {
        // Incus may lose what a command has said in the moment in which it ends.
        let lingering = r#"sh -ec "$1"; status=$?; sleep 0.05; exit $status"#;
        let line = ["exec", &self.instance(), "-T", "--", "sh", "-c", lingering, "sh", script];
        lab().incus(&self.backend, &line)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        quiet_delete(&self.backend, &[&self.name]);
    }
}

/// Panics if another file of tests has a container of this name: all sentinels of the lab see every
/// backend, and a name that two instances have is refused at the door.
#[track_caller]
pub fn claim(name: &str) {
    static OWNERS: Mutex<Option<HashMap<String, &str>>> = Mutex::new(None);
    let file = Location::caller().file();
    let mut owners = OWNERS.lock().unwrap_or_else(PoisonError::into_inner);
    let owner = *owners.get_or_insert_default().entry(name.to_owned()).or_insert(file);
    assert_eq!(owner, file, "two tests have a container called {name}");
}

/// Removes containers, if they are there.
pub fn quiet_delete(backend: &str, names: &[&str]) {
    let instances = names.iter().map(|name| format!("{name}-container"));
    let line: Vec<String> = ["incus", backend, "delete", "--force"]
        .map(String::from)
        .into_iter()
        .chain(instances)
        .collect();
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let _ = lab_command(&line).output();
}

/// Makes instance `NAME-container` with labels as `contrib/adopt` writes them, held so that no login
/// starts it, as there is nothing to start: enough for whoever decides who gets in. `keys` and collaborators' keys are key lines.
#[track_caller]
pub fn labelled(backend: &str, name: &str, owner: &str, keys: &str, others: &[(&str, &str)]) {
    claim(name);
    let host_key = fs::read_to_string(world().dir.join("mallory.pub")).unwrap();
    let others: Vec<_> = others
        .iter()
        .map(|(login, key)| {
            serde_json::json!({
                "login": login, "keys": [key], "sudo": false, "container_runtime": false,
            })
        })
        .collect();
    let settings = [
        ("owner", owner.to_owned()),
        ("authorized-keys", keys.to_owned()),
        ("collaborators", serde_json::Value::Array(others).to_string()),
        ("host-keys", host_key.trim().to_owned()),
        ("hold", "true".to_owned()),
    ]
    .map(|(key, value)| format!("user.containarium.{key}={value}"));
    let instance = format!("{name}-container");
    let mut line = vec!["init", "-q", "--empty", &instance];
    for setting in &settings {
        line.extend(["-c", setting]);
    }
    lab().incus(backend, &line);
}

/// Changes one label of a container.
pub fn label(backend: &str, name: &str, key: &str, value: &str) {
    let setting = format!("user.containarium.{key}={value}");
    lab().incus(backend, &["config", "set", &format!("{name}-container"), &setting]);
}
