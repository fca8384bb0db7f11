//! Methods of tonic, with both attributes.

use tonic::{Request, Response, Status};

struct GetRequest {
    id: String,
    shop: u32,
}

struct Item;

#[tonic::async_trait]
trait Items: Send + Sync + 'static {
    async fn get(&self, request: Request<GetRequest>) -> Result<Response<Item>, Status>;
    async fn plain(&self, request: Request<GetRequest>) -> Result<Response<Item>, Status>;
    async fn put(&self, request: Request<GetRequest>) -> Result<Response<Item>, Status>;
    async fn ignored(&self, request: Request<GetRequest>) -> Result<Response<Item>, Status>;
}

struct Service;

#[tonic::async_trait]
impl Items for Service {
    #[larder::cache(ttl = "5m", swr = "30s", tags("item:{shop}:{id}", "items"), vary("x-tenant"))]
    async fn get(&self, request: Request<GetRequest>) -> Result<Response<Item>, Status> {
        let GetRequest { id, .. } = request.into_inner();
        if id.is_empty() {
            return Err(Status::invalid_argument("no id"));
        }
        self.found(&id)?;
        Ok(Response::new(Item))
    }

    #[larder::cache(ttl = "5m")]
    async fn plain(&self, _: Request<GetRequest>) -> Result<Response<Item>, Status> {
        Err(Status::not_found("nothing"))
    }

    #[larder::invalidates("item:{shop}:{id}", "{{items}}")]
    async fn put(&self, mut request: Request<GetRequest>) -> Result<Response<Item>, Status> {
        request.get_mut().id.clear();
        Ok(Response::new(Item))
    }

    #[larder::invalidates("items")]
    async fn ignored(&self, _: Request<GetRequest>) -> Result<Response<Item>, Status> {
        Ok(Response::new(Item))
    }
}

impl Service {
    fn found(&self, id: &str) -> Result<(), Status> {
        (id != "none").then_some(()).ok_or_else(|| Status::not_found("none"))
    }

    #[larder::cache(ttl = "5m", tags("item:{id}"))]
    async fn without_trait(&self, request: Request<GetRequest>) -> Result<Response<Item>, Status> {
        self.found(&request.into_inner().id)?;
        Ok(Response::new(Item))
    }
}

fn main() {
    let request = || {
        Request::new(GetRequest {
            id: String::new(),
            shop: 1,
        })
    };
    let _ = (
        Service.get(request()),
        Service.plain(request()),
        Service.put(request()),
        Service.ignored(request()),
        Service.without_trait(request()),
    );
}
