//! As much HTTP as it takes to ask a node.
//!
//! One request per connection: the end of an answer is the end of its connection, unless the answer
//! says where it ends.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

mod answer;
mod secure;

use rustls::StreamOwned;

pub(crate) use answer::Answer;
pub(crate) use secure::Trust;

/// The longest answer that is read, bytes: some hundred thousand queues with all their fields.
const ANSWER_BYTES: u64 = 1 << 30;

/// The ports of a URL that names none.
const DEFAULT_PORT: u16 = 15672;
const DEFAULT_TLS_PORT: u16 = 15671;

/// Where a node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    host: String,
    port: u16,
    prefix: String,
    is_secure: bool,
    /// Whom is believed under TLS.
    trust: Option<Trust>,
}

/// What is asked of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'static str,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(&'static str, String)],
    pub(crate) body: Option<&'a str>,
}

impl Url {
    /// Reads `http://host[:port][/prefix]`, or the same with `https`; host and port alone are
    /// understood as well.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (is_secure, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some((scheme, _)) => {
                return Err(format!("'{scheme}' is not spoken, only http and https are"));
            }
            None => (false, text),
        };
        let (authority, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = split_port(authority, is_secure)?;
        if host.is_empty() || authority.contains('@') || text.contains(char::is_whitespace) {
            return Err(format!("'{text}' is no address such as http://localhost:15672"));
        }
        let prefix = prefix.trim_end_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        Ok(Self { host: host.to_owned(), port, prefix, is_secure, trust: None })
    }

    /// Whether TLS is spoken there.
    pub(crate) fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The same, where `trust` says whom is believed.
    pub(crate) fn with_trust(self, trust: Trust) -> Self {
        Self { trust: Some(trust), ..self }
    }

    /// Asks, and waits for the answer until the time is up.
    pub(crate) fn ask(&self, request: Request<'_>, timeout: Duration) -> io::Result<Answer> {
        let deadline = Instant::now() + timeout;
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let stream = connect((host, self.port), deadline)?;
        let stream = Timed { stream, deadline };
        let text = self.text(request);
        let bytes = match &self.trust {
            Some(trust) if self.is_secure => {
                conversation(StreamOwned::new(trust.with(host)?, stream), &text)?
            }
            Some(_) | None => conversation(stream, &text)?,
        };
        Answer::parse(&bytes).ok_or_else(senseless)
    }

    fn text(&self, request: Request<'_>) -> String {
        let Self { host, port, prefix, .. } = self;
        let Request { method, path, headers, body } = request;
        let mut text = format!(
            "{method} {prefix}{path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n"
        );
        for (name, value) in headers {
            // A line break in a value would begin another header.
            let value = value.replace(['\r', '\n'], " ");
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        match body {
            Some(body) => {
                let bytes = body.len();
                text.push_str("Content-Type: application/json\r\n");
                text.push_str(&format!("Content-Length: {bytes}\r\n\r\n{body}"));
            }
            None => text.push_str("\r\n"),
        }
        text
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        write!(text, "{scheme}://{}:{}{}", self.host, self.port, self.prefix)
    }
}

/// Says `text` and gives what is answered, to the end.
fn conversation(mut stream: impl Read + Write, text: &str) -> io::Result<Vec<u8>> {
    stream.write_all(text.as_bytes())?;
    stream.flush()?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A connection to the first address of that name which takes one.
pub(crate) fn connect(to: (&str, u16), deadline: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in to.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Splits `host:port`, where the host may be an IPv6 address in brackets.
fn split_port(authority: &str, is_secure: bool) -> Result<(&str, u16), String> {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let port = port.parse().map_err(|_| format!("'{port}' is not a port"))?;
            Ok((host, port))
        }
        _ if is_secure => Ok((authority, DEFAULT_TLS_PORT)),
        _ => Ok((authority, DEFAULT_PORT)),
    }
}

/// A stream that is used until a deadline, however slowly it trickles.
struct Timed {
    stream: TcpStream,
    deadline: Instant,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.deadline)?))?;
        match self.stream.read(buffer) {
            // What a socket says when its time is up.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(late()),
            outcome => outcome,
        }
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.deadline)?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(late()) } else { Ok(left) }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

fn senseless() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_host_port_and_prefix_with_defaults() {
        let cases = [
            ("http://localhost:15672", ("localhost", 15672, "")),
            ("http://a", ("a", 15672, "")),
            ("a:1", ("a", 1, "")),
            ("http://a:1/", ("a", 1, "")),
            ("http://a:1/x/y/", ("a", 1, "/x/y")),
            ("http://[::1]:1", ("[::1]", 1, "")),
            ("http://[::1]", ("[::1]", 15672, "")),
            ("https://a", ("a", 15671, "")),
            ("https://a:1/x", ("a", 1, "/x")),
        ];

        for (text, (host, port, prefix)) in cases {
            let url = Url {
                host: host.to_owned(),
                port,
                prefix: prefix.to_owned(),
                is_secure: text.starts_with("https"),
                trust: None,
            };
            assert_eq!(Url::parse(text), Ok(url), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "http://",
            "https://",
            "ftp://a",
            "http://a:b",
            "http://a:70000",
            "http://u@a",
            "a b",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_with_a_line_break_makes_no_other_header() {
        let url = Url::parse("http://a:1").expect("it is one");
        let headers = [("X-Reason", "b\r\nc: d".to_owned())];

        let text = url.text(Request { method: "GET", path: "/", headers: &headers, body: None });

        assert!(text.contains("X-Reason: b  c: d\r\n"), "{text}");
    }
}
