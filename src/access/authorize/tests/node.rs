//! The keys of hosts that connect by themselves.

use super::*;

/// The backend whose host connects under key 9, by a line with these options.
fn behind_tunnel(options: KeyOptions) -> Arc<config::Backend> {
    let address = BackendAddress::Ssh {
        address: SshAddress::Tunnel(with(9, options)),
        user: "containarium".into(),
        host_key: key(201),
        identity: None,
    };
    Arc::new(config::Backend {
        name: "home-1".parse().unwrap(),
        pool: "default".parse().unwrap(),
        address,
        incus_socket: "/x".into(),
        routed: false,
        health: config::Health::default(),
        recovery: None,
    })
}

#[test]
fn a_node_key_opens_its_tunnel_and_nothing_else_whatever_lists_it() {
    let mut world = small();
    let mut mine = container("dora", ("dora", &[9]), &[]);
    mine.collaborators = vec![];
    world.inventory = Inventory::new(vec![backend("b1", vec![mine])]);
    world.admin.keys.push(line(9));
    world.backends = vec![behind_tunnel(KeyOptions::default())];
    for login in ["home-1", "dora", "dora+dora", "admin", "git", "tunnel", "", "HOME"] {
        let permit = world.by_key_and_file(login, 9, &[line(9)]);
        let who = permit.as_ref().map(|p| (p.principal.name.clone(), p.principal.role));
        assert_eq!(who, Ok(("node home-1".to_owned(), Role::Node)), "{login}");
        assert_eq!(shown(permit), "tunnel home-1", "{login}");
        assert_ne!(shown(world.by_key(login, 1)), "tunnel home-1", "{login}");
    }
    // A certificate for that key is not that key.
    let ca = Identity::generate_ed25519().unwrap();
    world.cas = vec![ca.public_key().clone()];
    world.admin.user_ca_keys = world.cas.clone();
    let parameters = Parameters {
        serial: 1,
        key_id: "node",
        principals: &["admin", "dora"],
        valid_after: 0,
        valid_before: u64::MAX,
        restrictions: &KeyOptions::default(),
    };
    let certificate = issue(&ca, &key(9), &parameters).unwrap();
    for login in ["admin", "dora"] {
        let refused = world.by_certificate(login, &certificate);
        assert_eq!(refused, Err(Reason::CertificateNotAccepted), "{login}");
    }
    // Its line may say from where.
    world.backends = vec![behind_tunnel(from("198.51.100.0/24"))];
    assert_eq!(world.by_key("home-1", 9), Err(Reason::Restricted));
    assert_eq!(world.by_key("dora", 9), Err(Reason::Restricted));
}
