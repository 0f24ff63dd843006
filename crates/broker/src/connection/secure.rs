//! A client's bytes under TLS.
//!
//! The connection's task reads and writes without waiting, in bursts, as it does without TLS: what
//! one read gives is every record that has arrived, as far as there is room.

use std::io::{self, BufRead as _, ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use tokio::net::TcpStream;
use warren_tls::ServerConnection;

use super::socket::Stream;

/// A TCP connection on which a handshake has been made.
pub(crate) struct Secured {
    stream: TcpStream,
    /// One task uses it, in both directions; the lock is never waited for.
    session: Mutex<ServerConnection>,
}

/// The socket, as the TLS library wants it.
struct Raw<'a>(&'a TcpStream);

impl Secured {
    /// The two halves of a handshake's outcome.
    pub(crate) fn new(stream: TcpStream, session: ServerConnection) -> Self {
        Self { stream, session: Mutex::new(session) }
    }

    fn session(&self) -> MutexGuard<'_, ServerConnection> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what is encrypted already.
    fn flush(&self, session: &mut ServerConnection) -> io::Result<()> {
        while session.wants_write() {
            session.write_tls(&mut Raw(&self.stream))?;
        }
        Ok(())
    }

    /// Decrypts what has arrived. 0 bytes are the end.
    fn arrived(&self, session: &mut ServerConnection) -> io::Result<usize> {
        let count = session.read_tls(&mut Raw(&self.stream))?;
        if let Err(error) = session.process_new_packets() {
            // The client is told why, if it still listens.
            let _told = self.flush(session);
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
        Ok(count)
    }
}

impl Stream for Secured {
    fn set_nodelay(&self, at_once: bool) -> io::Result<()> {
        self.stream.set_nodelay(at_once)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    async fn readable(&self) -> io::Result<()> {
        let waits = self.session().process_new_packets();
        if waits.is_ok_and(|state| state.plaintext_bytes_to_read() > 0) {
            return Ok(());
        }
        self.stream.readable().await
    }

    async fn writable(&self) -> io::Result<()> {
        self.stream.writable().await
    }

    fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let mut session = self.session();
        let mut count = 0_usize;
        loop {
            count = count.saturating_add(take(&mut session, buffer)?);
            if buffer.len() == buffer.capacity() {
                return Ok(count);
            }
            match self.arrived(&mut session) {
                Ok(0) => return Ok(count),
                Ok(_) => {}
                // Whatever it is, it will be met again by the next read.
                Err(_) if count > 0 => return Ok(count),
                Err(error) => return Err(error),
            }
        }
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut session = self.session();
        self.flush(&mut session)?;
        let count = session.writer().write_vectored(slices)?;
        match self.flush(&mut session) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            Ok(()) | Err(_) => Ok(count),
        }
    }

    fn has_unsent(&self) -> bool {
        self.session().wants_write()
    }

    fn try_flush(&self) -> io::Result<()> {
        self.flush(&mut self.session())
    }
}

impl Drop for Secured {
    /// Says goodbye, so that the client knows that nothing was cut off.
    fn drop(&mut self) {
        let mut session = self.session();
        session.send_close_notify();
        let _said = self.flush(&mut session);
    }
}

/// Moves what is decrypted into `buffer`, as far as there is room.
fn take(session: &mut ServerConnection, buffer: &mut BytesMut) -> io::Result<usize> {
    let mut count = 0_usize;
    let mut reader = session.reader();
    loop {
        let room = buffer.capacity().saturating_sub(buffer.len());
        let chunk = match reader.fill_buf() {
            Ok(chunk) => chunk,
            // An end without goodbye is found by whoever reads from the socket next.
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::UnexpectedEof) =>
            {
                return Ok(count);
            }
            Err(error) => return Err(error),
        };
        let taken = chunk.get(..room).unwrap_or(chunk);
        if taken.is_empty() {
            return Ok(count);
        }
        buffer.extend_from_slice(taken);
        let length = taken.len();
        reader.consume(length);
        count = count.saturating_add(length);
    }
}

impl Read for Raw<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
