//! A tonic service behind larder, which calls itself: `cargo run --example grpc --features grpc`.

#![allow(clippy::print_stdout, reason = "a program that talks to its terminal")]

use larder::{GrpcCacheLayer, Larder};
use shop::{Product, products_client::ProductsClient, products_server};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

struct Products;

#[tonic::async_trait]
impl products_server::Products for Products {
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
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let server = Server::builder()
        .layer(GrpcCacheLayer::new(&larder))
        .add_service(products_server::ProductsServer::new(Products));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));

    let mut client = ProductsClient::connect(address).await?;
    let product = || Product {
        id: 7,
        name: "a jar".into(),
    };
    for what in ["the first", "an equal", "another equal"] {
        let answer = client.get(product()).await?;
        println!("{what} call: {:?}", answer.metadata().get("cache-status"));
    }
    client.put(product()).await?;
    let answer = client.get(product()).await?;
    println!(
        "after the change: {:?}",
        answer.metadata().get("cache-status")
    );
    Ok(())
}

#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    rust_2018_idioms,
    reason = "written by a program"
)]
mod shop {
    include!("proto/shop.rs");
}
