//! Which names may stand in keys as they are?

use crate::error::{Error, ErrorKind};

/// The longest name, in bytes: it stands in every key.
const LONGEST: usize = 64;

/// Accepts `name`, which is a `what`, if nobody can read it as something else in any key.
///
/// # Errors
///
/// Fails, with an error of this kind, if it is not 1 to 64 ASCII letters, digits, `-`, `_` and `.`.
pub(crate) fn check_name(kind: ErrorKind, what: &str, name: &str) -> Result<(), Error> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=LONGEST).contains(&name.len()) && name.bytes().all(good) {
        return Ok(());
    }
    let message = format!(
        "{what} `{}` is not good; use 1 to {LONGEST} letters, digits, `-`, `_` or `.`",
        name.escape_debug()
    );
    Err(Error::new(kind, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_sign_that_means_something_in_a_key() {
        let check = |name: &str| check_name(ErrorKind::Configuration, "namespace", name);
        for good in ["a", "shop-1.x_Y", &"a".repeat(64)] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "a:b", "{a}", "a b", "é", "a\n", &"a".repeat(65)] {
            let error = check(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().starts_with("namespace `"), "{error}");
        }
    }
}
