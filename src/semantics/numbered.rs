//! Field values that differ in a number alone, such as ages in seconds: made once, and copied for each
//! answer.
//!
//! What is kept is kept for as long as the process lives, so that a copy of it touches no memory that
//! another thread writes to, and allocates nothing. Numbers that are too large for that are remembered
//! by each thread for as long as no others take their places: within one second all answers made of a
//! page say the same.

use std::{cell::RefCell, fmt, ptr::from_ref, sync::OnceLock};

use bytes::Bytes;
use http::HeaderValue;

/// How many numbers a page has, and how many pages there are: seconds up to 68 minutes.
const NUMBERS: usize = 64;
const PAGES: usize = 64;

/// How many larger numbers a thread remembers.
const LATE: usize = 64;

type Page = [OnceLock<HeaderValue>; NUMBERS];

thread_local! {
    static LATELY: RefCell<[Late; LATE]> = const { RefCell::new([const { Late::NONE }; LATE]) };
}

/// A value that this thread has made, and of what.
struct Late {
    of: usize,
    number: u64,
    value: HeaderValue,
}

impl Late {
    const NONE: Self = Self {
        of: 0,
        number: 0,
        value: HeaderValue::from_static(""),
    };
}

/// The values of one form.
pub(crate) struct Numbered {
    pages: [OnceLock<Box<Page>>; PAGES],
}

impl Numbered {
    pub(crate) const fn new() -> Self {
        Self {
            pages: [const { OnceLock::new() }; PAGES],
        }
    }

    /// Returns the value of a number, which `make` makes. `None` if the number is too large to be kept.
    #[inline]
    pub(crate) fn kept(&self, number: u64, make: impl FnOnce() -> Vec<u8>) -> Option<&HeaderValue> {
        let at = usize::try_from(number).ok()?;
        let page = self.pages.get(at / NUMBERS)?;
        let page = page.get_or_init(|| Box::new([const { OnceLock::new() }; NUMBERS]));
        let value = page.get(at % NUMBERS)?;
        Some(value.get_or_init(|| value_of(Bytes::from_static(make().leak()))))
    }

    /// Returns the value of a number, kept or remembered.
    pub(crate) fn get(&self, number: u64, make: impl Fn() -> Vec<u8>) -> HeaderValue {
        match self.kept(number, &make) {
            Some(kept) => kept.clone(),
            None => self.late(number, make),
        }
    }

    #[cold]
    fn late(&self, number: u64, make: impl Fn() -> Vec<u8>) -> HeaderValue {
        let of = from_ref(self).addr();
        let at = (number ^ (of as u64 >> 6)) % LATE as u64;
        let at = usize::try_from(at).unwrap_or_default();
        let remembered = LATELY.try_with(|all| {
            let mut all = all.try_borrow_mut().ok()?;
            let late = all.get_mut(at)?;
            if (late.of, late.number) != (of, number) {
                let value = value_of(make().into());
                *late = Late { of, number, value };
            }
            Some(late.value.clone())
        });
        // At the end of a thread there is no place left to remember it.
        let remembered = remembered.ok().flatten();
        remembered.unwrap_or_else(|| value_of(make().into()))
    }
}

impl fmt::Debug for Numbered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Numbered").finish_non_exhaustive()
    }
}

/// What is made here has nothing in it that a field value must not have.
fn value_of(text: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    static SECONDS: Numbered = Numbered::new();
    static OTHERS: Numbered = Numbered::new();

    fn seconds(number: u64) -> HeaderValue {
        SECONDS.get(number, || format!("{number} s").into_bytes())
    }

    #[test]
    fn each_number_has_its_own_value_whatever_was_made_before() {
        for _ in 0..2 {
            for number in (0..5000).chain([u64::MAX]) {
                assert_eq!(seconds(number), format!("{number} s").as_str());
                let other = OTHERS.late(number, || b"other".to_vec());
                assert_eq!(other, "other");
            }
        }
    }

    #[test]
    fn a_value_allocates_nothing_when_it_was_made_before() {
        let numbers = [0, 63, 64, 4095, 4096, 100_000];
        let tell = || numbers.map(seconds);
        drop(tell());
        // The second one makes what copies of the late ones are counted by.
        drop(tell());
        let heap = allocation_counter::measure(|| drop(tell()));
        assert_eq!(heap.count_total, 0);
    }
}
