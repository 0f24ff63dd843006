//! Certificates for a cluster and its clients, from an authority of its own.
//!
//! Whoever calls it again with the same directory gets new certificates of the same authority: those
//! that are in use go on to be believed, and nodes take the new ones without being restarted.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

use super::{Command, OURS, Outcome, Section};
use crate::call::Call;
use crate::failure::Failure;
use crate::line::Switch;
use crate::show::Output;

pub(super) static COMMANDS: &[Command] = &[Command::new(
    "generate_certs",
    Section::Nodes,
    OURS,
    "Makes certificates for nodes and clients, and an authority for them if there is none",
    generate,
)
.takes(
    "<directory> [--nodes <name,...>] [--hosts <name,...>] [--clients <name,...>] \
     [--peer-name <name>] [--days <days>]",
    1,
    1,
)
.with(&[
    Switch::word("nodes"),
    Switch::word("hosts"),
    Switch::word("clients"),
    Switch::word("peer-name"),
    Switch::number("days"),
])];

/// What every node's certificate is for, as nodes expect it (`peers.name`).
const PEER_NAME: &str = "warren-peer";

/// Where every node answers, whatever else it is called.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// How long a certificate counts when nobody says, days.
const DAYS: u64 = 365;

/// How long the authority counts, days.
const AUTHORITY_DAYS: u64 = 3650;

/// How far clocks may differ.
const SLACK: Duration = Duration::from_secs(3600);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The authority's files.
const AUTHORITY: &str = "ca";

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A name that no certificate can have, or an authority that is none.
    #[error("{what}: {source}")]
    Certificate {
        what: String,
        #[source]
        source: rcgen::Error,
    },
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::refused(format!("Error: {trouble}"))
    }
}

fn generate(call: &Call) -> Outcome {
    let dir = PathBuf::from(call.argument(0));
    let days = match call.option("days").map(str::parse::<u32>) {
        None => DAYS,
        Some(Ok(days)) if days > 0 => u64::from(days),
        Some(_) => return Err(call.misused("--days must be a positive number")),
    };
    call.say(&format!("Making certificates in {} ...", dir.display()))?;
    fs::create_dir_all(&dir).map_err(|source| Trouble::File { path: dir.clone(), source })?;
    let authority = authority(&dir)?;
    let peer_name = call.option("peer-name").unwrap_or(PEER_NAME);
    let hosts = list(call, "hosts");
    let mut made = Vec::new();
    for node in some_or(list(call, "nodes"), "node") {
        let own = std::iter::once(node.clone()).chain(hosts.iter().cloned());
        let names = own.chain(LOCAL.map(str::to_owned)).chain([peer_name.to_owned()]);
        let mut params = params(&node, names.collect(), days)?;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        made.push(issue(&dir, &node, &params, &authority)?);
    }
    for client in some_or(list(call, "clients"), "client") {
        let mut params = params(&client, vec![client.clone()], days)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        made.push(issue(&dir, &client, &params, &authority)?);
    }
    let text = made.join("\n");
    let value = serde_json::json!({"result": "ok", "files": made});
    Ok(Output::Document { text, value })
}

/// The words of a switch, with commas between them.
fn list(call: &Call, name: &str) -> Vec<String> {
    let words = call.option(name).unwrap_or_default().split(',').map(str::trim);
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn some_or(words: Vec<String>, otherwise: &str) -> Vec<String> {
    if words.is_empty() { vec![otherwise.to_owned()] } else { words }
}

/// The authority in `dir`, made if there is none.
fn authority(dir: &Path) -> Result<Issuer<'static, KeyPair>, Trouble> {
    let (certificate, key) = files(dir, AUTHORITY);
    if certificate.exists() {
        let what = || certificate.display().to_string();
        let pair = KeyPair::from_pem(&read(&key)?);
        let pair = pair.map_err(|source| Trouble::Certificate { what: what(), source })?;
        return Issuer::from_ca_cert_pem(&read(&certificate)?, pair)
            .map_err(|source| Trouble::Certificate { what: what(), source });
    }
    let failed = |source| Trouble::Certificate { what: AUTHORITY.to_owned(), source };
    let mut params = params("warren authority", Vec::new(), AUTHORITY_DAYS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let pair = KeyPair::generate().map_err(failed)?;
    let signed = params.self_signed(&pair).map_err(failed)?;
    write(&key, &pair.serialize_pem(), OWNER)?;
    write(&certificate, &signed.pem(), EVERYBODY)?;
    Ok(Issuer::new(params, pair))
}

fn params(subject: &str, names: Vec<String>, days: u64) -> Result<CertificateParams, Trouble> {
    let failed = |source| Trouble::Certificate { what: subject.to_owned(), source };
    // Names that are addresses become addresses.
    let mut params = CertificateParams::new(names).map_err(failed)?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, subject);
    params.distinguished_name = name;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = date_time_ymd(1970, 1, 1);
    let length = DAY.saturating_mul(u32::try_from(days).unwrap_or(u32::MAX));
    params.not_before = epoch + now.saturating_sub(SLACK);
    params.not_after = epoch + now.saturating_add(length);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

/// Has a certificate signed, with a key of its own, and writes both. Gives the file.
fn issue(
    dir: &Path,
    name: &str,
    params: &CertificateParams,
    authority: &Issuer<'_, KeyPair>,
) -> Result<String, Trouble> {
    let failed = |source| Trouble::Certificate { what: name.to_owned(), source };
    let pair = KeyPair::generate().map_err(failed)?;
    let signed = params.signed_by(&pair, authority).map_err(failed)?;
    let (certificate, key) = files(dir, name);
    write(&key, &pair.serialize_pem(), OWNER)?;
    write(&certificate, &signed.pem(), EVERYBODY)?;
    Ok(certificate.display().to_string())
}

/// The files of a certificate and its key.
fn files(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    // No name leads out of the directory, or to a file that does not show.
    let name: String = name.chars().map(|sign| if sign == '/' { '_' } else { sign }).collect();
    let name = name.trim_start_matches('.');
    (dir.join(format!("{name}.pem")), dir.join(format!("{name}-key.pem")))
}

/// Who may read a file.
const OWNER: u32 = 0o600;
const EVERYBODY: u32 = 0o644;

/// Writes a file, whole or not at all.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), Trouble> {
    let failed = |source| Trouble::File { path: path.to_owned(), source };
    let unfinished = path.with_extension("new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&unfinished);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)?;
    fs::rename(&unfinished, path).map_err(failed)
}

fn read(path: &Path) -> Result<String, Trouble> {
    fs::read_to_string(path).map_err(|source| Trouble::File { path: path.to_owned(), source })
}
