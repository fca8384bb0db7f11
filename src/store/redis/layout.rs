//! Which names do larder's keys have in Redis?
//!
//! | key | what |
//! | --- | --- |
//! | `larder:{ns}:seq`, `:tags`, `:buckets`, `:soft`, `:log` | the registry of invalidations |
//! | `larder:{ns}:row:<40 hex digits>` | the version of the row that a value was written of |
//! | `larder:{ns}:invalidate` | the channel on which other programs invalidate |
//! | `larder:{ns}:released` | the channel on which those who wait for a lock are told |
//! | `larder:ns:e:<40 hex digits>` | one response, or what the responses of a URL vary on |
//! | `larder:ns:l:<40 hex digits>` | the lock of a handler run |
//! | `larder:ns:s:{service}:entity:id:field` | one structure; those of a service are in one slot |
//!
//! The braces of the first three are part of the name: they keep the registry of a namespace together
//! in one slot of a cluster, and so are the structures of a service. The others are spread over all
//! slots. A namespace has no braces, and no text of a user is part of a name, but for that of
//! structures, whose parts have been checked: the digits are SHA-256 of the version of the format and
//! of the full key, cut to 160 bits. Versions that write different formats so never overwrite each
//! other's.

use sha2::{Digest, Sha256};

use crate::entry::codec;

/// How many bytes of the digest are kept.
const DIGEST: usize = 20;

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

    /// Returns under which name the response with the full key `key` stands.
    pub(crate) fn entry(&self, key: &[u8]) -> String {
        self.digested('e', key)
    }

    /// Returns the name of the lock for the handler run of `key`.
    pub(crate) fn lock(&self, key: &[u8]) -> String {
        self.digested('l', key)
    }

    /// Returns where the version of the row is kept whose value has the full key `key`: beside the
    /// registry, since one script looks at both.
    pub(crate) fn row(&self, key: &[u8]) -> String {
        let mut name = self.shared("row:");
        name.reserve(2 * DIGEST);
        push_digits(&mut name, key);
        name
    }

    fn digested(&self, kind: char, key: &[u8]) -> String {
        let mut name = String::with_capacity(self.namespace.len() + 2 * DIGEST + 10);
        name.push_str("larder:");
        name.push_str(&self.namespace);
        name.push(':');
        name.push(kind);
        name.push(':');
        push_digits(&mut name, key);
        name
    }
}

/// Appends the digits that stand for a full key.
fn push_digits(name: &mut String, key: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::new()
        .chain_update([codec::VERSION])
        .chain_update(key)
        .finalize();
    for byte in digest.iter().take(DIGEST) {
        for half in [byte >> 4, byte & 15] {
            // Sixteen digits, and a half byte is one of sixteen.
            let digit = DIGITS.get(usize::from(half)).copied().unwrap_or_default();
            name.push(char::from(digit));
        }
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

    #[test]
    fn the_names_of_responses_are_those_of_every_node() {
        let layout = Layout::new("shop");
        // printf '\x01key' | sha256sum | cut -c-40
        let digits = "01993870138f27d9369b5ab3b1c7431109e8926e";
        assert_eq!(layout.entry(b"key"), format!("larder:shop:e:{digits}"));
        assert_eq!(layout.lock(b"key"), format!("larder:shop:l:{digits}"));
    }

    #[test]
    fn a_key_with_braces_has_no_say_in_where_it_is_stored() {
        let name = Layout::new("shop").entry(b"{evil}");
        assert!(!name.contains(['{', '}']), "{name}");
    }
}
