//! Structures in this process.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;

use super::{Operation, Reply, no_number, other_kind, sorted::Sorted};
use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind},
};

/// How many elements all structures of a process may have together. Nothing of them is ever evicted,
/// so that past it additions are refused.
const MOST: usize = 1_000_000;

/// The structures of one handle.
#[derive(Debug, Default)]
pub(crate) struct LocalStructures {
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    by_name: HashMap<Arc<str>, Held>,
    elements: usize,
}

#[derive(Debug)]
struct Held {
    structure: Structure,
    ends_at: Timestamp,
}

#[derive(Debug)]
enum Structure {
    Counter(i64),
    Hash(BTreeMap<Box<str>, Bytes>),
    Ranking(Sorted),
    Set(BTreeSet<Box<str>>),
    List(VecDeque<Bytes>),
}

impl Structure {
    fn elements(&self) -> usize {
        match self {
            Self::Counter(_) => 1,
            Self::Hash(fields) => fields.len(),
            Self::Ranking(sorted) => sorted.len(),
            Self::Set(members) => members.len(),
            Self::List(values) => values.len(),
        }
    }
}

/// Gets the part of a [`Structure`] that an operation works on; the error says that it is another.
macro_rules! part {
    ($kind:ident, $structure:expr, $name:expr) => {
        match $structure {
            Structure::$kind(part) => part,
            _ => return Err(other_kind($name)),
        }
    };
}

impl LocalStructures {
    /// Carries operations out in one turn, each with a reply or the reason why not.
    pub(crate) fn run(
        &self,
        operations: &[Operation],
        now: Timestamp,
    ) -> Vec<Result<Reply, Error>> {
        let mut all = self.locked();
        operations
            .iter()
            .map(|operation| all.carry_out(operation, now))
            .collect()
    }

    /// A structure is whole between any two operations, so a poisoned one is good.
    fn locked(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    fn carry_out(&mut self, operation: &Operation, now: Timestamp) -> Result<Reply, Error> {
        match operation {
            Operation::Count { name, by } => self.change(
                name,
                now,
                1,
                || Structure::Counter(0),
                |structure| {
                    let count = part!(Counter, structure, name);
                    *count = count.checked_add(*by).ok_or_else(|| no_number(name))?;
                    Ok(Reply::Number(*count))
                },
            ),
            Operation::SetFields { .. }
            | Operation::CountField { .. }
            | Operation::RemoveFields { .. } => self.change_hash(operation, now),
            Operation::Score { .. } | Operation::Raise { .. } | Operation::Unrank { .. } => {
                self.change_ranking(operation, now)
            }
            Operation::Join { .. } | Operation::Leave { .. } => self.change_set(operation, now),
            Operation::Push { name, values, most } => {
                let new = || Structure::List(VecDeque::new());
                self.change(name, now, values.len(), new, |structure| {
                    let list = part!(List, structure, name);
                    for value in values {
                        list.push_front(value.clone());
                    }
                    list.truncate(size(*most));
                    Ok(Reply::Number(number(list.len())))
                })
            }
            Operation::Remove { name } => {
                let removed = self.by_name.remove(name);
                self.elements -= removed.as_ref().map_or(0, |held| held.structure.elements());
                let was_alive = removed.is_some_and(|held| now < held.ends_at);
                Ok(Reply::Number(i64::from(was_alive)))
            }
            Operation::Expire { name, after } => {
                Ok(Reply::Number(i64::from(self.expire(name, *after, now))))
            }
            _ => self.read(operation, now),
        }
    }

    fn change_hash(&mut self, operation: &Operation, now: Timestamp) -> Result<Reply, Error> {
        let new = || Structure::Hash(BTreeMap::new());
        match operation {
            Operation::SetFields { name, fields } => {
                self.change(name, now, fields.len(), new, |structure| {
                    let hash = part!(Hash, structure, name);
                    let before = hash.len();
                    hash.extend(fields.iter().cloned());
                    Ok(Reply::Number(number(hash.len() - before)))
                })
            }
            Operation::CountField { name, field, by } => {
                self.change(name, now, 1, new, |structure| {
                    let hash = part!(Hash, structure, name);
                    let before = hash.get(field).map_or(Some(0), |bytes| {
                        std::str::from_utf8(bytes).ok()?.parse::<i64>().ok()
                    });
                    let after = before
                        .and_then(|before| before.checked_add(*by))
                        .ok_or_else(|| no_number(name))?;
                    hash.insert(field.clone(), after.to_string().into());
                    Ok(Reply::Number(after))
                })
            }
            Operation::RemoveFields { name, fields } => {
                self.change(name, now, 0, new, |structure| {
                    let hash = part!(Hash, structure, name);
                    let there = fields.iter().filter(|field| hash.remove(*field).is_some());
                    Ok(Reply::Number(number(there.count())))
                })
            }
            _ => self.read(operation, now),
        }
    }

    fn change_ranking(&mut self, operation: &Operation, now: Timestamp) -> Result<Reply, Error> {
        let new = || Structure::Ranking(Sorted::default());
        match operation {
            Operation::Score { name, members } => {
                self.change(name, now, members.len(), new, |structure| {
                    let sorted = part!(Ranking, structure, name);
                    let added = members
                        .iter()
                        .filter(|(member, score)| sorted.set(member, *score));
                    Ok(Reply::Number(number(added.count())))
                })
            }
            Operation::Raise { name, member, by } => self.change(name, now, 1, new, |structure| {
                let sorted = part!(Ranking, structure, name);
                let score = sorted.score(member).unwrap_or_default() + by;
                if score.is_nan() {
                    return Err(no_number(name));
                }
                sorted.set(member, score);
                Ok(Reply::Score(Some(score)))
            }),
            Operation::Unrank { name, members } => self.change(name, now, 0, new, |structure| {
                let sorted = part!(Ranking, structure, name);
                let there = members.iter().filter(|member| sorted.remove(member));
                Ok(Reply::Number(number(there.count())))
            }),
            _ => self.read(operation, now),
        }
    }

    fn change_set(&mut self, operation: &Operation, now: Timestamp) -> Result<Reply, Error> {
        let new = || Structure::Set(BTreeSet::new());
        match operation {
            Operation::Join { name, members } => {
                self.change(name, now, members.len(), new, |structure| {
                    let set = part!(Set, structure, name);
                    let added = members
                        .iter()
                        .filter(|member| set.insert((*member).clone()));
                    Ok(Reply::Number(number(added.count())))
                })
            }
            Operation::Leave { name, members } => self.change(name, now, 0, new, |structure| {
                let set = part!(Set, structure, name);
                let there = members.iter().filter(|member| set.remove(*member));
                Ok(Reply::Number(number(there.count())))
            }),
            _ => self.read(operation, now),
        }
    }

    fn read(&self, operation: &Operation, now: Timestamp) -> Result<Reply, Error> {
        match operation {
            Operation::Counted { name } => self.look(name, now, Reply::Number(0), |structure| {
                Ok(Reply::Number(*part!(Counter, structure, name)))
            }),
            Operation::Fields { name, fields } => {
                let none = Reply::Values(vec![None; fields.len()]);
                self.look(name, now, none, |structure| {
                    let hash = part!(Hash, structure, name);
                    let values = fields.iter().map(|field| hash.get(field).cloned());
                    Ok(Reply::Values(values.collect()))
                })
            }
            Operation::AllFields { name } => {
                self.look(name, now, Reply::Fields(Vec::new()), |structure| {
                    let hash = part!(Hash, structure, name).clone();
                    Ok(Reply::Fields(hash.into_iter().collect()))
                })
            }
            Operation::Common { names } => self.common(names, now),
            Operation::Has { name, member } => {
                self.look(name, now, Reply::Number(0), |structure| {
                    let has = part!(Set, structure, name).contains(member);
                    Ok(Reply::Number(i64::from(has)))
                })
            }
            Operation::Members { name } => self.common(std::slice::from_ref(name), now),
            Operation::MemberCount { name } => {
                self.look(name, now, Reply::Number(0), |structure| {
                    Ok(Reply::Number(number(part!(Set, structure, name).len())))
                })
            }
            Operation::Recent { name, count } => {
                self.look(name, now, Reply::Values(Vec::new()), |structure| {
                    let list = part!(List, structure, name).iter().take(size(*count));
                    Ok(Reply::Values(list.cloned().map(Some).collect()))
                })
            }
            Operation::Length { name } => self.look(name, now, Reply::Number(0), |structure| {
                Ok(Reply::Number(number(part!(List, structure, name).len())))
            }),
            _ => self.read_ranking(operation, now),
        }
    }

    fn read_ranking(&self, operation: &Operation, now: Timestamp) -> Result<Reply, Error> {
        match operation {
            Operation::Ranked { name, from, count } => {
                self.look(name, now, Reply::Ranking(Vec::new()), |structure| {
                    let sorted = part!(Ranking, structure, name);
                    Ok(Reply::Ranking(sorted.ranked(size(*from), size(*count))))
                })
            }
            Operation::Place { name, member } => {
                self.look(name, now, Reply::Place(None), |structure| {
                    let place = part!(Ranking, structure, name).place(member);
                    Ok(Reply::Place(
                        place.and_then(|place| u64::try_from(place).ok()),
                    ))
                })
            }
            Operation::ScoreOf { name, member } => {
                self.look(name, now, Reply::Score(None), |structure| {
                    Ok(Reply::Score(part!(Ranking, structure, name).score(member)))
                })
            }
            Operation::RankedCount { name } => {
                self.look(name, now, Reply::Number(0), |structure| {
                    Ok(Reply::Number(number(part!(Ranking, structure, name).len())))
                })
            }
            // Every other operation was carried out before it came to this.
            _ => Ok(Reply::Number(0)),
        }
    }

    /// Changes a structure, which is made if there is none, and removed if nothing is left of it.
    fn change(
        &mut self,
        name: &Arc<str>,
        now: Timestamp,
        added_at_most: usize,
        new: impl FnOnce() -> Structure,
        change: impl FnOnce(&mut Structure) -> Result<Reply, Error>,
    ) -> Result<Reply, Error> {
        self.drop_ended(name, now);
        if self.elements + added_at_most > MOST {
            let message = format!(
                "`{name}` can not grow: the structures of this process have {MOST} elements; use Redis"
            );
            return Err(Error::new(ErrorKind::Structure, message));
        }
        let is_new = !self.by_name.contains_key(name);
        let held = self
            .by_name
            .entry(Arc::clone(name))
            .or_insert_with(|| Held {
                structure: new(),
                ends_at: Timestamp::NEVER,
            });
        let before = if is_new { 0 } else { held.structure.elements() };
        let reply = change(&mut held.structure);
        let after = held.structure.elements();
        let is_empty = after == 0 || (is_new && reply.is_err());
        if is_empty {
            self.by_name.remove(name);
            self.elements -= before;
        } else {
            self.elements = self.elements + after - before;
        }
        reply
    }

    fn look(
        &self,
        name: &Arc<str>,
        now: Timestamp,
        none: Reply,
        look: impl FnOnce(&Structure) -> Result<Reply, Error>,
    ) -> Result<Reply, Error> {
        match self.alive(name, now) {
            Some(structure) => look(structure),
            None => Ok(none),
        }
    }

    fn common(&self, names: &[Arc<str>], now: Timestamp) -> Result<Reply, Error> {
        let mut common: Option<Vec<Box<str>>> = None;
        for name in names {
            let set = match self.alive(name, now) {
                Some(structure) => Some(part!(Set, structure, name)),
                None => None,
            };
            common = Some(match (common, set) {
                (_, None) => Vec::new(),
                (None, Some(set)) => set.iter().cloned().collect(),
                (Some(mut common), Some(set)) => {
                    common.retain(|member| set.contains(member));
                    common
                }
            });
        }
        Ok(Reply::Names(common.unwrap_or_default()))
    }

    fn expire(&mut self, name: &Arc<str>, after: Duration, now: Timestamp) -> bool {
        self.drop_ended(name, now);
        let Some(held) = self.by_name.get_mut(name) else {
            return false;
        };
        held.ends_at = now.after(after);
        true
    }

    fn alive(&self, name: &Arc<str>, now: Timestamp) -> Option<&Structure> {
        let held = self.by_name.get(name)?;
        (now < held.ends_at).then_some(&held.structure)
    }

    fn drop_ended(&mut self, name: &Arc<str>, now: Timestamp) {
        if self
            .by_name
            .get(name)
            .is_some_and(|held| now >= held.ends_at)
            && let Some(ended) = self.by_name.remove(name)
        {
            self.elements -= ended.structure.elements();
        }
    }
}

fn number(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
