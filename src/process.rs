//! What this process uses: tasks, descriptors, memory. Read when an operator asks; `door` and
//! `app` enter the runtimes whose tasks count.

use std::{
    fs,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::runtime::Handle;

/// The runtimes of this process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Runtimes(Arc<Mutex<Vec<Handle>>>);

impl Runtimes {
    /// Enters a runtime.
    pub fn add(&self, runtime: Handle) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(runtime);
    }

    /// How many tasks live on all of them.
    #[must_use]
    pub fn tasks(&self) -> usize {
        let runtimes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        runtimes.iter().map(|runtime| runtime.metrics().num_alive_tasks()).sum()
    }
}

/// How many file descriptors are open; 0 if the system does not tell.
#[must_use]
pub fn descriptors() -> usize {
    // The directory itself is open while it is read.
    fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count().saturating_sub(1))
}

/// How much memory is resident, in bytes; 0 if the system does not tell.
#[must_use]
pub fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    resident(&status)
}

/// The machine's name; `localhost` if the system does not tell.
#[must_use]
pub fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" | "(none)" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

/// `VmRSS` of proc(5), which is in units of 1024 bytes.
fn resident(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(resident("Name:\tx\nVmHWM:\t  99 kB\nVmRSS:\t    1234 kB\n"), 1234 * 1024);
        assert_eq!(resident("VmRSS:\tmuch\n") + resident(""), 0);
        assert!(resident_bytes() > 0);
    }

    #[test]
    fn descriptors_and_tasks_are_counted() {
        let before = descriptors();
        let files: Vec<_> = (0..100).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        // Other tests open and close some meanwhile.
        assert!(descriptors() > before.saturating_sub(50) + files.len() / 2);

        let runtimes = Runtimes::default();
        let built = [(); 2].map(|()| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtimes.add(runtime.handle().clone());
            runtime
        });
        assert_eq!(runtimes.tasks(), 0);
        let task = built[0].handle().spawn(std::future::pending::<()>());
        let other = built[1].handle().spawn(std::future::pending::<()>());
        assert_eq!(runtimes.tasks(), 2);
        task.abort();
        assert!(built[0].block_on(task).unwrap_err().is_cancelled());
        assert_eq!(runtimes.tasks(), 1);
        other.abort();
    }
}
