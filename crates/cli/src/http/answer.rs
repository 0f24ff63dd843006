//! What a node answers: status, headers and body.

/// A node's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    headers: Vec<(String, String)>,
}

impl Answer {
    /// Reads an answer that ended with its connection. Nothing if it is none, or not whole.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let (head, rest) = bytes.split_at(end);
        let body = rest.get(4..)?;
        let mut lines = std::str::from_utf8(head).ok()?.lines();
        let mut words = lines.next()?.split(' ');
        if !words.next()?.starts_with("HTTP/1.") {
            return None;
        }
        let status = words.next()?.parse().ok()?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        let mut answer = Self { status, body: String::new(), headers: headers.collect() };
        answer.body = String::from_utf8(answer.whole(body)?).ok()?;
        Some(answer)
    }

    /// The header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as it was before it was sent.
    fn whole(&self, body: &[u8]) -> Option<Vec<u8>> {
        let chunked = self.header("transfer-encoding");
        if chunked.is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return joined(body);
        }
        match self.header("content-length") {
            Some(length) => body.get(..length.parse().ok()?).map(<[u8]>::to_vec),
            None => Some(body.to_vec()),
        }
    }
}

/// Puts chunks together.
fn joined(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let line = std::str::from_utf8(rest.get(..end)?).ok()?;
        // What follows a semicolon are extensions, which nobody uses.
        let length = line.split(';').next()?.trim();
        let length = usize::from_str_radix(length, 16).ok()?;
        if length == 0 {
            return Some(whole);
        }
        rest = rest.get(end + 2..)?;
        whole.extend_from_slice(rest.get(..length)?);
        rest = rest.get(length..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_headers_and_what_follows_them() {
        let bytes = b"HTTP/1.0 503 Service Unavailable\r\nA: b\r\n\r\nx\r\n\r\ny";
        let answer = Answer::parse(bytes).expect("it is one");

        assert_eq!((answer.status, answer.body.as_str()), (503, "x\r\n\r\ny"));
        assert_eq!((answer.header("a"), answer.header("c")), (Some("b"), None));
    }

    #[test]
    fn chunks_are_put_together() {
        let bytes =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n";

        let answer = Answer::parse(bytes).expect("it is one");

        assert_eq!(answer.body, "abc0123456789");
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_no_answer() {
        let cases: [&[u8]; 6] = [
            b"",
            b"SSH-2.0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ];

        for bytes in cases {
            assert_eq!(Answer::parse(bytes), None, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
