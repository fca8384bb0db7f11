//! What was asked for most, written down for the next run.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs,
    io::{self, Write},
    path::Path,
};

use crate::{Larder, key::KeyText};

/// Looks through at most so many responses, some tenths of a second.
const MOST_SEEN: usize = 2_000_000;

impl Larder {
    /// Writes the URLs of the `count` responses that were asked for most to a file, for
    /// [`WarmList::hottest`](crate::WarmList::hottest) of the next run. Returns how many there were.
    ///
    /// Those that are stored are meant, by the hits that they had since they came in. Responses that
    /// belong to one owner or are told apart by cookies or header fields are left out: a URL is not
    /// enough to ask for them again. The file is replaced as a whole, so that a crash leaves the old
    /// one. It reads the whole index and writes to a disk: call it on shutdown or off the async
    /// threads.
    ///
    /// # Errors
    ///
    /// Fails if the file can not be written.
    pub fn save_hottest(&self, path: impl AsRef<Path>, count: usize) -> io::Result<usize> {
        let path = path.as_ref();
        let hottest = self.hottest(count);
        let mut text = String::from("# hits and URLs, most asked for first\n");
        for (hits, url) in &hottest {
            text.push_str(&format!("{hits} {url}\n"));
        }
        let beside = path.with_extension("new");
        let mut file = fs::File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        Ok(hottest.len())
    }

    fn hottest(&self, count: usize) -> Vec<(u32, String)> {
        let mut hottest: BinaryHeap<Reverse<(u32, String)>> = BinaryHeap::new();
        let mut seen = 0;
        self.core().store.visit(|entry| {
            seen += 1;
            let hits = entry.hits();
            let least = hottest.peek().map_or(0, |Reverse((hits, _))| *hits);
            if (hottest.len() < count || hits > least)
                && entry.variation.is_none()
                && let Some(key) = KeyText::of(&entry.key)
                && key.is_plain()
            {
                hottest.push(Reverse((hits, key.url())));
                if hottest.len() > count {
                    hottest.pop();
                }
            }
            seen < MOST_SEEN
        });
        let mut hottest: Vec<_> = hottest.into_iter().map(|Reverse(one)| one).collect();
        hottest.sort_by(|one, other| other.cmp(one));
        hottest
    }
}

/// Returns the URL of a line of such a file.
pub(super) fn url(line: &str) -> Option<&str> {
    let (hits, url) = line.split_once(' ')?;
    hits.parse::<u32>().ok().map(|_| url)
}
