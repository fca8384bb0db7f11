//! Writing the key of a value.

use super::{KeyBuffer, recipe::FORMAT};

/// The class of values. A response has another, so that the two never share a key.
pub(super) const CLASS_VALUE: u8 = b'V';

/// Writes the key of the value `id` of `entity` over what the buffer holds.
pub(crate) fn write_value(namespace: &str, entity: &str, id: &str, key: &mut KeyBuffer) {
    key.clear();
    key.byte(FORMAT);
    key.byte(CLASS_VALUE);
    key.part(namespace.as_bytes());
    key.part(entity.as_bytes());
    key.part(id.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Key, read::value_text};

    fn key(entity: &str, id: &str) -> Key {
        let mut buffer = KeyBuffer::default();
        write_value("shop", entity, id, &mut buffer);
        buffer.to_key()
    }

    #[test]
    fn no_two_values_share_a_key() {
        assert_ne!(key("a", "bc"), key("ab", "c"));
        assert_ne!(key("product", "7"), key("product", "8"));
        assert_ne!(key("product", ""), key("", "product"));
        assert_eq!(key("product", "7"), key("product", "7"));
    }

    #[test]
    fn what_a_key_is_that_of_can_be_read_back() {
        let text = value_text(&key("product", "7:x"));
        assert_eq!(text.as_deref(), Some("product:7:x"));
        assert_eq!(value_text(b"another"), None);
    }
}
