//! `reload`: reads the configuration again, as SIGHUP does, and tells how it went.

use serde::Serialize;

use super::{
    context::Context,
    failure::{Failure, Kind},
    report::{Part, Report},
};

#[derive(Serialize)]
struct Reloaded {
    reloaded: bool,
    needs_restart: Vec<&'static str>,
}

pub(super) fn run(context: &Context) -> Result<Report, Failure> {
    let needs_restart = (context.reload)().map_err(|mistake| {
        let text = format!("configuration not reloaded, the old one stays: {mistake}");
        Failure::new(Kind::BadConfiguration, text)
            .hint("on the sentinel, `containarium config check` shows every mistake")
    })?;
    let text = match needs_restart.join(", ") {
        keys if keys.is_empty() => "configuration reloaded".to_owned(),
        keys => format!("configuration reloaded; only a restart will change {keys}"),
    };
    Ok(Report::of(Reloaded { reloaded: true, needs_restart })?.part(Part::Text(text)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::command::testing::*;

    #[test]
    fn a_mistake_is_told_and_a_restart_is_named() {
        let mut context = context(admin());
        Arc::make_mut(&mut context.environment).reload = Arc::new(|| Ok(vec!["ssh.listen"]));
        let good = execute_line(b"reload", &context);
        let text = "configuration reloaded; only a restart will change ssh.listen\n";
        assert_eq!((good.status, good.stdout.as_str()), (0, text));
        Arc::make_mut(&mut context.environment).reload =
            Arc::new(|| Err("x.toml:3:1: ssh.lisen: unknown key".to_owned()));
        let bad = execute_line(b"reload", &context);
        assert_eq!((bad.status, bad.stdout.as_str()), (78, ""));
        assert!(bad.stderr.contains("x.toml:3:1"), "{}", bad.stderr);
    }
}
