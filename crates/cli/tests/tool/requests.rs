//! What the program asks of a node.

use crate::fake::Fake;
use crate::program::{fed, run, text};

/// What nodes say of themselves.
const OVERVIEW: (&str, u16, &str) = ("GET /api/overview", 200, r#"{"node":"warren@a"}"#);

/// The API's answer to what is refused.
const REFUSED: &str = r#"{"error":"bad_request","reason":"Validation failed\n\nno\n"}"#;

#[track_caller]
fn changes(answers: &[(&str, u16, &str)], arguments: &[&str]) -> Vec<String> {
    let node = Fake::answering(answers);
    let output = run("rabbitmqctl", &node.url, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    node.changes()
}

#[test]
fn names_are_quoted_in_paths() {
    let path = "/api/queues/a%2Fb%20c/q%3F%C3%BC";
    let purge = format!("DELETE {path}/contents");

    let asked = changes(&[(&purge, 204, "")], &["purge_queue", "-p", "a/b c", "q?ü"]);

    assert_eq!(asked, [purge]);
}

#[test]
fn a_user_is_made_once() {
    let put = "PUT /api/users/alice";
    let body = r#"{"password":"secret","tags":""}"#;

    let asked = changes(&[(put, 201, "")], &["add_user", "alice", "secret"]);
    assert_eq!(asked, [format!("{put} {body}")]);

    let node = Fake::answering(&[("GET /api/users/alice", 200, r#"{"name":"alice"}"#)]);
    let output = run("rabbitmqctl", &node.url, &["add_user", "alice", "secret"]);
    assert_eq!(output.status.code(), Some(70));
    assert_eq!(text(&output.stdout), "Adding user \"alice\" ...\n");
    assert_eq!(text(&output.stderr), "Error:\nUser \"alice\" already exists\n");
    assert!(node.changes().is_empty());
}

#[test]
fn a_password_may_come_from_stdin() {
    let node = Fake::answering(&[("PUT /api/users/alice", 201, "")]);

    let output = fed("rabbitmqctl", &node.url, &["-q", "add_user", "alice"], "secret\n");

    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(node.changes(), [r#"PUT /api/users/alice {"password":"secret","tags":""}"#]);
}

#[test]
fn other_tags_keep_the_password() {
    let user = r#"{"name":"alice","password_hash":"h","hashing_algorithm":"rabbit_password_hashing_sha512","tags":["x"]}"#;
    let answers = [("GET /api/users/alice", 200, user), ("PUT /api/users/alice", 204, "")];

    let asked = changes(&answers, &["set_user_tags", "alice", "administrator", "a,b"]);

    assert_eq!(
        asked,
        [
            r#"PUT /api/users/alice {"hashing_algorithm":"rabbit_password_hashing_sha512","password_hash":"h","tags":"administrator,a,b"}"#
        ]
    );
}

#[test]
fn who_is_not_there_has_an_exit_code_of_their_own() {
    let node = Fake::answering(&[]);
    for arguments in [
        &["delete_user", "nobody"][..],
        &["change_password", "nobody", "x"],
        &["set_user_tags", "nobody", "administrator"],
        &["set_permissions", "nobody", "", "", ""],
        &["set_topic_permissions", "nobody", "amq.topic", "", ""],
    ] {
        let output = run("rabbitmqctl", &node.url, arguments);

        assert_eq!(output.status.code(), Some(67), "{arguments:?}");
    }
}

#[test]
fn permissions_are_given_in_the_order_configure_write_read() {
    let put = "PUT /api/permissions/v1/alice";

    let asked =
        changes(&[(put, 201, "")], &["set_permissions", "-p", "v1", "alice", "c", "w", "r"]);

    assert_eq!(asked, [format!(r#"{put} {{"configure":"c","read":"r","write":"w"}}"#)]);
}

#[test]
fn a_policy_is_put_with_its_priority_as_a_number() {
    let put = "PUT /api/policies/%2F/p";
    let arguments =
        ["set_policy", "p", "^q", r#"{"max-length":1}"#, "--priority", "-3", "--apply-to=queues"];

    let asked = changes(&[(put, 201, "")], &arguments);

    assert_eq!(
        asked,
        [format!(
            r#"{put} {{"apply-to":"queues","definition":{{"max-length":1}},"pattern":"^q","priority":-3}}"#
        )]
    );
}

#[test]
fn the_nodes_reason_is_told_as_rabbitmqctl_tells_it() {
    let node = Fake::answering(&[("PUT /api/policies/%2F/p", 400, REFUSED)]);

    let output = run("rabbitmqctl", &node.url, &["-q", "set_policy", "p", "^q", "{}"]);

    assert_eq!(output.status.code(), Some(69));
    assert_eq!(text(&output.stderr), "Error:\nValidation failed\n\nno\n\n");
}

#[test]
fn limits_that_are_not_set_again_are_removed() {
    let answers = [
        ("GET /api/vhosts/%2F", 200, "{}"),
        ("GET /api/vhost-limits/%2F", 200, r#"[{"vhost":"/","value":{"max-queues":7}}]"#),
        ("PUT /api/vhost-limits/%2F/max-connections", 204, ""),
        ("DELETE /api/vhost-limits/%2F/max-queues", 204, ""),
    ];

    let asked = changes(&answers, &["set_vhost_limits", r#"{"max-connections":5}"#]);

    assert_eq!(
        asked,
        [
            r#"PUT /api/vhost-limits/%2F/max-connections {"value":5}"#,
            "DELETE /api/vhost-limits/%2F/max-queues",
        ]
    );
}

#[test]
fn a_connection_is_closed_by_what_stands_in_its_pid_column() {
    let connections = r#"[{"name":"1.2.3.4:5 -> 6.7.8.9:10","node":"warren@a"}]"#;
    let path = "DELETE /api/connections/1.2.3.4%3A5%20-%3E%206.7.8.9%3A10";
    let node = Fake::answering(&[("GET /api/connections", 200, connections), (path, 204, "")]);
    let pid = "<warren@a.1.2.3.4:5->6.7.8.9:10>";

    let listed = run("rabbitmqctl", &node.url, &["-s", "list_connections", "pid"]);
    let closed = run("rabbitmqctl", &node.url, &["close_connection", pid, "why"]);

    assert_eq!(text(&listed.stdout), format!("{pid}\n"));
    assert_eq!(closed.status.code(), Some(0), "{}", text(&closed.stderr));
    assert_eq!(node.changes(), [path]);
    assert!(node.asked().iter().any(|request| request.headers.contains("X-Reason: why\r\n")));
}

#[test]
fn a_queue_is_deleted_with_its_conditions_and_its_messages_are_told() {
    let answers = [
        ("GET /api/queues/%2F/q", 200, r#"{"messages_ready":3}"#),
        ("DELETE /api/queues/%2F/q", 204, ""),
    ];
    let node = Fake::answering(&answers);

    let output = run("rabbitmqctl", &node.url, &["delete_queue", "q", "-e", "--if-unused"]);

    assert_eq!(node.changes(), ["DELETE /api/queues/%2F/q?if-empty=true&if-unused=true"]);
    assert_eq!(
        text(&output.stdout),
        "Deleting queue 'q' on vhost '/' if queue is empty and if queue is unused ...\nQueue was successfully deleted with 3 ready messages\n"
    );
    let output = run("rabbitmqctl", &node.url, &["delete_queue", "nope"]);
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn a_drain_is_waited_for() {
    let drain = "/api/warren/nodes/warren%40a/drain";
    let (put, get) = (format!("PUT {drain}"), format!("GET {drain}"));
    let drained = r#"{"state":"drained","leaderships":0,"connections":0}"#;
    let node = Fake::answering(&[OVERVIEW, (&put, 204, ""), (&get, 200, drained)]);

    let output = run("rabbitmq-upgrade", &node.url, &["drain"]);

    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(node.changes(), [format!("{put} {{}}")]);
    assert_eq!(
        text(&output.stdout),
        "Will put node warren@a into maintenance mode. The node will no longer serve any client traffic!\n"
    );
}

#[test]
fn a_drain_that_does_not_end_is_late() {
    let drain = "/api/warren/nodes/warren%40a/drain";
    let (put, get) = (format!("PUT {drain}"), format!("GET {drain}"));
    let nodes = r#"[{"name":"warren@a","running":true},{"name":"warren@b","running":true}]"#;
    let draining = r#"{"state":"draining","leaderships":1,"connections":0}"#;
    let nodes = ("GET /api/nodes", 200, nodes);
    let node = Fake::answering(&[OVERVIEW, nodes, (&put, 204, ""), (&get, 200, draining)]);

    let output = run("rabbitmq-upgrade", &node.url, &["drain", "-t", "1"]);

    assert_eq!(output.status.code(), Some(75));
}

#[test]
fn a_node_without_others_is_drained_when_its_clients_are_gone() {
    let drain = "/api/warren/nodes/warren%40a/drain";
    let (put, get) = (format!("PUT {drain}"), format!("GET {drain}"));
    let nodes = r#"[{"name":"warren@a","running":true},{"name":"warren@b","running":false}]"#;
    let draining = r#"{"state":"draining","leaderships":1,"connections":0}"#;
    let nodes = ("GET /api/nodes", 200, nodes);
    let node = Fake::answering(&[OVERVIEW, nodes, (&put, 204, ""), (&get, 200, draining)]);

    let output = run("rabbitmq-upgrade", &node.url, &["drain"]);

    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn what_is_not_well_has_exit_code_69_and_its_reason() {
    let failed = r#"{"status":"failed","reason":"it drains"}"#;
    let node = Fake::answering(&[OVERVIEW, ("GET /health/ready", 503, failed)]);

    let output = run("rabbitmq-diagnostics", &node.url, &["-q", "check_running"]);

    assert_eq!(output.status.code(), Some(69));
    assert!(text(&output.stderr).ends_with("it drains\n"), "{}", text(&output.stderr));
}

#[test]
fn a_login_is_tried_as_that_user() {
    let nobody = r#"{"error":"not_authorised","reason":"Login failed"}"#;
    let untagged = r#"{"error":"not_authorised","reason":"Not management user"}"#;
    for (status, answer, exit) in [(200, "{}", 0), (401, untagged, 0), (401, nobody, 65)] {
        let node = Fake::answering(&[("GET /api/whoami", status, answer)]);

        let output = run("rabbitmqctl", &node.url, &["authenticate_user", "alice", "pw"]);

        assert_eq!(output.status.code(), Some(exit), "{answer}");
        let header = "Authorization: Basic YWxpY2U6cHc=\r\n";
        assert!(node.asked().iter().any(|request| request.headers.contains(header)));
    }
}

#[test]
fn definitions_go_in_and_out_as_they_are() {
    let definitions = r#"{"queues":[{"name":"q"}]}"#;
    let answers = [("GET /api/definitions", 200, definitions), ("POST /api/definitions", 204, "")];
    let node = Fake::answering(&answers);

    let exported = run("rabbitmqctl", &node.url, &["export_definitions", "-"]);
    let imported = fed("rabbitmqctl", &node.url, &["import_definitions"], &text(&exported.stdout));

    assert_eq!(text(&exported.stdout), format!("{definitions}\n"));
    assert_eq!(imported.status.code(), Some(0), "{}", text(&imported.stderr));
    assert_eq!(node.changes(), [format!("POST /api/definitions {definitions}")]);
}

#[test]
fn only_queues_of_the_node_in_question_are_local() {
    let rows = r#"[{"name":"a","node":"warren@a"},{"name":"b","node":"warren@b"}]"#;
    for command in ["list_queues", "list_unresponsive_queues"] {
        let node = Fake::answering(&[OVERVIEW, ("GET /api/queues/%2F", 200, rows)]);

        let output = run("rabbitmqctl", &node.url, &["-q", command, "--local", "name"]);

        assert_eq!(text(&output.stdout), "name\na\n", "{command}");
    }
}
