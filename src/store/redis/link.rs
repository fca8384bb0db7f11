//! A connection, whatever kind of Redis is behind it.

use redis::{
    Cmd, Pipeline, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};

/// A connection that many may use at a time. Clones are one.
#[derive(Clone)]
pub(crate) enum Link {
    Single(MultiplexedConnection),
    #[cfg(feature = "redis-cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
}

impl Link {
    /// Sends one command, as [`req_packed_command`](ConnectionLike::req_packed_command) does, without
    /// a box for the way to a single server.
    pub(super) async fn ask(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Single(connection) => connection.send_packed_command(command).await,
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(_) => self.req_packed_command(command).await,
        }
    }

    /// Returns whether another server may answer than the one that was greeted: a connection to a
    /// cluster finds the next one by itself when the slots have another owner.
    pub(super) fn may_change_servers(&self) -> bool {
        match self {
            Self::Single(_) => false,
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(_) => true,
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Single(_) => "Single",
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(_) => "Cluster",
        })
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(command),
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => Box::pin(cluster::one(connection.clone(), command)),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => {
                Box::pin(cluster::all(connection.clone(), pipeline, offset, count))
            }
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// A cluster refuses commands whose keys are not all in one slot, and its client tells refusals of
/// the server as errors of its own.
#[cfg(feature = "redis-cluster")]
mod cluster {
    use std::{
        future::{Future, poll_fn},
        pin::Pin,
        task::Poll,
    };

    use redis::{
        Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerError, ServerErrorKind, Value,
        aio::ConnectionLike, cluster_async::ClusterConnection,
    };

    pub(super) async fn one(
        mut connection: ClusterConnection,
        command: &Cmd,
    ) -> RedisResult<Value> {
        let answer = connection.req_packed_command(command).await;
        answer.or_else(refused)
    }

    /// Sends a pipeline as it is if all of its keys are in one slot, else each command by itself, all
    /// at once.
    pub(super) async fn all(
        mut connection: ClusterConnection,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        // The client looks at the slots before it sends anything.
        match connection
            .req_packed_commands(pipeline, offset, count)
            .await
        {
            Err(error) if crosses_slots(&error) && !pipeline.is_transaction() => {
                each(&connection, pipeline).await
            }
            answers => answers,
        }
    }

    fn crosses_slots(error: &RedisError) -> bool {
        error.kind() == ErrorKind::Server(ServerErrorKind::CrossSlot)
    }

    type Answering<'a> = Pin<Box<dyn Future<Output = RedisResult<Value>> + Send + 'a>>;

    async fn each(connection: &ClusterConnection, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        let asked = pipeline.cmd_iter();
        let mut waiting: Vec<Option<Answering<'_>>> = asked
            .map(|command| Some(Box::pin(one(connection.clone(), command)) as Answering<'_>))
            .collect();
        let mut answers: Vec<RedisResult<Value>> = waiting.iter().map(|_| Ok(Value::Nil)).collect();
        poll_fn(|context| {
            let mut is_waiting = false;
            for (place, answer) in waiting.iter_mut().zip(&mut answers) {
                let Some(answering) = place else { continue };
                match answering.as_mut().poll(context) {
                    Poll::Ready(ready) => {
                        *answer = ready;
                        *place = None;
                    }
                    Poll::Pending => is_waiting = true,
                }
            }
            if is_waiting {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
        answers.into_iter().collect()
    }

    fn refused(error: RedisError) -> RedisResult<Value> {
        ServerError::try_from(error).map(Value::ServerError)
    }
}
