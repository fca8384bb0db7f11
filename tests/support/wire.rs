//! One face over both versions of HTTP, so that a test is written once.

use std::{fmt, io, net::SocketAddr, sync::Barrier, thread};

use tokio::task::JoinSet;

use super::{
    http1::{self, Connection},
    http2::{self, Client},
    message::{Answer, Request},
};

/// How requests reach the server.
#[derive(Clone, Debug)]
pub(crate) enum Wire {
    /// HTTP/1.1, a connection for each request.
    One(SocketAddr),
    /// HTTP/2 with prior knowledge, one connection for all.
    Two(Client),
}

impl Wire {
    /// Returns both wires to the server at `address`.
    pub(crate) fn both(address: SocketAddr) -> io::Result<[Self; 2]> {
        Ok([Self::One(address), Self::Two(Client::connect(address)?)])
    }

    pub(crate) fn send(&self, request: &Request) -> io::Result<Answer> {
        match self {
            Self::One(address) => Connection::open(*address)?.exchange(request),
            Self::Two(client) => client.exchange(request),
        }
    }

    /// Sends all requests at once and returns their answers in order.
    pub(crate) fn send_all(&self, requests: &[Request]) -> Vec<io::Result<Answer>> {
        match self {
            Self::Two(client) => client.exchange_all(requests),
            Self::One(address) => {
                let connected = Barrier::new(requests.len());
                let send = |request| {
                    let connection = Connection::open(*address);
                    connected.wait();
                    connection?.exchange(request)
                };
                thread::scope(|scope| {
                    let sent: Vec<_> = requests
                        .iter()
                        .map(|one| scope.spawn(|| send(one)))
                        .collect();
                    let lost = |_| Err(io::Error::other("the client panicked"));
                    sent.into_iter()
                        .map(|one| one.join().unwrap_or_else(lost))
                        .collect()
                })
            }
        }
    }

    /// Sends a request and returns its head, with the body still to come.
    pub(crate) fn begin(&self, request: &Request) -> io::Result<(Answer, Stream)> {
        match self {
            Self::Two(client) => {
                let (head, body) = client.begin(request)?;
                Ok((head, Stream::Two(body)))
            }
            Self::One(address) => {
                let mut connection = Connection::open(*address)?;
                connection.send(&http1::bytes_of(request))?;
                Ok((connection.head()?, Stream::One(connection)))
            }
        }
    }

    /// Sends requests and leaves their answers unread for as long as the result is kept; dropped,
    /// it is clients that left.
    pub(crate) fn hold(&self, requests: &[Request]) -> io::Result<Held> {
        match self {
            Self::Two(client) => Ok(Held::Two(client.hold(requests))),
            Self::One(address) => {
                let send = |request| {
                    let mut connection = Connection::open(*address)?;
                    connection.send(&http1::bytes_of(request))?;
                    Ok(connection)
                };
                requests
                    .iter()
                    .map(send)
                    .collect::<io::Result<_>>()
                    .map(Held::One)
            }
        }
    }

    /// Returns the same wire by a connection of its own.
    pub(crate) fn another(&self) -> io::Result<Self> {
        match self {
            Self::One(address) => Ok(Self::One(*address)),
            Self::Two(client) => client.another().map(Self::Two),
        }
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One(_) => "HTTP/1.1",
            Self::Two(_) => "HTTP/2",
        })
    }
}

/// Requests whose clients are still there and do not read.
#[derive(Debug)]
#[expect(dead_code, reason = "what is held is only ever dropped")]
pub(crate) enum Held {
    One(Vec<Connection>),
    Two(JoinSet<io::Result<Answer>>),
}

/// A body that is still coming; dropped, it is a client that left.
#[derive(Debug)]
pub(crate) enum Stream {
    One(Connection),
    Two(http2::Stream),
}

impl Stream {
    /// Returns body bytes as they come (chunk framing included); none at the end.
    pub(crate) fn some(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::One(connection) => connection.some(),
            Self::Two(stream) => stream.some(),
        }
    }
}
