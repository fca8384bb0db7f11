//! Structures in Redis.

use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, FromRedisValue, Pipeline, Value, cmd};

use super::{Operation, Reply, no_number, other_kind};
use crate::{
    error::{Error, ErrorKind},
    store::redis::{Connections, Layout},
};

/// Carries operations out in one round trip, each with a reply or the reason why not.
///
/// # Errors
///
/// Fails if Redis gave no answer within `budget`. What it has done of them is not known then.
pub(crate) async fn run(
    connections: &Connections,
    operations: &[Operation],
    budget: Duration,
) -> Result<Vec<Result<Reply, Error>>, Error> {
    let layout = connections.layout();
    let mut pipeline = Pipeline::new();
    for operation in operations {
        command(operation, layout).into_iter().for_each(|command| {
            pipeline.add_command(command);
        });
    }
    let answers = connections.run(&pipeline, budget).await.map_err(|why| {
        let cause = connections.health().last_error;
        let cause = cause.as_deref().unwrap_or("no answer in time");
        let message = format!("redis gave no answer ({why:?}): {cause}");
        Error::new(ErrorKind::Unavailable, message)
    })?;
    let mut answers = answers.into_iter();
    let replies = operations.iter().map(|operation| {
        let answer = answers.next().unwrap_or(Value::Nil);
        if matches!(operation, Operation::Push { .. }) {
            return pushed(operation, answer, answers.next().unwrap_or(Value::Nil));
        }
        reply(operation, answer)
    });
    Ok(replies.collect())
}

/// Returns the commands of an operation: one, or two for a list that is cut.
fn command(operation: &Operation, layout: &Layout) -> Vec<Cmd> {
    let at = |command: &str, name: &str| {
        let mut built = cmd(command);
        built.arg(layout.structure(name));
        built
    };
    let one = match operation {
        Operation::Count { name, by } => at("INCRBY", name).arg(*by).take(),
        Operation::Counted { name } => at("GET", name),
        Operation::SetFields { .. }
        | Operation::Fields { .. }
        | Operation::AllFields { .. }
        | Operation::CountField { .. }
        | Operation::RemoveFields { .. } => of_hash(operation, at),
        Operation::Score { .. }
        | Operation::Raise { .. }
        | Operation::Ranked { .. }
        | Operation::Place { .. }
        | Operation::ScoreOf { .. }
        | Operation::Unrank { .. }
        | Operation::RankedCount { .. } => of_ranking(operation, at),
        Operation::Join { name, members } => with(at("SADD", name), members),
        Operation::Leave { name, members } => with(at("SREM", name), members),
        Operation::Has { name, member } => at("SISMEMBER", name).arg(&**member).take(),
        Operation::Members { name } => at("SMEMBERS", name),
        Operation::MemberCount { name } => at("SCARD", name),
        Operation::Common { names } => {
            let mut command = cmd("SINTER");
            for name in names {
                command.arg(layout.structure(name));
            }
            command
        }
        Operation::Push { name, values, most } => {
            let mut push = at("LPUSH", name);
            for value in values {
                push.arg(&**value);
            }
            let mut cut = at("LTRIM", name);
            cut.arg(0).arg(last(0, *most));
            return vec![push, cut];
        }
        Operation::Recent { name, count } => at("LRANGE", name).arg(0).arg(last(0, *count)).take(),
        Operation::Length { name } => at("LLEN", name),
        Operation::Remove { name } => at("UNLINK", name),
        Operation::Expire { name, after } => {
            let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX / 2);
            at("PEXPIRE", name).arg(millis).take()
        }
    };
    vec![one]
}

fn of_hash(operation: &Operation, at: impl Fn(&str, &str) -> Cmd) -> Cmd {
    match operation {
        Operation::SetFields { name, fields } => {
            let mut command = at("HSET", name);
            for (field, value) in fields {
                command.arg(&**field).arg(&**value);
            }
            command
        }
        Operation::Fields { name, fields } => with(at("HMGET", name), fields),
        Operation::CountField { name, field, by } => {
            at("HINCRBY", name).arg(&**field).arg(*by).take()
        }
        Operation::RemoveFields { name, fields } => with(at("HDEL", name), fields),
        Operation::AllFields { name } => at("HGETALL", name),
        _ => Cmd::new(),
    }
}

fn of_ranking(operation: &Operation, at: impl Fn(&str, &str) -> Cmd) -> Cmd {
    match operation {
        Operation::Score { name, members } => {
            let mut command = at("ZADD", name);
            for (member, score) in members {
                command.arg(*score).arg(&**member);
            }
            command
        }
        Operation::Raise { name, member, by } => at("ZINCRBY", name).arg(*by).arg(&**member).take(),
        Operation::Ranked { name, from, count } => at("ZREVRANGE", name)
            .arg(*from)
            .arg(last(*from, *count))
            .arg("WITHSCORES")
            .take(),
        Operation::Place { name, member } => at("ZREVRANK", name).arg(&**member).take(),
        Operation::ScoreOf { name, member } => at("ZSCORE", name).arg(&**member).take(),
        Operation::Unrank { name, members } => with(at("ZREM", name), members),
        Operation::RankedCount { name } => at("ZCARD", name),
        _ => Cmd::new(),
    }
}

fn with(mut command: Cmd, members: &[Box<str>]) -> Cmd {
    for member in members {
        command.arg(&**member);
    }
    command
}

/// Returns the last place of `count` from `from` on, as ranges want it: one before `from` for none.
fn last(from: u64, count: u64) -> i64 {
    match from.saturating_add(count).checked_sub(1) {
        // A range that ends at -1 is all of the list.
        None => -i64::MAX,
        Some(last) => i64::try_from(last).unwrap_or(i64::MAX),
    }
}

/// Returns the reply to a push: the length after the cut.
fn pushed(operation: &Operation, push: Value, cut: Value) -> Result<Reply, Error> {
    let Operation::Push { name, most, .. } = operation else {
        return reply(operation, push);
    };
    if let Value::ServerError(_) = cut {
        return reply(operation, cut);
    }
    match reply(operation, push)? {
        Reply::Number(length) => Ok(Reply::Number(
            length.min(i64::try_from(*most).unwrap_or(i64::MAX)),
        )),
        other => Err(unreadable(name, &format!("{other:?}"))),
    }
}

fn reply(operation: &Operation, answer: Value) -> Result<Reply, Error> {
    let name = operation.name();
    if let Value::ServerError(error) = &answer {
        let details = error.details().unwrap_or_default();
        return Err(match error.code() {
            "WRONGTYPE" => other_kind(name),
            "ERR" if details.contains("not an integer") || details.contains("overflow") => {
                no_number(name)
            }
            "ERR" if details.contains("not a number") => no_number(name),
            code => {
                let message = format!("redis refused to change `{name}`: {code} {details}");
                Error::new(ErrorKind::Unavailable, message)
            }
        });
    }
    let read = match operation {
        Operation::Fields { .. } | Operation::Recent { .. } => {
            Vec::<Option<Vec<u8>>>::from_redis_value(answer).map(|values| {
                Reply::Values(
                    values
                        .into_iter()
                        .map(|value| value.map(Bytes::from))
                        .collect(),
                )
            })
        }
        Operation::AllFields { .. } => {
            Vec::<(String, Vec<u8>)>::from_redis_value(answer).map(|mut fields| {
                fields.sort_unstable();
                let fields = fields.into_iter();
                Reply::Fields(
                    fields
                        .map(|(field, value)| (field.into(), value.into()))
                        .collect(),
                )
            })
        }
        Operation::Ranked { .. } => Vec::<(String, f64)>::from_redis_value(answer).map(|ranked| {
            let ranked = ranked.into_iter();
            Reply::Ranking(
                ranked
                    .map(|(member, score)| (member.into(), score))
                    .collect(),
            )
        }),
        Operation::Members { .. } | Operation::Common { .. } => {
            Vec::<String>::from_redis_value(answer).map(|mut names| {
                names.sort_unstable();
                Reply::Names(names.into_iter().map(String::into_boxed_str).collect())
            })
        }
        Operation::Raise { .. } | Operation::ScoreOf { .. } => {
            Option::<f64>::from_redis_value(answer).map(Reply::Score)
        }
        Operation::Place { .. } => Option::<u64>::from_redis_value(answer).map(Reply::Place),
        _ => Option::<i64>::from_redis_value(answer)
            .map(|number| Reply::Number(number.unwrap_or_default())),
    };
    read.map_err(|error| unreadable(name, &error.to_string()))
}

fn unreadable(name: &str, why: &str) -> Error {
    let message = format!("`{name}` holds what larder did not write: {why}");
    Error::new(ErrorKind::Structure, message)
}
