//! A connection of one's own, for what would block the others.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use redis::{PushInfo, aio::AsyncPushSender};
use tokio::sync::mpsc;

use super::{link::Link, release::Waiters};

/// How many messages may wait to be looked at: some seconds of a storm. More at once are lost, and
/// [`Mailbox::has_overflowed`] says so.
const MOST_PUSHES: usize = 32_768;

/// A connection outside of the pool that may block and subscribe.
///
/// Nothing on it has a budget: whoever uses it waits as long as he likes.
#[derive(Debug)]
pub(crate) struct Dedicated {
    link: Link,
    mailbox: Mailbox,
}

/// Where the messages of a connection arrive.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pushes: mpsc::Receiver<PushInfo>,
    has_overflowed: Arc<AtomicBool>,
}

/// Returns what a connection puts messages into, and where they come out. Those for `waiters` are
/// handed over at once.
pub(super) fn mailbox(waiters: Waiters) -> (Arc<dyn AsyncPushSender>, Mailbox) {
    let (sender, pushes) = mpsc::channel(MOST_PUSHES);
    let has_overflowed = Arc::new(AtomicBool::new(false));
    let full = Arc::clone(&has_overflowed);
    let send = move |push: PushInfo| {
        if waiters.take(&push) {
            return Ok(());
        }
        sender
            .try_send(push)
            .inspect_err(|_| full.store(true, Ordering::Release))
    };
    let mailbox = Mailbox {
        pushes,
        has_overflowed,
    };
    (Arc::new(send), mailbox)
}

impl Mailbox {
    /// Returns the next message; none once the connection is gone.
    pub(crate) async fn next(&mut self) -> Option<PushInfo> {
        self.pushes.recv().await
    }

    /// Returns the next message if one is there already.
    pub(crate) fn try_next(&mut self) -> Option<PushInfo> {
        self.pushes.try_recv().ok()
    }

    /// Returns whether messages were lost since it was last asked, since too many came at once.
    pub(crate) fn has_overflowed(&self) -> bool {
        self.has_overflowed.swap(false, Ordering::AcqRel)
    }
}

impl Dedicated {
    pub(super) fn new(link: Link, mailbox: Mailbox) -> Self {
        Self { link, mailbox }
    }

    /// Returns the connection and its messages apart, for two tasks. The messages end with the
    /// connection.
    pub(super) fn into_parts(self) -> (Link, Mailbox) {
        (self.link, self.mailbox)
    }
}

#[cfg(test)]
mod tests {
    use redis::PushKind;

    use super::*;

    #[test]
    fn messages_that_find_no_room_are_not_lost_in_silence() {
        let (sender, mut mailbox) = mailbox(Waiters::on("released"));
        let message = || PushInfo {
            kind: PushKind::Message,
            data: Vec::new(),
        };
        for _ in 0..MOST_PUSHES {
            assert!(sender.send(message()).is_ok());
        }
        assert!(!mailbox.has_overflowed());
        assert!(sender.send(message()).is_err());
        assert!(mailbox.has_overflowed());
        assert!(!mailbox.has_overflowed(), "it is said once");
        assert!(mailbox.try_next().is_some());
    }
}
