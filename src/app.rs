//! Composition root. Called by `main` alone.

use std::{path::Path, process::ExitCode};

/// Runs the sentinel until it is told to stop.
#[must_use]
pub fn serve(config: &Path) -> ExitCode {
    tracing::error!(config = %config.display(), "serve is not part of this build");
    ExitCode::FAILURE
}

/// Reads the configuration and reports what is wrong with it: 0 nothing, 78 something.
#[must_use]
pub fn check_config(config: &Path) -> ExitCode {
    tracing::error!(config = %config.display(), "config check is not part of this build");
    ExitCode::FAILURE
}
