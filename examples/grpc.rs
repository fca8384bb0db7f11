//! A tonic service behind larder, which calls itself: `cargo run --example grpc --features grpc`.
#![allow(clippy::print_stdout, reason = "a program that talks to its terminal")]
#[path = "proto/mod.rs"]
mod proto;

use larder::{GrpcCacheLayer, Larder};
use proto::shop::{Product, products_client::ProductsClient, products_server as server};
use tonic::transport::{Server, server::TcpIncoming};
use tonic::{Request, Response, Status};

struct Products;

#[tonic::async_trait]
impl server::Products for Products {
    #[larder::cache(ttl = "5m", swr = "30s", tags("product:{id}"))]
    async fn get(&self, request: Request<Product>) -> Result<Response<Product>, Status> {
        println!("  (the handler reads product {})", request.get_ref().id);
        Ok(Response::new(request.into_inner()))
    }
    #[larder::invalidates("product:{id}")]
    async fn put(&self, request: Request<Product>) -> Result<Response<Product>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let larder = Larder::builder().build().await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let served = Server::builder()
        .layer(GrpcCacheLayer::new(&larder))
        .add_service(server::ProductsServer::new(Products));
    tokio::spawn(served.serve_with_incoming(TcpIncoming::from(listener)));
    let mut client = ProductsClient::connect(address).await?;
    for what in ["the first", "an equal", "another equal", "after the change"] {
        let product = || Product {
            id: 7,
            name: "a jar".into(),
        };
        if what == "after the change" {
            client.put(product()).await?;
        }
        let answer = client.get(product()).await?;
        println!("{what}: {:?}", answer.metadata().get("cache-status"));
    }
    Ok(())
}
