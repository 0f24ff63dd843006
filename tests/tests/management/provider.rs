//! A place where tokens are made and browsers log in: OpenID Connect as far as the web UI uses it.
//!
//! It holds a client to what a provider must: a code is good once, for who has the verifier, at the
//! address that it was sent to; a refresh token is good once as well.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use warren_auth::kit::{Issuer, challenge};
use warren_tests::wire::PATIENCE;

/// What the web UI is called here.
pub const CLIENT: &str = "warren-ui";

/// How long the first token of a login is good: shorter than the web UI waits between two refreshes.
const FIRST_SECONDS: u64 = 4;

/// How long all others are.
const NEXT_SECONDS: u64 = 3600;

/// Bytes of a request; browsers send fewer.
const REQUEST_MOST_BYTES: usize = 64 * 1024;

type Fields = BTreeMap<String, String>;

/// A provider that runs until the test program ends.
#[derive(Clone)]
pub struct Provider {
    port: u16,
    issuer: Arc<Issuer>,
    book: Arc<Mutex<Book>>,
}

/// What it remembers.
#[derive(Default)]
struct Book {
    /// What was asked for with each code that is still good.
    codes: BTreeMap<String, Fields>,
    refresh: Option<String>,
    serial: usize,
    /// Where the web UI is, for who comes from here.
    warren: String,
    log: Vec<String>,
}

impl Provider {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let provider = Self { port, issuer: Arc::new(Issuer::new("k")), book: Arc::default() };
        let here = provider.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let here = here.clone();
                // Browsers open connections that they say nothing on.
                thread::spawn(move || here.serve(stream));
            }
        });
        provider
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Browsers may go to the web UI from here.
    pub fn knows(&self, warren: &str) {
        self.book.lock().unwrap().warren = warren.to_owned();
    }

    /// What happened, in order.
    pub fn log(&self) -> Vec<String> {
        self.book.lock().unwrap().log.clone()
    }

    pub fn token(&self, user: &str, audience: &str, seconds: u64) -> String {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        self.issuer.token(&json!({
            "iss": self.url(), "sub": user, "aud": audience, "exp": now_s + seconds,
            "scope": format!("{audience}.tag:administrator {audience}.read:*/*"),
        }))
    }

    fn serve(&self, mut stream: TcpStream) {
        let Some((method, path, fields)) = read(&mut stream) else { return };
        let answer = match (method.as_str(), path.as_str()) {
            ("GET", "/.well-known/openid-configuration") => json_answer(200, &self.about()),
            ("GET", "/keys") => plain(200, "application/json", &self.issuer.jwks()),
            ("GET", "/authorize") => self.authorize(&fields),
            ("POST", "/token") => self.grant(&fields),
            ("GET", "/logout") => self.log_out(&fields),
            ("GET", "/portal") => self.portal(),
            _ => plain(404, "text/plain", "nothing"),
        };
        drop(stream.write_all(answer.as_bytes()));
    }

    fn about(&self) -> Value {
        let at = |path: &str| format!("{}/{path}", self.url());
        json!({
            "issuer": self.url(), "jwks_uri": at("keys"), "token_endpoint": at("token"),
            "authorization_endpoint": at("authorize"), "end_session_endpoint": at("logout"),
        })
    }

    fn note(&self, what: &str) {
        self.book.lock().unwrap().log.push(what.to_owned());
    }

    /// A page where the reader says yes or no.
    fn authorize(&self, asked: &Fields) -> String {
        let expected =
            [("response_type", "code"), ("client_id", CLIENT), ("code_challenge_method", "S256")];
        let is_right = expected.iter().all(|(name, text)| asked[*name] == *text)
            && asked["scope"] == "openid profile"
            && asked["prompt"] == "select";
        if !is_right {
            return plain(400, "text/plain", &format!("{asked:?}"));
        }
        let code = {
            let mut book = self.book.lock().unwrap();
            book.serial += 1;
            let code = format!("code-{}", book.serial);
            book.codes.insert(code.clone(), asked.clone());
            code
        };
        let (back, state, issuer) = (&asked["redirect_uri"], &asked["state"], encoded(&self.url()));
        let html = format!(
            "<a href='{back}?code={code}&amp;state={state}&amp;iss={issuer}'>Yes</a> \
             <a href='{back}?error=access_denied&amp;error_description=the+reader+said+no\
             &amp;state={state}'>No</a> \
             <a href='{back}?code={code}&amp;state={state}&amp;iss=http%3A%2F%2Felsewhere'>Mix</a>"
        );
        plain(200, "text/html", &html)
    }

    fn grant(&self, said: &Fields) -> String {
        let mut book = self.book.lock().unwrap();
        let refused = json_answer(400, &json!({"error": "invalid_grant"}));
        if said["client_id"] != CLIENT {
            return refused;
        }
        let seconds = match said["grant_type"].as_str() {
            "authorization_code" => {
                let Some(asked) = book.codes.remove(&said["code"]) else { return refused };
                let is_proven = challenge(&said["code_verifier"]) == asked["code_challenge"];
                if !is_proven || said["redirect_uri"] != asked["redirect_uri"] {
                    return refused;
                }
                FIRST_SECONDS
            }
            "refresh_token" if book.refresh.as_ref() == said.get("refresh_token") => NEXT_SECONDS,
            _ => return refused,
        };
        book.serial += 1;
        let refresh = format!("refresh-{}", book.serial);
        book.refresh = Some(refresh.clone());
        book.log.push(said["grant_type"].clone());
        json_answer(
            200,
            &json!({
                "access_token": self.token("ann", "rabbit", seconds), "token_type": "Bearer",
                "expires_in": seconds, "refresh_token": refresh, "id_token": "who",
            }),
        )
    }

    fn log_out(&self, said: &Fields) -> String {
        let hint = said.get("id_token_hint").map_or("", String::as_str);
        self.note(&format!("logout {hint}"));
        let back = &said["post_logout_redirect_uri"];
        format!("HTTP/1.1 302 Found\r\nlocation: {back}\r\ncontent-length: 0\r\n\r\n")
    }

    /// A page from which one goes to the web UI, with a good token or a bad one.
    fn portal(&self) -> String {
        let warren = self.book.lock().unwrap().warren.clone();
        let form = |name: &str, token: &str| {
            format!(
                "<form method=post action='{warren}/login'>\
                 <input type=hidden name=access_token value='{token}'><button>{name}</button></form>"
            )
        };
        let (good, bad) = (self.token("bob", "dev", 3600), self.token("bob", "other", 3600));
        plain(200, "text/html", &format!("{}{}", form("Good", &good), form("Bad", &bad)))
    }
}

fn json_answer(status: u16, value: &Value) -> String {
    plain(status, "application/json", &value.to_string())
}

/// Pages of any origin may read it.
fn plain(status: u16, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Answer\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
         access-control-allow-origin: *\r\nconnection: close\r\n\r\n{body}"
    )
}

/// Method, path, and the fields of the query and of the form.
fn read(stream: &mut TcpStream) -> Option<(String, String, Fields)> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let (mut bytes, mut portion) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                let mut words = head.split(' ');
                let (method, target) = (words.next()?, words.next()?);
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                let fields = query.split('&').chain(body.split('&'));
                let fields = fields.filter_map(|field| field.split_once('='));
                let fields = fields.map(|(name, text)| (decoded(name), decoded(text))).collect();
                return Some((method.to_owned(), path.to_owned(), fields));
            }
        }
        let more = stream.read(&mut portion).ok().filter(|more| *more > 0)?;
        bytes.extend_from_slice(&portion[..more]);
        if bytes.len() > REQUEST_MOST_BYTES {
            return None;
        }
    }
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(code, 16).unwrap());
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).unwrap()
}

fn encoded(url: &str) -> String {
    url.replace(':', "%3A").replace('/', "%2F")
}
