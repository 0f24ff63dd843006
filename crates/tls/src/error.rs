//! Why there is no TLS.

use std::io;
use std::path::PathBuf;

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {text}", path.display())]
    Senseless {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        text: String,
    },
    /// The files do not fit together.
    #[error("the certificates in {} cannot be used: {text}", path.display())]
    Unusable {
        /// The file with the certificate.
        path: PathBuf,
        /// What is wrong with them.
        text: String,
    },
}
