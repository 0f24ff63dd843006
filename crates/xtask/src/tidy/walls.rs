//! The walls: which crate may know what, each with its reason.

/// A crate and those of ours that it may use.
pub(super) struct Arrows {
    pub(super) krate: &'static str,
    pub(super) may_use: &'static [&'static str],
}

/// The map. An arrow that is not here is a design decision.
pub(super) const ARROWS: [Arrows; 16] = [
    Arrows { krate: "types", may_use: &[] },
    Arrows { krate: "machine", may_use: &["types"] },
    Arrows { krate: "amqp", may_use: &["types"] },
    Arrows { krate: "catalog", may_use: &["types", "machine"] },
    Arrows { krate: "queue", may_use: &["types", "machine"] },
    Arrows { krate: "storage", may_use: &["types"] },
    Arrows { krate: "tls", may_use: &[] },
    Arrows { krate: "auth", may_use: &["tls"] },
    Arrows { krate: "rpc", may_use: &["types", "tls"] },
    Arrows { krate: "consensus", may_use: &["types", "machine", "storage", "rpc"] },
    Arrows {
        krate: "broker",
        may_use: &[
            "types",
            "machine",
            "amqp",
            "catalog",
            "queue",
            "consensus",
            "rpc",
            "tls",
            "auth",
        ],
    },
    Arrows { krate: "management", may_use: &["types", "tls", "catalog", "broker"] },
    Arrows {
        krate: "server",
        may_use: &["types", "storage", "rpc", "consensus", "broker", "management", "tls"],
    },
    Arrows { krate: "cli", may_use: &["types"] },
    Arrows { krate: "xtask", may_use: &[] },
    // What needs more than one crate is tested here, so every arrow is allowed.
    Arrows {
        krate: "tests",
        may_use: &[
            "tests",
            "types",
            "machine",
            "amqp",
            "catalog",
            "queue",
            "storage",
            "rpc",
            "consensus",
            "broker",
            "management",
            "server",
            "tls",
            "auth",
        ],
    },
];

/// A crate that the tests of another may use, and nothing else of it.
pub(super) struct TestArrow {
    pub(super) krate: &'static str,
    pub(super) uses: &'static str,
}

/// The tests that need more of us than their crate does: several brokers in one process stand on
/// real consensus, and that stands on a disk in memory.
pub(super) const TEST_ARROWS: [TestArrow; 1] = [TestArrow { krate: "broker", uses: "storage" }];

/// A third-party crate that stays behind a wall.
pub(super) struct Fence {
    pub(super) package: &'static str,
    pub(super) only: &'static [&'static str],
    pub(super) reason: &'static str,
}

/// Third-party crates and the only crates of ours that may name them.
pub(super) const FENCES: [Fence; 16] = [
    Fence {
        package: "openraft",
        only: &["consensus"],
        reason: "an upgrade of the Raft library, or another one, must touch one crate",
    },
    Fence {
        package: "rocksdb",
        only: &["storage"],
        reason: "another engine must be able to take its place behind storage's interface",
    },
    Fence {
        package: "librocksdb-sys",
        only: &["storage"],
        reason: "another engine must be able to take its place behind storage's interface",
    },
    Fence { package: "tonic", only: &["rpc"], reason: "what travels between nodes is rpc's alone" },
    Fence {
        package: "tonic-prost",
        only: &["rpc"],
        reason: "what travels between nodes is rpc's alone",
    },
    Fence {
        package: "tonic-prost-build",
        only: &["rpc"],
        reason: "what travels between nodes is rpc's alone",
    },
    Fence { package: "prost", only: &["rpc"], reason: "what travels between nodes is rpc's alone" },
    Fence {
        package: "amq-protocol",
        only: &["amqp"],
        reason: "the rest of warren speaks in events, not in generated classes",
    },
    Fence {
        package: "rustls",
        only: &["tls", "cli"],
        reason: "what is believed, and in which words it is told, is decided once",
    },
    Fence {
        package: "x509-parser",
        only: &["tls"],
        reason: "what is believed, and in which words it is told, is decided once",
    },
    Fence { package: "axum", only: &["management"], reason: "one front door for HTTP" },
    Fence {
        package: "hyper",
        only: &["management", "auth"],
        reason: "one front door for HTTP, and one way out",
    },
    Fence {
        package: "opentelemetry",
        only: &["server"],
        reason: "the broker makes spans of its own, which any exporter can carry away",
    },
    Fence {
        package: "opentelemetry-otlp",
        only: &["server"],
        reason: "the broker makes spans of its own, which any exporter can carry away",
    },
    Fence {
        package: "opentelemetry_sdk",
        only: &["server"],
        reason: "the broker makes spans of its own, which any exporter can carry away",
    },
    Fence {
        package: "clap",
        only: &["server", "cli", "xtask"],
        reason: "only programs have a command line",
    },
];

/// Crates whose code is a function of its arguments.
pub(super) const PURE: [&str; 5] = ["types", "machine", "amqp", "catalog", "queue"];

/// Something that some crates must not depend on.
pub(super) struct Ban {
    pub(super) packages: &'static [&'static str],
    pub(super) crates: &'static [&'static str],
    /// Whether tests may use it all the same.
    pub(super) tests_may: bool,
    pub(super) reason: &'static str,
}

pub(super) const BANS: [Ban; 4] = [
    Ban {
        packages: &["tokio", "tokio-util", "tokio-stream", "async-std", "smol"],
        crates: &["types", "machine", "amqp", "catalog", "queue"],
        tests_may: false,
        reason: "a pure crate takes bytes, entries and time as arguments and waits for nothing",
    },
    Ban {
        packages: &["rand", "getrandom", "fastrand", "rustix", "socket2", "mio", "tempfile"],
        crates: &["types", "machine", "amqp", "catalog", "queue"],
        tests_may: true,
        reason: "a pure crate has no files, no sockets, no randomness: replicas would differ",
    },
    Ban {
        packages: &["tracing", "log"],
        crates: &["queue", "catalog"],
        tests_may: true,
        reason: "apply runs on every replica and again after a restart: its effects are values",
    },
    Ban {
        packages: &["tokio", "tokio-util", "tokio-stream", "futures"],
        crates: &["storage"],
        tests_may: false,
        reason: "storage is synchronous: one writer thread, callbacks after the sync",
    },
];

/// A path that the sources of pure crates must not name outside tests.
pub(super) struct Ambient {
    pub(super) path: &'static str,
    pub(super) reason: &'static str,
}

pub(super) const AMBIENT: [Ambient; 12] = [
    Ambient { path: "std::fs", reason: "files belong to storage and server" },
    Ambient { path: "std::net", reason: "sockets belong to broker, rpc and management" },
    Ambient { path: "std::os", reason: "the operating system is the world outside" },
    Ambient { path: "std::env", reason: "a node's own configuration must not decide anything" },
    Ambient { path: "std::process", reason: "processes are the world outside" },
    Ambient { path: "std::thread", reason: "a pure value needs no thread" },
    Ambient { path: "std::time::Instant", reason: "time comes with the entry" },
    Ambient { path: "std::time::SystemTime", reason: "time comes with the entry" },
    Ambient { path: "Instant::now", reason: "time comes with the entry" },
    Ambient { path: "SystemTime", reason: "time comes with the entry" },
    Ambient { path: "rand", reason: "chance differs between replicas" },
    Ambient { path: "RandomState", reason: "chance differs between replicas" },
];

/// Crates in which a hash map may only be looked up.
pub(super) const ORDERED: [&str; 2] = ["catalog", "queue"];

/// The one file of such a crate that wraps a hash map, and by what name nothing in it may be
/// called: each walks the map.
pub(super) const LOOKUP_FILE: &str = "lookup.rs";
pub(super) const WALKS: [&str; 9] = [
    "iter",
    "iter_mut",
    "into_iter",
    "keys",
    "into_keys",
    "values",
    "values_mut",
    "into_values",
    "drain",
];

pub(super) const ORDER_REASON: &str =
    "the order of a hash map differs between replicas: use BTreeMap, a slab, or lookup.rs";
