//! An OpenTelemetry collector that keeps the spans it is sent, for tests.
//!
//! It takes OTLP in protobuf over HTTP/1.1, as far as spans need it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Spans that wait for the test; behind them the node waits for its answer.
const SPANS_WAITING: usize = 100_000;

/// How long spans may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A span as it was sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Span {
    /// What is known of its sender.
    pub resource: BTreeMap<String, String>,
    /// The trace, in hexadecimal.
    pub trace: String,
    /// Its id, in hexadecimal.
    pub id: String,
    /// What it follows from, in hexadecimal; nothing for the first of its trace.
    pub parent: String,
    /// What tracing systems have written beside it.
    pub state: String,
    /// Its name.
    pub name: String,
    /// 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: u64,
    /// When it began, nanoseconds.
    pub begin_ns: u64,
    /// When it ended, nanoseconds.
    pub end_ns: u64,
    /// What is known about it, as text.
    pub attributes: BTreeMap<String, String>,
    /// 0 nothing said, 1 fine, 2 failed.
    pub status: u64,
}

impl Span {
    /// An attribute; nothing, if there is none of that name.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// Listens until the test program ends.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    spans: Receiver<Span>,
}

impl Collector {
    /// A collector at a port of its own.
    ///
    /// # Panics
    ///
    /// If there is no port.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let (sender, spans) = sync_channel(SPANS_WAITING);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                thread::spawn(move || {
                    if let Err(error) = serve(&stream, &sender) {
                        eprintln!("the collector was sent what it does not understand: {error:#}");
                    }
                });
            }
        });
        Self { address, spans }
    }

    /// What a node is told to send its spans to.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next spans, as soon as there are so many.
    ///
    /// # Panics
    ///
    /// If they do not come.
    pub fn spans(&self, count: usize) -> Vec<Span> {
        let end = Instant::now() + PATIENCE;
        let mut spans = Vec::new();
        while spans.len() < count {
            let rest = end.saturating_duration_since(Instant::now());
            match self.spans.recv_timeout(rest) {
                Ok(span) => spans.push(span),
                Err(_) => panic!("{count} spans should have come, but these did: {spans:#?}"),
            }
        }
        spans
    }

    /// What has come and was not asked for.
    pub fn rest(&self) -> Vec<Span> {
        self.spans.try_iter().collect()
    }
}

fn serve(stream: &TcpStream, spans: &SyncSender<Span>) -> Result<()> {
    let mut input = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if !line.starts_with("POST /v1/traces HTTP/1.1") {
            bail!("{line:?} is no request for a collector");
        }
        let (mut bytes, mut is_protobuf) = (0, false);
        loop {
            let mut header = String::new();
            input.read_line(&mut header)?;
            let header = header.trim_end().to_ascii_lowercase();
            match header.split_once(": ") {
                Some(("content-length", length)) => bytes = length.parse()?,
                Some(("content-type", kind)) => is_protobuf = kind == "application/x-protobuf",
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; bytes];
        input.read_exact(&mut body)?;
        if !is_protobuf {
            bail!("the request is no protobuf");
        }
        for span in request(&body)? {
            // Nobody waits for spans after the test.
            let _told = spans.send(span);
        }
        let mut output = stream;
        output.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n",
        )?;
    }
}

/// An `ExportTraceServiceRequest`.
fn request(bytes: &[u8]) -> Result<Vec<Span>> {
    let mut spans = Vec::new();
    for group in parts(bytes, 1)? {
        let mut resource = BTreeMap::new();
        for described in parts(group, 1)? {
            resource.extend(attributes(described, 1)?);
        }
        for scope in parts(group, 2)? {
            for bytes in parts(scope, 2)? {
                spans.push(Span { resource: resource.clone(), ..span(bytes)? });
            }
        }
    }
    Ok(spans)
}

fn span(bytes: &[u8]) -> Result<Span> {
    let mut span = Span { attributes: attributes(bytes, 9)?, ..Span::default() };
    for (number, field) in fields(bytes)? {
        match (number, field) {
            (1, Field::Bytes(bytes)) => span.trace = hex(bytes),
            (2, Field::Bytes(bytes)) => span.id = hex(bytes),
            (3, Field::Bytes(bytes)) => span.state = text(bytes),
            (4, Field::Bytes(bytes)) => span.parent = hex(bytes),
            (5, Field::Bytes(bytes)) => span.name = text(bytes),
            (6, Field::Number(number)) => span.kind = number,
            (7, Field::Number(number)) => span.begin_ns = number,
            (8, Field::Number(number)) => span.end_ns = number,
            (15, Field::Bytes(bytes)) => {
                for (number, field) in fields(bytes)? {
                    if let (3, Field::Number(code)) = (number, field) {
                        span.status = code;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(span)
}

/// The `KeyValue`s in the fields with this number.
fn attributes(bytes: &[u8], number: u64) -> Result<BTreeMap<String, String>> {
    let mut attributes = BTreeMap::new();
    for pair in parts(bytes, number)? {
        let name = parts(pair, 1)?.first().map(|bytes| text(bytes)).unwrap_or_default();
        for value in parts(pair, 2)? {
            for (kind, field) in fields(value)? {
                let value = match (kind, field) {
                    (1, Field::Bytes(bytes)) => text(bytes),
                    (2, Field::Number(flag)) => (flag != 0).to_string(),
                    (3, Field::Number(number)) => number.to_string(),
                    (kind, _) => bail!("attribute {name} has a value of kind {kind}"),
                };
                attributes.insert(name.clone(), value);
            }
        }
    }
    Ok(attributes)
}

/// A field of a protobuf message.
#[derive(Clone, Copy, Debug)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The messages in the fields with this number.
fn parts(bytes: &[u8], wanted: u64) -> Result<Vec<&[u8]>> {
    let wanted = fields(bytes)?.into_iter().filter_map(|(number, field)| match field {
        Field::Bytes(bytes) if number == wanted => Some(bytes),
        Field::Bytes(_) | Field::Number(_) => None,
    });
    Ok(wanted.collect())
}

fn fields(mut bytes: &[u8]) -> Result<Vec<(u64, Field<'_>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)?),
            1 => Field::Number(u64::from_le_bytes(take(&mut bytes, 8)?.try_into()?)),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?)?;
                Field::Bytes(take(&mut bytes, length)?)
            }
            5 => {
                let number: [u8; 4] = take(&mut bytes, 4)?.try_into()?;
                Field::Number(u32::from_le_bytes(number).into())
            }
            kind => bail!("protobuf has no fields of kind {kind}"),
        };
        fields.push((tag >> 3, field));
    }
    Ok(fields)
}

fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    bail!("a number has more than 64 bits")
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(count).context("the message is cut off")?;
    *bytes = rest;
    Ok(head)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
