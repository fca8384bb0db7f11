//! A body that does what it is told: pieces, pauses, trailers, an error in the middle, no end.

use std::{
    error, fmt,
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{self, Sleep};

/// The largest frame, in bytes; larger pieces are sent as several without a pause between them.
const FRAME: u64 = 64 << 10;

/// The text that fills a body of a given size, over and over.
const ALPHABET: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";

/// The shortest wait before a body fails, so that its head is out by then.
const HEAD_START: Duration = Duration::from_millis(100);

/// What a body consists of.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Text(Bytes),
    /// So many bytes of the alphabet over and over; never held in memory as a whole.
    Alphabet(u64),
    /// The same event so many times, each a piece of its own.
    Events {
        event: &'static str,
        count: u64,
    },
}

impl Content {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Alphabet(size) => *size,
            Self::Events { event, count } => event.len() as u64 * count,
        }
    }

    /// Returns at most a frame of bytes from `offset` on, and none beyond `end`.
    pub(crate) fn frame(&self, offset: u64, end: u64) -> Bytes {
        let length = (end - offset).min(FRAME) as usize;
        match self {
            Self::Text(text) => text.slice(offset as usize..offset as usize + length),
            Self::Alphabet(_) => {
                let start = (offset % ALPHABET.len() as u64) as usize;
                // A copy: what a cache keeps of it must cost it memory, as any body would.
                Bytes::copy_from_slice(&alphabet()[start..start + length])
            }
            Self::Events { event, .. } => {
                let start = (offset % event.len() as u64) as usize;
                let stop = event.len().min(start + length);
                Bytes::from_static(&event.as_bytes()[start..stop])
            }
        }
    }
}

/// A frame of alphabet and one alphabet more, so that every phase of it has a whole frame.
fn alphabet() -> &'static [u8] {
    static TEXT: OnceLock<Vec<u8>> = OnceLock::new();
    TEXT.get_or_init(|| {
        let length = FRAME as usize + ALPHABET.len();
        ALPHABET.iter().copied().cycle().take(length).collect()
    })
}

/// How a body is sent.
#[derive(Debug, Default)]
pub(crate) struct Manner {
    /// The number of pieces; none sends one, with its length told beforehand.
    pub(crate) pieces: Option<u64>,
    pub(crate) gap: Duration,
    pub(crate) fails: bool,
    pub(crate) trailers: http::HeaderMap,
}

/// The body itself.
pub(crate) struct ScriptedBody {
    content: Content,
    pieces: u64,
    length_is_told: bool,
    gap: Duration,
    fails: bool,
    trailers: Option<http::HeaderMap>,
    /// Bytes already sent.
    offset: u64,
    /// Pieces already sent.
    piece: u64,
    pause: Option<Pin<Box<Sleep>>>,
}

impl ScriptedBody {
    pub(crate) fn new(content: Content, manner: Manner) -> Self {
        // A body that fails needs a first piece that is not all of it.
        let fewest = if manner.fails { 2 } else { 1 };
        let trailers = Some(manner.trailers).filter(|trailers| !trailers.is_empty());
        Self {
            pieces: manner
                .pieces
                .unwrap_or(1)
                .clamp(1, content.len().max(1))
                .max(fewest),
            length_is_told: manner.pieces.is_none() && trailers.is_none(),
            gap: if manner.fails {
                manner.gap.max(HEAD_START)
            } else {
                manner.gap
            },
            fails: manner.fails,
            trailers,
            offset: 0,
            piece: 0,
            pause: None,
            content,
        }
    }

    /// Where the piece that is being sent ends.
    fn piece_end(&self) -> u64 {
        let end = u128::from(self.content.len()) * u128::from(self.piece + 1);
        u64::try_from(end / u128::from(self.pieces)).unwrap_or(u64::MAX)
    }

    fn next_data(&mut self) -> Bytes {
        let end = self.piece_end();
        let data = self.content.frame(self.offset, end);
        self.offset += data.len() as u64;
        if self.offset == end {
            self.piece += 1;
            let pauses = self.piece < self.pieces && !self.gap.is_zero();
            self.pause = pauses.then(|| Box::pin(time::sleep(self.gap)));
        }
        data
    }
}

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        if self.fails && self.piece > 0 {
            return Poll::Ready(Some(Err(Broken)));
        }
        if self.offset < self.content.len() {
            return Poll::Ready(Some(Ok(Frame::data(self.next_data()))));
        }
        let trailers = self.trailers.take();
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.offset == self.content.len() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.length_is_told {
            SizeHint::with_exact(self.content.len() - self.offset)
        } else {
            SizeHint::default()
        }
    }
}

/// The error of a body that was asked to fail.
#[derive(Debug)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body was asked to fail")
    }
}

impl error::Error for Broken {}
