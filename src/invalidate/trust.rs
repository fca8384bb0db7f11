//! How far what is known here of invalidations can be relied on.

/// How far the stamp table of this process can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// All that matters is in it.
    Known,
    /// The shared registry can not be asked: what carries tags is good for a second after its fill
    /// began.
    Alone,
    /// The shared registry can not be asked, and nothing is good without it.
    Nothing,
}

/// How sure an answer has to be that nothing it is made of was invalidated on another node.
///
/// It makes a difference only where several nodes share a Redis. On the node that invalidates there
/// is none: once an invalidation is acknowledged there, nothing older is served there.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder::Error> {
/// let builder = larder::Larder::builder().consistency(larder::Consistency::Strict);
/// # builder.build().await.map(drop)
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Consistency {
    /// Other nodes follow within milliseconds as a rule, and within two seconds at the worst. A hit
    /// asks nobody.
    ///
    /// While Redis can not be reached, responses with tags are served for at most one second after
    /// their handler run began. Responses without tags keep their lifetime, which is all that they
    /// were promised.
    #[default]
    Bounded,
    /// Every answer out of the cache is newer than all invalidations that were acknowledged
    /// [globally](crate::Ack::Global) before its request came. Each hit asks Redis, one round trip.
    ///
    /// While Redis can not be reached, there are no hits.
    Strict,
}
