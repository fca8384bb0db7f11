//! Redis behind TLS, and by a socket in the file system: what holds over a plain address holds here.

use std::{fs, path::Path, thread, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::{
    scene::{Scene, Way},
    support::{
        folder::Folder,
        redis::{Redis, free_port},
    },
};

/// An authority that nobody knows but who is told, and a certificate by it for this machine.
struct Certificates(Folder);

impl Certificates {
    fn new() -> Self {
        let folder = Folder::new("certificates");
        let own = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = authority.self_signed(&own).unwrap();
        let issuer = Issuer::new(authority, own);
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let server = server.signed_by(&key, &issuer).unwrap();
        for (name, text) in [
            ("root", root.pem()),
            ("server", server.pem()),
            ("key", key.serialize_pem()),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }
}

/// A Redis with this certificate, and the port at which it wants to be spoken to by TLS.
fn behind_tls(certificates: &Certificates) -> (Redis, u16) {
    let port = free_port();
    let [root, server, key] = ["root", "server", "key"].map(|name| certificates.file(name));
    let redis = Redis::with(&[
        ("tls-port", &port.to_string()),
        ("tls-ca-cert-file", &root),
        ("tls-cert-file", &server),
        ("tls-key-file", &key),
        ("tls-auth-clients", "no"),
    ]);
    (redis, port)
}

/// A frozen, then a killed Redis is missed by nobody, and found again.
fn goes_away_and_comes_back(mut scene: Scene) {
    scene.follows();
    scene.redis.freeze();
    scene.goes_on_without_redis();
    scene.redis.thaw();
    scene.comes_back();
    scene.redis.kill();
    scene.goes_on_without_redis();
    scene.redis.begin();
    scene.comes_back();
    scene.follows();
}

fn tls_scene(redis: Redis, port: u16, count: usize, roots: &str) -> Scene {
    let way = Way {
        server: ([127, 0, 0, 1], port).into(),
        url: Box::new(|proxy| format!("rediss://localhost:{}", proxy.port())),
    };
    Scene::by(way, redis, count, &[("SSL_CERT_FILE", roots)])
}

#[test]
fn nodes_share_a_redis_behind_tls_and_do_without_it() {
    let certificates = Certificates::new();
    let (redis, port) = behind_tls(&certificates);
    let scene = tls_scene(redis, port, 2, &certificates.file("root"));
    scene.wait_until("shared over TLS", || scene.is_shared());
    goes_away_and_comes_back(scene);
}

#[test]
fn a_redis_whose_certificate_nobody_vouches_for_is_a_redis_that_is_away() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let (redis, port) = behind_tls(&certificates);
    let scene = tls_scene(redis, port, 1, &others.file("root"));
    scene.goes_on_without_redis();
    thread::sleep(Duration::from_millis(500));
    assert!(scene.redis.names().is_empty(), "{:?}", scene.redis.names());
    scene.is_quiet();
}

#[test]
fn nodes_share_a_redis_at_a_socket_and_do_without_it() {
    let folder = Folder::new("socket");
    let socket = folder.path().join("redis.sock");
    assert!(
        fits(&socket),
        "{} is too long for a socket",
        socket.display()
    );
    let name = socket.to_string_lossy().into_owned();
    let redis = Redis::with(&[("unixsocket", &name)]);
    let way = Way {
        server: redis.address(),
        url: Box::new(move |_| format!("unix://{name}")),
    };
    let scene = Scene::by(way, redis, 2, &[]);
    scene.wait_until("shared by a socket", || scene.is_shared());
    // Nobody has come by the network but the test itself, which has left.
    let clients = scene.redis.ask(&["CLIENT", "LIST"]).text();
    let by_network = clients
        .lines()
        .filter(|line| !line.contains("redis.sock"))
        .count();
    assert_eq!(by_network, 1, "{clients}");
    goes_away_and_comes_back(scene);
}

/// Returns whether the system takes this for the name of a socket.
fn fits(socket: &Path) -> bool {
    socket.as_os_str().len() < 108
}
