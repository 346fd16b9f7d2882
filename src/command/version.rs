//! `version`: the version of the sentinel that answers.

use serde::Serialize;

use super::{
    context::Context,
    failure::Failure,
    report::{Part, Report},
};

#[derive(Serialize)]
struct Version {
    version: &'static str,
}

pub(super) fn run(context: &Context) -> Result<Report, Failure> {
    let version = context.version;
    let report = Report::of(Version { version })?.names(vec![version.to_owned()]);
    Ok(report.part(Part::Text(format!("containarium {version}"))))
}
