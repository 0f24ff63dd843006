//! Coming back: a client that loses its connection opens another, on a node that its seed chooses.

use std::time::Duration;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use warren_tests::wire::Guest;

use crate::field::{Door, Field};
use crate::workload::session::Session;

/// Milliseconds before a client that lost its connection tries the next node.
const PAUSE_MS: std::ops::Range<u64> = 20..250;

/// The choices of one client: they follow from the seed and its name.
pub fn chance(field: &Field, who: &str) -> StdRng {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(who.as_bytes());
    StdRng::seed_from_u64(field.seed ^ u64::from(hasher.finalize()) << 16)
}

/// A node that the client may connect to.
pub fn choose<'a>(field: &'a Field, chance: &mut StdRng) -> &'a Door {
    let at = chance.random_range(0..field.doors.len());
    field.doors.get(at).expect("there are nodes")
}

/// Lives until a life ends well, or one ends badly after everything was to stop.
pub fn persist(field: &Field, who: &str, life: impl FnMut(Session, &mut StdRng) -> Result<()>) {
    persist_as(field, who, &Guest::default(), life);
}

/// As [`persist`], as somebody else, or in another vhost.
pub fn persist_as(
    field: &Field,
    who: &str,
    guest: &Guest<'_>,
    mut life: impl FnMut(Session, &mut StdRng) -> Result<()>,
) {
    let mut chance = chance(field, who);
    loop {
        let door = choose(field, &mut chance);
        let lived = Session::open_for(field, door, who, guest)
            .and_then(|session| life(session, &mut chance));
        match lived {
            Ok(()) => return,
            Err(_) if field.stop.was_said() => return,
            Err(error) => field.recorder.note(&format!("{who} at {}: {error:#}", door.name)),
        }
        std::thread::sleep(Duration::from_millis(chance.random_range(PAUSE_MS)));
    }
}
