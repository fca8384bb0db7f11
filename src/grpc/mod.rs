//! Calls of gRPC before the cache: unary methods, keyed by their messages.
//!
//! | question | file |
//! | --- | --- |
//! | Which methods are cached, and which invalidate? | `methods`, `descriptors` |
//! | What is in the bytes of a body? | `wire`, `body` |
//! | How does a call become something the cache knows, and back? | `service`, `unary` |
//! | What does a call change, and when is its answer let go? | `changing`, `answer` |
//! | What does a code mean? | `status` |
//!
//! Not here: how answers are stored, shared and judged (`service`), and gRPC for browsers, whose
//! translation belongs around this layer.

mod answer;
mod body;
mod changing;
mod descriptors;
mod layer;
mod methods;
mod service;
mod status;
mod unary;
mod wire;

pub use self::{
    answer::GrpcResponseBody,
    body::GrpcBody,
    layer::GrpcCacheLayer,
    methods::{GrpcMethodTable, GrpcMethods},
    service::{GrpcCache, GrpcResponseFuture},
};
