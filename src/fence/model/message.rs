//! Messages on the channel: hints from other programs, and the library's own.

use std::rc::Rc;

use super::{
    invalidate::Wish, line::Connection, node::Node, rules::Rule, server::OutOfMemory, world::World,
};

/// How often a message may come back as another one before it must be called a storm.
const STORM: usize = 3;

/// How many identifiers outside programs have: the library's own are above.
const OWN: u64 = 1 << 32;

impl World {
    /// Another program has written something, and says so on the channel.
    pub(super) fn tell(self: &Rc<Self>, wish: Wish) {
        self.messages.set(self.messages.get() + 1);
        self.origin.borrow_mut().write(&wish.covers(), wish.halves);
        self.deliver(wish, self.messages.get());
    }

    /// A script publishes what it has stamped. Nobody acts on that again.
    pub(super) fn publish(self: &Rc<Self>, wish: Wish, number: u64) {
        if !self.rules.hold(Rule::OwnMessagesAreNotActedOn) {
            let echo = Wish {
                echoes: wish.echoes + 1,
                ..wish
            };
            self.deliver(echo, OWN + number);
        }
    }

    /// Brings a message to all who are connected. Who is not never gets it.
    fn deliver(self: &Rc<Self>, wish: Wish, message: u64) {
        for node in self.nodes() {
            if !self.line(node.place, Connection::Mirror).is_cut {
                self.tasks.spawn(Some(node.life), node.hear(wish, message));
            }
        }
    }
}

impl Node {
    /// Invalidates what a message names, unless another node does.
    async fn hear(self: Rc<Self>, wish: Wish, message: u64) {
        let world = Rc::clone(&self.world);
        world.tasks.step().await;
        if wish.echoes > STORM {
            world.fail("a storm of invalidations");
            return;
        }
        let claimed = self
            .call(Connection::Lane, |server| server.claim(message))
            .await;
        let acts = match claimed {
            Ok(Ok(claimed)) => claimed.is_some(),
            // Without memory nobody can claim it, so that everybody has to act.
            Ok(Err(OutOfMemory)) => true,
            // Somebody else may have been reached, or nobody: a message is a hint.
            Err(_) => false,
        };
        if !acts && world.rules.hold(Rule::OutsideMessagesAreClaimedOnce) {
            return;
        }
        if message < OWN
            && let Ok(Ok(claimed)) = claimed
        {
            world.acts_on(message, claimed);
        }
        let record = self.begins(wish);
        self.invalidate(wish, record).await;
    }
}
