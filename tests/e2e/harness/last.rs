//! An inspection after the last test: a static is never dropped, and no test knows that it is the
//! last. But libtest runs each test in a thread of its own and waits for the end of that thread, so
//! the last of the threads that asked for it inspects when its local data goes away.

use std::{
    any::Any,
    cell::OnceCell,
    io::Write,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// Inspects, and panics at what is wrong; it may wait for it to become right until the argument
/// says that another test has begun, which will be followed by another inspection.
pub(crate) type Inspect = fn(&dyn Fn() -> bool);

/// Threads that have asked.
static VISITORS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static VISIT: OnceCell<Visit> = const { OnceCell::new() };
}

struct Visit(Inspect);

/// Has `inspect` run once no thread is left that called this.
pub(crate) fn inspect_after_last(inspect: Inspect) {
    VISIT.with(|visit| {
        visit.get_or_init(|| {
            VISITORS.fetch_add(1, Ordering::SeqCst);
            Visit(inspect)
        });
    });
}

impl Drop for Visit {
    fn drop(&mut self) {
        if VISITORS.fetch_sub(1, Ordering::SeqCst) > 1 {
            return;
        }
        let inspect = self.0;
        // In a thread that has its local data, and can panic.
        let inspection = move || inspect(&|| VISITORS.load(Ordering::SeqCst) > 0);
        let thread =
            thread::Builder::new().name("after the last test".to_owned()).spawn(inspection);
        let failed = match thread.map(thread::JoinHandle::join) {
            Ok(Ok(())) => return,
            Ok(Err(panic)) => words(&*panic),
            Err(error) => error.to_string(),
        };
        // What libtest captures would be lost with this process.
        let _ = writeln!(std::io::stderr(), "after the last test: {failed}");
        std::process::abort();
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("panic").to_owned()
}
