//! The names of structures.

use std::{fmt, sync::Arc};

use crate::{
    error::{Error, ErrorKind},
    key::check_name,
};

/// The name of a structure: `service:entity:id`, and `:field` if it has one.
///
/// A part has 1 to 64 letters, digits, `-`, `_` and `.`: so a name can be read back, and no text that
/// comes from outside can name something else. What has other characters is to be digested first.
///
/// ```
/// use larder::structures::Name;
///
/// # fn main() -> Result<(), larder::Error> {
/// let views = Name::new("shop", "product", "7")?.field("views")?;
/// assert_eq!(views.to_string(), "shop:product:7:views");
/// assert!(Name::new("shop", "product", "7:views").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Returns the name of a thing.
    ///
    /// # Errors
    ///
    /// Fails if a part is empty, longer than 64 bytes, or has another character than ASCII letters,
    /// digits, `-`, `_` and `.`.
    pub fn new(service: &str, entity: &str, id: &str) -> Result<Self, Error> {
        for (what, part) in [("service", service), ("entity", entity), ("id", id)] {
            check(what, part)?;
        }
        Ok(Self(format!("{service}:{entity}:{id}").into()))
    }

    /// Returns the name of a field of the thing; one field replaces another.
    ///
    /// # Errors
    ///
    /// Fails as [`new`](Self::new) does.
    pub fn field(&self, field: &str) -> Result<Self, Error> {
        check("field", field)?;
        let mut parts = self.0.splitn(4, ':');
        let thing: Vec<&str> = parts.by_ref().take(3).collect();
        Ok(Self(format!("{}:{field}", thing.join(":")).into()))
    }

    pub(super) fn text(&self) -> &Arc<str> {
        &self.0
    }

    /// Returns the service, whose structures are together in a cluster.
    pub(super) fn service(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check(what: &str, part: &str) -> Result<(), Error> {
    check_name(
        ErrorKind::Structure,
        &format!("{what} of a structure"),
        part,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_could_be_read_as_others_are_refused() {
        for part in ["", "a:b", "{a}", "a b", "é", "a\n", &"x".repeat(65)] {
            let refused = Name::new("shop", "product", part).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Structure);
            assert!(refused.to_string().contains("id"), "{refused}");
            assert!(Name::new(part, "product", "7").is_err());
            assert!(
                Name::new("shop", "product", "7")
                    .unwrap()
                    .field(part)
                    .is_err()
            );
        }
    }

    #[test]
    fn one_field_replaces_another() {
        let thing = Name::new("shop", "product", "7").unwrap();
        let field = thing.field("a").unwrap().field("b").unwrap();
        assert_eq!(field.to_string(), "shop:product:7:b");
        assert_eq!(field.service(), "shop");
    }
}
