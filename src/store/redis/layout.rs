//! Which names do larder's keys have in Redis?
//!
//! | key | what |
//! | --- | --- |
//! | `larder:{ns}:seq`, `:tags`, `:buckets`, `:soft`, `:log` | the registry of invalidations |
//! | `larder:{ns}:invalidate` | the channel on which other programs invalidate |
//! | `larder:ns:e:<40 hex digits>` | one response, spread over the slots of a cluster |
//! | `larder:ns:s:{service}:entity:id:field` | one structure; those of a service are in one slot |
//!
//! The braces are part of the name: they keep the registry of a namespace together in one slot of a
//! cluster. A namespace has no braces, and no text of a user is part of a
//! name, but for that of structures, whose parts have been checked.

/// The names of one namespace.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    namespace: Box<str>,
}

impl Layout {
    /// Returns the names of `namespace`, which was checked when it was set.
    pub(crate) fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.into(),
        }
    }

    /// Returns the name of a key, or channel, that has its place beside the registry.
    pub(crate) fn shared(&self, name: &str) -> String {
        format!("larder:{{{}}}:{name}", self.namespace)
    }

    /// Returns the name of a structure that is called `service:entity:id:field`.
    #[cfg(feature = "data")]
    pub(crate) fn structure(&self, name: &str) -> String {
        let (service, rest) = name.split_once(':').unwrap_or((name, ""));
        format!("larder:{}:s:{{{service}}}:{rest}", self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_of_a_namespace_has_one_hash_tag() {
        let layout = Layout::new("shop");
        assert_eq!(layout.shared("seq"), "larder:{shop}:seq");
        assert_eq!(layout.shared("log"), "larder:{shop}:log");
    }
}
