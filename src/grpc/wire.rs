//! The bytes of gRPC: frames, and the fields of a message by their numbers.

use bytes::Bytes;

/// The head of a frame: a flag, and the length of its message in four bytes.
pub(crate) const HEAD: usize = 5;

/// One frame, as a whole body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Single {
    pub(crate) compressed: bool,
    pub(crate) message: Bytes,
}

/// Returns the one frame that `body` is made of; `None` if it is anything else.
pub(crate) fn single(body: &Bytes) -> Option<Single> {
    let (flag, message) = first(body)?;
    let whole = HEAD + message == body.len();
    whole.then(|| Single {
        compressed: flag == 1,
        message: body.slice(HEAD..),
    })
}

/// Returns whether there is more in `body` than one whole frame.
pub(crate) fn has_second(body: &[u8]) -> bool {
    first(body).is_some_and(|(_, message)| body.len() > HEAD + message)
}

/// Returns the flag of the first frame and the length of its message, of which less may be there.
fn first(body: &[u8]) -> Option<(u8, usize)> {
    let (head, _) = body.split_first_chunk::<HEAD>()?;
    let [flag, length @ ..] = *head;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    (flag <= 1).then_some((flag, length))
}

/// The value of a field, as it stands in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// A message that can not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// Returns the last value of the field `number`, which is the one that counts.
pub(crate) fn field(message: &[u8], number: u32) -> Result<Option<Value<'_>>, Unreadable> {
    let mut rest = message;
    let mut found = None;
    while !rest.is_empty() {
        let (at, value) = next(&mut rest).ok_or(Unreadable)?;
        if at == u64::from(number) {
            found = Some(value);
        }
    }
    Ok(found)
}

/// Reads the next field: its number and its value.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let tag = varint(rest)?;
    let value = match tag & 7 {
        0 => Value::Varint(varint(rest)?),
        1 => Value::Fixed64(u64::from_le_bytes(*take(rest)?)),
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            let (value, after) = rest.split_at_checked(length)?;
            *rest = after;
            Value::Bytes(value)
        }
        5 => Value::Fixed32(u32::from_le_bytes(*take(rest)?)),
        // Groups, which nothing has written for twenty years.
        _ => return None,
    };
    Some((tag >> 3, value))
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (value, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(value)
}

/// Reads a number of at most ten bytes, the lowest seven bits first.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_frame_or_none() {
        let one = Bytes::from_static(b"\x00\x00\x00\x00\x02ab");
        let found = single(&one).unwrap();
        assert!(!found.compressed && found.message == "ab");
        assert!(
            single(&Bytes::from_static(b"\x01\0\0\0\0"))
                .unwrap()
                .compressed
        );
        for body in [
            &b""[..],
            b"\0\0\0\0",
            b"\0\0\0\0\x02a",
            b"\0\0\0\0\x02abc",
            b"\x02\0\0\0\0",
            b"\0\0\0\0\0\0\0\0\0\0",
            b"\0\xff\xff\xff\xff",
        ] {
            assert_eq!(single(&Bytes::from_static(body)), None, "{body:?}");
        }
    }

    #[test]
    fn a_second_frame_is_seen_from_its_first_byte_on() {
        assert!(!has_second(b"\0\0\0\0\x02ab"));
        assert!(!has_second(b"\0\0\0\0\x02a"));
        assert!(has_second(b"\0\0\0\0\x02ab\0"));
    }

    #[test]
    fn fields_are_read_by_their_numbers() {
        let message = b"\x0a\x01x\x10\x96\x01\x0a\x02yz\x1d\x01\0\0\0\x21\x02\0\0\0\0\0\0\0";
        assert_eq!(field(message, 1), Ok(Some(Value::Bytes(b"yz"))));
        assert_eq!(field(message, 2), Ok(Some(Value::Varint(150))));
        assert_eq!(field(message, 3), Ok(Some(Value::Fixed32(1))));
        assert_eq!(field(message, 4), Ok(Some(Value::Fixed64(2))));
        assert_eq!(field(message, 5), Ok(None));
    }

    #[test]
    fn a_broken_message_has_no_fields() {
        for message in [
            &b"\x0a\x05x"[..],
            b"\x10",
            b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x0b",
        ] {
            assert_eq!(field(message, 1), Err(Unreadable), "{message:?}");
        }
    }
}
