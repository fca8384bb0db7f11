//! HTTP/1.1 by hand: any bytes can be sent, and what comes back is read by its framing.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::message::{Answer, Request};

/// How long a read waits before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection, and what was read from it beyond the last answer.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    ahead: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let ahead = Vec::new();
        Ok(Self { stream, ahead })
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a request and reads its answer.
    pub(crate) fn exchange(&mut self, request: &Request) -> io::Result<Answer> {
        // A server may refuse a request before it has read all of it.
        let sent = self.send(&bytes_of(request));
        let answer = self.answer(&request.method);
        answer.or_else(|unread| sent.and(Err(unread)))
    }

    /// Reads one answer to a request of `method`.
    pub(crate) fn answer(&mut self, method: &str) -> io::Result<Answer> {
        let mut answer = self.head()?;
        let length = answer
            .field("content-length")
            .and_then(|text| text.parse().ok());
        let coding = answer.field("transfer-encoding");
        if method == "HEAD" || [204, 304].contains(&answer.status) {
            answer.whole = true;
        } else if coding.is_some_and(|coding| coding.ends_with("chunked")) {
            answer.whole = self.chunks(&mut answer).is_ok();
        } else if let Some(length) = length {
            answer.whole = self.fill(length).is_ok();
            let end = length.min(self.ahead.len());
            answer.body = self.ahead.drain(..end).collect();
        } else {
            answer.whole = self.read_to_end().is_ok();
            answer.body = std::mem::take(&mut self.ahead);
        }
        Ok(answer)
    }

    /// Reads the head of a final answer and leaves the body.
    pub(crate) fn head(&mut self) -> io::Result<Answer> {
        loop {
            let mut lines = self.lines()?.into_iter();
            let status = lines.next().unwrap_or_default();
            let code = status.split(' ').nth(1).and_then(|code| code.parse().ok());
            let status = code.ok_or_else(|| malformed(&status))?;
            let fields = lines.map(|line| field(&line)).collect::<io::Result<_>>()?;
            // Interim answers say nothing that these tests ask for.
            if !(100..200).contains(&status) || status == 101 {
                let answer = Answer::default();
                return Ok(Answer {
                    status,
                    fields,
                    ..answer
                });
            }
        }
    }

    /// Returns body bytes, framing and all, as they come; none at the end of the connection.
    pub(crate) fn some(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.ahead.is_empty() && self.read_more()? == 0 {
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut self.ahead)))
    }

    /// Returns whether the server closed the connection without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        // A reset is an end as well; only silence or more bytes are not.
        let read = self.some();
        match read {
            Ok(bytes) => bytes.is_none(),
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    fn chunks(&mut self, answer: &mut Answer) -> io::Result<()> {
        loop {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = usize::from_str_radix(digits, 16).map_err(|_| malformed(&line))?;
            if length == 0 {
                break;
            }
            self.fill(length + 2)?;
            answer.body.extend(self.ahead.drain(..length));
            self.ahead.drain(..2);
        }
        let trailers = self.lines()?;
        answer.trailers = trailers
            .iter()
            .map(|line| field(line))
            .collect::<io::Result<_>>()?;
        Ok(())
    }

    /// Reads lines up to an empty one.
    fn lines(&mut self) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(lines);
            }
            lines.push(line);
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut searched = 0;
        loop {
            let end = self
                .ahead
                .iter()
                .skip(searched)
                .position(|byte| *byte == b'\n');
            if let Some(end) = end {
                let line: Vec<u8> = self.ahead.drain(..=searched + end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            searched = self.ahead.len();
            if self.read_more()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn fill(&mut self, length: usize) -> io::Result<()> {
        while self.ahead.len() < length {
            if self.read_more()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    fn read_to_end(&mut self) -> io::Result<()> {
        while self.read_more()? > 0 {}
        Ok(())
    }

    fn read_more(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 64 << 10];
        let count = self.stream.read(&mut buffer)?;
        self.ahead.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

/// Returns the bytes of a request.
pub(crate) fn bytes_of(request: &Request) -> Vec<u8> {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: {}\r\n",
        request.method, request.target, request.authority
    );
    for (name, value) in &request.fields {
        head += &format!("{name}: {value}\r\n");
    }
    if let Some(body) = &request.body {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    head += "\r\n";
    let mut bytes = head.into_bytes();
    bytes.extend(request.body.iter().flatten());
    bytes
}

fn field(line: &str) -> io::Result<(String, String)> {
    let (name, value) = line.split_once(':').ok_or_else(|| malformed(line))?;
    Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
}

fn malformed(line: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("`{line}` can not be read"),
    )
}
