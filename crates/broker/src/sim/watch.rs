//! Tells the history what nodes know and come to, while a run goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;

use super::history::Session;
use super::network::{Life, Spot};
use super::node::Serving;
use super::world::World;

/// Tells the history what a node knows of sessions that are over, and of leaders.
pub(super) async fn watch(world: World, spot: Spot) {
    let life = world.homes()[&spot].life();
    let current = || {
        let homes = world.homes();
        homes[&spot].is_up() && homes[&spot].life() == life
    };
    while current() {
        let Some(serving) = world.homes()[&spot].serving() else {
            sleep(Duration::from_millis(5)).await;
            continue;
        };
        tokio::select! {
            biased;
            () = watch_sessions(&world, &serving) => return,
            () = watch_status(&world, spot, life, &serving) => return,
            () = async { while current() { sleep(Duration::from_millis(20)).await } } => return,
        }
    }
}

async fn watch_sessions(world: &World, serving: &Serving) {
    let mut progress = serving.catalog.progress();
    let mut known: BTreeSet<Session> = BTreeSet::new();
    loop {
        let rows: Vec<(Session, bool)> = serving.catalog.inspect(|catalog| {
            catalog.nodes().map(|row| ((row.id, row.boot), row.running)).collect()
        });
        let applied = serving.catalog.applied();
        for (session, running) in &rows {
            world.session_seen(*session, applied, *running);
        }
        // A node that was forgotten has no row.
        let there = |session: &&Session| rows.iter().any(|((node, _), _)| *node == session.0);
        for session in known.iter().filter(|session| !there(session)) {
            world.session_seen(*session, applied, false);
        }
        known = rows.into_iter().map(|(session, _)| session).collect();
        if progress.changed().await.is_err() {
            return;
        }
    }
}

async fn watch_status(world: &World, spot: Spot, life: Life, serving: &Serving) {
    // Of a life that is over nothing is told: whoever comes next may have lost its disk.
    while world.home(spot, |home| home.is_up() && home.life() == life) {
        for group in World::groups() {
            match serving.consensus.status(group) {
                Some(status) => world.history.status(spot, life, group, &status),
                None => world.history.absent(spot, life, group),
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Tells the history what replicas come to, again and again.
pub(super) async fn watch_states(world: World) {
    loop {
        for group in World::groups() {
            for (spot, (applied, digest)) in world.looks(group) {
                world.history.state(spot, group, applied, digest);
            }
        }
        sleep(Duration::from_millis(250)).await;
    }
}
