//! How is a large value read?
//!
//! A piece at a time. The server answers one command after the other, and so does a connection: whoever
//! comes behind a large value waits until all of it was sent and read, here for no more than a piece. What
//! fits in one takes one round trip. The value may be replaced between two pieces, so each that follows
//! comes with how the value begins then, which for a response is its checksum.

use redis::{Cmd, Pipeline, Value};
use tokio::time::Instant;

use super::connections::{Connections, Unavailable};
use crate::entry::codec::PREAMBLE;

/// How much is asked for at a time, in bytes: a body of 256 KiB and its head.
const PIECE: usize = 272 << 10;

/// The last byte of the first piece.
const END: &str = "278527";

/// How often a value is read that is replaced meanwhile. Whatever is replaced that often is as good as
/// not there.
const ATTEMPTS: usize = 2;

/// Returns what is stored under `name`, if the server says so until `deadline`; [`Value::Nil`] if it is
/// longer than `most` bytes. What the server refuses is a [`Value::ServerError`].
pub(super) async fn read(
    connections: &Connections,
    name: &str,
    most: usize,
    deadline: Instant,
) -> Result<Value, Unavailable> {
    for _ in 0..ATTEMPTS {
        let mut command = Cmd::with_capacity(4, "GETRANGE0".len() + END.len() + name.len());
        command.arg("GETRANGE").arg(name).arg("0").arg(END);
        match connections.ask(&command, deadline).await? {
            Value::BulkString(bytes) if bytes.is_empty() => return Ok(Value::Nil),
            Value::BulkString(bytes) if bytes.len() == PIECE => {
                let whole = Box::pin(rest(connections, name, bytes, most, deadline));
                if let Some(whole) = whole.await? {
                    return Ok(whole);
                }
            }
            answer => return Ok(answer),
        }
    }
    Ok(Value::Nil)
}

/// Reads what comes behind the `first` piece. None if that was replaced meanwhile.
async fn rest(
    connections: &Connections,
    name: &str,
    first: Vec<u8>,
    most: usize,
    deadline: Instant,
) -> Result<Option<Value>, Unavailable> {
    let mut whole = first;
    loop {
        let mut next = Pipeline::with_capacity(3);
        let (from, to) = (whole.len(), whole.len() + PIECE - 1);
        next.cmd("GETRANGE").arg(name).arg(from).arg(to);
        next.cmd("STRLEN").arg(name);
        next.cmd("GETRANGE").arg(name).arg(0).arg(PREAMBLE - 1);
        let answers = connections.run_until(&next, deadline).await?;
        let [
            Value::BulkString(piece),
            Value::Int(length),
            Value::BulkString(start),
        ] = &*answers
        else {
            return Ok(None);
        };
        let length = usize::try_from(*length).unwrap_or(usize::MAX);
        if whole.get(..PREAMBLE) != Some(start.as_slice()) {
            return Ok(None);
        }
        if length > most {
            return Ok(Some(Value::Nil));
        }
        whole.reserve_exact(length.saturating_sub(from));
        whole.extend_from_slice(piece);
        if whole.len() >= length {
            return Ok(Some(Value::BulkString(whole)));
        }
        if piece.is_empty() {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::{
        super::{layout::Layout, settings::Settings, tests::server::Server},
        *,
    };
    use crate::clock::SystemClock;

    const MOST: usize = 8 << 20;

    fn connections(server: &Server) -> Connections {
        let settings = Settings {
            request_budget: Duration::from_secs(5),
            ..Settings::default()
        };
        let layout = Layout::new("test");
        Connections::new(
            &server.url(),
            layout,
            settings,
            Arc::new(SystemClock::new()),
        )
        .unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    /// Has so many bytes of one kind stored under `name`.
    fn set(server: &Server, name: &str, length: usize, byte: char) {
        let script = "redis.call('SET', KEYS[1], string.rep(ARGV[1], ARGV[2]))";
        server.ask(&[
            "EVAL",
            script,
            "1",
            name,
            &byte.to_string(),
            &length.to_string(),
        ]);
    }

    #[test]
    fn the_first_piece_is_as_long_as_each() {
        assert_eq!(END.parse::<usize>().unwrap() + 1, PIECE);
    }

    #[tokio::test]
    async fn a_value_of_any_length_is_read_to_the_last_byte_and_no_piece_too_often() {
        let server = Server::start();
        let connections = connections(&server);
        for (length, commands) in [
            (1, 1),
            (PIECE - 1, 1),
            (PIECE, 3),
            (PIECE + 1, 3),
            (2 * PIECE, 3),
            (2 * PIECE + 1, 5),
        ] {
            set(&server, "value", length, 'a');
            server.ask(&["CONFIG", "RESETSTAT"]);
            let read = read(&connections, "value", MOST, soon()).await.unwrap();
            assert_eq!(read, Value::BulkString(vec![b'a'; length]), "{length}");
            let told = server.ask(&["INFO", "commandstats"]);
            let calls = format!("cmdstat_getrange:calls={commands},");
            assert!(told.contains(&calls), "{length}: {told}");
        }
        let nothing = read(&connections, "nothing", MOST, soon()).await;
        assert_eq!(nothing, Ok(Value::Nil));
    }

    #[tokio::test]
    async fn a_value_that_is_replaced_between_two_pieces_is_no_mixture_of_both() {
        let server = Server::start();
        let connections = connections(&server);
        let first = || vec![b'a'; PIECE];
        let whole = 2 * PIECE;
        set(&server, "value", whole, 'a');
        let unchanged = rest(&connections, "value", first(), MOST, soon()).await;
        assert_eq!(unchanged, Ok(Some(Value::BulkString(vec![b'a'; whole]))));
        for (length, byte) in [(whole, 'b'), (1, 'b'), (1, 'a')] {
            set(&server, "value", length, byte);
            let replaced = rest(&connections, "value", first(), MOST, soon()).await;
            assert_eq!(replaced, Ok(None), "{length} of {byte}");
        }
        for command in [["DEL", "value", "other"], ["RPUSH", "value", "element"]] {
            server.ask(&command);
            let replaced = rest(&connections, "value", first(), MOST, soon()).await;
            assert_eq!(replaced, Ok(None), "{command:?}");
        }
    }

    #[tokio::test]
    async fn what_is_longer_than_anything_that_could_be_used_is_not_read_to_its_end() {
        let server = Server::start();
        let connections = connections(&server);
        set(&server, "value", 16 << 20, 'a');
        server.ask(&["CONFIG", "RESETSTAT"]);
        let read = read(&connections, "value", 1 << 20, soon()).await;
        assert_eq!(read, Ok(Value::Nil));
        let told = server.ask(&["INFO", "commandstats"]);
        assert!(told.contains("cmdstat_getrange:calls=3,"), "{told}");
    }
}
