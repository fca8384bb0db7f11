//! The members of hits, which all with as many seconds of freshness left have in common.

use std::sync::{Mutex, PoisonError};

use bytes::BytesMut;
use http::HeaderValue;

use super::{Handling, Member, Name};
use crate::semantics::numbered::Numbered;

/// The tier that answers in process, as the detail of a hit, and the one that nodes share.
pub(crate) const MEMORY: &str = "MEMORY";
pub(crate) const SECOND: &str = "REDIS";

/// For how many caches of different names members are kept. What is kept is never given back.
const MAX_CACHES: usize = 16;

/// What the hits of a cache of one name say.
#[derive(Debug)]
pub(crate) struct HitMembers {
    name: Name,
    members: Numbered,
    second: Numbered,
}

impl HitMembers {
    /// Returns those of a cache. `None` if there are too many caches, whose members are then made for
    /// each hit.
    pub(crate) fn of(name: &Name) -> Option<&'static Self> {
        static ALL: Mutex<Vec<&'static HitMembers>> = Mutex::new(Vec::new());
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.iter().find(|one| one.name == *name) {
            return Some(known);
        }
        if all.len() >= MAX_CACHES {
            return None;
        }
        let new: &'static Self = Box::leak(Box::new(Self {
            name: name.clone(),
            members: Numbered::new(),
            second: Numbered::new(),
        }));
        all.push(new);
        Some(new)
    }

    /// Returns what a hit says that is fresh for so many seconds more. `None` if these are too many to
    /// be kept, or none.
    #[inline]
    pub(crate) fn kept(&self, ttl: i64) -> Option<&HeaderValue> {
        let number = u64::try_from(ttl).ok()?;
        self.members.kept(number, || self.make(ttl, MEMORY))
    }

    /// Returns the same, however many they are.
    pub(crate) fn get(&self, ttl: i64) -> HeaderValue {
        let make = || self.make(ttl, MEMORY);
        self.members.get(ttl.cast_unsigned(), make)
    }

    /// Returns what a hit on the tier says that nodes share.
    pub(crate) fn second(&self, ttl: i64) -> HeaderValue {
        let make = || self.make(ttl, SECOND);
        self.second.get(ttl.cast_unsigned(), make)
    }

    #[cold]
    fn make(&self, ttl: i64, tier: &str) -> Vec<u8> {
        let mut text = BytesMut::with_capacity(64);
        Member {
            name: &self.name,
            handling: Handling::Hit,
            ttl: Some(ttl),
            key: None,
            detail: Some(tier),
        }
        .write(&mut text);
        text.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_hits_of_a_second_say_the_same() {
        let name = Name::new("hits").unwrap();
        let members = HitMembers::of(&name).unwrap();
        for ttl in [0, 1, 63, 64, 299, 4095] {
            let told = format!("hits; hit; ttl={ttl}; detail=MEMORY");
            assert_eq!(members.kept(ttl).unwrap(), told.as_str());
        }
        for ttl in [4096, 31_536_000, -1] {
            let told = format!("hits; hit; ttl={ttl}; detail=MEMORY");
            assert_eq!(members.kept(ttl), None);
            assert_eq!(members.get(ttl), told.as_str());
        }
        for ttl in [0, 299, 4096, -1] {
            let told = format!("hits; hit; ttl={ttl}; detail=REDIS");
            assert_eq!(members.second(ttl), told.as_str());
        }
        assert!(std::ptr::eq(members, HitMembers::of(&name).unwrap()));
    }
}
