//! Keeps the fence of this process in step with the registry.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use tokio::time::timeout;

use super::{Host, Place, Progress, Relay, bus, pause::Pause, upgraded};
#[cfg(larder_sabotage)]
use crate::sabotage::{Fault, is_planted};
use crate::{
    clock::Timestamp,
    fence::{Applied, Fence, Snapshot},
    store::redis::{
        Mailbox,
        registry::{Reader, Round},
    },
};

/// How long a round waits for something to happen. The next complete round is then sent well within
/// the second for which one holds, even if a machine is slow.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long an answer may take beyond that until the connection is taken for dead.
const SILENCE: Duration = Duration::from_millis(750);

/// How long the reading of a whole registry may take.
const LOADING: Duration = Duration::from_secs(10);

/// Why the mirror lets go of a connection.
struct Ended;

/// What a round leaves to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Everything that there was when the round was sent is applied.
    Complete,
    /// There is more to be read.
    More,
    /// Some of it can not be had any more.
    Missed(Place),
    /// This is not the registry that was followed.
    Anew,
    /// It is an older registry under the same epoch.
    FellBack,
    /// It can not be believed: no primary, or another process.
    Unsound,
}

/// Follows the registry until the host is gone.
pub(super) async fn follow<H: Host>(host: Weak<H>) {
    let mut pause = Pause::new();
    loop {
        let Some((_, relay)) = upgraded(&host) else {
            return;
        };
        let ticket = relay.tickets.load(Ordering::Acquire);
        let registry = relay.registry.clone();
        drop(relay);
        if let Ok((reader, place, mailbox)) = registry.reader().await {
            let mut mirror = Mirror {
                reader,
                host: Weak::clone(&host),
                pause: &mut pause,
                silent: 0,
            };
            mirror.run(place, ticket, mailbox).await;
        }
        pause.wait().await;
    }
}

/// The mirror on one connection.
struct Mirror<'a, H> {
    reader: Reader,
    host: Weak<H>,
    pause: &'a mut Pause,
    /// How many rounds in a row found nothing although the registry had gone on.
    silent: u32,
}

impl<H: Host> Mirror<'_, H> {
    /// Follows the registry that stood at `place`, until the connection or the host is gone.
    async fn run(&mut self, place: Place, ticket: u64, mailbox: Mailbox) {
        let Some((_, relay)) = upgraded(&self.host) else {
            return;
        };
        let channels = relay.registry.channels();
        drop(relay);
        // Without the channels only hints are missed.
        if let Ok(Ok(())) = timeout(SILENCE, self.reader.subscribe(&channels)).await {
            tokio::spawn(bus::listen(mailbox, Weak::clone(&self.host)));
        }
        // Whatever ends it, what is known stays known; only its age grows.
        let _: Result<(), Ended> = self.rounds(place, ticket).await;
    }

    async fn rounds(&mut self, place: Place, ticket: u64) -> Result<(), Ended> {
        self.begin(place, ticket).await?;
        loop {
            let (host, relay) = self.present()?;
            let position = host.fence().position();
            let sent = relay.clock.now();
            drop((host, relay));
            let round = self.reader.round(position.sequence, PATIENCE);
            let round = timeout(PATIENCE + SILENCE, round).await;
            let round = round.map_err(|_| Ended)?.map_err(|_| Ended)?;
            self.take_in(&round, position.epoch, sent).await?;
        }
    }

    /// Applies what a round has shown, and sees to what it leaves to be done.
    async fn take_in(&mut self, round: &Round, epoch: u64, sent: Timestamp) -> Result<(), Ended> {
        let (host, relay) = self.present()?;
        let step = apply(host.fence(), round, epoch);
        relay.show(host.fence(), epoch);
        self.silent = match step {
            Step::More if round.logged.is_empty() => self.silent + 1,
            _ => 0,
        };
        match step {
            Step::Complete => {
                relay.synced_at.store(sent.as_millis(), Ordering::Release);
                self.pause.reset();
                Ok(())
            }
            // The log may have been removed under it: the next script would begin a new registry.
            Step::More if self.silent > 1 => self.begin_anew(&host, &relay).await,
            Step::More => Ok(()),
            Step::Missed(place) => {
                host.fence().raise_floor(place.epoch, place.number);
                relay.show(host.fence(), epoch);
                Ok(())
            }
            Step::Anew => self.begin_anew(&host, &relay).await,
            Step::FellBack => {
                relay.go_private(host.fence());
                let budget = relay.registry.connections().settings().background_budget;
                relay.registry.destroy(budget).await;
                self.begin_anew(&host, &relay).await
            }
            Step::Unsound => Err(Ended),
        }
    }

    async fn begin_anew(&mut self, host: &Arc<H>, relay: &Arc<Relay>) -> Result<(), Ended> {
        let ticket = relay.tickets.load(Ordering::Acquire);
        let place = timeout(SILENCE, self.reader.ensure()).await;
        let Ok(Ok(place)) = place else {
            relay.go_private(host.fence());
            return Err(Ended);
        };
        self.silent = 0;
        self.begin(place, ticket).await
    }

    /// Takes over the registry that stood at `place`, unless it is the one that is followed.
    async fn begin(&mut self, mut place: Place, mut ticket: u64) -> Result<(), Ended> {
        loop {
            let (host, relay) = self.present()?;
            if host.fence().position().epoch == place.epoch {
                #[cfg(larder_sabotage)]
                if is_planted(Fault::NoCatchUp) {
                    host.fence().skip_to(place.number);
                }
                relay.show(host.fence(), place.epoch);
                relay.begun(ticket);
                return Ok(());
            }
            relay.go_private(host.fence());
            let before = relay.tickets.load(Ordering::Acquire);
            let loaded = timeout(LOADING, self.reader.load()).await;
            let (loaded, afterwards) = loaded.map_err(|_| Ended)?.map_err(|_| Ended)?;
            if afterwards.epoch == place.epoch {
                host.fence().restart(Snapshot {
                    epoch: place.epoch,
                    number: place.number,
                    floor: 0,
                    stamps: &loaded.stamps,
                    buckets: &loaded.buckets,
                });
                relay.epochs.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            // A part of it was lost while it was being read, and it was begun anew.
            (place, ticket) = (afterwards, before);
        }
    }

    fn present(&self) -> Result<(Arc<H>, Arc<Relay>), Ended> {
        upgraded(&self.host).ok_or(Ended)
    }
}

impl Relay {
    /// Lets those who wait see how far the mirror is in `epoch`.
    fn show(&self, fence: &Fence, epoch: u64) {
        let position = fence.position();
        if position.epoch == epoch {
            let place = Place {
                epoch,
                number: position.sequence,
            };
            self.progress.send_if_modified(|progress| {
                std::mem::replace(&mut progress.place, place) != place
            });
        }
    }

    fn begun(&self, ticket: u64) {
        self.progress
            .send_modify(|progress| progress.started = ticket);
    }

    /// Kills everything, and lets what is filled from here on live until there is a registry.
    fn go_private(&self, fence: &Fence) {
        self.synced_at.store(0, Ordering::Release);
        self.progress
            .send_modify(|progress: &mut Progress| progress.place = Place::default());
        fence.restart(Snapshot {
            epoch: RandomState::new().hash_one(0_u8).max(2),
            ..Snapshot::default()
        });
    }
}

/// Applies what a round has shown to the fence, which follows `epoch`.
fn apply(fence: &Fence, round: &Round, epoch: u64) -> Step {
    if !round.is_sound {
        return Step::Unsound;
    }
    let Some(place) = round.place.filter(|place| place.epoch == epoch) else {
        return Step::Anew;
    };
    for stamp in &round.logged {
        let applied = fence.apply(
            stamp.place.epoch,
            stamp.place.number,
            &stamp.targets,
            stamp.mode,
        );
        match applied {
            Applied::Visible => {}
            Applied::Gap { .. } => return Step::Missed(place),
            Applied::OtherEpoch => return Step::Anew,
        }
    }
    let applied = fence.position().sequence;
    match place.number.cmp(&applied) {
        std::cmp::Ordering::Equal => Step::Complete,
        // What came between the two looks was acknowledged after the round was sent.
        std::cmp::Ordering::Greater if round.is_whole => Step::Complete,
        std::cmp::Ordering::Greater => Step::More,
        std::cmp::Ordering::Less => Step::FellBack,
    }
}
