//! How much one user may have, on all connections together.

use warren_tests::cluster::Cluster;
use warren_tests::http::Client as Http;
use warren_tests::node::unique;
use warren_tests::wire::{Guest, PATIENCE, Pack, Wire, id};

use crate::support::said;

#[test]
fn a_users_channels_are_counted_over_all_connections_on_all_nodes() {
    if Cluster::is_elsewhere() {
        return;
    }
    let (cluster, user) = (Cluster::start(), unique("user"));
    let http = Http::new(cluster.http(0), "guest", "guest");
    let put =
        |path: String, body: &str| assert!(http.ask("PUT", &path, body).status < 300, "{path}");
    put(format!("/api/users/{user}"), "{\"password\": \"p\", \"tags\": \"\"}");
    put(
        format!("/api/permissions/%2F/{user}"),
        "{\"configure\": \".*\", \"write\": \".*\", \"read\": \".*\"}",
    );
    put(format!("/api/user-limits/{user}/max-channels"), "{\"value\": 3}");
    let guest = Guest { user: &user, password: "p", ..Guest::default() };
    let come = |node: usize| Wire::open_channel_for(cluster.amqp(node), PATIENCE, &guest).unwrap();
    let open = |wire: &mut Wire, channel: u16| {
        wire.send(&Pack::method(id::CHANNEL_OPEN).short("").frame(channel)).unwrap();
        said(&wire.frame().unwrap())
    };

    let (mut one, mut two) = (come(0), come(1 % cluster.len()));
    let third = open(&mut one, 2);
    let fourth = open(&mut two, 2);
    drop(two);
    let mut again = None;
    crate::support::await_that("the channels of a closed connection are not counted", || {
        let wire = Wire::open_channel_for(cluster.amqp(2 % cluster.len()), PATIENCE, &guest);
        again = wire.ok();
        again.is_some()
    });

    assert_eq!(third, "ok");
    let expected = format!(
        "530 NOT_ALLOWED - number of channels opened for user '{user}' has reached the maximum \
         allowed user limit of (3)"
    );
    assert_eq!(fourth, expected);
}
