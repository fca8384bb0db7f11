//! Who watches: a list of all invalidations, and what each of them makes too old for whom.
//!
//! It knows nothing of numbers, epochs or stamps of the protocol, but for being told which
//! invalidation got which number. An answer shows the versions that its handlers read; a version
//! is too old if it was written over before an invalidation that the reader may rely on.

use std::collections::BTreeMap;

use super::{
    catalogue::{THINGS, UNTAGGED, catalogue},
    origin::{Content, Part, Standing, Tick, Versions},
    registry::Head,
};

/// How far a node may be behind with bounded consistency, in milliseconds. The library promises
/// two seconds; what the network and the scheduler add to the limits of the protocol is not part of
/// the model, so that half of it has to do.
const BOUND: u64 = 1_000;

/// One invalidation.
#[derive(Clone, Debug)]
struct Record {
    covers: Vec<usize>,
    /// What the origin held when it was asked for.
    versions: [Versions; THINGS],
    /// The moment and the tick of a soft one.
    soft: Option<(u64, Tick)>,
}

/// What a reader may rely on.
#[derive(Clone, Debug, Default)]
struct Need {
    versions: [Versions; THINGS],
    softs: Vec<(usize, u64, Tick)>,
}

/// What a request may rely on when it comes in.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    need: Need,
    at: u64,
}

pub(super) struct Oracle {
    records: Vec<Record>,
    numbers: BTreeMap<(u64, u64), Vec<usize>>,
    /// What each node knows by itself and forgets with its process.
    local: Vec<Need>,
    /// What each node has learned from the registry.
    learned: Vec<Need>,
    /// What was acknowledged to all, and when.
    global: Vec<(u64, usize)>,
}

impl Need {
    fn add(&mut self, record: &Record) {
        for thing in &record.covers {
            match record.soft {
                Some((at, tick)) => self.softs.push((*thing, at, tick)),
                None => raise(&mut self.versions[*thing], record.versions[*thing]),
            }
        }
    }

    fn join(&mut self, other: &Self) {
        for (mine, theirs) in self.versions.iter_mut().zip(other.versions) {
            raise(mine, theirs);
        }
        self.softs.extend(&other.softs);
    }

    /// Returns what is wrong with showing `part`.
    fn refuses(&self, part: &Part) -> Option<String> {
        let least = self.versions[part.thing];
        let old = part
            .versions
            .iter()
            .zip(least)
            .any(|(shown, least)| *shown < least);
        old.then(|| {
            let name = catalogue().things[part.thing].name;
            format!(
                "shows {name} at {:?}, and has to know of {least:?}",
                part.versions
            )
        })
    }
}

fn raise(versions: &mut Versions, to: Versions) {
    for (version, to) in versions.iter_mut().zip(to) {
        *version = to.max(*version);
    }
}

impl Oracle {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            records: Vec::new(),
            numbers: BTreeMap::new(),
            local: vec![Need::default(); nodes],
            learned: vec![Need::default(); nodes],
            global: Vec::new(),
        }
    }

    /// Notes an invalidation that begins now, and returns its place in the list.
    pub(super) fn begins(
        &mut self,
        covers: Vec<usize>,
        versions: [Versions; THINGS],
        soft: Option<(u64, Tick)>,
    ) -> usize {
        self.records.push(Record {
            covers,
            versions,
            soft,
        });
        self.records.len() - 1
    }

    /// The registry has given a number to some of the list.
    pub(super) fn numbered(&mut self, head: Head, records: &[usize]) {
        self.numbers
            .entry((head.epoch, head.number))
            .or_default()
            .extend(records);
    }

    pub(super) fn acknowledged_on(&mut self, place: usize, record: usize) {
        self.local[place].add(&self.records[record]);
    }

    pub(super) fn acknowledged_to_all(&mut self, record: usize, now: u64) {
        self.global.push((now, record));
    }

    pub(super) fn forget_local(&mut self, place: usize) {
        self.local[place] = Need::default();
    }

    /// The mirror of a node shows a number.
    pub(super) fn knows(&mut self, place: usize, epoch: u64, number: u64) {
        for record in self.numbers.get(&(epoch, number)).into_iter().flatten() {
            self.learned[place].add(&self.records[*record]);
        }
    }

    pub(super) fn knows_up_to(&mut self, place: usize, epoch: u64, number: u64) {
        for records in self
            .numbers
            .range((epoch, 0)..=(epoch, number))
            .map(|(_, all)| all)
        {
            for record in records {
                self.learned[place].add(&self.records[*record]);
            }
        }
    }

    /// A request comes in. With strict consistency it may rely on all that was acknowledged.
    pub(super) fn arrives(&self, place: usize, now: u64, strict: bool) -> Arrival {
        let mut need = self.local[place].clone();
        need.join(&self.learned[place]);
        if strict {
            for (_, record) in &self.global {
                need.add(&self.records[*record]);
            }
        }
        Arrival { need, at: now }
    }

    /// Checks an answer. `verified` says that the node was in touch with the registry: without, an
    /// entry that has no tags keeps its lifetime.
    pub(super) fn check(
        &self,
        arrival: &Arrival,
        content: &Content,
        verified: bool,
    ) -> Result<(), String> {
        for part in &content.parts {
            if let Some(what) = arrival.need.refuses(part) {
                return Err(what);
            }
            if part.thing == UNTAGGED && !verified {
                continue;
            }
            let owed = self.global.iter().filter(|(at, _)| at + BOUND < arrival.at);
            let mut need = Need::default();
            owed.for_each(|(_, record)| need.add(&self.records[*record]));
            if let Some(what) = need.refuses(part) {
                return Err(format!("{what}, which was acknowledged to all long ago"));
            }
        }
        Ok(())
    }
}

impl Arrival {
    /// Checks that an answer that no handler was asked for may be served as it stands.
    pub(super) fn check_standing(
        &self,
        content: &Content,
        standing: Standing,
        now: u64,
    ) -> Result<(), String> {
        // What a page was made from has a life of its own.
        let Some(own) = content.parts.first() else {
            return Ok(());
        };
        let purges = self.need.softs.iter();
        let purge = purges
            .filter(|(thing, _, tick)| *thing == own.thing && own.began < *tick)
            .map(|(_, at, _)| *at)
            .min();
        let (life, end) = (
            content.life,
            content.life.fresh_until.min(purge.unwrap_or(u64::MAX)),
        );
        let last = match standing {
            Standing::Fresh => end,
            Standing::Renewed => end + life.renewed_within,
            Standing::Spare => end + life.fails_within,
            Standing::Old => return Err("served without any claim".to_owned()),
        };
        if now < last {
            return Ok(());
        }
        Err(format!(
            "serves {} as {standing:?} at {now}, its time was up at {last}",
            catalogue().things[own.thing].name
        ))
    }
}
