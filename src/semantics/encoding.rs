//! May this answer be sent gzip-encoded?
//!
//! Not covered: other codings. larder compresses with gzip alone; what a handler encoded is the
//! handler's business, and its `Vary` says so.

use http::{HeaderMap, header::ACCEPT_ENCODING};

use super::fields::{members, split};

/// The weight of what has none, in thousandths (RFC 9110 §12.4.2).
const FULL: u16 = 1000;

/// Tells whether the client takes gzip, and does not like the plain form better.
///
/// No field at all accepts everything by the letter, but those who leave it out are the ones who
/// can not inflate. A weight that can not be read is none, a coding that is named several times has
/// its lowest weight, and `x-gzip` is gzip: a mistake here costs bytes, never an answer that can not
/// be read.
///
/// Rule: RFC 9110 §12.5.3.
pub(crate) fn accepts_gzip(request: &HeaderMap) -> bool {
    let (mut gzip, mut plain, mut others) = (None, None, None);
    for member in members(request, &ACCEPT_ENCODING) {
        let mut parts = split(member, b';');
        let name = parts.next().unwrap_or_default();
        let slot = match name {
            name if named(name, b"gzip") || named(name, b"x-gzip") => &mut gzip,
            name if named(name, b"identity") => &mut plain,
            b"*" => &mut others,
            _ => continue,
        };
        let weight = parts.next().map_or(Some(FULL), weight).unwrap_or_default();
        *slot = Some(slot.map_or(weight, |lower: u16| lower.min(weight)));
    }
    let gzip = gzip.or(others).unwrap_or_default();
    gzip > 0 && gzip >= plain.unwrap_or_default()
}

fn named(name: &[u8], coding: &[u8]) -> bool {
    name.eq_ignore_ascii_case(coding)
}

/// Returns the thousandths that a parameter `q=0.5` says; `None` when it is anything else.
fn weight(parameter: &[u8]) -> Option<u16> {
    let value = parameter
        .strip_prefix(b"q=")
        .or_else(|| parameter.strip_prefix(b"Q="))?;
    let (whole, thousandths) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', thousandths @ ..] => (whole, thousandths),
        _ => return None,
    };
    if thousandths.len() > 3 || !thousandths.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let part = [100, 10, 1]
        .iter()
        .zip(thousandths)
        .map(|(worth, digit)| worth * u16::from(digit - b'0'))
        .sum();
    match whole {
        b'0' => Some(part),
        b'1' if part == 0 => Some(FULL),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn accepts(lines: &[&str]) -> bool {
        let mut request = HeaderMap::new();
        for line in lines {
            request.append(ACCEPT_ENCODING, HeaderValue::from_str(line).unwrap());
        }
        accepts_gzip(&request)
    }

    #[test]
    fn a_client_that_names_gzip_gets_it() {
        for line in [
            "gzip",
            "GZIP",
            "x-gzip",
            "gzip, deflate, br, zstd",
            "br ,\tgzip ; q=0.8",
            "gzip;q=1.000",
            "gzip;Q=0.001",
            "identity, gzip",
            ", ,gzip",
        ] {
            assert!(accepts(&[line]), "{line}");
        }
    }

    #[test]
    fn a_star_stands_for_what_is_not_named() {
        assert!(accepts(&["*"]));
        assert!(accepts(&["br, *;q=0.5"]));
        assert!(!accepts(&["gzip;q=0, *"]));
        assert!(!accepts(&["*;q=0"]));
        assert!(accepts(&["*;q=0, gzip"]));
    }

    #[test]
    fn a_client_that_refuses_or_does_not_name_gzip_gets_the_plain_form() {
        for line in [
            "",
            "br",
            "identity",
            "gzip;q=0",
            "gzip; q=0.0",
            "gzip;q=0.000",
            "identity;q=1, *;q=0",
            "gzipped",
            "gz ip",
        ] {
            assert!(!accepts(&[line]), "{line}");
        }
        assert!(!accepts(&[]));
    }

    #[test]
    fn a_client_that_likes_the_plain_form_better_gets_it() {
        assert!(!accepts(&["gzip;q=0.5, identity"]));
        assert!(!accepts(&["identity;q=0.501, gzip;q=0.5"]));
        assert!(accepts(&["identity;q=0.5, gzip;q=0.5"]));
    }

    #[test]
    fn a_weight_that_can_not_be_read_is_none() {
        for line in [
            "gzip;q=",
            "gzip;q=2",
            "gzip;q=1.5",
            "gzip;q=0.1234",
            "gzip;q=-1",
            "gzip;q=0,5",
            "gzip;level=9",
            "gzip;",
        ] {
            assert!(!accepts(&[line]), "{line}");
        }
    }

    #[test]
    fn all_lines_count_and_the_lowest_weight_of_a_coding() {
        assert!(accepts(&["br", "gzip"]));
        assert!(!accepts(&["gzip", "gzip;q=0"]));
        assert!(accepts(&[&format!("{}gzip", "br, ".repeat(2000))]));
    }
}
