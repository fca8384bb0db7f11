//! What the server answers, read with care: it may be anything.

use redis::Value;

use super::{Place, Stamped};
use crate::policy::TargetId;

/// Returns the text of a bulk or simple string, or of a number.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

pub(super) fn number(value: &Value) -> Option<u64> {
    text(value)?.parse().ok()
}

/// Returns the elements of a list; none if it is something else.
pub(super) fn list(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(elements) | Value::Set(elements) => Some(elements),
        _ => None,
    }
}

/// Returns the pairs of a map, in either form that the protocol has for one.
pub(super) fn pairs(value: &Value) -> Vec<(&Value, &Value)> {
    match value {
        Value::Map(pairs) => pairs.iter().map(|(key, value)| (key, value)).collect(),
        Value::Array(elements) => {
            let (pairs, _) = elements.as_chunks();
            pairs.iter().map(|[key, value]| (key, value)).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the epoch and the number that an answer begins with.
pub(super) fn place(value: &Value) -> Option<Place> {
    let [epoch, found, ..] = list(value)? else {
        return None;
    };
    Some(Place {
        epoch: number(epoch)?,
        number: number(found)?,
    })
}

/// Returns what the stamping script answers.
pub(super) fn stamped(value: &Value) -> Option<Stamped> {
    let is_latest = matches!(list(value)?, [_, _, Value::Int(1)]);
    Some(Stamped {
        place: place(value)?,
        is_latest,
    })
}

/// Returns the score of a sorted set's member, which is a whole number or infinite.
pub(super) fn score(value: &Value) -> Option<u64> {
    if let Value::Double(score) = value {
        return whole(*score);
    }
    let text = text(value)?;
    text.parse().ok().or_else(|| whole(text.parse().ok()?))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be within what a double holds exactly"
)]
fn whole(score: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (0.0..=EXACT).contains(&score).then_some(score as u64)
}

/// Returns the target of a member of the registry, which is its name behind four digits.
pub(super) fn target(value: &Value) -> Option<TargetId> {
    let member = text(value)?;
    if member.starts_with('=') {
        return None;
    }
    member.get(4..).map(TargetId::of_name)
}
