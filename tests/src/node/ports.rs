//! Ports of this machine that nobody listens on.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Ports are taken from below the range that the kernel gives to outgoing connections
/// (32768 and up), so that no client's socket takes the port of a node that is being restarted.
const FIRST: u16 = 10_000;
const COUNT: u16 = 22_000;

/// As many addresses on loopback as asked for, all free a moment ago.
///
/// # Panics
///
/// If this machine has no free port.
pub fn free<const N: usize>() -> [SocketAddr; N] {
    // Programs that run side by side begin at different places.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(COUNT))
        .expect("smaller than COUNT");
    let mut tried = 0;
    std::array::from_fn(|_| {
        loop {
            assert!(
                tried < COUNT,
                "this machine has no free port between {FIRST} and {}",
                FIRST + COUNT
            );
            tried += 1;
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let offset = (u32::from(start) + u32::from(step)) % u32::from(COUNT);
            let port = FIRST + u16::try_from(offset).expect("smaller than COUNT");
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            if TcpListener::bind(address).is_ok() {
                return address;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let [a, b] = free();
        let [c] = free();

        assert!(a != b && b != c && a != c);
    }
}
