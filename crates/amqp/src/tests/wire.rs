//! A client's encoder that shares nothing with the code under test.

use crate::ConnectionError;

pub(crate) const PROTOCOL_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";

/// Persistent, and nothing else.
pub(crate) const PERSISTENT: &[u8] = &[0x10, 0x00, 2];

pub(crate) fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend(channel.to_be_bytes());
    out.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    out.extend(payload);
    out.push(0xCE);
    out
}

pub(crate) fn method(channel: u16, class: u16, id: u16, arguments: &[&[u8]]) -> Vec<u8> {
    let mut payload = Vec::new();
    payload.extend(class.to_be_bytes());
    payload.extend(id.to_be_bytes());
    payload.extend(arguments.concat());
    frame(1, channel, &payload)
}

pub(crate) fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text].concat()
}

pub(crate) fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// A field table with its length: one entry of some type octet and value bytes.
pub(crate) fn table(name: &str, octet: u8, value: &[u8]) -> Vec<u8> {
    long(&[&short(name.as_bytes())[..], &[octet], value].concat())
}

/// The inside of a table that nests `levels` arrays.
pub(crate) fn deep_table(levels: usize) -> Vec<u8> {
    let mut value = Vec::new();
    for _ in 0..levels {
        value = [&b"A"[..], &long(&value)].concat();
    }
    [&short(b"a")[..], &value].concat()
}

pub(crate) fn start_ok(properties: &[u8], mechanism: &str, response: &[u8]) -> Vec<u8> {
    let arguments = [properties, &short(mechanism.as_bytes()), &long(response), &short(b"en_US")];
    method(0, 10, 11, &arguments)
}

/// Client properties that announce one capability.
pub(crate) fn capability(name: &str) -> Vec<u8> {
    table("capabilities", b'F', &table(name, b't', &[1]))
}

pub(crate) fn tune_ok(channel_max: u16, frame_max: u32, heartbeat_s: u16) -> Vec<u8> {
    let (channels, frames) = (channel_max.to_be_bytes(), frame_max.to_be_bytes());
    method(0, 10, 31, &[&channels, &frames, &heartbeat_s.to_be_bytes()])
}

pub(crate) fn open(vhost: &str) -> Vec<u8> {
    method(0, 10, 40, &[&short(vhost.as_bytes()), &short(b""), &[0]])
}

pub(crate) fn channel_open(channel: u16) -> Vec<u8> {
    method(channel, 20, 10, &[&short(b"")])
}

/// channel.close or connection.close, by class.
pub(crate) fn close(channel: u16, class: u16) -> Vec<u8> {
    let id = if class == 10 { 50 } else { 40 };
    method(channel, class, id, &[&200_u16.to_be_bytes(), &short(b"bye"), &[0; 4]])
}

pub(crate) fn close_ok(channel: u16, class: u16) -> Vec<u8> {
    method(channel, class, if class == 10 { 51 } else { 41 }, &[])
}

pub(crate) fn publish(channel: u16, exchange: &[u8], routing_key: &[u8], bits: u8) -> Vec<u8> {
    method(channel, 60, 40, &[&[0, 0], &short(exchange), &short(routing_key), &[bits]])
}

pub(crate) fn content_header(channel: u16, size: u64, header: &[u8]) -> Vec<u8> {
    let payload = [&[0, 60, 0, 0][..], &size.to_be_bytes(), header].concat();
    frame(2, channel, &payload)
}

pub(crate) fn body(channel: u16, bytes: &[u8]) -> Vec<u8> {
    frame(3, channel, bytes)
}

/// A publish to exchange `x` with key `k` and its content, in frames of at most `frame_max`.
pub(crate) fn message(channel: u16, bytes: &[u8], frame_max: usize) -> Vec<u8> {
    let mut out = publish(channel, b"x", b"k", 0);
    out.extend(content_header(channel, u64::try_from(bytes.len()).unwrap(), PERSISTENT));
    for piece in bytes.chunks(frame_max - 8) {
        out.extend(body(channel, piece));
    }
    out
}

pub(crate) fn ack(channel: u16, tag: u64, multiple: bool) -> Vec<u8> {
    method(channel, 60, 80, &[&tag.to_be_bytes(), &[u8::from(multiple)]])
}

/// What is sent, in words and bytes, and the error that it must lead to.
pub(crate) type Case = (&'static str, Vec<u8>, Blame);

/// An error's reply code, class and method.
pub(crate) type Blame = (u16, u16, u16);

pub(crate) fn blame(error: &ConnectionError) -> Blame {
    (error.code().number(), error.method().class, error.method().method)
}

/// connection.close or channel.close as the server writes it.
pub(crate) fn server_close(
    channel: u16,
    class: u16,
    code: u16,
    text: &str,
    failed: (u16, u16),
) -> Vec<u8> {
    let id = if class == 10 { 50 } else { 40 };
    let (failed_class, failed_method) = failed;
    let arguments: [&[u8]; 4] = [
        &code.to_be_bytes(),
        &short(text.as_bytes()),
        &failed_class.to_be_bytes(),
        &failed_method.to_be_bytes(),
    ];
    method(channel, class, id, &arguments)
}

/// Every frame in some bytes: type, channel, payload.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<(u8, u16, Vec<u8>)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let size = u32::from_be_bytes(bytes[3..7].try_into().unwrap());
        let end = 7 + usize::try_from(size).unwrap();
        assert_eq!(bytes[end], 0xCE, "end octet");
        frames.push((bytes[0], u16::from_be_bytes([bytes[1], bytes[2]]), bytes[7..end].to_vec()));
        bytes = &bytes[end + 1..];
    }
    frames
}
