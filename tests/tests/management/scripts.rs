//! Shell scripts that were written for RabbitMQ's tools, run by `warrenctl` under their names.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;

use warren_tests::cluster::Cluster;
use warren_tests::ctl::Ctl;
use warren_tests::node::Node;
use warren_tests::tools;
use warren_tests::wire::{Flags, Wire};

fn script(name: &str) -> PathBuf {
    let package = std::env::var("CARGO_MANIFEST_DIR");
    let package = package.as_deref().unwrap_or(env!("CARGO_MANIFEST_DIR"));
    PathBuf::from(package).join("tests/management/scripts").join(name)
}

/// An address of this machine that is not loopback. Nothing is sent to find it.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Kept for documentation: whoever is asked for the way there names the interface to the world.
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback()).then_some(address)
}

#[test]
fn a_user_that_a_script_made_logs_in_from_another_address_and_guest_does_not() {
    let Some(own) = own_address() else {
        return tools::without("this machine has no address but loopback");
    };
    let mut node = Node::prepared();
    node.listen_everywhere();
    node.restart();
    let elsewhere = SocketAddr::new(own, node.amqp().port());

    Ctl::install().run(&script("users.sh"), &node.data_dir(), &["ann", "s3cret"]);

    let mut ann = Wire::open_as(elsewhere, "ann", "s3cret").unwrap();
    ann.channel(1).unwrap();
    assert!(Wire::open_as(elsewhere, "guest", "guest").is_err());
    assert!(Wire::open_as(elsewhere, "ann", "wrong").is_err());
}

#[test]
fn a_script_sees_a_queue_fill_and_empty() {
    let node = Node::start();
    let ctl = Ctl::install();
    let depth = || ctl.run(&script("depth.sh"), &node.data_dir(), &["work"]).trim().to_owned();
    let mut wire = Wire::open_channel(node.amqp()).unwrap();
    wire.declare(1, "work", Flags::DURABLE, &[]).unwrap();

    let empty = depth();
    for body in [b"a", b"b", b"c"] {
        wire.publish_to(1, "work", body).unwrap();
    }
    let held = wire.get(1, "work", false).unwrap().unwrap();
    let full = depth();
    while wire.get(1, "work", true).unwrap().is_some() {}
    let consumed = depth();

    assert_eq!(held.body, b"a");
    assert_eq!([empty, full, consumed], ["0", "3", "1"]);
}

#[test]
fn a_script_reads_the_status_of_a_node() {
    let node = Node::start();

    let said = Ctl::install().run(&script("status.sh"), &node.data_dir(), &[]);

    assert!(said.contains(&format!("OS PID: {}", node.pid())), "{said}");
    assert!(said.contains("rabbitmq_management"), "{said}");
}

#[test]
fn a_script_resets_a_node_to_what_it_was_at_first() {
    let node = Node::start();
    let ctl = Ctl::install();
    ctl.run(&script("users.sh"), &node.data_dir(), &["ann", "s3cret"]);

    let users = ctl.run(&script("reset.sh"), &node.data_dir(), &[]);

    assert!(users.contains("guest\t[administrator]"), "{users}");
    assert!(!users.contains("ann\t"), "{users}");
    assert!(Wire::open_as(node.amqp(), "ann", "s3cret").is_err());
    Wire::open(node.amqp()).unwrap();
}

#[test]
fn a_script_takes_a_node_out_of_a_cluster_and_has_it_join_again() {
    let Some(cluster) = Cluster::own(3) else { return };
    let ctl = Ctl::install();
    let leaves = cluster.data_dir(2);
    let stays = cluster.data_dir(0);
    let running = || ctl.run(&script("nodes.sh"), &stays, &[]).trim().to_owned();
    let before = running();

    ctl.run(&script("leave.sh"), &leaves, &[]);
    let without = running();
    let other = cluster.peer(0).to_string();
    ctl.run(&script("join.sh"), &leaves, &[&other]);
    let after = running();

    assert_eq!([before, without, after], ["3", "2", "3"]);
    assert_eq!(ctl.run(&script("nodes.sh"), &leaves, &[]).trim(), "3");
}
