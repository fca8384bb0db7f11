//! Hears what other programs want to be invalidated.
//!
//! A message is a hint: nobody is told that it was acted on, and one that is published while a node
//! has no connection is not heard there. Each is acted on by the node that claims its id first, and
//! reaches the others by the log.

use std::sync::Weak;

use redis::{PushInfo, PushKind, Value};
use sha2::{Digest, Sha256};

use super::{
    Host, Relay,
    message::{Heard, Outside, Told, heard},
    upgraded,
};
use crate::{
    invalidate::{Purge, Source},
    observe::Event,
    policy::Target,
    store::redis::Mailbox,
};

/// How many messages that came together are acted on in one go.
const MOST_TOGETHER: usize = 256;

/// Acts on messages until their connection is gone.
pub(super) async fn listen<H: Host>(mut mailbox: Mailbox, host: Weak<H>) {
    while let Some(push) = mailbox.next().await {
        let mut together = vec![push];
        while together.len() < MOST_TOGETHER
            && let Some(next) = mailbox.try_next()
        {
            together.push(next);
        }
        let Some((host, relay)) = upgraded(&host) else {
            return;
        };
        let mut outside = Vec::new();
        for message in together.iter().filter_map(payload) {
            match heard(message) {
                Heard::Node(told) => note(&*host, &relay, &told),
                Heard::Outside(message) => outside.push(message),
                Heard::Garbage => host.counters().note(Event::Misheard),
            }
        }
        // What was lost may have named anything.
        let has_lost = mailbox.has_overflowed();
        if outside.is_empty() && !has_lost {
            continue;
        }
        let digests: Vec<String> = outside.iter().map(|message| digest(&message.id)).collect();
        let budget = relay.registry.connections().settings().background_budget;
        let claimed = relay.registry.claim(&digests, budget).await;
        let mine = outside.into_iter().zip(claimed).filter(|(_, mine)| *mine);
        let mut purge = merged(mine.map(|(message, _)| message));
        if has_lost {
            purge.hard.push(Target::Everything);
        }
        if !purge.is_empty() {
            relay.invalidate(host.fence(), &purge).await;
            host.counters().note(Event::Invalidated);
            host.remember(&purge);
        }
    }
}

/// Remembers what another node has invalidated, under its name: the log has numbers alone.
fn note(host: &impl Host, relay: &Relay, told: &Told) {
    if told.node != relay.node {
        host.remember(&told.purge);
    }
}

/// Returns what was published, if the push is a message at all.
fn payload(push: &PushInfo) -> Option<&[u8]> {
    match (&push.kind, push.data.last()) {
        (PushKind::Message, Some(Value::BulkString(bytes))) => Some(bytes),
        _ => None,
    }
}

fn merged(messages: impl Iterator<Item = Outside>) -> Purge {
    let none = Purge::default().by(Source::Program);
    messages.fold(none, |mut all, message| {
        all.hard.extend(message.purge.hard);
        all.soft.extend(message.purge.soft);
        all
    })
}

/// Returns what stands for an id in the name of a key, which has no text of strangers.
fn digest(id: &str) -> String {
    let digest = Sha256::digest(id.as_bytes());
    digest
        .iter()
        .take(20)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
