//! What happens often in a history.

/// What happens often in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// A bit of everything.
    Mixed,
    /// Most answers are lost.
    LostAnswers,
    /// Commits become visible long after their time.
    SlowCommits,
    /// Files are copied and go on side by side.
    Copies,
    /// An operator's console writes, erases and deletes without knowing the protocol.
    Consoles,
    /// Older copies of files are put back in place, so that nothing tells them from the files that went on.
    PutBack,
    /// A console erases `writers`, while processes die between a commit and its answer.
    Erasers,
    /// A second account is let in and out, changes its role, and edits what it may and may not.
    Members,
    /// All write one document at once, and in the middle of each other's syncs.
    Crowded,
    /// What is large, malformed or refused.
    Limits,
    /// Clocks jump, tokens expire, disks are full, the server is overwhelmed, and two processes share a file.
    Storms,
}

/// One thing that may happen at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Edit,
    Sync,
    Wait,
    Clock,
    Restart,
    Deliver,
    Copy,
    Console,
    Erase,
    PutBack,
    Members,
    Refuse,
    Spoil,
    Storm,
    Expire,
    FillDisk,
    OpenTwice,
}

impl Profile {
    /// What seeds are played as, in turn.
    pub const ALL: [Self; 11] = [
        Self::Mixed,
        Self::LostAnswers,
        Self::SlowCommits,
        Self::Copies,
        Self::Consoles,
        Self::PutBack,
        Self::Erasers,
        Self::Members,
        Self::Crowded,
        Self::Limits,
        Self::Storms,
    ];

    /// What happens at a step, each as often as its number says.
    pub(crate) fn deeds(self) -> &'static [(u64, Deed)] {
        use Deed::{
            Clock, Console, Copy, Deliver, Edit, Erase, Expire, FillDisk, Members, OpenTwice,
            PutBack, Refuse, Restart, Spoil, Storm, Sync, Wait,
        };
        match self {
            Self::Mixed => &[
                (20, Edit),
                (12, Sync),
                (2, Wait),
                (2, Clock),
                (2, Restart),
                (2, Deliver),
                (1, Refuse),
                (1, Storm),
                (1, Expire),
                (1, FillDisk),
                (1, OpenTwice),
            ],
            Self::LostAnswers | Self::Crowded => &[
                (10, Edit),
                (6, Sync),
                (1, Wait),
                (1, Clock),
                (1, Restart),
                (1, Deliver),
            ],
            // Whatever makes a device compare everything would find what its cursors skip: its clock stands.
            Self::SlowCommits => &[(10, Edit), (8, Sync), (2, Wait), (1, Restart)],
            Self::Copies => &[
                (10, Edit),
                (6, Sync),
                (1, Wait),
                (1, Clock),
                (1, Restart),
                (1, Copy),
            ],
            Self::Consoles => &[
                (10, Edit),
                (6, Sync),
                (1, Wait),
                (1, Clock),
                (1, Restart),
                (1, Console),
            ],
            Self::PutBack => &[
                (10, Edit),
                (6, Sync),
                (1, Wait),
                (1, Clock),
                (1, Restart),
                (1, PutBack),
            ],
            Self::Erasers => &[(8, Edit), (7, Sync), (1, Clock), (1, Restart), (4, Erase)],
            Self::Members => &[
                (10, Edit),
                (7, Sync),
                (1, Wait),
                (1, Clock),
                (1, Restart),
                (4, Members),
            ],
            Self::Limits => &[
                (10, Edit),
                (6, Sync),
                (1, Wait),
                (1, Clock),
                (1, Restart),
                (3, Refuse),
                (2, Spoil),
            ],
            Self::Storms => &[
                (16, Edit),
                (12, Sync),
                (1, Wait),
                (4, Clock),
                (1, Restart),
                (1, Deliver),
                (3, Storm),
                (3, Expire),
                (3, FillDisk),
                (3, OpenTwice),
            ],
        }
    }

    /// A call in so many has a fault.
    pub(crate) fn calls_a_fault(self) -> u64 {
        match self {
            Self::LostAnswers => 3,
            Self::Limits => 4,
            _ => 6,
        }
    }

    /// Campaigns that are edited, and entities in each. What an eraser strikes, and what is crowded, is to be something that
    /// many write; what is late, one of many that are asked for together, and is seldom written again.
    pub(crate) fn breadth(self) -> (u64, u64) {
        match self {
            Self::Erasers | Self::Crowded => (1, 1),
            Self::SlowCommits => (1, 20),
            // Whoever is let in and out is so of what there is.
            Self::Members => (1, 3),
            // Several scrolls in one document are what is too much.
            Self::Limits => (1, 2),
            _ => (2, 3),
        }
    }

    /// Whether a version changes without its `updatedAt`, or a document is gone without a trace.
    pub(crate) fn has_consoles(self) -> bool {
        matches!(self, Self::Consoles | Self::Erasers)
    }
}
