//! How do commands that were asked for at the same time go out?
//!
//! Together. A connection has a task of its own, which writes what is there when it runs. A runtime runs
//! a task that was woken before all others, so that it would run after each request that asks, and write
//! one command at a time: a call of the system for each, another one for the server to read it, and two
//! more for the answer. Here it steps back once whenever others wait on the connection too, until all
//! that can run have run. One who is alone on his connection is not kept waiting.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, RedisConnectionInfo, RedisResult,
    aio::MultiplexedConnection,
};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

/// The task of a connection, which ends when this is dropped.
pub(super) type Driver = AbortOnDropHandle<()>;

/// Makes a connection that gathers what the `waiting` ask, who are counted elsewhere. None if it is a
/// way, such as TLS, on which the client goes by itself.
pub(super) async fn gathering(
    client: &Client,
    config: AsyncConnectionConfig,
    waiting: &Arc<AtomicUsize>,
) -> RedisResult<Option<(MultiplexedConnection, Driver)>> {
    let server = client.get_connection_info();
    let settings = server.redis_settings();
    match server.addr() {
        ConnectionAddr::Tcp(host, port) => {
            let addresses = lookup_host((host.as_str(), *port)).await?;
            let stream = first_of(addresses).await?;
            stream.set_nodelay(true)?;
            over(stream, settings, config, waiting).await.map(Some)
        }
        #[cfg(unix)]
        ConnectionAddr::Unix(path) => {
            let stream = UnixStream::connect(path).await?;
            over(stream, settings, config, waiting).await.map(Some)
        }
        _ => Ok(None),
    }
}

/// Connects to whichever address answers first: one that does not keeps nobody from the others.
async fn first_of(addresses: impl IntoIterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut connecting: JoinSet<_> = addresses.into_iter().map(TcpStream::connect).collect();
    let mut refused = None;
    while let Some(connected) = connecting.join_next().await {
        match connected {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => refused = Some(error),
            // The runtime is ending.
            Err(_) => {}
        }
    }
    let nowhere = || io::Error::other("the host has no address");
    Err(refused.unwrap_or_else(nowhere))
}

/// Makes such a connection over `stream`.
async fn over(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    settings: &RedisConnectionInfo,
    config: AsyncConnectionConfig,
    waiting: &Arc<AtomicUsize>,
) -> RedisResult<(MultiplexedConnection, Driver)> {
    let made = MultiplexedConnection::new_with_config(settings, stream, config);
    let (connection, task) = made.await?;
    let task = tokio::spawn(stepping_back(task, Arc::clone(waiting)));
    Ok((connection, AbortOnDropHandle::new(task)))
}

/// Runs `task`, after all others that can run whenever more than one waits for it.
async fn stepping_back(task: impl Future<Output = ()>, waiting: Arc<AtomicUsize>) {
    let mut task = pin!(task);
    let mut has_stepped_back = false;
    poll_fn(|context| {
        has_stepped_back = !has_stepped_back && waiting.load(Ordering::Relaxed) > 1;
        if has_stepped_back {
            // Whoever wakes himself comes last.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        task.as_mut().poll(context)
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        net::{TcpListener, TcpSocket},
        time::timeout,
    };

    use super::*;

    #[tokio::test]
    async fn an_address_that_does_not_answer_keeps_nobody_from_the_others() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        // Whoever comes when there is no room in front of a listener that accepts nobody, waits.
        let full = TcpSocket::new_v4().unwrap();
        full.bind(any).unwrap();
        let full = full.listen(1).unwrap();
        let silent = full.local_addr().unwrap();
        let (mut inside, soon) = (Vec::new(), Duration::from_millis(200));
        while let Ok(Ok(stream)) = timeout(soon, TcpStream::connect(silent)).await {
            inside.push(stream);
            assert!(inside.len() < 100, "there is room for all");
        }
        let listener = TcpListener::bind(any).await.unwrap();
        let other = listener.local_addr().unwrap();
        let reached = timeout(Duration::from_secs(5), first_of([silent, other])).await;
        let reached = reached.expect("it waited for the silent one").unwrap();
        assert_eq!(reached.peer_addr().unwrap(), other);
    }
}
