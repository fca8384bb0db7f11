//! The attributes of larder. They are used through the crate `larder`, as `larder::cache` and
//! `larder::invalidates`; what they put into a function calls that crate.
//!
//! | question | file |
//! | --- | --- |
//! | What may be written in an attribute? | `arguments`, `duration`, `template` |
//! | What kind of function is it on, and which names does its path have? | `function` |
//! | What becomes of the function? | `handler` for axum, `method` for tonic |

mod arguments;
mod duration;
mod function;
mod handler;
mod method;
mod template;

use proc_macro::TokenStream;
use quote::ToTokens;
use syn::{ItemFn, parse::Parse, parse_macro_input};

use self::arguments::{CacheArguments, InvalidatesArguments};

/// Declares how the answers of a handler are cached.
///
/// For handlers of axum (feature `axum`) with any extractors and any answer, and for methods of tonic
/// inside `#[tonic::async_trait]`. A handler then answers with a wrapped value that still is an
/// `IntoResponse`; nothing else about it changes. What is declared is what a
/// [`Policy`](../larder/struct.Policy.html) next to the route would be, under that of the route and
/// of the table: of each setting the one that is nearer to the route counts, and tags and `vary` add
/// up. The layer learns it from the first answer. Errors (`Err`, and statuses from 400 on) carry no
/// policy.
///
/// | key | what it sets |
/// | --- | --- |
/// | `ttl = "5m"` | how long an answer is fresh, at most 7 days |
/// | `swr = "30s"` | how long it is served stale while a new one is fetched |
/// | `sie = "1h"` | how long it is served stale if the handler fails |
/// | `tags("product:{id}")` | by what it is purged; names in braces are parameters of the route, for tonic fields of the message |
/// | `query("page", "sort")` | the query parameters that count; the handler sees no others |
/// | `vary("accept-language")` | the request headers, for tonic the metadata, that are part of the key |
///
/// A duration is a number and `ms`, `s`, `m`, `h` or `d`, also several: `1h30m`. What can not be is
/// refused by the compiler.
#[proc_macro_attribute]
pub fn cache(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::<CacheArguments>(arguments, item, handler::cache, method::cache)
}

/// Declares what a handler that changes something invalidates, by tags.
///
/// For handlers of axum (feature `axum`) and for methods of tonic inside `#[tonic::async_trait]`. Names
/// in braces are parameters of the route, for tonic fields of the message. The tags are noted before
/// the body of the function begins, so that they count also if it panics or its client goes away.
/// They are invalidated if the answer says that something may have changed: with any status but
/// those from 400 to 499, for gRPC with any code but those that refuse.
///
/// On a handler without arguments write it above `#[debug_handler]`.
#[proc_macro_attribute]
pub fn invalidates(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::<InvalidatesArguments>(arguments, item, handler::invalidates, method::invalidates)
}

type Change<A> = fn(&A, &mut ItemFn) -> syn::Result<()>;

/// Changes the function; with a mistake it stays as it is, so that the mistake is all that is said.
fn expand<A: Parse>(
    arguments: TokenStream,
    item: TokenStream,
    handler: Change<A>,
    method: Change<A>,
) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    let mut changed = function.clone();
    let change = if function.sig.receiver().is_some() {
        method
    } else {
        handler
    };
    match syn::parse::<A>(arguments).and_then(|read| change(&read, &mut changed)) {
        Ok(()) => changed.into_token_stream().into(),
        Err(mistake) => {
            let mut tokens = mistake.into_compile_error();
            function.to_tokens(&mut tokens);
            tokens.into()
        }
    }
}
