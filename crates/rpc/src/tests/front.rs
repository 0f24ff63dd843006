//! The stream between a front and its host, over sockets.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use warren_types::{BootId, ConsumerNumber, GroupId, LogIndex, NodeId, RequestSequence, Term};

use super::kit::*;
use crate::{
    DirectReply, FrontFragment, FrontItem, HostItem, MESSAGE_BYTES, MESSAGE_LIMIT_BYTES, PeerError,
    Place,
};

const SHARD: Place = Place::Shard(GroupId(u32::MAX));
const LOCAL: Place = Place::Local { boot: BootId(u64::MAX), slot: u16::MAX };

fn fragment(sequence: u64, bytes: Bytes) -> FrontFragment {
    let (sequence, heard) = (RequestSequence(sequence), RequestSequence(sequence / 2));
    FrontFragment { sequence, heard, fragment: bytes }
}

fn fragments(sequence: u64, bytes: Bytes) -> FrontItem {
    FrontItem::Fragments { place: SHARD, round: 1, fragments: vec![fragment(sequence, bytes)] }
}

fn answers(sequence: u64, bytes: Bytes) -> HostItem {
    HostItem::Answers { place: SHARD, round: 1, answers: vec![(RequestSequence(sequence), bytes)] }
}

fn number(at: usize) -> u64 {
    u64::try_from(at).expect("small")
}

/// The number of a fragment or an answer.
fn front_number(item: &FrontItem) -> u64 {
    match item {
        FrontItem::Fragments { fragments, .. } => fragments[0].sequence.0,
        other => panic!("{other:?}"),
    }
}

fn host_number(item: &HostItem) -> u64 {
    match item {
        HostItem::Answers { answers, .. } => answers[0].0.0,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_item_arrives_as_it_was_sent() {
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    let asked = vec![
        FrontItem::Subscribe { place: SHARD, round: u64::MAX, wants_rows: true },
        FrontItem::Subscribe { place: LOCAL, round: 0, wants_rows: false },
        FrontItem::Fragments {
            place: LOCAL,
            round: 3,
            fragments: vec![fragment(1, bytes("one")), fragment(u64::MAX, Bytes::new())],
        },
        FrontItem::Fragments { place: SHARD, round: 3, fragments: vec![] },
        FrontItem::DirectReply(DirectReply {
            connection: u32::MAX,
            channel: u16::MAX,
            nonce: u64::MAX,
            exchange: bytes(""),
            routing_key: Bytes::from_static(b"\xff is not UTF-8"),
            header: bytes("header"),
            body: bytes("body"),
        }),
    ];
    let told = vec![
        HostItem::Subscribed {
            place: SHARD,
            round: 3,
            term: Term(u64::MAX),
            consumers: vec![ConsumerNumber(0), ConsumerNumber(u64::MAX)],
            open: true,
        },
        HostItem::Refused { place: LOCAL, round: 3, leader: None, term: Term(0) },
        HostItem::Refused { place: SHARD, round: 3, leader: Some(NodeId(2)), term: Term(7) },
        HostItem::Answers {
            place: SHARD,
            round: 3,
            answers: vec![(RequestSequence(1), bytes("done")), (RequestSequence(2), Bytes::new())],
        },
        HostItem::Notices {
            place: LOCAL,
            notices: vec![bytes("delivered"), Bytes::new()],
            rows: vec![(LogIndex(u64::MAX), bytes("row"))],
        },
    ];
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (at_host, tell) = (Arc::clone(&heard), told.clone());
    let host = Host::start(desk(Frontend::new(Bytes::new(), move |who, items| {
        assert_eq!(who, caller());
        let (heard, tell) = (Arc::clone(&at_host), tell.clone());
        Box::pin(items.map(move |batch| {
            heard.lock().unwrap().extend(batch);
            tell.clone()
        }))
    })))
    .await;

    let batches = lasting(stream::iter([asked.clone()]));
    let (boot, mut answers) = host.peers().front(HOST, batches, PATIENCE).await.expect("open");
    let said = soon(answers.next()).await.expect("open").expect("no error");

    assert_eq!(boot, HOST_BOOT);
    assert_eq!(said, told);
    assert_eq!(*heard.lock().unwrap(), asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_is_kept_in_both_directions() {
    const ITEMS: u64 = 100_000;
    // Batches of all sizes: the n-th has n modulo 64 items.
    let mut next = 0;
    let batches: Vec<Vec<FrontItem>> = (0_u64..)
        .map_while(|batch| {
            let range = next..(next + batch % 64).min(ITEMS);
            next = range.end;
            (range.start < ITEMS)
                .then(|| range.map(|at| fragments(at, Bytes::from(at.to_string()))).collect())
        })
        .collect();
    let host = Host::start(desk(Frontend::new(Bytes::new(), |_, items| {
        let answer = |item: FrontItem| match item {
            FrontItem::Fragments { mut fragments, .. } => {
                let FrontFragment { sequence, fragment, .. } = fragments.remove(0);
                answers(sequence.0, fragment)
            }
            other => panic!("{other:?}"),
        };
        Box::pin(items.map(move |batch| batch.into_iter().map(answer).collect()))
    })))
    .await;

    let batches = lasting(stream::iter(batches));
    let (_, replies) = host.peers().front(HOST, batches, PATIENCE).await.expect("open");
    let replies = gather(replies, ITEMS.try_into().expect("small")).await;

    for (expected, item) in (0..ITEMS).zip(replies) {
        assert_eq!(item, answers(expected, Bytes::from(expected.to_string())));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_items_and_large_batches_arrive() {
    // More than one message may have, and items that are more than a batch has otherwise.
    let large = Bytes::from(vec![7; MESSAGE_BYTES * 4]);
    let small = Bytes::from(vec![8; MESSAGE_BYTES / 5]);
    let batch: Vec<FrontItem> = (0..100)
        .map(|at| fragments(at, if at % 50 == 3 { large.clone() } else { small.clone() }))
        .collect();
    let bytes: usize = batch.iter().map(crate::batch::Weighed::weight).sum();
    assert!(bytes > MESSAGE_LIMIT_BYTES);
    let host = Host::start(desk(Frontend::new(small.clone(), |_, mut items| {
        let answer = |item: FrontItem| match item {
            FrontItem::Fragments { mut fragments, .. } => {
                let FrontFragment { sequence, fragment, .. } = fragments.remove(0);
                answers(sequence.0, fragment)
            }
            other => panic!("{other:?}"),
        };
        // Everything at once, as one batch.
        let all = async move {
            let mut all = Vec::new();
            while all.len() < 100 {
                all.extend(items.next().await.expect("there is more").into_iter().map(answer));
            }
            all
        };
        Box::pin(lasting(stream::once(all)))
    })))
    .await;
    let peers = host.peers();

    let sent = lasting(stream::iter([batch.clone()]));
    let (_, replies) = peers.front(HOST, sent, PATIENCE).await.expect("open");
    let replies = gather(replies, batch.len()).await;
    let wanted = (0..100).map(|index| (LogIndex(index), vec![0])).collect();
    let rows = peers.rows(HOST, Place::Shard(LED), wanted, PATIENCE).await.expect("answered");

    for (at, (asked, answered)) in batch.iter().zip(&replies).enumerate() {
        assert_eq!((front_number(asked), host_number(answered)), (number(at), number(at)));
        let expected = if at % 50 == 3 { &large } else { &small };
        assert_eq!(*answered, answers(number(at), expected.clone()));
    }
    assert_eq!(rows.len(), 100);
    assert!(rows.iter().zip(0..).all(|((index, row), at)| *index == LogIndex(at) && *row == small));
}

#[tokio::test]
async fn a_page_of_a_stream_arrives_whole_whatever_its_size() {
    let large = Bytes::from(vec![7; MESSAGE_BYTES / 3]);
    let host =
        Host::start(desk(Frontend::new(large.clone(), |_, _| Box::pin(stream::pending())))).await;

    for question in ["", "a", "a page of many rows"] {
        let asked = Bytes::from_static(question.as_bytes());
        let place = Place::Shard(LED);
        let followed = host.peers().follow(HOST, place, asked.clone(), PATIENCE).await;

        let followed = followed.expect("answered");
        assert_eq!(followed.head, asked);
        assert_eq!(followed.rows.len(), question.len());
        assert!(followed.rows.iter().all(|(_, row)| *row == large));
    }
}

#[tokio::test]
async fn the_answer_to_a_survey_arrives_whole_whatever_its_size() {
    let host = Host::start(desk(Frontend::silent())).await;
    let peers = host.peers();
    let ask = async |question: &'static str| {
        peers.survey(HOST, Bytes::from_static(question.as_bytes()), PATIENCE).await
    };

    for question in ["0", "1", "262144", "262145", "5000000"] {
        let answer = ask(question).await.expect("answered");

        assert_eq!(answer.len().to_string(), question);
        assert!(answer.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251));
    }
    assert!(matches!(ask("a question").await, Err(PeerError::Failed { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_does_not_read_stops_the_front() {
    const ITEM_BYTES: usize = 64 * 1024;
    const ITEMS: usize = 1000;
    let (read, may_read) = watch::channel(false);
    let host = Host::start(desk(Frontend::new(Bytes::new(), move |_, items| {
        let mut may_read = may_read.clone();
        let numbers = stream::once(async move {
            may_read.wait_for(|may| *may).await.expect("the test runs");
            items
        });
        Box::pin(
            numbers.flatten().map(|batch| vec![answers(front_number(&batch[0]), Bytes::new())]),
        )
    })))
    .await;
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let body = Bytes::from(vec![1; ITEM_BYTES]);
    let batches = stream::iter(0..ITEMS).map(move |at| {
        counted.fetch_add(1, Ordering::SeqCst);
        vec![fragments(number(at), body.clone())]
    });

    let batches = lasting(batches);
    let (_, replies) = host.peers().front(HOST, batches, PATIENCE).await.expect("open");
    let stopped_at = settled(&taken).await;
    read.send(true).expect("the host runs");
    let replies = gather(replies, ITEMS).await;

    // One window, the buffers of both systems, and a few messages in between.
    assert!(stopped_at * ITEM_BYTES <= 12 * 1024 * 1024, "{stopped_at} items were taken");
    assert!(replies.iter().map(host_number).eq(0..number(ITEMS)));
}

/// What `count` is when it has not changed for a while.
async fn settled(count: &AtomicUsize) -> usize {
    let (mut seen, mut since) = (0, Instant::now());
    let deadline = Instant::now() + PATIENCE;
    while seen == 0 || since.elapsed() < Duration::from_millis(300) {
        assert!(Instant::now() < deadline, "it never stops");
        tokio::time::sleep(Duration::from_millis(5)).await;
        let current = count.load(Ordering::SeqCst);
        if current != seen {
            (seen, since) = (current, Instant::now());
        }
    }
    seen
}

#[tokio::test]
async fn a_host_that_is_killed_breaks_the_stream_at_once() {
    let host = Host::start(desk(Frontend::silent())).await;
    let peers = host.peers();
    let (_, mut replies) = peers.front(HOST, stream::pending(), PATIENCE).await.expect("open");

    let killed = Instant::now();
    host.kill();
    let error = soon(replies.next()).await.expect("an error").expect_err("killed");

    assert!(matches!(error, PeerError::Gone { node: HOST, .. }), "{error:?}");
    assert!(soon(replies.next()).await.is_none());
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
    let error = peers.front(HOST, stream::pending(), PATIENCE).await.err().expect("gone");
    assert!(matches!(error, PeerError::Gone { node: HOST, .. }), "{error:?}");
}

#[tokio::test]
async fn a_host_that_is_killed_while_much_is_on_its_way_is_gone() {
    let host = Host::start(desk(Frontend::silent())).await;
    let body = Bytes::from(vec![1; 100_000]);
    let flood = stream::repeat_with(move || vec![fragments(1, body.clone())]);
    let (_, mut replies) = host.peers().front(HOST, flood, PATIENCE).await.expect("open");

    host.kill();
    let error = soon(replies.next()).await.expect("an error").expect_err("killed");

    assert!(matches!(error, PeerError::Gone { node: HOST, .. }), "{error:?}");
}

#[tokio::test]
async fn a_host_that_stops_in_order_ends_the_stream() {
    let host = Host::start(desk(Frontend::silent())).await;
    let (_, mut replies) =
        host.peers().front(HOST, stream::pending(), PATIENCE).await.expect("open");

    host.stop().await;
    let error = soon(replies.next()).await.expect("an error").expect_err("stopped");

    assert!(matches!(error, PeerError::Gone { node: HOST, .. }), "{error:?}");
}

#[tokio::test]
async fn a_front_that_lets_go_is_noticed_by_the_host() {
    let (seen, mut ended) = mpsc::channel(2);
    let host = Host::start(desk(Frontend::new(Bytes::new(), move |_, mut items| {
        let seen = seen.clone();
        let dropped = Notify(Some(seen.clone()));
        tokio::spawn(async move {
            while items.next().await.is_some() {}
            seen.send("items").await.expect("the test runs");
        });
        // What the host would say is dropped as well.
        Box::pin(stream::pending().map(move |_: ()| {
            let _held = &dropped;
            vec![]
        }))
    })))
    .await;
    let (hold, held) = mpsc::channel(1);
    let items = ReceiverStream::new(held);
    let (_, replies) = host.peers().front(HOST, items, PATIENCE).await.expect("open");
    hold.send(vec![fragments(1, Bytes::new())]).await.expect("open");

    drop(replies);

    let mut noticed = [soon(ended.recv()).await, soon(ended.recv()).await];
    noticed.sort_unstable();
    assert_eq!(noticed, [Some("flow"), Some("items")]);
    soon(hold.closed()).await;
}

/// Says that it was dropped.
struct Notify(Option<mpsc::Sender<&'static str>>);

impl Drop for Notify {
    fn drop(&mut self) {
        let sender = self.0.take().expect("dropped once");
        sender.try_send("flow").expect("there is room");
    }
}

#[tokio::test]
async fn the_stream_is_over_when_the_items_are() {
    let (seen, mut ended) = mpsc::channel(1);
    let host = Host::start(desk(Frontend::new(Bytes::new(), move |_, mut items| {
        let seen = seen.clone();
        tokio::spawn(async move {
            let mut count = 0;
            while let Some(batch) = items.next().await {
                count += batch.len();
            }
            seen.send(count).await.expect("the test runs");
        });
        Box::pin(stream::pending())
    })))
    .await;

    let items = stream::iter([vec![fragments(1, Bytes::new())], vec![fragments(2, Bytes::new())]]);
    let (_, mut replies) = host.peers().front(HOST, items, PATIENCE).await.expect("open");

    assert_eq!(soon(ended.recv()).await, Some(2));
    assert!(soon(replies.next()).await.is_none());
}

#[tokio::test]
async fn the_boot_of_whoever_answers_is_told_with_every_stream() {
    let host = Host::start(desk(Frontend::silent())).await;
    let (peers, address) = (host.peers(), host.address.clone());
    let (first, _held) = peers.front(HOST, stream::pending(), PATIENCE).await.expect("open");

    host.stop().await;
    let again = TestDesk::new();
    again.set_identity(identity(HOST, BootId(10)));
    again.set_frontend(Frontend::silent());
    let _host = Host::start_at(&address, Arc::new(again)).await;
    let second = loop {
        // The first call may still find the broken connection.
        match peers.front(HOST, stream::pending(), PATIENCE).await {
            Ok((boot, _)) => break boot,
            Err(error) => assert!(!matches!(error, PeerError::Stranger { .. }), "{error:?}"),
        }
    };

    assert_eq!((first, second), (HOST_BOOT, BootId(10)));
}
