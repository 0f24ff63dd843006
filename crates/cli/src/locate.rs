//! Finds the node on this machine, and what opens it.
//!
//! A running node leaves two files in its data directory: its addresses, and a secret that only its
//! own user can read. Who gives an address (`--url`) logs in by name; the secret is sent nowhere
//! but to the addresses that lie beside it.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use crate::api::Login;
use crate::call::Call;
use crate::failure::Failure;
use crate::http::{Trust, Url};

/// Where data lies when nobody says.
const DATA_DIRS: [&str; 2] = ["warren-data", "/var/lib/warren"];

/// Holds the addresses.
const ADDRESSES_FILE: &str = "management.addresses";

/// Holds the secret.
const SECRET_FILE: &str = "management.secret";

/// Where a node is when nobody says and no directory is found.
const DEFAULT_URL: &str = "http://localhost:15672";

/// The user whom nodes let in over loopback before there is any other.
const GUEST: &str = "guest";

/// Finds the node to ask, and who asks.
///
/// # Errors
/// When no node can be found, or what opens it cannot be read.
pub(crate) fn locate(call: &Call) -> Result<(Url, Login), Failure> {
    let url = said(call, "url", "WARREN_URL");
    let user = user(call);
    if let Some(url) = url {
        let url = Url::parse(&url).map_err(|text| call.misused(&text))?;
        let url = if url.is_secure() { url.with_trust(trust(call)?) } else { url };
        return Ok((url, user.unwrap_or_else(guest)));
    }
    let Some(dir) = data_dir(call)? else {
        let url = Url::parse(DEFAULT_URL).expect("the default is an address");
        return Ok((url, user.unwrap_or_else(guest)));
    };
    let url = address(&dir)?;
    let login = match user {
        Some(user) => user,
        None => Login::Secret(read(&dir, SECRET_FILE)?.trim().to_owned()),
    };
    Ok((url, login))
}

fn said(call: &Call, option: &str, variable: &str) -> Option<String> {
    let said = call.option(option).map(str::to_owned);
    said.or_else(|| env::var(variable).ok()).filter(|text| !text.is_empty())
}

/// Whom is believed under TLS, and who this program is there.
fn trust(call: &Call) -> Result<Trust, Failure> {
    let authorities = said(call, "cacertfile", "WARREN_CACERTFILE");
    let certificate = said(call, "certfile", "WARREN_CERTFILE");
    let key = said(call, "keyfile", "WARREN_KEYFILE");
    let own = match (certificate.as_deref(), key.as_deref()) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            return Err(call.misused("--certfile and --keyfile belong together"));
        }
    };
    let trust = Trust::new(authorities.as_deref(), own);
    trust.map_err(|text| Failure::refused(format!("Error: {text}")))
}

fn user(call: &Call) -> Option<Login> {
    let name = call.option("username")?.to_owned();
    let password = call.option("password").unwrap_or_default().to_owned();
    Some(Login::User { name, password })
}

fn guest() -> Login {
    Login::User { name: GUEST.to_owned(), password: GUEST.to_owned() }
}

fn data_dir(call: &Call) -> Result<Option<PathBuf>, Failure> {
    let has_run = |dir: &Path| dir.join(ADDRESSES_FILE).exists();
    if let Some(dir) = said(call, "data-dir", "WARREN_DATA_DIR") {
        let dir = PathBuf::from(dir);
        return if has_run(&dir) {
            Ok(Some(dir))
        } else {
            let text = format!("no node has run in the data directory {}", dir.display());
            Err(Failure::refused(text))
        };
    }
    Ok(DATA_DIRS.iter().map(PathBuf::from).find(|dir| has_run(dir)))
}

/// Where the node there answers.
fn address(dir: &Path) -> Result<Url, Failure> {
    let lines = read(dir, ADDRESSES_FILE)?;
    let address = lines.lines().find_map(|line| line.strip_prefix("http=")).unwrap_or_default();
    // A node that listens everywhere is asked here.
    let address = match address.rsplit_once(':') {
        Some(("0.0.0.0", port)) => format!("127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("[::1]:{port}"),
        Some(_) | None => address.to_owned(),
    };
    Url::parse(&address).map_err(|text| {
        Failure::refused(format!("{} is no node's: {text}", dir.join(ADDRESSES_FILE).display()))
    })
}

fn read(dir: &Path, name: &str) -> Result<String, Failure> {
    let file = dir.join(name);
    fs::read_to_string(&file).map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                ": be the node's own user, or log in with --username and --password"
            }
            _ => "",
        };
        Failure::refused(format!("{} cannot be read: {error}{advice}", file.display()))
    })
}
