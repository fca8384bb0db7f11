//! Values on two nodes that share a Redis.

use std::{collections::HashMap, io, num::NonZeroUsize, time::Duration};

use larder::{Ack, Larder, Redis as Tier, Typed, secs};

use super::support::redis::Redis;

/// Two nodes of one namespace.
struct Scene {
    nodes: [Larder; 2],
    redis: Redis,
}

impl Scene {
    async fn start() -> Self {
        let redis = Redis::start();
        let nodes = [node(&redis).await, node(&redis).await];
        for node in &nodes {
            // Until both have met the registry, what is stored is stored for one of them alone.
            until(|| async { node.invalidate_tag("met").await == Ack::Global }).await;
        }
        Self { nodes, redis }
    }

    fn values(&self) -> [Typed<u64>; 2] {
        self.nodes.each_ref().map(|node| node.typed("value"))
    }

    /// Waits until each node knows what the other one has invalidated. A writer on a node that does
    /// not is taken for overtaken.
    async fn level(&self) {
        let [one, other] = self.values();
        for (here, there) in [(&one, &other), (&other, &one)] {
            there.insert("level", 1).await;
            here.remove("level").await;
            until(|| async { there.get("level").await.is_none() }).await;
        }
    }
}

async fn node(redis: &Redis) -> Larder {
    let tier = Tier::new(redis.url())
        .budget(secs(10))
        .background_budget(secs(10));
    Larder::builder().redis(tier).build().await.unwrap()
}

/// Waits until it is so. What is waited for happens on another node.
async fn until<F: Future<Output = bool>>(is_so: impl Fn() -> F) {
    for _ in 0..3000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come");
}

async fn done() -> Result<(), io::Error> {
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_through_is_read_on_both_nodes_without_a_load() {
    let scene = Scene::start().await;
    let [one, other] = scene.values();
    for round in 1..=20 {
        // Both hold the old value in memory, which has to go.
        let written = one.write_through("7", round, done()).await.unwrap();
        assert_eq!((written.stored, written.ack), (true, Ack::Global));
        assert_eq!(one.get("7").await.as_deref(), Some(&round));
        until(|| async { other.get("7").await.as_deref() == Some(&round) }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_through_that_another_node_has_overtaken_stores_nothing() {
    let scene = Scene::start().await;
    let [one, other] = scene.values();
    for tag in ["value:7", "value"] {
        let written = one.write_through("7", 1, async {
            scene.nodes[1].invalidate_tag(tag).await;
            done().await
        });
        assert!(!written.await.unwrap().stored, "{tag}");
    }
    let written = one.write_through("7", 1, async {
        scene.nodes[1].bump_version().await;
        done().await
    });
    assert!(!written.await.unwrap().stored, "everything");
    scene.level().await;
    let inner = other.write_through("7", 2, done());
    let written = one.write_through("7", 1, async {
        assert!(inner.await.unwrap().stored);
        done().await
    });
    assert!(!written.await.unwrap().stored, "another write");
    assert_eq!(one.get("7").await, None);
    until(|| async { other.get("7").await.is_none() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_an_earlier_version_stores_nothing_on_whichever_node() {
    let scene = Scene::start().await;
    let [one, other] = scene.values();
    // Larger than what Lua counts exactly: versions may be moments in nanoseconds.
    let version = |number: u64| (1 << 60) + number;
    let write = |values: &Typed<u64>, number| {
        let (values, scene) = (values.clone(), &scene);
        async move {
            scene.level().await;
            let written = values.write_through_version("7", version(number), number, done());
            written.await.unwrap().stored
        }
    };
    assert!(write(&one, 2).await);
    assert!(!write(&other, 1).await);
    assert_eq!(other.get("7").await, None, "the earlier one invalidates");
    assert!(!write(&one, 2).await, "the same is no later one");
    assert!(write(&other, 3).await);
    assert_eq!(other.get("7").await.as_deref(), Some(&3));
    // A key of another kind in its place costs what was remembered, and nothing else.
    let row = scene.redis.names();
    let row = row.iter().find(|name| name.contains(":row:")).unwrap();
    scene.redis.ask(&["DEL", row]);
    scene.redis.ask(&["LPUSH", row, "x"]);
    assert!(write(&one, 1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn making_a_kind_void_costs_the_same_however_many_values_there_are() {
    let scene = Scene::start().await;
    let [one, other] = scene.values();
    let mut costs = Vec::new();
    for count in [10_u64, 1000] {
        for id in 0..count {
            one.insert(&id.to_string(), id).await;
        }
        until(|| async { other.get(&(count - 1).to_string()).await.is_some() }).await;
        scene.redis.ask(&["CONFIG", "RESETSTAT"]);
        one.bump_version().await;
        for command in ["keys", "scan", "del", "unlink"] {
            assert_eq!(scene.redis.calls(command), 0, "{command}");
        }
        costs.push(["zadd", "xadd", "publish"].map(|command| scene.redis.calls(command)));
        for id in 0..count {
            assert_eq!(one.get(&id.to_string()).await, None);
        }
    }
    assert_eq!(costs, [[1, 1, 1], [1, 1, 1]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn warming_does_not_outrun_what_is_written_to_redis() {
    let scene = Scene::start().await;
    let [one, other] = scene.values();
    let ids: Vec<String> = (0..4000).map(|id| id.to_string()).collect();
    let batch = NonZeroUsize::new(2000).unwrap();
    let load = |ids: Vec<String>| async move {
        let value = |id: String| (id.clone(), id.parse().unwrap());
        Ok::<_, io::Error>(ids.into_iter().map(value).collect::<HashMap<_, u64>>())
    };
    let warmed = one.warm(&ids, batch, load, |_| {}).await;
    assert_eq!(warmed.loaded, 4000);
    scene.nodes[0].shutdown(secs(10)).await;
    let found = other.get_many(&ids).await;
    assert_eq!(found.iter().flatten().count(), 4000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_through_without_redis_only_invalidates() {
    let mut scene = Scene::start().await;
    let [one, _] = scene.values();
    assert!(one.write_through("7", 1, done()).await.unwrap().stored);
    scene.redis.kill();
    let written = one.write_through("7", 2, done()).await.unwrap();
    assert!(!written.stored);
    assert!(
        matches!(written.ack, Ack::Local { .. }),
        "{:?}",
        written.ack
    );
    assert_eq!(one.get("7").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_program_makes_a_value_void_on_both_nodes() {
    let scene = Scene::start().await;
    let [one, other] = scene.values();
    one.write_through("7", 1, done()).await.unwrap();
    one.write_through("8", 1, done()).await.unwrap();
    until(|| async { other.get("7").await.is_some() && other.get("8").await.is_some() }).await;
    let message = r#"{"id": "row-7-changed", "tags": ["value:7"]}"#;
    scene
        .redis
        .ask(&["PUBLISH", "larder:{larder}:invalidate", message]);
    for values in [&one, &other] {
        until(|| async { values.get("7").await.is_none() }).await;
        assert!(values.get("8").await.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_of_a_kind_or_of_everything_reaches_both_nodes() {
    let scene = Scene::start().await;
    let [one, other] = scene.values();
    let names = scene
        .nodes
        .each_ref()
        .map(|node| node.typed::<String>("name"));
    for everything in [false, true] {
        one.write_through("7", 1, done()).await.unwrap();
        let kettle = names[0].write_through("7", "kettle".to_owned(), done());
        kettle.await.unwrap();
        until(|| async { other.get("7").await.is_some() && names[1].get("7").await.is_some() })
            .await;
        if everything {
            scene.nodes[0].bump_version().await;
        } else {
            one.bump_version().await;
        }
        assert_eq!(one.get("7").await, None);
        until(|| async { other.get("7").await.is_none() }).await;
        assert_eq!(names[0].get("7").await.is_none(), everything);
        if everything {
            until(|| async { names[1].get("7").await.is_none() }).await;
        } else {
            assert!(names[1].get("7").await.is_some());
        }
    }
}
