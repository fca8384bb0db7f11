//! Values to bytes and back.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Error, ErrorKind};

/// How values are written down.
///
/// The first byte of what is stored says which one it is, so that a change of the setting needs
/// nothing else: both are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// JSON: every type that serde knows, readable by other programs.
    #[default]
    Json,
    /// [postcard](https://docs.rs/postcard): a third of the size and of the time. Not for types that
    /// only a self-describing format can carry: `untagged`, `flatten`, `skip_serializing_if`.
    Postcard,
}

const JSON: u8 = b'j';
const POSTCARD: u8 = b'p';

/// Stands before the version of a row, in eight bytes, and then the value.
const VERSIONED: u8 = b'v';

impl Encoding {
    /// Returns `value` as bytes, the first of which tells the encoding.
    ///
    /// # Errors
    ///
    /// Fails if the type can not be written so, for instance a map with keys that are no strings.
    pub(super) fn encode<T: Serialize>(self, value: &T) -> Result<Bytes, Error> {
        match self {
            Self::Json => {
                let mut bytes = vec![JSON];
                serde_json::to_writer(&mut bytes, value).map_err(broken)?;
                Ok(bytes.into())
            }
            Self::Postcard => postcard::to_extend(value, vec![POSTCARD])
                .map(Bytes::from)
                .map_err(broken),
        }
    }
}

/// Returns the bytes of a value with the version of its row before them.
pub(super) fn versioned(version: u64, value: &[u8]) -> Bytes {
    [&[VERSIONED], &version.to_le_bytes()[..], value]
        .concat()
        .into()
}

/// Returns the version of the row that stands before a value, if one does.
pub(super) fn version(bytes: &[u8]) -> Option<u64> {
    match bytes.split_first() {
        Some((&VERSIONED, rest)) => rest.first_chunk().copied().map(u64::from_le_bytes),
        _ => None,
    }
}

/// Reads what one of the encodings wrote.
///
/// # Errors
///
/// Fails if it is not of this type, or of an encoding that is not known.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    match bytes.split_first() {
        Some((&VERSIONED, rest)) => match rest.split_first_chunk::<8>() {
            Some((_, value)) if value.first() != Some(&VERSIONED) => decode(value),
            _ => Err(broken("cut off")),
        },
        Some((&JSON, bytes)) => serde_json::from_slice(bytes).map_err(broken),
        Some((&POSTCARD, bytes)) => postcard::from_bytes(bytes).map_err(broken),
        _ => Err(broken("unknown encoding")),
    }
}

fn broken(cause: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Value,
        format!("value can not be stored: {cause}"),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn both_encodings_are_read_whichever_is_set() {
        let value = (7_u64, "seven".to_owned(), Some(vec![1_u8, 2]));
        for encoding in [Encoding::Json, Encoding::Postcard] {
            let bytes = encoding.encode(&value).unwrap();
            assert_eq!(
                decode::<(u64, String, Option<Vec<u8>>)>(&bytes).unwrap(),
                value
            );
        }
    }

    #[test]
    fn the_version_of_a_row_stands_before_its_value() {
        let plain = Encoding::Json.encode(&7_u64).unwrap();
        let bytes = versioned(41, &plain);
        assert_eq!(decode::<u64>(&bytes).unwrap(), 7);
        assert_eq!((version(&bytes), version(&plain)), (Some(41), None));
        assert!(decode::<u64>(&versioned(1, &bytes)).is_err());
        assert!(decode::<u64>(&bytes[..5]).is_err());
    }

    #[test]
    fn what_is_of_another_type_or_cut_off_is_refused() {
        let bytes = Encoding::Json.encode(&"text").unwrap();
        assert_eq!(decode::<u64>(&bytes).unwrap_err().kind(), ErrorKind::Value);
        for damaged in [&bytes[..bytes.len() - 1], b"", b"x1", b"p"] {
            assert!(decode::<String>(damaged).is_err());
        }
        let map = BTreeMap::from([((1, 2), 3)]);
        assert!(Encoding::Json.encode(&map).is_err());
    }
}
