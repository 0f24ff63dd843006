//! Asking over HTTP: one connection per question, with limits to its time and to the answer.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper::{Method, Request, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use warren_tls::{Connector, TlsError};

use crate::settings::SettingsError;

/// Where systems keep the authorities that they believe.
const SYSTEM_AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody can be reached there.
    #[error("no connection")]
    Unreachable(#[source] io::Error),
    /// The authorities cannot be read.
    #[error("no TLS")]
    Tls(#[source] TlsError),
    /// The conversation broke off, or was none.
    #[error("the conversation failed")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("no answer within {limit_ms} ms")]
    Late {
        /// How long it may take.
        limit_ms: u128,
    },
    /// The answer is that there is none.
    #[error("the answer has the status {0}")]
    Status(u16),
    /// The answer is not what was asked for.
    #[error("the answer makes no sense")]
    Senseless,
}

impl FetchError {
    /// It, and what it comes from.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    }
}

/// Something that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    is_secure: bool,
    host: String,
    port: u16,
    path: String,
}

impl Address {
    /// Reads `http://host:port/path`, or the same with https.
    pub(crate) fn parse(text: &str) -> Result<Self, SettingsError> {
        let wrong = || SettingsError::Address(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let is_secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            is_secure,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 }),
            path: path.to_owned(),
        })
    }

    /// The path, with its query if it has one.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    fn host_header(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// HTTP's status code.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// Asks over HTTP. Redirections are not followed.
#[derive(Debug)]
pub(crate) struct Fetcher {
    authorities: Option<PathBuf>,
    connection_limit: Duration,
    request_limit: Duration,
}

impl Fetcher {
    /// Believes certificates that come from `authorities`, or from those of the system.
    pub(crate) fn new(
        authorities: Option<PathBuf>,
        connection_limit: Duration,
        request_limit: Duration,
    ) -> Self {
        Self { authorities, connection_limit, request_limit }
    }

    /// Asks with the parameters in the path. The answer may have `most` bytes.
    pub(crate) async fn get(
        &self,
        address: &Address,
        query: &str,
        most: usize,
    ) -> Result<Answer, FetchError> {
        let sign = if address.path.contains('?') { '&' } else { '?' };
        let path = match query {
            "" => address.path.clone(),
            query => format!("{}{sign}{query}", address.path),
        };
        self.ask(address, Method::GET, &path, Bytes::new(), most).await
    }

    /// Asks with the parameters as a form. The answer may have `most` bytes.
    pub(crate) async fn post(
        &self,
        address: &Address,
        query: String,
        most: usize,
    ) -> Result<Answer, FetchError> {
        self.ask(address, Method::POST, &address.path, query.into(), most).await
    }

    async fn ask(
        &self,
        address: &Address,
        method: Method,
        path: &str,
        body: Bytes,
        most: usize,
    ) -> Result<Answer, FetchError> {
        let mut request = Request::builder()
            .method(&method)
            .uri(path)
            .header(header::HOST, address.host_header())
            .header(header::CONNECTION, "close");
        if method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let request = request.body(Full::new(body)).map_err(broken)?;
        within(self.request_limit, async {
            let connecting = TcpStream::connect((address.host.as_str(), address.port));
            let stream = within(self.connection_limit, async {
                connecting.await.map_err(FetchError::Unreachable)
            })
            .await?;
            if !address.is_secure {
                return talk(TokioIo::new(stream), request, most).await;
            }
            let connector = Connector::without_certificate(
                match &self.authorities {
                    Some(path) => path,
                    None => system_authorities(),
                },
                &address.host,
                "http/1.1",
            )
            .map_err(FetchError::Tls)?;
            let stream = connector.connect(stream).await.map_err(FetchError::Unreachable)?;
            talk(TokioIo::new(stream), request, most).await
        })
        .await
    }
}

fn system_authorities() -> &'static Path {
    let mut known = SYSTEM_AUTHORITIES.iter().map(Path::new);
    let [first, ..] = SYSTEM_AUTHORITIES;
    known.find(|path| path.exists()).unwrap_or(Path::new(first))
}

async fn within<R>(
    limit: Duration,
    work: impl Future<Output = Result<R, FetchError>>,
) -> Result<R, FetchError> {
    let late = |_| FetchError::Late { limit_ms: limit.as_millis() };
    tokio::time::timeout(limit, work).await.map_err(late)?
}

async fn talk<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    most: usize,
) -> Result<Answer, FetchError>
where
    S: Read + Write + Unpin,
{
    let (mut sender, mut connection) = http1::handshake(stream).await.map_err(broken)?;
    let asking = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), most).collect().await;
        Ok(Answer { status, body: body.map_err(FetchError::Broken)?.to_bytes().to_vec() })
    };
    tokio::pin!(asking);
    let mut is_over = false;
    loop {
        tokio::select! {
            biased;
            answer = &mut asking => return answer,
            // The last bytes of the answer may still be on their way from it.
            _ended = &mut connection, if !is_over => is_over = true,
        }
    }
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> FetchError {
    FetchError::Broken(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_web_pages() {
        let address = Address::parse("http://localhost:8000/auth/user?a=b").expect("an address");

        assert_eq!(address.host_header(), "localhost:8000");
        assert_eq!(address.path(), "/auth/user?a=b");
        assert_eq!(Address::parse("https://[::1]").expect("one").host_header(), "[::1]:443");
        for text in ["", "localhost:8000", "ftp://a/b", "/path", "http://"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
