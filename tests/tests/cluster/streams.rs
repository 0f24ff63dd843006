//! Streams that are read where there is no replica of them.

use warren_tests::cluster::Cluster;
use warren_tests::http::Client as Api;
use warren_tests::node::unique;
use warren_tests::wire::{Field, Pack, Properties, consume, id, pairs};

use crate::support::{Client, await_that, numbers, texts};

#[test]
fn a_stream_is_read_through_a_node_without_a_replica_whichever_replica_dies() {
    let Some(mut cluster) = Cluster::own(4) else { return };
    let stream = unique("far");
    let kind = [("x-queue-type", Field::text("stream"))];
    Client::of(&cluster, 0).declare_with(&stream, &kind);
    let members = members(&cluster, &stream);
    let outsider = (0..4).find(|node| !members.contains(node)).expect("three of four have it");
    let mut publisher = Client::of(&cluster, outsider);
    let mut reader = Client::of(&cluster, outsider);
    let qos = Pack::method(id::QOS).u32(0).u16(1000).u8(0).frame(1);
    reader.wire.call(1, qos, id::QOS_OK).unwrap();
    let first = pairs(&[("x-stream-offset", Field::text("first"))]);
    reader.wire.call(1, consume(1, &stream, "tag", 0, &first), id::CONSUME_OK).unwrap();
    let mut published = 0..10;
    publisher.put_numbers(&stream, published.clone());
    assert_eq!(texts(&reader.next(10)), numbers(published.clone()));

    for node in members {
        cluster.kill9(node);
        published = published.end..published.end + 10;
        publisher.put_numbers(&stream, published.clone());
        let read = reader.next(10);

        assert_eq!(texts(&read), numbers(published.clone()), "node {node} was killed");
        let offsets = read.iter().map(|message| {
            let properties = Properties::decode(&message.properties);
            properties.header("x-stream-offset").cloned()
        });
        let from = i64::try_from(published.start).unwrap();
        assert!(offsets.eq((from..from + 10).map(|offset| Some(Field::I64(offset)))));
        assert!(reader.rest().is_empty(), "nothing comes twice");
        cluster.restart(node);
        cluster.wait_complete();
    }
}

/// The nodes that have a replica.
fn members(cluster: &Cluster, stream: &str) -> Vec<usize> {
    let api = |node: usize| Api::new(cluster.http(node), "guest", "guest");
    let name = |node: usize| api(node).value("/api/overview")["node"].clone();
    let names: Vec<_> = (0..4).map(name).collect();
    let mut members = Vec::new();
    await_that("three nodes have the stream", || {
        let row = api(0).value(&format!("/api/queues/%2F/{stream}"));
        let has =
            |node: &usize| row["members"].as_array().is_some_and(|all| all.contains(&names[*node]));
        members = (0..4).filter(has).collect();
        members.len() == 3
    });
    members
}
