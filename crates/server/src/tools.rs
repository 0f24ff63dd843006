//! What tools on this machine need to find the node and to be trusted by it.
//!
//! Two files in the data directory: `management.secret`, which only the node's own user can read and
//! which is another after every start, and `management.addresses`, one `name=address` per line. Who
//! can read the first could read everything else there as well, so it opens everything, over
//! loopback.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::doors::Addresses;

/// Holds the secret.
const SECRET_FILE: &str = "management.secret";

/// Holds the addresses.
const ADDRESSES_FILE: &str = "management.addresses";

/// Bytes of the secret before they are written as text.
const SECRET_BYTES: usize = 32;

/// Draws a secret and writes both files. Returns the secret.
///
/// # Errors
/// When a file cannot be written.
pub fn announce(data_dir: &Path, addresses: &Addresses) -> io::Result<String> {
    let bytes: [u8; SECRET_BYTES] = rand::random();
    let secret: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    write(data_dir, SECRET_FILE, &secret)?;
    let lines: String = addresses.to_string().replace(' ', "\n") + "\n";
    write(data_dir, ADDRESSES_FILE, &lines)?;
    Ok(secret)
}

/// Writes a file that nobody else can read, whole or not at all.
fn write(data_dir: &Path, name: &str, content: &str) -> io::Result<()> {
    let unfinished = data_dir.join(format!("{name}.new"));
    // One that a crash left may belong to more readers.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(content.as_bytes())?;
    fs::rename(&unfinished, data_dir.join(name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_secret_is_for_the_owner_alone_and_another_after_every_start() {
        let dir = tempfile::tempdir().expect("there is room");
        let at = |port| ([127, 0, 0, 1], port).into();
        let addresses = Addresses {
            amqp: at(1),
            http: at(2),
            metrics: at(3),
            peer: at(4),
            amqps: None,
            https: Some(at(5)),
            metrics_https: None,
        };

        let first = announce(dir.path(), &addresses).expect("it is writable");
        let second = announce(dir.path(), &addresses).expect("it is writable");

        let file = dir.path().join(SECRET_FILE);
        assert_ne!(first, second);
        assert_eq!(fs::read_to_string(&file).expect("it was written"), second);
        let mode = fs::metadata(&file).expect("it was written").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let lines = fs::read_to_string(dir.path().join(ADDRESSES_FILE)).expect("it was written");
        assert_eq!(
            lines,
            "amqp=127.0.0.1:1\nhttp=127.0.0.1:2\nmetrics=127.0.0.1:3\npeer=127.0.0.1:4\n\
             https=127.0.0.1:5\n"
        );
    }
}
