//! The rules of the protocol, by name. One of them left out is a mutant.

/// Which rules hold in a run: all, or all but one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    without: Option<Rule>,
}

impl Rules {
    pub(super) const ALL: Self = Self { without: None };

    pub(super) fn without(rule: Rule) -> Self {
        Self {
            without: Some(rule),
        }
    }

    pub(super) fn hold(self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}

macro_rules! rules {
    ($($list:ident { $($(#[$doc:meta])* $name:ident,)* })*) => {
        /// A rule, and what is done without it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Rule {
            $($($(#[$doc])* $name,)*)*
        }

        impl Rule {
            $(pub(super) const $list: &[Self] = &[$(Self::$name,)*];)*
        }
    };
}

rules! {
    REGISTRY {
    /// A registry of which something is missing is replaced under another epoch; without, what is
    /// missing is created and the epoch kept.
    EpochOfOneRegistry,
    /// Another server process means another epoch; without, what it brings along is believed.
    EpochOfOneServerProcess,
    /// A registry is lost if one of its keys is missing; without, only if `seq` is.
    RegistryIsWholeOrLost,
    /// An epoch that a process has for itself is used once; without, until it ends.
    PrivateEpochsAreUsedOnce,
    /// Where the log was trimmed, the floor is raised; without, the gap is jumped.
    FloorIsRaisedOverAGap,
    /// A mirror that starts loads the stamps or raises the floor; without, it starts at the number.
    NothingIsServedBeforeTheStampsAreLoaded,
    /// A page of names begins where the last one ended, by number and name; without, by rank.
    NamesAreFoundAgainByNumber,
    /// A page of names goes on within one number; without, after it.
    NamesOfOneNumberAreAllLoaded,
    /// Names are loaded before buckets, the way that folding moves them.
    NamesAreLoadedBeforeBuckets,
    /// A mirror starts at the number that it read before the stamps; without, at that of after.
    NumberIsReadBeforeTheStamps,
    /// Stamps were of one epoch only if it is still there when they are loaded.
    EpochIsCheckedAfterLoading,
    /// After loading the whole registry is looked at; without, its epoch is read from `seq`.
    AllKeysAreCheckedAfterLoading,
    /// A name leaves with its bucket raised, in one script; without, in two commands.
    FoldingIsOneStep,
    /// Sync age counts from the sending of a round; without, from its end.
    SyncAgeCountsFromTheSending,
    /// Where the registry is asked, epoch and number have to be equal to the mirror's; without, its
    /// number must not be greater.
    StrictComparesBothForEquality,
    /// Who asks about single targets looks whether the registry is that of the entry.
    AskingLooksAtTheEpoch,
    /// Who asks about single targets looks whether the registry is whole; without, at `seq` alone.
    AskingLooksAtAllKeys,
    /// Who asks about single targets asks for names first, the way that folding moves them.
    AskingReadsNamesBeforeBuckets,
    /// An entry of the second tier belongs to the epoch it was filled in; without, to the present one.
    EntriesCarryTheirEpoch,
    }
    FILLS {
    /// A fill is sealed with the position from before the handler began; without, with that of its end.
    PositionIsTakenBeforeTheRun,
    /// The position is what the mirror has applied; without, where the registry stands.
    PositionIsNotAheadOfTheMirror,
    /// An entry of the second tier keeps its number in the first.
    PromotionKeepsThePosition,
    /// A follower judges the answer of a flight as a stored one; without, it takes what comes.
    FollowersJudgeTheAnswer,
    /// A follower asks whether a target was ever stamped since; without, only whether it was between
    /// the beginning of the flight and its own arrival.
    FollowersJudgeByTheWholeTest,
    /// A follower asks where the registry stands if the mirror's word will not do.
    FollowersAskWhereTheRegistryStands,
    /// What a handler has confirmed is sealed with the position from before that run.
    ConfirmationIsOfItsOwnRun,
    /// What was confirmed keeps the tags it had.
    ConfirmationKeepsTheTags,
    /// What was confirmed is as old as it was, for an outage: its validator may not tell all.
    ConfirmationKeepsTheOldestFill,
    /// No handler is asked to confirm what was hard-purged before it began.
    HardPurgedIsNeverConfirmed,
    /// What stands in for a failed handler is judged again, as it would be for a request.
    WhatStandsInIsJudgedAgain,
    /// A page belongs to the tags of the values in it.
    PagesHaveTheTagsOfTheirValues,
    /// In an outage a page is as old as the oldest value in it.
    PartitionCountsFromTheOldestNestedFill,
    /// In an outage age counts from the beginning of a run; without, from its end.
    PartitionCountsFromTheBeginning,
    }
    INVALIDATIONS {
    /// Invalidations of one process have numbers of their own; without, they take the next one of the
    /// sequence.
    LocalNumbersStayApart,
    /// An invalidation is acknowledged when the mirror shows it; without, when Redis has taken it.
    AcknowledgedWhenTheMirrorShowsIt,
    /// At a loss of memory the registry is unlinked; without, nothing but this node knows.
    WithoutMemoryTheRegistryIsUnlinked,
    /// At a loss of memory it is invalidated in the process and queued as well.
    WithoutMemoryItIsInvalidatedHereToo,
    /// While a target is pending, entries of it are not taken from the second tier.
    PendingTargetsAreMisses,
    /// A target is pending until the mirror shows the number it was sent as; without, until the reply.
    DrainedWhenTheMirrorShowsIt,
    /// A target that was added again since it was sent stays pending.
    DrainedUnlessAddedAgain,
    /// An outbox that is full becomes everything; without, it drops the oldest.
    OutboxOverflowsToEverything,
    /// A hard purge that is pending is not softened by a soft one of the same target.
    OutboxKeepsTheStronger,
    /// What was soft-purged twice is as old as the first purge made it.
    SoftWindowsCountFromTheFirstPurge,
    /// What ended in uncertainty is invalidated again.
    UncertainEndingsInvalidateTwice,
    /// The library's own messages are not acted on.
    OwnMessagesAreNotActedOn,
    /// A message of another program is acted on by one node.
    OutsideMessagesAreClaimedOnce,
    }
    THRIFT {
    /// What was filled without a registry is not brought to the second tier.
    PrivateEntriesDoNotLeave,
    /// While a target is pending, entries of it are not brought to the second tier.
    PendingTargetsDoNotLeave,
    }
}
