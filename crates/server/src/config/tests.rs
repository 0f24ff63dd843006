//! Tests of `config`.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;

use tempfile::NamedTempFile;

use super::*;

#[test]
fn nothing_given_is_a_usable_node() {
    let loaded = Config::load(&Inputs::default()).expect("the defaults are right");

    let node = &loaded.config.node;
    assert_eq!(node.amqp.to_string(), "0.0.0.0:5672");
    assert_eq!(node.http.to_string(), "0.0.0.0:15672");
    assert_eq!(node.metrics.to_string(), "0.0.0.0:15692");
    assert_eq!(node.peer.to_string(), "127.0.0.1:25672");
    assert_eq!(node.data_dir, Path::new("./warren-data"));
    assert_eq!((node.default_user.as_str(), node.default_pass.expose()), ("guest", "guest"));
    assert_eq!(node.default_vhost, "/");
    assert_eq!(node.loopback_users, ["guest"]);
    assert_eq!(node.shards, 16);
    assert!(node.seeds.is_empty());
    assert!(loaded.warnings.is_empty());
}

#[test]
fn a_flag_beats_a_variable_which_beats_the_file_which_beats_the_default() {
    let file = file("name = 'file'\ncluster_name = 'file'\ndata_dir = 'file'\n");
    let mut inputs = inputs(&file, &[("WARREN_NAME", "variable"), ("WARREN_DATA_DIR", "variable")]);
    inputs.flags.push(("--name", "name", "flag".to_owned()));

    let node = Config::load(&inputs).expect("all of it is right").config.node;

    assert_eq!(node.name, "flag");
    assert_eq!(node.data_dir, Path::new("variable"));
    assert_eq!(node.cluster_name, "file");
    assert_eq!(node.default_user, "guest");
}

#[test]
fn opentelemetrys_variables_say_where_spans_go() {
    let file = file("[tracing]\nratio = 0.25\nservice_name = 'file'\n");
    let variables = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:4318/v1/traces"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318"),
        ("OTEL_SERVICE_NAME", "variable"),
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
    ];

    let tracing = Config::load(&inputs(&file, &variables)).expect("all is right").config.tracing;

    assert_eq!(tracing.endpoint, "http://b:4318/v1/traces", "what speaks of spans alone counts");
    assert_eq!(tracing.service_name, "variable");
    assert_eq!((tracing.sampler, tracing.ratio.value()), (Sampler::TraceIdRatio, 0.25));
}

#[test]
fn where_spans_go_and_which_must_make_sense() {
    for (text, problem) in [
        ("endpoint = 'https://c:4318'", "expected http:// and a host"),
        ("endpoint = 'c:4318'", "expected http:// and a host"),
        ("ratio = 1.5", "expected a number from 0 to 1, found '1.5'"),
        ("ratio = -1", "expected a number from 0 to 1, found '-1'"),
        ("ratio = '.'", "expected a number from 0 to 1, found a string"),
        ("sampler = 'some'", "expected one of always_on, always_off, traceidratio"),
        ("waiting_spans = 0", "expected at least 1, found 0"),
    ] {
        let text = error(&inputs(&file(&format!("[tracing]\n{text}\n")), &[]));
        assert!(text.contains(problem), "{text}");
    }
}

#[test]
fn an_unknown_key_is_an_error_that_names_file_line_and_key() {
    let file = file("name = 'a'\n\n[limits]\nheartbeat_s = 5\nhartbeat_s = 5\n");

    let text = error(&inputs(&file, &[]));

    let path = file.path().display();
    let meant = "did you mean 'limits.heartbeat_s'?";
    assert_eq!(text, format!("{path}:5: unknown key 'limits.hartbeat_s'; {meant}"));
}

#[test]
fn an_unknown_section_is_an_error_that_names_its_line() {
    let file = file("name = 'a'\n[limit]\nheartbeat_s = 5\n");

    let text = error(&inputs(&file, &[]));

    assert!(text.ends_with(":2: unknown key 'limit'"), "{text}");
}

#[test]
fn a_key_under_the_wrong_heading_is_told_where_it_belongs() {
    let file = file("[raft]\nheartbeat_s = 5\n");

    let text = error(&inputs(&file, &[]));

    assert!(text.ends_with("; did you mean 'limits.heartbeat_s'?"), "{text}");
}

#[test]
fn a_value_of_the_wrong_type_names_file_line_and_key() {
    let cases = [
        ("shards = 'many'", "shards: expected a whole number, found a string"),
        ("shards = 1.5", "shards: expected a whole number, found a fraction"),
        ("name = 7", "name: expected a string, found a whole number"),
        ("seeds = 'a:1'", "seeds: expected a list of strings, found a string"),
        ("seeds = [1]", "seeds: expected a string, found a whole number"),
        ("limits = 1", "unknown key 'limits'"),
        ("limits.heartbeat_s = 70000", "expected a number from 0 to 65535, found 70000"),
        ("log.format = 'xml'", "log.format: expected \"human\" or \"json\", found 'xml'"),
        (
            "storage.log_engine = 'rocks'",
            "storage.log_engine: expected \"rocksdb\" or \"segments\", found 'rocks'",
        ),
        ("amqp = '5672'", "amqp: expected an address and a port"),
        ("data_dir = ''", "data_dir: expected a path, found nothing"),
    ];

    for (line, expected) in cases {
        let file = file(&format!("\n{line}\n"));
        let text = error(&inputs(&file, &[]));
        assert!(text.contains(":2: ") && text.contains(expected), "{line}: {text}");
    }
}

#[test]
fn a_file_that_is_not_toml_names_its_line() {
    let file = file("name = 'a'\nshards = = 3\n");

    let text = error(&inputs(&file, &[]));

    assert!(text.contains(":2: this is not TOML: "), "{text}");
}

#[test]
fn all_problems_are_reported_at_once() {
    let file = file("a = 1\nb = 2\n");

    let text = error(&inputs(&file, &[("WARREN_SHARDS", "x")]));

    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("environment variable WARREN_SHARDS: shards: expected a whole number"));
}

#[test]
fn values_that_do_not_fit_together_name_where_the_later_one_was_given() {
    let cases = [
        ("raft.heartbeat_ms = 500\nraft.election_min_ms = 500", ":2: raft.election_min_ms: "),
        ("raft.election_min_ms = 3000", "default: raft.election_max_ms: expected more than"),
        ("shards = 0", ":1: shards: expected 1 to 256, found 0"),
        ("seeds = ['a:1', 'b']", ":1: seeds: expected host:port such as warren-0:25672, found 'b'"),
        ("advertise = 'a:0'", ":1: advertise: expected a port from 1 to 65535, found 'a:0'"),
        (
            "bootstrap_expect = 1\nseeds = ['a:1', 'b:1', 'c:1']",
            ":1: bootstrap_expect: expected more",
        ),
        ("replication_factor = 0", ":1: replication_factor: expected 1 to 7, found 0"),
        ("limits.frame_max = 4095", ":1: limits.frame_max: expected at least 4096"),
        ("limits.max_message_size = 600_000_000", ":1: limits.max_message_size: expected at most"),
        ("default_pass = ''", ":1: default_pass: expected a password"),
        ("default_user = ''", ":1: default_user: expected a name"),
        ("http = '127.0.0.1:5672'", ":1: http: 127.0.0.1:5672 is taken by 'amqp'"),
        ("log.filter = 'a=b=c'", ":1: log.filter: 'a=b=c' is no filter: "),
        ("storage.rocksdb.write_buffers = 0", ":1: storage.rocksdb.write_buffers: expected at"),
        ("storage.segment_bytes = 9", ":1: storage.segment_bytes: expected 1048576 to"),
    ];

    for (lines, expected) in cases {
        let text = error(&inputs(&file(lines), &[]));
        assert!(text.contains(expected), "{lines}: {text}");
    }
}

#[test]
fn doors_may_all_leave_their_port_to_the_system() {
    let lines = "amqp = '127.0.0.1:0'\nhttp = '127.0.0.1:0'\nmetrics = '127.0.0.1:0'\n";

    Config::load(&inputs(&file(lines), &[])).expect("port 0 is no conflict");
}

/// Other keys that a key cannot do without: path, variable and value.
fn needed_with(path: &str) -> &'static [(&'static str, &'static str, &'static str)] {
    const CERTIFICATE: (&str, &str, &str) =
        ("ssl_options.certfile", "WARREN_SSL_OPTIONS_CERTFILE", "c");
    const KEY: (&str, &str, &str) = ("ssl_options.keyfile", "WARREN_SSL_OPTIONS_KEYFILE", "k");
    const AUTHORITY: (&str, &str, &str) =
        ("ssl_options.cacertfile", "WARREN_SSL_OPTIONS_CACERTFILE", "a");
    const VERIFY: (&str, &str, &str) =
        ("ssl_options.verify", "WARREN_SSL_OPTIONS_VERIFY", "verify_peer");
    const WEB_CERTIFICATE: (&str, &str, &str) =
        ("management.ssl.certfile", "WARREN_MANAGEMENT_SSL_CERTFILE", "c");
    const WEB_KEY: (&str, &str, &str) =
        ("management.ssl.keyfile", "WARREN_MANAGEMENT_SSL_KEYFILE", "k");
    const WEB_AUTHORITY: (&str, &str, &str) =
        ("management.ssl.cacertfile", "WARREN_MANAGEMENT_SSL_CACERTFILE", "a");
    const WEB_VERIFY: (&str, &str, &str) =
        ("management.ssl.verify", "WARREN_MANAGEMENT_SSL_VERIFY", "verify_peer");
    const PEER_CERTIFICATE: (&str, &str, &str) = ("peers.certfile", "WARREN_PEERS_CERTFILE", "c");
    const PEER_KEY: (&str, &str, &str) = ("peers.keyfile", "WARREN_PEERS_KEYFILE", "k");
    const PEER_AUTHORITY: (&str, &str, &str) = ("peers.cacertfile", "WARREN_PEERS_CACERTFILE", "a");
    const SECRET: (&str, &str, &str) =
        ("peers.secret", "WARREN_PEERS_SECRET", "another of sixteen bytes");
    const LOGIN: [(&str, &str, &str); 4] = [
        ("auth_backends", "WARREN_AUTH_BACKENDS", "oauth2"),
        ("auth_oauth2.resource_server_id", "WARREN_AUTH_OAUTH2_RESOURCE_SERVER_ID", "r"),
        ("auth_oauth2.issuer", "WARREN_AUTH_OAUTH2_ISSUER", "https://a"),
        ("management.oauth_client_id", "WARREN_MANAGEMENT_OAUTH_CLIENT_ID", "c"),
    ];
    match path {
        "ssl_options.certfile" => &[KEY],
        "ssl_options.keyfile" => &[CERTIFICATE],
        "ssl_options.verify" => &[AUTHORITY],
        "ssl_options.fail_if_no_peer_cert" => &[AUTHORITY, VERIFY],
        "management.ssl.certfile" => &[WEB_KEY],
        "management.ssl.keyfile" => &[WEB_CERTIFICATE],
        "management.ssl.verify" => &[WEB_AUTHORITY],
        "management.ssl.fail_if_no_peer_cert" => &[WEB_AUTHORITY, WEB_VERIFY],
        "peers.certfile" => &[PEER_KEY, PEER_AUTHORITY],
        "peers.keyfile" => &[PEER_CERTIFICATE, PEER_AUTHORITY],
        "peers.cacertfile" => &[PEER_CERTIFICATE, PEER_KEY],
        "peers.other_secret" => &[SECRET],
        "management.oauth_enabled" => &LOGIN,
        _ => &[],
    }
}

#[test]
fn every_key_has_a_variable_that_sets_it() {
    for key in Config::default().keys() {
        // An address with a port of its own, so that no two doors meet.
        let value = match key.path.as_str() {
            "amqp" | "http" | "metrics" | "peer" | "amqps" | "https" | "metrics_https" => {
                "127.0.0.1:0".to_owned()
            }
            "log.format" => "json".to_owned(),
            "storage.log_engine" => "rocksdb".to_owned(),
            "storage.segment_bytes" | "audit.file_bytes" => "1048576".to_owned(),
            "password_hashing" => "sha256".to_owned(),
            "ssl_options.verify" | "management.ssl.verify" => "verify_peer".to_owned(),
            "ssl_options.versions" => "tlsv1.3".to_owned(),
            "ssl_options.sni" => "host=certificate:key".to_owned(),
            "ssl_options.login_from" => "common_name".to_owned(),
            "ssl_options.login_san_type" => "email".to_owned(),
            "peers.secret" | "peers.other_secret" => "sixteen bytes, at least".to_owned(),
            "seeds" => "a:1,b:2".to_owned(),
            "loopback_users" => "a,b".to_owned(),
            "advertise" => "a:1".to_owned(),
            "replication_factor" => "5".to_owned(),
            "raft.election_min_ms" => "1501".to_owned(),
            "raft.election_max_ms" => "2501".to_owned(),
            "limits.frame_max" => "8192".to_owned(),
            "limits.disk_free_limit" => "2GB".to_owned(),
            "limits.vm_memory_high_watermark" => "40%".to_owned(),
            "tracing.endpoint" => "http://a:1".to_owned(),
            "tracing.sampler" => "always_on".to_owned(),
            "tracing.ratio" => "0.5".to_owned(),
            "auth_backends" => "http,internal".to_owned(),
            "auth_oauth2.scope_aliases"
            | "auth_oauth2.signing_keys"
            | "management.oauth_authorization_endpoint_params"
            | "management.oauth_token_endpoint_params" => "a=b".to_owned(),
            "auth_oauth2.resource_servers" | "management.oauth_resource_servers" => {
                "{ a = { id = 'b' } }".to_owned()
            }
            "auth_oauth2.oauth_providers" => "{ a = { issuer = 'b' } }".to_owned(),
            "management.oauth_initiated_logon_type" => "idp_initiated".to_owned(),
            "auth_http.http_method" => "post".to_owned(),
            "auth_cache.cached_backend" => "internal".to_owned(),
            _ if key.value == "true" => "false".to_owned(),
            _ if key.value == "false" => "true".to_owned(),
            _ if key.value.starts_with('"') => "other".to_owned(),
            _ => "101".to_owned(),
        };
        let others = needed_with(&key.path);
        let variable = key.variable();
        let mut variables = vec![(variable.as_str(), value.as_str())];
        variables.extend(others.iter().map(|(_, variable, value)| (*variable, *value)));
        let inputs = environment_alone(&variables);

        let loaded = Config::load(&inputs).expect("each value is right with what it needs");

        let changed: Vec<Key> = loaded
            .config
            .keys()
            .into_iter()
            .zip(Config::default().keys())
            .filter(|(now, before)| now.value != before.value)
            .map(|(now, _)| now)
            .filter(|now| !others.iter().any(|(path, _, _)| *path == now.path))
            .collect();
        assert_eq!(changed.len(), 1, "{}", key.path);
        assert_eq!(changed[0].path, key.path);
        assert!(loaded.warnings.is_empty());
    }
}

#[test]
fn variables_are_the_keys_in_capitals() {
    let variables: Vec<String> = Config::default().keys().iter().map(Key::variable).collect();

    for name in [
        "WARREN_NAME",
        "WARREN_DATA_DIR",
        "WARREN_AMQP",
        "WARREN_HTTP",
        "WARREN_METRICS",
        "WARREN_PEER",
        "WARREN_SEEDS",
        "WARREN_LIMITS_HEARTBEAT_S",
        "WARREN_STORAGE_ROCKSDB_WAL_BYTES",
        "WARREN_LOG_FORMAT",
    ] {
        assert!(variables.iter().any(|variable| variable == name), "{name}");
    }
}

#[test]
fn no_two_keys_share_a_variable() {
    let mut variables: Vec<String> = Config::default().keys().iter().map(Key::variable).collect();
    let all = variables.len();

    variables.sort();
    variables.dedup();

    assert_eq!(variables.len(), all);
}

#[test]
fn a_list_as_text_is_split_at_commas() {
    let variables = [("WARREN_SEEDS", "a:1, b:2,,")];

    let loaded = Config::load(&environment_alone(&variables)).expect("a list is right");

    assert_eq!(loaded.config.node.seeds, ["a:1", "b:2"]);
}

#[test]
fn rabbitmqs_variables_are_honoured_and_ours_beat_them() {
    let rabbitmq = [
        ("RABBITMQ_DEFAULT_USER", "ann"),
        ("RABBITMQ_DEFAULT_PASS", "secret"),
        ("RABBITMQ_DEFAULT_VHOST", "shop"),
    ];
    let mut both = vec![("WARREN_DEFAULT_USER", "bob")];
    both.extend(rabbitmq);
    let file = file("default_vhost = 'file'\n");

    let theirs = Config::load(&inputs(&file, &rabbitmq)).expect("right").config.node;
    let ours = Config::load(&environment_alone(&both)).expect("right").config.node;

    assert_eq!(theirs.default_user, "ann");
    assert_eq!(theirs.default_pass.expose(), "secret");
    assert_eq!(theirs.default_vhost, "shop");
    assert_eq!(ours.default_user, "bob");
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let variables = [("WARREN_NAME", ""), ("WARREN_SHARDS", ""), ("RABBITMQ_DEFAULT_USER", "")];

    let loaded = Config::load(&environment_alone(&variables)).expect("nothing is set");

    assert_eq!(loaded.config, Config::default());
}

#[test]
fn a_variable_that_sets_nothing_is_reported_unless_kubernetes_gave_it() {
    let variables = [
        ("WARREN_HARTBEAT", "5"),
        ("WARREN_PORT", "tcp://10.0.0.1:5672"),
        ("WARREN_PORT_5672_TCP_ADDR", "10.0.0.1"),
        ("WARREN_SERVICE_HOST", "10.0.0.1"),
        ("WARREN_SERVICE_PORT_AMQP", "5672"),
    ];

    let loaded = Config::load(&environment_alone(&variables)).expect("nothing is set");

    assert_eq!(loaded.warnings, ["environment variable WARREN_HARTBEAT sets nothing"]);
}

#[test]
fn a_variable_names_the_file_and_a_flag_names_another() {
    let by_variable = file("name = 'variable'\n");
    let by_flag = file("name = 'flag'\n");
    let path = by_variable.path().to_str().expect("a temporary path is UTF-8");
    let from_variable = environment_alone(&[(CONFIG_VARIABLE, path)]);
    let from_flag = Inputs { file: Some(by_flag.path().to_owned()), ..from_variable.clone() };

    let first = Config::load(&from_variable).expect("right").config.node.name;
    let second = Config::load(&from_flag).expect("right").config.node.name;

    assert_eq!((first.as_str(), second.as_str()), ("variable", "flag"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let inputs = Inputs { file: Some("/nowhere/warren.toml".into()), ..Inputs::default() };

    assert_eq!(error(&inputs), "cannot read the configuration file /nowhere/warren.toml");
}

#[test]
fn a_wrong_flag_names_the_flag() {
    let inputs = Inputs { flags: vec![("--amqp", "amqp", "x".to_owned())], ..Inputs::default() };

    assert!(error(&inputs).starts_with("--amqp: amqp: expected an address"), "{}", error(&inputs));
}

#[test]
fn the_reference_reads_back_as_the_same_configuration() {
    let mut config = Config::default();
    config.node.seeds = vec!["a:1".to_owned(), "[::1]:2".to_owned()];
    config.node.loopback_users = vec!["a\"b".to_owned(), "c".to_owned()];
    config.node.name = "new\nline".to_owned();
    let file = file(&config.reference());

    let loaded = Config::load(&inputs(&file, &[])).expect("what we write is right");

    assert_eq!(loaded.config, config);
}

#[test]
fn a_password_is_not_shown_in_debug_output() {
    let mut config = Config::default();
    config.node.default_pass = Secret::new("hunter2");

    assert!(!format!("{config:?}").contains("hunter2"));
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file can be made");
    file.write_all(text.as_bytes()).expect("it can be written");
    file
}

fn inputs(file: &NamedTempFile, variables: &[(&str, &str)]) -> Inputs {
    Inputs { file: Some(file.path().to_owned()), ..environment_alone(variables) }
}

fn environment_alone(variables: &[(&str, &str)]) -> Inputs {
    let variables =
        variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Inputs { variables: variables.collect(), ..Inputs::default() }
}

fn error(inputs: &Inputs) -> String {
    Config::load(inputs).expect_err("something is wrong").to_string()
}
