//! Which names do larder's keys have in Redis?
//!
//! | key | what |
//! | --- | --- |
//! | `larder:{ns}:seq`, `:tags`, `:buckets`, `:soft`, `:log` | the registry of invalidations |
//! | `larder:{ns}:invalidate` | the channel on which other programs invalidate |
//! | `larder:ns:e:<40 hex digits>` | one response, spread over the slots of a cluster |
//!
//! The braces are part of the name: they keep the registry of a namespace together in one slot of a
//! cluster. A namespace has no braces, and no text of a user is part of a name.

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
