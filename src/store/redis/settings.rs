//! How larder uses a Redis.

use std::time::Duration;

/// How long a request may wait for Redis.
const REQUEST_BUDGET: Duration = Duration::from_millis(25);

/// How long work that no request waits for may take.
const BACKGROUND_BUDGET: Duration = Duration::from_millis(250);

/// How long the making of a connection may take, from the first packet to the greeting.
const CONNECT_LIMIT: Duration = Duration::from_millis(250);

/// How many connections the requests of a process share. One is level with two for small answers;
/// a piece of a large one then holds up only half of the others.
const LANES: u32 = 2;

/// The largest response in bytes that is sent there. One of 32 MiB takes 118 ms and more to read, and a
/// request waits no longer than its budget.
const LARGEST_ENTRY: u64 = 1 << 20;

/// The times and sizes by which a Redis is used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How long a request may wait for Redis.
    pub(crate) request_budget: Duration,
    /// How long one piece of work that no request waits for may take.
    pub(crate) background_budget: Duration,
    /// How long the making of a connection may take.
    pub(crate) connect_limit: Duration,
    pub(crate) lanes: u32,
    /// The largest response that is sent there, in bytes as it is written.
    pub(crate) largest_entry: u64,
    /// Whether one node at a time is to run the handler of a key.
    pub(crate) flight_lock: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            request_budget: REQUEST_BUDGET,
            background_budget: BACKGROUND_BUDGET,
            connect_limit: CONNECT_LIMIT,
            lanes: LANES,
            largest_entry: LARGEST_ENTRY,
            flight_lock: false,
        }
    }
}
