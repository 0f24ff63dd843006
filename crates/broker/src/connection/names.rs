//! Names that the broker chooses or cleans.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A name that nobody else has: `prefix` and 22 characters drawn at random.
pub(crate) fn fresh(prefix: &str) -> String {
    let random: [u8; 16] = rand::random();
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random))
}

/// A declared name without line breaks, which RabbitMQ drops as well.
pub(crate) fn clean(name: String) -> String {
    if name.contains(['\r', '\n']) { name.replace(['\r', '\n'], "") } else { name }
}
