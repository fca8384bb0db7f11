//! Calls that change something.

use std::time::Duration;

use larder::{Ack, GrpcCacheLayer, Invalidations};
use tokio_stream::StreamExt;
use tonic::{Code, Request, Response, Status, transport::Server};

use crate::{
    ground::{
        FailRequest, GetRequest, Item, PutRequest,
        items_server::{Items, ItemsServer},
    },
    shop::{Shop, Site, Watching, client, get, incoming, larder, put, told, until_kept},
};

#[tokio::test]
async fn a_change_is_stamped_before_its_answer() {
    let site = Site::new().await;
    let mut client = site.client().await;
    until_kept(&mut client, "a").await;
    until_kept(&mut client, "b").await;
    for version in 1..4 {
        assert_eq!(
            client.put(put("a")).await.unwrap().get_ref().version,
            version
        );
        assert_eq!(
            client.get(get("a")).await.unwrap().get_ref().version,
            version
        );
    }
    assert_eq!(told(&client.get(get("b")).await.unwrap()).0, "2");
}

#[tokio::test]
async fn a_refused_call_changes_nothing_and_a_failed_one_may_have() {
    let site = Site::new().await;
    let mut client = site.client().await;
    until_kept(&mut client, "a!refuse").await;
    until_kept(&mut client, "a!fail").await;
    let refused = client.put(put("a!refuse")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(told(&client.get(get("a!refuse")).await.unwrap()).0, "1");
    assert_eq!(
        client.put(put("a!fail")).await.unwrap_err().code(),
        Code::Internal
    );
    assert_eq!(told(&client.get(get("a!fail")).await.unwrap()).0, "5");
}

#[tokio::test]
async fn a_client_that_leaves_has_changed_what_its_call_is_declared_to() {
    let site = Site::new().await;
    let mut client = site.client().await;
    until_kept(&mut client, "a!wait").await;
    let mut leaving = site.client().await;
    let call = tokio::spawn(async move { leaving.put(put("a!wait")).await });
    while site.shop.runs() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    call.abort();
    for _ in 0..100 {
        if told(&client.get(get("a!wait")).await.unwrap()).0 != "1" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("what was kept before the change is still served");
}

/// A service that says all of it by attributes.
struct Declaring(Shop);

#[tonic::async_trait]
impl Items for Declaring {
    type WatchStream = Watching;

    #[larder::cache(ttl = "1m", tags("item:{id}", "items"), vary("x-tenant"))]
    async fn get(&self, request: Request<GetRequest>) -> Result<Response<Item>, Status> {
        self.0.get(request).await
    }

    #[larder::invalidates("item:{id}")]
    async fn put(&self, request: Request<PutRequest>) -> Result<Response<Item>, Status> {
        self.0.put(request).await
    }

    async fn watch(&self, request: Request<GetRequest>) -> Result<Response<Watching>, Status> {
        // Said by hand, while the stream is under way.
        let notes = request
            .extensions()
            .get::<Invalidations>()
            .cloned()
            .unwrap_or_default();
        let id = request.get_ref().id.clone();
        let items = self.0.watch(request).await?.into_inner();
        let items = items.take(2).map(move |item| {
            notes.add(larder::Target::tag(&format!("item:{id}")));
            item
        });
        Ok(Response::new(Box::pin(items)))
    }

    #[larder::cache(ttl = "1m")]
    async fn fail(&self, request: Request<FailRequest>) -> Result<Response<Item>, Status> {
        self.0.fail(request).await
    }
}

async fn declaring() -> (Shop, larder::Larder, std::net::SocketAddr) {
    let ((larder, _), shop, (address, incoming)) = (larder().await, Shop::new(), incoming().await);
    let server = Server::builder()
        .layer(GrpcCacheLayer::new(&larder))
        .add_service(ItemsServer::new(Declaring(shop.clone())))
        .serve_with_incoming(incoming);
    tokio::spawn(server);
    (shop, larder, address)
}

#[tokio::test]
async fn attributes_on_methods_are_learned_from_their_answers() {
    let (shop, larder, address) = declaring().await;
    let mut client = client(address).await;
    // The first answer teaches; the fields of its key were not known when it came.
    assert_eq!(
        told(&client.get(get("a")).await.unwrap()),
        ("1".into(), String::new())
    );
    assert_eq!(told(&until_kept(&mut client, "a").await).0, "2");
    let mut other = get("a");
    other
        .metadata_mut()
        .insert("x-tenant", "b".parse().unwrap());
    assert_eq!(told(&client.get(other).await.unwrap()).0, "3");
    larder.invalidate_tag("items").await;
    assert_eq!(told(&client.get(get("a")).await.unwrap()).0, "4");
    until_kept(&mut client, "a").await;
    client.put(put("a")).await.unwrap();
    assert_eq!(client.get(get("a")).await.unwrap().get_ref().version, 1);
    assert_eq!(shop.runs(), 6);
    // Errors carry no policy, and so teach none.
    let failing = FailRequest {
        code: 13,
        after_message: false,
    };
    for _ in 0..3 {
        let before = shop.runs();
        assert_eq!(
            client.fail(failing).await.unwrap_err().code(),
            Code::Internal
        );
        assert_eq!(shop.runs(), before + 1);
    }
}

#[tokio::test]
async fn what_a_stream_names_while_it_goes_is_stamped_before_it_ends() {
    let (shop, _larder, address) = declaring().await;
    let mut client = client(address).await;
    client.get(get("a")).await.unwrap();
    assert_eq!(told(&until_kept(&mut client, "a").await).0, "2");
    shop.gate.add_permits(2);
    let items = client.watch(get("a")).await.unwrap().into_inner();
    assert_eq!(items.collect::<Vec<_>>().await.len(), 2);
    assert_eq!(told(&client.get(get("a")).await.unwrap()).0, "4");
}

#[tokio::test]
async fn the_answer_to_a_change_carries_its_acknowledgement() {
    use tower::{Layer, ServiceExt};

    let (larder, _) = larder().await;
    let methods = crate::shop::methods(larder::Policy::ttl(larder::mins(1)));
    let layer = GrpcCacheLayer::new(&larder).methods(methods.build().unwrap());
    let service = layer.layer(Shop::new().service());
    let frame = crate::raw::frame(&prost::Message::encode_to_vec(&PutRequest {
        id: "a".into(),
    }));
    let request = crate::raw::request(crate::shop::PUT, frame);
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.extensions().get::<Ack>(), Some(&Ack::Global));
}
