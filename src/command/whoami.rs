//! `whoami`: who the sentinel takes the caller for, and why.

use serde::Serialize;

use super::{
    context::Context,
    failure::Failure,
    report::{Field, Part, Report},
    view::KeyView,
};
use crate::model::principal::Role;

#[derive(Serialize)]
struct WhoAmI {
    name: String,
    role: &'static str,
    key: Option<KeyView>,
    certificate: Option<String>,
    containers: Vec<String>,
}

pub(super) fn run(context: &Context) -> Result<Report, Failure> {
    let principal = &context.principal;
    let (role, containers) = match principal.role {
        Role::Admin => ("admin", Vec::new()),
        Role::Member => {
            let visible = context.visible(&context.snapshot());
            ("member", visible.iter().map(|c| c.name.to_string()).collect())
        }
        Role::Node => ("node", Vec::new()),
    };
    let view = WhoAmI {
        name: principal.name.clone(),
        role,
        key: principal.key.as_ref().map(KeyView::new),
        certificate: principal.certificate.clone(),
        containers,
    };
    let fields = vec![
        Field::one("Name", &view.name),
        Field::one("Role", view.role),
        Field::many("Key", view.key.iter().map(KeyView::text).collect()),
        Field::many("Certificate", view.certificate.iter().cloned().collect()),
        Field::many("Containers", view.containers.clone()),
    ];
    let names = vec![view.name.clone()];
    Ok(Report::of(view)?.names(names).part(Part::Fields(fields)))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::*;

    #[test]
    fn a_member_sees_her_key_and_her_containers() {
        let outcome = execute_line(b"whoami", &context(member("alice")));
        assert!(outcome.stdout.starts_with("Name:        alice@laptop\nRole:        member\n"));
        assert!(outcome.stdout.contains("Key:         SHA256:"), "{}", outcome.stdout);
        assert!(outcome.stdout.ends_with("Containers:  alice\n"), "{}", outcome.stdout);
        let json = execute_line(b"whoami --json", &context(admin()));
        assert!(json.stdout.contains("\"role\":\"admin\""), "{}", json.stdout);
    }
}
