//! Crowds at every door of a node that may open few files: whoever is there is served, and the log goes on.

use std::fs;
use std::net::{SocketAddr, TcpStream};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use warren_tests::cluster::Page;
use warren_tests::failover::await_that;
use warren_tests::node::{self, Node};
use warren_tests::wire::{Flags, Wire};

use super::{BOUND_BYTES, MIB, assert_bounded, confirm, publish_confirmed_on, sockets};
use crate::support::assert_serves;

/// Files and sockets that the node may have open: what a shell allows.
const FILES: u64 = 1024;

/// Clients that it takes then. It tells 64 more that there are too many.
const CLIENTS: f64 = 256.0;

/// Who comes to each door: more than it lets in. Of the others, HTTP lets no more wait than these.
const CROWD: usize = 350;

/// Files that are open when all of them are in, nearly.
const TAKEN: usize = 300 + 2 * 250;

/// What is published meanwhile: more than the log's files of this moment have room for.
const KEPT_BYTES: u64 = 128 * MIB;

/// A node with a secret, so that strangers can be told from nodes, and with few files.
fn node_with_few_files() -> Option<(Node, tempfile::TempDir)> {
    if node::elsewhere().is_some() {
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("warren.toml");
    let text = "[peers]\nsecret = 'known to the nodes alone'\n";
    fs::write(&config, text).unwrap();
    let node = Node::start_with(&["--config", config.to_str().unwrap()]);
    let pid = i32::try_from(node.pid()).ok().and_then(Pid::from_raw);
    let few = Rlimit { current: Some(FILES), maximum: Some(FILES) };
    prlimit(pid, Resource::Nofile, few).unwrap();
    // Read again, the configuration is held against the limit of this moment.
    fs::write(&config, format!("{text}[limits]\nchannel_max = 100\n")).unwrap();
    let limit = |name: &str| {
        let page = Page::of(node.addresses().metrics).unwrap();
        page.value("warren_limit", &[("limit", name)])
    };
    await_that("the limit counts", || limit("channel_max") == Some(100.0));
    assert_eq!(limit("connection_max"), Some(CLIENTS));
    Some((node, dir))
}

fn crowd(address: SocketAddr) -> Vec<TcpStream> {
    (0..CROWD).map(|_| TcpStream::connect(address).unwrap()).collect()
}

#[test]
fn crowds_at_every_door_leave_a_node_the_files_that_it_needs() {
    assert!(sockets() > 6 * CROWD, "this program may open too few files itself");
    let Some((node, _dir)) = node_with_few_files() else { return };
    let addresses = node.addresses();
    let mut there = Wire::open_channel(node.amqp()).unwrap();
    there.declare(1, "kept", Flags::DURABLE, &[]).unwrap();
    confirm(&mut there);
    let open_files = || fs::read_dir(format!("/proc/{}/fd", node.pid())).unwrap().count();

    assert_bounded(&node, "crowds at every door", BOUND_BYTES, || {
        let before = open_files();
        let doors = [addresses.amqp, addresses.http, addresses.metrics, addresses.peer];
        let crowds = doors.map(crowd);
        await_that("they are in", || open_files() > before + TAKEN);
        let body = vec![b'x'; 64 * 1024];
        let count = KEPT_BYTES / u64::try_from(body.len()).unwrap();
        publish_confirmed_on(&mut there, "kept", &body, count, 64);
        let (_, ready, _) = there.declare(1, "kept", Flags::DURABLE, &[]).unwrap();

        println!("{} files were open", open_files());
        assert_eq!(u64::from(ready), count);
        drop(crowds);
        await_that("there is room again", || Wire::open(node.amqp()).is_ok());
        assert_serves(node.amqp(), "crowds at every door");
    });
}
