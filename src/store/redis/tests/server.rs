//! A redis-server of a test's own on a free loopback port, ended with its handle.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct Server {
    child: Option<Child>,
    port: u16,
    settings: Vec<String>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts one with these further arguments.
    pub(crate) fn with(settings: &[&str]) -> Self {
        let mut server = Self {
            child: None,
            port: free_port(),
            settings: settings.iter().map(|word| (*word).to_owned()).collect(),
        };
        server.restart();
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it again on the same port, empty.
    pub(crate) fn restart(&mut self) {
        let port = self.port.to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1"])
            .args([
                "--save",
                "",
                "--appendonly",
                "no",
                "--enable-debug-command",
                "yes",
            ])
            .args(&self.settings)
            .stdout(Stdio::null())
            .spawn()
            .expect("these tests need `redis-server` in the path");
        self.child = Some(child);
        let began = Instant::now();
        while self
            .try_ask(&["PING"])
            .is_none_or(|answer| answer != "PONG")
        {
            assert!(began.elapsed() < Duration::from_secs(20), "no redis-server");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        Command::new("kill")
            .args(["-s", signal, &pid])
            .status()
            .unwrap();
    }

    /// Asks by a client that is not larder's, and returns the answer as text.
    pub(crate) fn ask(&self, command: &[&str]) -> String {
        self.try_ask(command).unwrap()
    }

    fn try_ask(&self, command: &[&str]) -> Option<String> {
        let mut client = redis_sync(self.port)?;
        let answer = client.ask(command)?;
        Some(answer)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Fails if it has ended before, which is as well.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A client of few words over the standard library's sockets.
struct Client {
    stream: std::io::BufReader<std::net::TcpStream>,
}

fn redis_sync(port: u16) -> Option<Client> {
    let stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    let stream = std::io::BufReader::new(stream);
    Some(Client { stream })
}

impl Client {
    fn ask(&mut self, command: &[&str]) -> Option<String> {
        use std::io::{BufRead, Read, Write};

        let mut text = format!("*{}\r\n", command.len());
        for word in command {
            text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.stream.get_mut().write_all(text.as_bytes()).ok()?;
        let mut line = String::new();
        self.stream.read_line(&mut line).ok()?;
        let line = line.trim_end();
        let (kind, rest) = line.split_at_checked(1)?;
        if kind != "$" {
            return Some(rest.to_owned());
        }
        let Ok(length) = rest.parse::<usize>() else {
            return Some(String::new());
        };
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}
