//! Crowds that connect and say nothing, at the doors where no client of AMQP comes in: clients of AMQP do
//! not notice, and others come in once the crowd is sent away.

use std::io::{ErrorKind, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use warren_tests::http::Client;
use warren_tests::node::{self, Node};

use super::{BOUND_BYTES, End, assert_bounded};
use crate::support::assert_serves;

/// More than are let in at one address of HTTP.
const CROWD: usize = 300;

/// By when HTTP is done with whoever says nothing: a minute, and a bit.
const HTTP_PATIENCE: Duration = Duration::from_secs(90);

/// The same of nodes, whose handshake may take five seconds.
const PEER_PATIENCE: Duration = Duration::from_secs(30);

fn crowd(address: SocketAddr) -> Vec<TcpStream> {
    (0..CROWD).map(|_| TcpStream::connect(address).unwrap()).collect()
}

/// Does `work` while clients of AMQP come and go, and looks at the node's memory meanwhile.
fn beside_clients(node: &Node, what: &str, work: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    assert_bounded(node, what, BOUND_BYTES, || {
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    assert_serves(node.amqp(), what);
                }
            });
            let end = End(&is_over);
            work();
            drop(end);
        });
    });
}

#[test]
fn whoever_says_nothing_over_http_makes_room_for_others_within_a_minute() {
    let Some(node) = node::own() else { return };
    let (http, metrics) = (node.addresses().http, node.addresses().metrics);

    beside_clients(&node, "a silent crowd at HTTP", || {
        let begin = Instant::now();
        let crowds = [crowd(http), crowd(metrics)];
        // Whoever comes behind them waits, and is served while they are still connected.
        let late = Client::new(http, "guest", "guest").within(Duration::from_millis(500));
        let kept_waiting = late.try_ask("GET", "/api/whoami", "");
        let answer =
            Client::new(http, "guest", "guest").within(HTTP_PATIENCE).ask("GET", "/api/whoami", "");
        let page = Client::nobody(metrics).within(HTTP_PATIENCE).body("/metrics").unwrap();

        println!("others were answered after {} s", begin.elapsed().as_secs());
        assert!(kept_waiting.is_err(), "the crowd is no crowd");
        assert_eq!(answer.status, 200);
        assert!(page.contains("warren_limit{"));
        drop(crowds);
    });
}

#[test]
fn whoever_does_not_prove_to_be_a_node_is_sent_away_from_the_port_of_nodes() {
    if node::elsewhere().is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("warren.toml");
    std::fs::write(&config, "[peers]\nsecret = 'known to the nodes alone'\n").unwrap();
    let node = Node::start_with(&["--config", config.to_str().unwrap()]);

    beside_clients(&node, "a silent crowd at the port of nodes", || {
        for mut stranger in crowd(node.addresses().peer) {
            stranger.set_read_timeout(Some(PEER_PATIENCE)).unwrap();
            let heard = stranger.read(&mut [0]);
            let is_over = match &heard {
                Ok(count) => *count == 0,
                Err(error) => error.kind() == ErrorKind::ConnectionReset,
            };
            assert!(is_over, "{heard:?}");
        }
    });
}
