//! Two nodes over memory, on a clock that runs only while all wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::time::Instant;
use warren_types::{NodeId, RequestSequence};

use super::kit::*;
use crate::peers::{PING_INTERVAL, PING_LIMIT};
use crate::{FrontItem, Hello, HostItem, PeerError, Peers, Ping, Place};

const ADDRESS: &str = "host:1";
const ITEM_BYTES: usize = 64 * 1024;

fn subscribe(round: u64) -> FrontItem {
    FrontItem::Subscribe { place: Place::Shard(LED), round, wants_rows: false }
}

fn refused(round: u64) -> HostItem {
    HostItem::Refused { place: Place::Shard(LED), round, leader: None, term: warren_types::Term(1) }
}

/// A number and many bytes.
fn large(number: u64) -> HostItem {
    let answers = vec![(RequestSequence(number), Bytes::from(vec![1; ITEM_BYTES]))];
    HostItem::Answers { place: Place::Shard(LED), round: 1, answers }
}

/// Refuses every round.
fn refusing() -> Arc<Frontend> {
    Frontend::new(Bytes::from_static(b"row"), |_, items| {
        let refuse = |item| match item {
            FrontItem::Subscribe { round, .. } => refused(round),
            other => panic!("{other:?}"),
        };
        Box::pin(items.map(move |batch| batch.into_iter().map(refuse).collect()))
    })
}

#[tokio::test(start_paused = true)]
async fn calls_work_while_the_clock_stands_still() {
    let net = Net::default();
    let serving = net.serve(ADDRESS, desk(refusing()));
    let peers = net.peers(ADDRESS);
    let started = Instant::now();

    let nobody = Peers::unknown_with_dialer(net.dialer());
    let hello = nobody.hello(ADDRESS, Hello { token: 1, founding: true }, PATIENCE).await;
    assert_eq!(hello.expect("answered").token, 2);
    let pong = peers.ping(HOST, Ping::default(), PATIENCE).await.expect("answered");
    assert_eq!(pong.boot, HOST_BOOT);
    let wanted = vec![(warren_types::LogIndex(4), vec![0])];
    let rows = peers.rows(HOST, Place::Shard(LED), wanted, PATIENCE).await.expect("answered");
    assert_eq!(rows.len(), 1);
    let items = lasting(stream::iter((0..1000).map(|round| vec![subscribe(round)])));
    let (boot, replies) = peers.front(HOST, items, PATIENCE).await.expect("open");
    let replies = gather(replies, 1000).await;

    assert_eq!(boot, HOST_BOOT);
    assert_eq!(replies, (0..1000).map(refused).collect::<Vec<_>>());
    assert_eq!(started.elapsed(), Duration::ZERO, "nothing waits for a timer");
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_connection_looks_like_a_process_that_is_gone() {
    let net = Net::default();
    let serving = net.serve(ADDRESS, desk(refusing()));
    let peers = net.peers(ADDRESS);
    let (_, mut replies) = peers.front(HOST, stream::pending(), PATIENCE).await.expect("open");

    serving.abort();
    let error = replies.next().await.expect("an error").expect_err("dropped");
    assert!(matches!(error, PeerError::Gone { node: HOST, .. }), "{error:?}");
    let error = peers.ping(HOST, Ping::default(), PATIENCE).await.expect_err("gone");
    assert!(matches!(error, PeerError::Gone { node: HOST, .. }), "{error:?}");

    // And back.
    let serving = net.serve(ADDRESS, desk(refusing()));
    let items = lasting(stream::iter([vec![subscribe(1)]]));
    let (_, mut replies) = peers.front(HOST, items, PATIENCE).await.expect("open");
    assert_eq!(replies.next().await.expect("open").expect("no error"), [refused(1)]);
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn who_never_answers_is_found_by_the_limit_of_the_call() {
    let net = Net::default();
    // Connections are taken and nothing else happens.
    let mut dialled = net.listen(ADDRESS);
    let taking = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Some(connection) = dialled.recv().await {
            held.push(connection);
        }
    });
    let started = Instant::now();

    let limit = Duration::from_millis(700);
    let outcome = net.peers(ADDRESS).ping(HOST, Ping::default(), limit).await;

    let error = outcome.expect_err("nobody answers");
    assert!(matches!(error, PeerError::TimedOut { node: HOST, limit_ms: 700 }), "{error:?}");
    let waited = started.elapsed();
    assert!(limit <= waited && waited < limit + Duration::from_millis(10), "{waited:?}");
    taking.abort();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_falls_silent_is_given_up() {
    let net = Net::default();
    let mut dialled = net.listen("relay:1");
    let serving = net.serve(ADDRESS, desk(refusing()));
    let behind = net.clone();
    // Passes everything on until it is told to stop, without closing anything.
    let (cut, is_cut) = tokio::sync::oneshot::channel::<()>();
    let relay = tokio::spawn(async move {
        let mut near = dialled.recv().await.expect("somebody calls");
        let mut far = behind.connect(ADDRESS).await.expect("the host listens");
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            _ = is_cut => {}
        }
        std::future::pending::<()>().await;
    });
    let peers = net.peers("relay:1");
    let (_, mut replies) = peers.front(HOST, stream::pending(), PATIENCE).await.expect("open");

    cut.send(()).expect("the relay runs");
    let silent_since = Instant::now();
    let error = replies.next().await.expect("an error").expect_err("silent");

    assert!(matches!(error, PeerError::Unreachable { node: NodeId(2), .. }), "{error:?}");
    assert!(silent_since.elapsed() <= PING_INTERVAL + PING_LIMIT + Duration::from_millis(10));
    relay.abort();
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_front_that_does_not_read_stops_the_host() {
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let frontend = Frontend::new(Bytes::new(), move |_, _| {
        let counted = Arc::clone(&counted);
        Box::pin(lasting(stream::iter(0..1000).map(move |number| {
            counted.fetch_add(1, Ordering::SeqCst);
            vec![large(number)]
        })))
    });
    let net = Net::default();
    let serving = net.serve(ADDRESS, desk(frontend));
    let peers = net.peers(ADDRESS);

    let (_, replies) = peers.front(HOST, stream::pending(), PATIENCE).await.expect("open");
    // The clock goes on when nothing moves any more.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let stopped_at = taken.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let still_at = taken.load(Ordering::SeqCst);
    let replies = gather(replies, 1000).await;

    // One window, and a few messages in between.
    assert!(stopped_at * ITEM_BYTES <= 6 * 1024 * 1024, "{stopped_at} items were taken");
    assert_eq!(still_at, stopped_at);
    assert!(replies.into_iter().eq((0..1000).map(large)));
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_read_stops_the_front() {
    let taken = Arc::new(AtomicUsize::new(0));
    let net = Net::default();
    let frontend = Frontend::new(Bytes::new(), |_, items| {
        // It holds the items without looking at them.
        Box::pin(stream::pending().map(move |()| {
            let _held = &items;
            vec![]
        }))
    });
    let serving = net.serve(ADDRESS, desk(frontend));
    let counted = Arc::clone(&taken);
    let body = Bytes::from(vec![1; ITEM_BYTES]);
    let items = stream::repeat_with(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        let sequence = RequestSequence(1);
        let fragment = crate::FrontFragment { sequence, heard: sequence, fragment: body.clone() };
        let place = Place::Shard(LED);
        vec![FrontItem::Fragments { place, round: 1, fragments: vec![fragment] }]
    });

    let (_, _held) = net.peers(ADDRESS).front(HOST, items, PATIENCE).await.expect("open");
    tokio::time::sleep(Duration::from_secs(60)).await;

    let taken = taken.load(Ordering::SeqCst);
    assert!(taken * ITEM_BYTES <= 6 * 1024 * 1024, "{taken} items were taken");
    serving.abort();
}
