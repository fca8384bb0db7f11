//! The protocol of Redis by hand: any command can be sent, and nothing retries behind a test's back.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long a reply may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection to a server, of the test's own.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

/// What a server replied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Nothing,
    /// A status or a string.
    Text(Vec<u8>),
    Number(i64),
    List(Vec<Self>),
    Error(String),
}

impl Client {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Sends one command and reads its reply.
    pub(crate) fn ask(&mut self, words: &[&str]) -> io::Result<Reply> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.send(&words)?;
        self.read()
    }

    /// Sends one command of any bytes.
    pub(crate) fn send(&mut self, words: &[&[u8]]) -> io::Result<()> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend(*word);
            bytes.extend(b"\r\n");
        }
        self.stream.get_mut().write_all(&bytes)
    }

    /// Reads one reply, or one message of a subscription.
    pub(crate) fn read(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (kind, rest) = line.trim_end().split_at(1);
        let number = || rest.parse::<i64>().map_err(|_| malformed(&line));
        match kind {
            "+" => Ok(Reply::Text(rest.as_bytes().to_vec())),
            "-" => Ok(Reply::Error(rest.to_owned())),
            ":" => Ok(Reply::Number(number()?)),
            "$" => match usize::try_from(number()?) {
                Err(_) => Ok(Reply::Nothing),
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.stream.read_exact(&mut bytes)?;
                    bytes.truncate(length);
                    Ok(Reply::Text(bytes))
                }
            },
            "*" => match usize::try_from(number()?) {
                Err(_) => Ok(Reply::Nothing),
                Ok(length) => {
                    let members = (0..length).map(|_| self.read());
                    members.collect::<io::Result<_>>().map(Reply::List)
                }
            },
            _ => Err(malformed(&line)),
        }
    }
}

impl Reply {
    /// Returns a text or a number as text; nothing is empty.
    ///
    /// # Panics
    ///
    /// On an error and on a list.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Number(number) => number.to_string(),
            Self::List(_) | Self::Error(_) => panic!("{self:?} is no text"),
        }
    }

    /// Returns the bytes of a text; nothing has none.
    pub(crate) fn bytes(self) -> Vec<u8> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Text(bytes) => bytes,
            other => panic!("{other:?} is no text"),
        }
    }

    /// Returns a number, or a text that is one.
    pub(crate) fn number(&self) -> i64 {
        let text = self.text();
        text.parse()
            .unwrap_or_else(|_| panic!("{self:?} is no number"))
    }

    /// Returns the members of a list; nothing has none.
    pub(crate) fn list(self) -> Vec<Self> {
        match self {
            Self::Nothing => Vec::new(),
            Self::List(members) => members,
            other => panic!("{other:?} is no list"),
        }
    }

    pub(crate) fn is_error(&self, start: &str) -> bool {
        matches!(self, Self::Error(words) if words.starts_with(start))
    }
}

fn malformed(line: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("`{}` can not be read", line.escape_debug()),
    )
}
