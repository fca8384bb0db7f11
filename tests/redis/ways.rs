//! Redis behind TLS, and by a socket in the file system: what holds over a plain address holds here.

use std::{path::Path, thread, time::Duration};

use larder::{Ack, Consistency, Redis};

use crate::{
    certificates::{Certificates, borrowed},
    node::{Node, Truth},
    pair::Pair,
    scene::{Scene, Way},
    support::{
        folder::Folder,
        redis::{Redis as Server, free_port},
    },
};

/// A Redis with this certificate, and the port at which it wants to be spoken to by TLS.
fn behind_tls(certificates: &Certificates, asks: bool) -> (Server, u16) {
    let port = free_port();
    let redis = Server::with(&borrowed(&certificates.settings(port, asks)));
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

fn tls_scene(redis: Server, port: u16, count: usize, roots: &str) -> Scene {
    let way = Way {
        server: ([127, 0, 0, 1], port).into(),
        url: Box::new(|proxy| format!("rediss://localhost:{}", proxy.port())),
    };
    Scene::by(way, redis, count, &[("SSL_CERT_FILE", roots)])
}

#[test]
fn nodes_share_a_redis_behind_tls_and_do_without_it() {
    let certificates = Certificates::new();
    let (redis, port) = behind_tls(&certificates, false);
    let scene = tls_scene(redis, port, 2, &certificates.file("root"));
    scene.wait_until("shared over TLS", || scene.is_shared());
    goes_away_and_comes_back(scene);
}

#[test]
fn a_redis_whose_certificate_nobody_vouches_for_is_a_redis_that_is_away() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let (redis, port) = behind_tls(&certificates, false);
    let scene = tls_scene(redis, port, 1, &others.file("root"));
    scene.goes_on_without_redis();
    thread::sleep(Duration::from_millis(500));
    assert!(scene.redis.names().is_empty(), "{:?}", scene.redis.names());
    scene.is_quiet();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_asks_for_a_certificate_is_shown_one_and_vouched_for_by_an_authority_of_ones_own()
 {
    let certificates = Certificates::new();
    let (mut redis, port) = behind_tls(&certificates, true);
    let url = format!("rediss://localhost:{port}");
    let pair = Pair::start(certificates.way(&url)).await;
    pair.writes_until_global("/items/1").await;
    pair.shares_again().await;
    redis.restart();
    pair.writes_until_global("/items/1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shows_no_certificate_or_trusts_another_authority_has_a_redis_that_is_away() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let (redis, port) = behind_tls(&certificates, true);
    let url = format!("rediss://localhost:{port}");
    let nameless = Redis::new(&*url).root_certificates(certificates.text("root"));
    for way in [nameless, others.way(&url)] {
        let truth = Truth::new();
        let node = Node::alone(way, &truth, Consistency::Bounded).await;
        for _ in 0..10 {
            let (version, ack) = node.put("/items/1").await;
            assert!(matches!(ack, Ack::Local { .. }), "{ack:?}");
            assert_eq!(node.get("/items/1").await, version);
        }
    }
    assert!(redis.names().is_empty(), "{:?}", redis.names());
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
    let redis = Server::with(&[("unixsocket", &name)]);
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
