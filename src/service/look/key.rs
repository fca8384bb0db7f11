//! Writes the key under which a request is looked up.

use super::Looking;
use crate::{
    key::{Host, Key, KeyBuffer, KeyedRequest, Refused, authority_with, is_plain},
    semantics::no_vary_search::NoVarySearch,
    service::looked::KeyTail,
};

impl Looking<'_> {
    /// Writes the key. Where the responses of the path may say how they vary on the query, returns
    /// the key of the path, under which that is remembered.
    #[inline]
    pub(super) fn write_key(&self, key: &mut KeyBuffer) -> Result<Option<Key>, Refused> {
        let policy = &self.matching.policy;
        if policy.no_vary_search == Some(true) && policy.query.is_none() {
            return self.write_key_of_path(key).map(Some);
        }
        self.begin_key(key)?;
        self.finish_key(self.query, key);
        Ok(None)
    }

    #[inline(never)]
    fn write_key_of_path(&self, key: &mut KeyBuffer) -> Result<Key, Refused> {
        self.begin_key(key)?;
        self.finish_declared_key(None, key);
        let path = key.to_key();
        match self.shared.known.variance(&path) {
            Some(variance) => *key = with_query(&path, &variance, self.query),
            None => {
                self.begin_key(key)?;
                self.finish_declared_key(self.query, key);
            }
        }
        Ok(path)
    }

    #[inline]
    fn begin_key(&self, key: &mut KeyBuffer) -> Result<(), Refused> {
        if let (None, Host::One(host)) = (self.original.authority(), self.host)
            && self.shared.recipe.begin_again(host.as_bytes(), key)
        {
            return Ok(());
        }
        self.begin_key_anew(key)
    }

    #[inline(never)]
    fn begin_key_anew(&self, key: &mut KeyBuffer) -> Result<(), Refused> {
        let authority = authority_with(self.original, self.host)?;
        self.shared.recipe.begin(&authority, key);
        Ok(())
    }

    #[inline]
    fn finish_key(&self, query: Option<&str>, key: &mut KeyBuffer) {
        let is_plain = self.identity.is_none() && is_plain(&self.matching.policy);
        if is_plain && self.tail.is_none() {
            self.shared.recipe.finish_plainly(self.path, query, key);
        } else {
            self.finish_declared_key(query, key);
        }
    }

    #[inline(never)]
    fn finish_declared_key(&self, query: Option<&str>, key: &mut KeyBuffer) {
        let request = KeyedRequest {
            path: self.path,
            query,
            headers: self.headers,
            pattern: self.matching.pattern(),
            identity: self.identity,
        };
        (self.shared.recipe).finish(&self.matching.policy, &request, key);
        if let Some(KeyTail(tail)) = self.tail {
            key.part(tail);
        }
    }
}

/// Returns the key of a request whose responses vary on the query as `variance` says: the key of
/// its path, then the query in the form that all equivalent queries share.
pub(crate) fn with_query(path: &Key, variance: &NoVarySearch, query: Option<&str>) -> KeyBuffer {
    let mut canonical = Vec::new();
    variance.canonical(query, &mut canonical);
    let mut key = KeyBuffer::default();
    key.raw(path);
    key.part(&canonical);
    key
}
