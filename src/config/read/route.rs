//! `[[route]]`.

use std::sync::Arc;

use super::{
    super::{
        Route,
        address::destination,
        keys::{authorized_key, public_key},
        path::file,
        problem::Fault,
        section::Section,
        source::Told,
        value::name,
    },
    Scope, Unique,
};
use crate::model::name::{Account, RouteName};

pub(super) fn routes(
    sections: Vec<Section<'_>>,
    scope: Scope<'_>,
    admin: Option<&Account>,
) -> Result<Vec<Arc<Route>>, Told> {
    let mut logins = Unique::new("route", scope.sources);
    let mut read = |section| route(section, scope, admin, &mut logins);
    let routes: Vec<_> = sections.into_iter().map(|s| read(s).map(Arc::new)).collect();
    routes.into_iter().collect()
}

fn route(
    mut section: Section<'_>,
    scope: Scope<'_>,
    admin: Option<&Account>,
    logins: &mut Unique<'_>,
) -> Result<Route, Told> {
    let login = section.need("login", "login = \"git\"", name::<RouteName>);
    let to = section.need("to", "to = \"git@192.0.2.20:22\"", destination);
    let host_key = section.need("host_key", "host_key = \"ssh-ed25519 AAAA…\"", public_key);
    let example = "authorized_keys = [\"ssh-ed25519 AAAA…\"]";
    let keys = section.list("authorized_keys", authorized_key);
    if keys.as_ref().is_ok_and(|k| k.as_ref().is_none_or(Vec::is_empty)) {
        let fault = Fault::new("nobody could use this route: there is no key");
        section.missing("authorized_keys", fault.hint(format!("for instance `{example}`")));
    }
    let identity = section.maybe("identity", file(scope.base));
    if let Ok(login) = &login {
        logins.check(&section, "login", login.as_str());
        if admin.is_some_and(|a| a.as_str() == login.as_str()) {
            let fault = Fault::new(format!("\"{login}\" is the login of the console"));
            section.fault("login", fault.hint("change this one or `admin.login`"));
        }
    }
    section.finish(|_| None);
    let (user, address) = to?;
    Ok(Route {
        login: login?,
        user,
        address,
        host_key: host_key?,
        keys: keys?.unwrap_or_default(),
        identity: identity?,
    })
}
