//! What the suites share that drive a real server over real sockets.
//!
//! [`process`] starts the proving ground, [`wire`] speaks to it: [`http1`] by raw sockets that can
//! send anything, [`http2`] by a client with prior knowledge. [`script`] says what must be true of
//! the answers, [`ask`] how they are asked for. [`redis`] starts a server for the second tier,
//! [`proxy`] breaks the way to it, [`resp`] speaks to it past larder.
//! [`clock`] gives a process another wall clock. What they write goes into a
//! [`folder`] of their own.

pub(crate) mod ask;
pub(crate) mod clock;
pub(crate) mod folder;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod message;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod resp;
pub(crate) mod script;
pub(crate) mod wire;
