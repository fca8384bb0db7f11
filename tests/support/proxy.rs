//! A proxy in front of a server that breaks its connections as it is told, while they run.
//!
//! What it can do: hold either way (a black hole that opens again: what was sent arrives late, as
//! after a healed network), delay each piece, drip replies, refuse new connections, reset all or
//! reset in the middle of a reply, and flip bits inside of stored entries. Faults hold for every
//! connection or for one [`Lane`] alone.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::{self, Runtime},
    sync::{Notify, watch},
    time,
};

/// A proxy on a free loopback port; its connections end with its handle.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Runs the connections; taken when the handle goes.
    runtime: Option<Runtime>,
}

/// What is wrong with the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// New connections are reset at once; those that exist go on.
    pub(crate) refuse: bool,
    /// From the client to the server.
    pub(crate) requests: Way,
    /// From the server to the client.
    pub(crate) replies: Way,
    /// Which connections the ways hold for; none means all.
    pub(crate) only: Option<Lane>,
    /// Every so many-th reply piece that carries a stored entry has one bit of it flipped.
    pub(crate) flip: Option<u64>,
    /// A connection is reset when this many more bytes of replies went by.
    pub(crate) reset_after: Option<usize>,
}

/// What is wrong with one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// Nothing passes until this ends.
    pub(crate) hold: bool,
    /// Each piece waits so long, and the next behind it.
    pub(crate) delay: Duration,
    /// So many bytes at a time, and the pause between.
    pub(crate) drip: Option<(usize, Duration)>,
}

/// What a connection is for, as its commands tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Entries, scripts, everything that is not the other.
    Commands,
    /// The log of invalidations and subscriptions.
    Log,
}

#[derive(Debug)]
struct Shared {
    server: Mutex<SocketAddr>,
    faults: watch::Sender<Faults>,
    /// How to end each connection.
    open: Mutex<HashMap<u64, Arc<Notify>>>,
    accepted: AtomicU64,
    flipped: AtomicU64,
    entries: AtomicU64,
}

struct Connection {
    shared: Arc<Shared>,
    log: AtomicBool,
    end: Arc<Notify>,
}

impl Proxy {
    /// Starts a proxy in front of `server`, which need not be up.
    pub(crate) fn before(server: SocketAddr) -> Self {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server: Mutex::new(server),
            faults: watch::Sender::new(Faults::default()),
            open: Mutex::default(),
            accepted: AtomicU64::new(0),
            flipped: AtomicU64::new(0),
            entries: AtomicU64::new(0),
        });
        runtime.spawn(Arc::clone(&shared).accept(listener));
        Self {
            address,
            shared,
            runtime: Some(runtime),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads connections that are made from now on to another server.
    pub(crate) fn point_at(&self, server: SocketAddr) {
        *self.shared.server() = server;
    }

    /// Changes what is wrong, for connections that exist and for new ones.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Faults)) {
        self.shared.faults.send_modify(change);
    }

    /// Ends all faults.
    pub(crate) fn mend(&self) {
        self.set(|faults| *faults = Faults::default());
    }

    /// Resets every connection and refuses new ones until [`Proxy::mend`].
    pub(crate) fn cut(&self) {
        self.set(|faults| faults.refuse = true);
        self.reset();
    }

    /// Resets every connection that exists.
    pub(crate) fn reset(&self) {
        for end in self.shared.open().values() {
            end.notify_one();
        }
    }

    /// Returns how many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.shared.open().len()
    }

    /// Returns how many connections were ever accepted.
    pub(crate) fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Returns how many bits were flipped.
    pub(crate) fn flipped(&self) -> u64 {
        self.shared.flipped.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn server(&self) -> std::sync::MutexGuard<'_, SocketAddr> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Notify>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        while let Ok((client, _)) = listener.accept().await {
            let number = self.accepted.fetch_add(1, Ordering::Relaxed);
            if self.faults.borrow().refuse {
                abort(&client);
                continue;
            }
            let end = Arc::new(Notify::new());
            self.open().insert(number, Arc::clone(&end));
            let shared = Arc::clone(&self);
            tokio::spawn(async move {
                let connection = Connection {
                    shared: Arc::clone(&shared),
                    log: AtomicBool::new(false),
                    end,
                };
                // How it ended is for the client to see.
                drop(connection.run(client).await);
                shared.open().remove(&number);
            });
        }
    }
}

impl Connection {
    async fn run(&self, client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let address = *self.shared.server();
        let Ok(server) = TcpStream::connect(address).await else {
            abort(&client);
            return Ok(());
        };
        server.set_nodelay(true)?;
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let reset = tokio::select! {
            () = self.end.notified() => true,
            ended = self.requests(&mut from_client, &mut to_server) => ended.is_err(),
            ended = self.replies(&mut from_server, &mut to_client) => ended.is_err(),
        };
        if reset {
            abort(to_client.as_ref());
            // Dropped, it would end the connection in order.
            to_client.forget();
        }
        Ok(())
    }

    async fn requests(&self, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = from.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            let piece = &buffer[..count];
            if contains(piece, b"XREAD") || contains(piece, b"SUBSCRIBE") {
                self.log.store(true, Ordering::Relaxed);
            }
            self.pass(piece, to, |faults| &faults.requests).await?;
        }
    }

    async fn replies(&self, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        let mut passed = 0;
        loop {
            let count = from.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            let mut piece = &mut buffer[..count];
            let (reset_after, flip) = {
                let faults = self.shared.faults.borrow();
                (
                    faults.reset_after.filter(|_| self.is_meant(&faults)),
                    faults.flip,
                )
            };
            if let Some(every) = flip {
                self.shared.flip(piece, every);
            }
            match reset_after {
                None => passed = 0,
                Some(limit) if passed + piece.len() > limit => {
                    let rest = limit - passed;
                    piece = &mut piece[..rest];
                    self.pass(piece, to, |faults| &faults.replies).await?;
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                Some(_) => passed += piece.len(),
            }
            self.pass(piece, to, |faults| &faults.replies).await?;
        }
    }

    /// Passes one piece on, as slowly as its way is now.
    async fn pass(
        &self,
        piece: &[u8],
        to: &mut OwnedWriteHalf,
        way: impl Fn(&Faults) -> &Way,
    ) -> io::Result<()> {
        let now = |faults: &Faults| {
            if self.is_meant(faults) {
                way(faults).clone()
            } else {
                Way::default()
            }
        };
        let mut faults = self.shared.faults.subscribe();
        let delay = now(&faults.borrow()).delay;
        time::sleep(delay).await;
        let mut rest = piece;
        while !rest.is_empty() {
            // The handle is gone, and the connection with it.
            let gone = |_| io::Error::from(io::ErrorKind::ConnectionReset);
            let open = faults.wait_for(|faults| !now(faults).hold).await;
            let drip = open.map(|faults| now(&faults).drip).map_err(gone)?;
            let (size, pause) = drip.unwrap_or((rest.len(), Duration::ZERO));
            let (some, left) = rest.split_at(size.min(rest.len()));
            to.write_all(some).await?;
            rest = left;
            time::sleep(pause).await;
        }
        Ok(())
    }

    fn is_meant(&self, faults: &Faults) -> bool {
        let lane = if self.log.load(Ordering::Relaxed) {
            Lane::Log
        } else {
            Lane::Commands
        };
        faults.only.is_none_or(|only| only == lane)
    }
}

impl Shared {
    /// Flips one bit inside of a stored entry, in every so many-th piece that has one.
    ///
    /// Only there: an entry has a checksum, while nothing in the protocol would tell a wrong number
    /// from a right one.
    fn flip(&self, piece: &mut [u8], every: u64) {
        let Some((start, length)) = entry(piece) else {
            return;
        };
        let number = self.entries.fetch_add(1, Ordering::Relaxed);
        if !number.is_multiple_of(every) {
            return;
        }
        // Spread over the bits of the entry; which one does not matter.
        let chance = (number / every + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let bit = usize::try_from(chance >> 33).unwrap() % (length * 8);
        piece[start + bit / 8] ^= 1 << (bit % 8);
        self.flipped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns where the bytes of a stored entry are in `piece`: a string that starts as they all do.
fn entry(piece: &[u8]) -> Option<(usize, usize)> {
    const MAGIC: &[u8] = b"lrdr";
    let start = piece
        .windows(MAGIC.len())
        .position(|bytes| bytes == MAGIC)?;
    let head = piece[..start].strip_suffix(b"\r\n")?;
    let sign = head.iter().rposition(|byte| *byte == b'$')?;
    let length: usize = std::str::from_utf8(&head[sign + 1..]).ok()?.parse().ok()?;
    Some((start, length.min(piece.len() - start)))
}

fn contains(piece: &[u8], word: &[u8]) -> bool {
    piece.windows(word.len()).any(|bytes| bytes == word)
}

/// Lets the connection end by a reset, not in order, once it is dropped.
fn abort(connection: &TcpStream) {
    // The connection may have gone by itself.
    drop(connection.set_zero_linger());
}
