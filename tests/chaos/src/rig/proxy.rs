//! Stands before a door of a node on loopback, and can fall silent or reset who came through it.
//!
//! For machines that allow no network of our own: it knows to whom something goes, not from whom,
//! so that cutting two nodes off each other cuts the called one off all who call it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// How long a thread listens before it looks whether something has changed.
const LOOK: Duration = Duration::from_millis(20);

/// How long a node may take to answer a call.
const CALL: Duration = Duration::from_secs(1);

/// Bytes that are passed on at a time.
const PIECE: usize = 64 << 10;

/// A door that others use in place of a node's own.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether nothing gets through, in either direction, and nobody hears why.
    is_silent: AtomicBool,
    /// Connections of earlier ages are reset.
    age: AtomicU64,
    is_over: AtomicBool,
}

impl State {
    /// Whether connections of this age are to be served.
    fn lasts(&self, age: u64) -> bool {
        !self.is_over.load(Ordering::SeqCst) && self.age.load(Ordering::SeqCst) == age
    }
}

impl Proxy {
    /// Stands at `address` before `target`.
    ///
    /// # Errors
    ///
    /// When somebody else is there.
    pub fn stand(address: SocketAddr, target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).context("the proxy's port is taken")?;
        listener.set_nonblocking(true)?;
        let state = Arc::<State>::default();
        let copy = Arc::clone(&state);
        thread::spawn(move || accept(&listener, target, &copy));
        Ok(Self { address, state })
    }

    /// Where it stands.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nothing through, or everything.
    pub fn silence(&self, is_silent: bool) {
        self.state.is_silent.store(is_silent, Ordering::SeqCst);
    }

    /// Resets every connection.
    pub fn reset(&self) {
        self.state.age.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
    }
}

fn accept(listener: &TcpListener, target: SocketAddr, state: &Arc<State>) {
    while !state.is_over.load(Ordering::SeqCst) {
        // A call that comes while nothing gets through waits in the kernel.
        if state.is_silent.load(Ordering::SeqCst) {
            thread::sleep(LOOK);
            continue;
        }
        match listener.accept() {
            Ok((caller, _)) => {
                drop(caller.set_nonblocking(false));
                match TcpStream::connect_timeout(&target, CALL) {
                    Ok(called) => drop(connect(&caller, &called, state)),
                    Err(_) => abort(&caller),
                }
            }
            Err(_) => thread::sleep(LOOK),
        }
    }
}

fn connect(caller: &TcpStream, called: &TcpStream, state: &Arc<State>) -> Result<()> {
    let age = state.age.load(Ordering::SeqCst);
    for (from, to) in [(caller, called), (called, caller)] {
        let (from, to, state) = (from.try_clone()?, to.try_clone()?, Arc::clone(state));
        from.set_nodelay(true)?;
        from.set_read_timeout(Some(LOOK))?;
        thread::spawn(move || {
            if pass_on(&from, &to, &state, age) {
                drop(to.shutdown(std::net::Shutdown::Write));
            } else {
                abort(&from);
                abort(&to);
            }
        });
    }
    Ok(())
}

/// Passes bytes on until there are no more; gives whether that was an orderly end.
fn pass_on(mut from: &TcpStream, mut to: &TcpStream, state: &State, age: u64) -> bool {
    let mut piece = vec![0; PIECE];
    loop {
        if !state.lasts(age) {
            return false;
        }
        if state.is_silent.load(Ordering::SeqCst) {
            thread::sleep(LOOK);
            continue;
        }
        match from.read(&mut piece) {
            Ok(0) => return true,
            Ok(count) => {
                // Silence may have begun while this waited for bytes.
                while state.is_silent.load(Ordering::SeqCst) && state.lasts(age) {
                    thread::sleep(LOOK);
                }
                if !state.lasts(age) || to.write_all(&piece[..count]).is_err() {
                    return false;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return false,
        }
    }
}

/// Ends a connection with a reset.
fn abort(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
    drop(stream.shutdown(std::net::Shutdown::Both));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (TcpListener, Proxy, TcpStream, TcpStream) {
        let [address]: [SocketAddr; 1] = warren_tests::node::ports::free();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::stand(address, listener.local_addr().unwrap()).unwrap();
        let caller = TcpStream::connect(address).unwrap();
        let (called, _) = listener.accept().unwrap();
        called.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        (listener, proxy, caller, called)
    }

    #[test]
    fn what_is_said_while_it_is_silent_arrives_when_it_is_not() {
        let (_listener, proxy, mut caller, mut called) = pair();
        let mut heard = [0; 5];

        proxy.silence(true);
        caller.write_all(b"hello").unwrap();
        called.set_read_timeout(Some(LOOK * 10)).unwrap();
        let silent = called.read(&mut heard).is_err();
        proxy.silence(false);
        called.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        called.read_exact(&mut heard).unwrap();

        assert!(silent);
        assert_eq!(&heard, b"hello");
    }

    #[test]
    fn a_reset_ends_both_sides() {
        let (_listener, proxy, mut caller, mut called) = pair();
        caller.write_all(b"hello").unwrap();
        called.read_exact(&mut [0; 5]).unwrap();

        proxy.reset();

        assert!(matches!(called.read(&mut [0; 1]), Ok(0) | Err(_)));
        caller.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert!(matches!(caller.read(&mut [0; 1]), Ok(0) | Err(_)));
    }
}
