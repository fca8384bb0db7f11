//! The connections of a node to Redis, and what can happen to a command on its way.

use super::{
    node::Node,
    registry::Head,
    server::{OutOfMemory, Server},
};

/// Which connection a command takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// Of the pool, for requests and invalidations.
    Lane = 0,
    /// The mirror's own.
    Mirror = 1,
}

/// How long a command is waited for, by connection, in milliseconds.
const PATIENCE: [u64; 2] = [250, 3_000];

/// The state of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    /// Nothing gets through, and the caller is told.
    pub(super) is_cut: bool,
    /// Nothing gets through, and nobody is told.
    pub(super) is_held: bool,
    /// The next reply is lost on its way.
    pub(super) loses_reply: bool,
    /// The server process at the other end.
    pub(super) connected_to: Option<u64>,
}

/// No reply came. Whether the command was carried out is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoReply;

impl Node {
    /// Sends a command and waits for the reply.
    pub(super) async fn call<T>(
        &self,
        connection: Connection,
        command: impl FnOnce(&mut Server) -> T,
    ) -> Result<T, NoReply> {
        let deadline = self.world.now() + PATIENCE[connection as usize];
        self.way(connection, deadline).await?;
        self.connect(connection);
        let reply = command(&mut self.world.server.borrow_mut());
        self.way(connection, deadline).await?;
        let mut lost = false;
        self.world
            .with_line(self.place, connection as usize, |line| {
                lost = std::mem::take(&mut line.loses_reply);
            });
        if lost { Err(NoReply) } else { Ok(reply) }
    }

    /// The way to the server, or back.
    async fn way(&self, connection: Connection, deadline: u64) -> Result<(), NoReply> {
        let world = &self.world;
        world.tasks.step().await;
        let line = || world.line(self.place, connection);
        let late = || world.now() >= deadline;
        world
            .tasks
            .until(|| line().is_cut || !line().is_held || late())
            .await;
        if line().is_cut || line().is_held {
            Err(NoReply)
        } else {
            Ok(())
        }
    }

    /// Opens the connection if the server at its end is gone. Whoever meets another server process
    /// than the one that the epoch was minted under mints another, before anything else is sent.
    fn connect(&self, connection: Connection) {
        let world = &self.world;
        let mut server = world.server.borrow_mut();
        if world.line(self.place, connection).connected_to == Some(server.run) {
            return;
        }
        let run = server.run;
        world.with_line(self.place, connection as usize, |line| {
            line.connected_to = Some(run)
        });
        // Refused for want of memory: then the registry stays lost, and is seen to be.
        let _: Result<Head, OutOfMemory> = server.mint(world.now(), self.fence.position().epoch);
    }
}
