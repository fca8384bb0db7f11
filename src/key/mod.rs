//! Which requests share an answer? Those whose key bytes are equal, and no others.
//!
//! A key is a row of length-prefixed parts, so that no part can run into the next: two different
//! rows never give the same bytes. In process the whole of it is looked up and compared; nothing is
//! decided by a digest alone.
//!
//! Nothing is normalised on the way: the path and the query are taken as the client sent them, and
//! only what a policy declares makes the key wider (a route's parameters, a list of query
//! parameters) or narrower (headers, cookies, an owner). A key is about the request alone; the
//! variants that a response names in `Vary` are told apart below the key.

mod authority;
mod buffer;
mod cookies;
mod name;
mod query;
mod read;
mod recipe;
#[cfg(feature = "data")]
mod value;

#[cfg(feature = "data")]
pub(crate) use self::value::write_value;
pub(crate) use self::{
    authority::{Host, Refused, authority, authority_with},
    buffer::{KeyBuffer, KeyBytes as Key, Sought},
    cookies::all_declared,
    name::check_name,
    query::keep_listed,
    read::{KeyText, value_text},
    recipe::{KeyRecipe, KeyedRequest, is_plain},
};

#[cfg(test)]
mod collisions;
#[cfg(test)]
mod tests;
