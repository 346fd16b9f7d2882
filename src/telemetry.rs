//! Logging: lines on standard error, as text for people or as JSON for machines, and a count of
//! panics. Set up once by `app`; everybody else only uses `tracing`.
//!
//! `RUST_LOG` is not read: the configuration is the only place that decides.

use std::{
    any::Any,
    io::{self, IsTerminal as _},
    panic,
    sync::atomic::{AtomicU64, Ordering},
};

use tracing::{Subscriber, subscriber};
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry,
    filter::ParseError,
    fmt::{self, MakeWriter},
    layer::SubscriberExt as _,
    reload,
};

use crate::{
    config::{Log, LogFormat},
    model::text::printable,
};

/// Longest panic message in the log, in characters.
const MAX_MESSAGE: usize = 1000;

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Why logging could not be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is not a filter; the configuration does not let one through.
    #[error("log filter does not parse")]
    Filter(#[from] ParseError),
    /// There is a subscriber in this process already.
    #[error("logging is set up already")]
    Installed(#[from] subscriber::SetGlobalDefaultError),
    /// The subscriber is gone.
    #[error("log filter cannot be replaced")]
    Reload(#[from] reload::Error),
}

/// The running log, whose level can be changed.
#[derive(Debug, Clone)]
pub struct Telemetry {
    filter: reload::Handle<EnvFilter, Registry>,
}

impl Telemetry {
    /// Logs to standard error from here on, and logs and counts panics.
    ///
    /// Text has colours when standard error is a terminal and `NO_COLOR` is unset or empty.
    ///
    /// # Errors
    /// The level does not parse, or the process has a subscriber already.
    pub fn install(log: &Log) -> Result<Self, TelemetryError> {
        let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let ansi = colour && io::stderr().is_terminal();
        let (subscriber, telemetry) = build(log, ansi, io::stderr)?;
        subscriber::set_global_default(subscriber)?;
        panic::set_hook(Box::new(on_panic));
        Ok(telemetry)
    }

    /// Changes the level; the format stays what it was at start.
    ///
    /// # Errors
    /// The level does not parse; the old one stays.
    pub fn reload(&self, log: &Log) -> Result<(), TelemetryError> {
        let filter = EnvFilter::try_new(&log.level)?;
        Ok(self.filter.reload(filter)?)
    }
}

/// Number of panics since start.
#[must_use]
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

fn build<W>(
    log: &Log,
    ansi: bool,
    writer: W,
) -> Result<(impl Subscriber + Send + Sync + use<W>, Telemetry), TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(&log.level)?);
    // A log that cannot be written must not write about it: standard error is the log.
    let lines = fmt::layer().with_writer(writer).log_internal_errors(false);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(ansi).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).boxed(),
    };
    Ok((Registry::default().with(filter).with(lines), Telemetry { filter: handle }))
}

fn on_panic(info: &panic::PanicHookInfo<'_>) {
    PANICS.fetch_add(1, Ordering::Relaxed);
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("?");
    tracing::error!(%place, thread, "panic: {}", printable(message(info.payload()), MAX_MESSAGE));
}

fn message(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn take(&self) -> String {
            String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
        }
    }

    fn logged(format: LogFormat, ansi: bool, run: impl FnOnce(&Telemetry)) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = Log { format, level: "info".to_owned(), openssh: false };
        let (subscriber, telemetry) = build(&log, ansi, move || writer.clone()).unwrap();
        subscriber::with_default(subscriber, || run(&telemetry));
        lines.take()
    }

    #[test]
    fn text_has_no_colour_unless_it_is_wanted() {
        let plain = logged(LogFormat::Text, false, |_| tracing::info!(user = "alice", "hello"));
        assert!(plain.contains(" INFO ") && plain.ends_with("hello user=\"alice\"\n"), "{plain}");
        assert!(!plain.contains('\u{1b}'));
        let colour = logged(LogFormat::Text, true, |_| tracing::info!("hello"));
        assert!(colour.contains("\u{1b}["));
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = logged(LogFormat::Json, true, |_| {
            tracing::info!(user = "a\nb\u{1b}", "one\ntwo");
            tracing::warn!("three");
        });
        let values: Vec<serde_json::Value> =
            text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(values.len(), 2);
        assert_eq!(values[0]["user"], "a\nb\u{1b}");
        assert_eq!((&values[1]["level"], &values[1]["message"]), (&"WARN".into(), &"three".into()));
    }

    #[test]
    fn a_reload_changes_the_level_and_a_bad_one_changes_nothing() {
        let text = logged(LogFormat::Text, false, |telemetry| {
            let log = |level: &str| Log {
                format: LogFormat::Text,
                level: level.to_owned(),
                openssh: false,
            };
            tracing::debug!("one");
            telemetry.reload(&log("debug")).unwrap();
            tracing::debug!("two");
            assert!(telemetry.reload(&log("a=b=c")).is_err());
            tracing::debug!("three");
            telemetry.reload(&log("error")).unwrap();
            tracing::warn!("four");
        });
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("two") && text.contains("three"));
    }

    #[test]
    fn a_panic_is_counted_and_logged_on_one_line() {
        let before = panics();
        let text = logged(LogFormat::Text, false, |_| {
            let old = panic::take_hook();
            panic::set_hook(Box::new(on_panic));
            let caught = panic::catch_unwind(|| panic!("line one\nline two {}", 1 + 1));
            panic::set_hook(old);
            assert!(caught.is_err());
        });
        assert!(panics() > before);
        let ours: Vec<_> = text.lines().filter(|l| l.contains("line one")).collect();
        assert_eq!(ours.len(), 1, "{text}");
        assert!(ours[0].contains("panic: line one\\u{a}line two 2"), "{text}");
        assert!(ours[0].contains("place=src/telemetry.rs:"), "{text}");
    }
}
