//! The order of invalidations that all nodes of a namespace share.

use redis::RedisResult;

use super::{lane::Link, layout::Layout};

/// Makes a new connection fit for use: to be called before anything else is sent on it.
#[expect(
    clippy::unused_async,
    reason = "there is no registry yet that could have been lost"
)]
pub(super) async fn greet(_: &Layout, _: &mut Link) -> RedisResult<()> {
    Ok(())
}
