//! Which node is found, under which name the program does what, and how it ends when there is none.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use crate::fake::Fake;
use crate::program::{command, run, text};

#[test]
fn the_node_of_a_data_directory_is_asked_with_its_secret() {
    let node = Fake::answering(&[("GET /api/users", 200, "[]")]);
    let dir = Dir::new("secret");
    let address = node.url.strip_prefix("http://").expect("it is HTTP");
    fs::write(dir.0.join("management.addresses"), format!("amqp=127.0.0.1:1\nhttp={address}\n"))
        .expect("there is room");
    fs::write(dir.0.join("management.secret"), "00ff\n").expect("there is room");

    let output = command("rabbitmqctl", &["list_users"])
        .env("WARREN_DATA_DIR", &dir.0)
        .output()
        .expect("the program runs");

    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(node.asked()[0].headers.contains("Authorization: Bearer 00ff\r\n"));
}

#[test]
fn a_secret_is_not_sent_to_an_address_that_was_given() {
    let node = Fake::answering(&[("GET /api/users", 200, "[]")]);
    let dir = Dir::new("elsewhere");
    fs::write(dir.0.join("management.addresses"), "http=127.0.0.1:1\n").expect("there is room");
    fs::write(dir.0.join("management.secret"), "00ff").expect("there is room");

    let arguments = ["list_users", "--url", &node.url, "--username", "a", "--password", "b"];
    let output = command("rabbitmqctl", &arguments)
        .env("WARREN_DATA_DIR", &dir.0)
        .output()
        .expect("the program runs");

    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(node.asked()[0].headers.contains("Authorization: Basic YTpi\r\n"));
}

#[test]
fn a_secret_is_not_sent_to_another_node() {
    let other = Fake::answering(&[("GET /health/live", 200, r#"{"status":"ok"}"#)]);
    let port = other.url.rsplit(':').next().expect("it has a port");
    let listeners = format!(
        r#"{{"node":"warren@a","listeners":[{{"node":"warren@b","protocol":"http","ip_address":"127.0.0.1","port":{port}}}]}}"#
    );
    let nodes = r#"[{"name":"warren@a"},{"name":"warren@b"}]"#;
    let own =
        Fake::answering(&[("GET /api/nodes", 200, nodes), ("GET /api/overview", 200, &listeners)]);
    let dir = Dir::new("other");
    let address = own.url.strip_prefix("http://").expect("it is HTTP");
    fs::write(dir.0.join("management.addresses"), format!("http={address}\n"))
        .expect("there is room");
    fs::write(dir.0.join("management.secret"), "00ff").expect("there is room");

    let output = command("rabbitmq-diagnostics", &["ping", "-n", "warren@b"])
        .env("WARREN_DATA_DIR", &dir.0)
        .output()
        .expect("the program runs");

    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(own.asked()[0].headers.contains("Authorization: Bearer 00ff\r\n"));
    assert_eq!(other.asked().len(), 1);
    assert!(!other.asked()[0].headers.contains("00ff"));
}

#[test]
fn a_directory_without_a_node_is_said() {
    let dir = Dir::new("empty");

    let output = command("warrenctl", &["list_users"])
        .env("WARREN_DATA_DIR", &dir.0)
        .output()
        .expect("the program runs");

    assert_eq!(output.status.code(), Some(69));
    assert!(text(&output.stderr).contains("no node has run in"), "{}", text(&output.stderr));
}

#[test]
fn nobody_there_is_unavailable_and_said_on_stderr() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    drop(listener);

    let output = run("rabbitmqctl", &format!("http://{address}"), &["-q", "list_users"]);

    assert_eq!(output.status.code(), Some(69));
    assert!(output.stdout.is_empty());
    assert!(text(&output.stderr).starts_with("Error: the node at http://127.0.0.1:"));
}

#[test]
fn a_node_that_does_not_answer_in_time_is_late() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");

    let output = run("rabbitmqctl", &format!("http://{address}"), &["list_users", "-t", "1"]);

    assert_eq!(output.status.code(), Some(75));
    assert!(text(&output.stderr).contains("timed out. Timeout value used: 1"));
}

#[test]
fn a_start_is_waited_for_until_the_node_has_written_where_it_is() {
    let node = Fake::answering(&[("GET /health/startup", 200, r#"{"status":"ok"}"#)]);
    let dir = Dir::new("starting");
    let late = ["await_startup", "-t", "0"];
    let before = command("rabbitmqctl", &late).env("WARREN_DATA_DIR", &dir.0).output();
    assert_eq!(before.expect("the program runs").status.code(), Some(69));

    let mut waiting = command("rabbitmqctl", &["await_startup"])
        .env("WARREN_DATA_DIR", &dir.0)
        .spawn()
        .expect("the program runs");
    let address = node.url.strip_prefix("http://").expect("it is HTTP");
    fs::write(dir.0.join("management.secret"), "00ff").expect("there is room");
    fs::write(dir.0.join("management.addresses"), format!("http={address}\n"))
        .expect("there is room");

    assert!(waiting.wait().expect("the program ends").success());
}

#[test]
fn either_part_of_a_nodes_name_is_enough() {
    let nodes = r#"[{"name":"warren@a"},{"name":"warren@b"}]"#;
    let answers = [
        ("GET /api/nodes", 200, nodes),
        ("GET /api/overview", 200, r#"{"node":"warren@a"}"#),
        ("GET /health/ready", 200, r#"{"status":"ok"}"#),
    ];
    let node = Fake::answering(&answers);

    for (name, exit) in [("a", 0), ("warren@a", 0), ("warren", 69)] {
        let output = run("rabbitmq-diagnostics", &node.url, &["-n", name, "check_running"]);

        assert_eq!(output.status.code(), Some(exit), "{name}: {}", text(&output.stderr));
    }
}

#[test]
fn a_node_that_no_cluster_has_is_unavailable() {
    let nodes = r#"[{"name":"warren@a","running":true}]"#;
    let node = Fake::answering(&[("GET /api/nodes", 200, nodes)]);

    let output = run("rabbitmqctl", &node.url, &["-n", "warren@b", "status"]);

    assert_eq!(output.status.code(), Some(69));
    assert!(text(&output.stderr).contains("'warren@b'"));
}

#[test]
fn nodes_that_did_not_answer_are_named_on_stderr() {
    // Sent by hand, as prepared answers have no headers.
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    let node = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().expect("a client comes");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("the request has an end");
            request.push(byte[0]);
        }
        let answer = b"HTTP/1.1 200 OK\r\nX-Warren-Stale: warren@b\r\nContent-Length: 2\r\n\r\n[]";
        stream.write_all(answer).expect("the client reads");
    });

    let output = run("rabbitmqctl", &format!("http://{address}"), &["list_connections"]);

    node.join().expect("the node was asked");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).ends_with("did not answer: warren@b\n"));
}

#[test]
fn programs_know_what_is_theirs() {
    let cases = [
        ("rabbitmqctl", "list_queues", true),
        ("rabbitmqctl", "declare_queue", false),
        ("rabbitmqctl", "enable", false),
        ("rabbitmq-diagnostics", "list_queues", true),
        ("rabbitmq-diagnostics", "add_user", false),
        ("rabbitmq-queues", "grow", true),
        ("rabbitmq-queues", "list_queues", false),
        ("rabbitmq-plugins", "enable", true),
        ("rabbitmq-upgrade", "drain", true),
        ("warrenctl", "declare_queue", true),
        ("warrenctl", "drain", true),
    ];

    for (name, wanted, known) in cases {
        let output = command(name, &["help", wanted]).output().expect("the program runs");

        assert_eq!(output.status.success(), known, "{name} {wanted}");
    }
}

#[test]
fn what_is_built_in_counts_as_an_enabled_plugin_and_nothing_else_does() {
    let run = |arguments| command("rabbitmq-plugins", arguments).output().expect("it runs");

    assert_eq!(run(&["enable", "rabbitmq_management"]).status.code(), Some(0));
    assert_eq!(run(&["is_enabled", "rabbitmq_prometheus"]).status.code(), Some(0));
    let unknown = run(&["enable", "rabbitmq_nonsense"]);
    assert_eq!(unknown.status.code(), Some(65));
    assert_eq!(
        text(&unknown.stderr),
        "Error:\nThe following plugins were not found: rabbitmq_nonsense\n"
    );
    assert_eq!(run(&["is_enabled", "rabbitmq_nonsense"]).status.code(), Some(69));
    assert_eq!(run(&["disable", "rabbitmq_management"]).status.code(), Some(69));
}

#[test]
fn a_reader_who_has_had_enough_is_no_mistake() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);

    let ended = command("warrenctl", &["help"]).stdout(writer).output().unwrap();

    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(text(&ended.stderr), "");
}

#[test]
fn help_and_version_need_no_node() {
    for arguments in
        [&["help"][..], &["--help"], &["version"], &["--version"], &["list_users", "-?"]]
    {
        let output = command("rabbitmqctl", arguments).output().expect("the program runs");

        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(output.stderr.is_empty(), "{arguments:?}");
    }
    let output = command("rabbitmqctl", &[]).output().expect("the program runs");
    assert_eq!(output.status.code(), Some(64));
    assert!(output.stdout.is_empty());
}

/// A directory that is removed in the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = format!("warrenctl-{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(dir);
        fs::create_dir_all(&dir).expect("there is room");
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
