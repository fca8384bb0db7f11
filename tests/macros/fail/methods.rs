use tonic::{Request, Response, Status};

pub struct GetRequest {
    pub id: String,
}

pub struct Service;

#[tonic::async_trait]
pub trait Items {
    async fn get(&self, request: Request<GetRequest>) -> Result<Response<()>, Status>;
    async fn put(&self, request: Request<GetRequest>) -> Result<Response<()>, Status>;
}

#[tonic::async_trait]
impl Items for Service {
    #[larder::cache(ttl = "5m", query("page"))]
    async fn get(&self, _: Request<GetRequest>) -> Result<Response<()>, Status> {
        Ok(Response::new(()))
    }

    #[larder::invalidates("item:{nope}")]
    async fn put(&self, _: Request<GetRequest>) -> Result<Response<()>, Status> {
        Ok(Response::new(()))
    }
}

fn main() {}
