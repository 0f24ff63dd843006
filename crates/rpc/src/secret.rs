//! Two nodes prove to each other that they know the same secret, without saying it.
//!
//! Whoever calls proves it first, so that a stranger who calls is told nothing that the secret could
//! be guessed from. What one conversation proves is worth nothing in another: both ends add
//! something that was never said before.
//!
//! **Not here:** keeping others from listening, or from changing what is said. That takes TLS.

use std::fmt;
use std::io::{self, ErrorKind};

use ring::hmac::{self, HMAC_SHA256, Key};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::dialer::Duplex;

/// What a conversation begins with: its name and version.
const GREETING: [u8; 8] = *b"warren\x00\x01";

/// Bytes of what was never said before, and of a proof.
const NONCE_BYTES: usize = 32;
const PROOF_BYTES: usize = 32;

/// Who proves: nobody can be given back what he said himself.
const CALLER: &[u8] = b"caller";
const CALLED: &[u8] = b"called";

type Nonce = [u8; NONCE_BYTES];

/// What the nodes of a cluster know and nobody else.
#[derive(Clone)]
pub struct Secrets {
    spoken: Key,
    /// Accepted as well, while the secret is being changed.
    other: Option<Key>,
}

impl Secrets {
    /// Proves with `spoken`, and believes whoever knows it, or `other`.
    #[must_use]
    pub fn new(spoken: &str, other: Option<&str>) -> Self {
        let key = |text: &str| Key::new(HMAC_SHA256, text.as_bytes());
        Self { spoken: key(spoken), other: other.map(key) }
    }

    /// As the one who called.
    pub(crate) async fn call(&self, stream: &mut impl Duplex) -> io::Result<()> {
        let mine = nonce()?;
        stream.write_all(&GREETING).await?;
        stream.write_all(&mine).await?;
        stream.flush().await?;
        let mut theirs = Nonce::default();
        stream.read_exact(&mut theirs).await?;
        stream.write_all(hmac::sign(&self.spoken, &text(CALLER, &mine, &theirs)).as_ref()).await?;
        stream.flush().await?;
        let mut proof = [0; PROOF_BYTES];
        stream.read_exact(&mut proof).await?;
        hmac::verify(&self.spoken, &text(CALLED, &mine, &theirs), &proof).map_err(|_| unproven())
    }

    /// As the one who was called.
    pub(crate) async fn answer(&self, stream: &mut impl Duplex) -> io::Result<()> {
        let mut greeting = [0; GREETING.len()];
        stream.read_exact(&mut greeting).await?;
        if greeting != GREETING {
            let text = "it does not begin with a proof; it has no secret, or is no node";
            return Err(io::Error::new(ErrorKind::PermissionDenied, text));
        }
        let mut theirs = Nonce::default();
        stream.read_exact(&mut theirs).await?;
        let mine = nonce()?;
        stream.write_all(&mine).await?;
        stream.flush().await?;
        let mut proof = [0; PROOF_BYTES];
        stream.read_exact(&mut proof).await?;
        let said = text(CALLER, &theirs, &mine);
        let mut known = std::iter::once(&self.spoken).chain(&self.other);
        let key = known.find(|key| hmac::verify(key, &said, &proof).is_ok());
        let key = key.ok_or_else(unproven)?;
        stream.write_all(hmac::sign(key, &text(CALLED, &theirs, &mine)).as_ref()).await?;
        stream.flush().await
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

fn nonce() -> io::Result<Nonce> {
    let mut nonce = Nonce::default();
    let drawn = SystemRandom::new().fill(&mut nonce);
    drawn.map(|()| nonce).map_err(|_| io::Error::other("the system has no random bytes"))
}

/// What is signed.
fn text(who: &[u8], caller: &Nonce, called: &Nonce) -> Vec<u8> {
    [who, caller, called].concat()
}

fn unproven() -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, "it does not know the secret")
}
