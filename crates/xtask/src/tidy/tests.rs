//! Every check sees a planted violation, and keeps quiet where there is none.

use super::*;

const GOOD: &str = "//! A queue.\n\nfn f() {}\n";
const LINTS: &str = "[lints]\nworkspace = true\n";

/// The rules that one file breaks, with the lines.
fn broken(path: &str, content: &str) -> Vec<(usize, &'static str)> {
    let files = Files::of(&[(path, content)]);
    let mut findings = manifest::check(&files);
    findings.extend(sources::check(&files));
    findings.sort();
    findings.into_iter().map(|finding| (finding.line, finding.rule)).collect()
}

fn manifest_with(section: &str, dependency: &str) -> String {
    format!("{LINTS}[{section}]\n{dependency}.workspace = true\n")
}

#[track_caller]
fn assert_rule(path: &str, content: &str, rule: &str) {
    let rules: Vec<&str> = broken(path, content).into_iter().map(|(_, rule)| rule).collect();
    assert_eq!(rules, [rule], "{path}: {content}");
}

#[track_caller]
fn assert_quiet(path: &str, content: &str) {
    assert_eq!(broken(path, content), [], "{path}: {content}");
}

#[test]
fn arrows_that_are_not_on_the_map_are_found() {
    let normal = manifest_with("dependencies", "warren-storage");
    let tests = manifest_with("dev-dependencies", "warren-storage");

    assert_rule("crates/broker/Cargo.toml", &normal, "arrow");
    assert_rule("crates/management/Cargo.toml", &tests, "arrow");
    assert_rule("crates/unknown/Cargo.toml", &normal, "arrow");
    assert_quiet("crates/consensus/Cargo.toml", &normal);
}

#[test]
fn third_party_crates_stay_behind_their_fences() {
    let only = [("openraft", "consensus"), ("rocksdb", "storage"), ("tonic", "rpc")];
    let more = [("prost", "rpc"), ("amq-protocol", "amqp"), ("axum", "management")];

    for (package, home) in only.into_iter().chain(more) {
        let manifest = manifest_with("dependencies", package);
        assert_rule("crates/broker/Cargo.toml", &manifest, "fence");
        assert_quiet(&format!("crates/{home}/Cargo.toml"), &manifest);
    }
    assert_rule("crates/broker/Cargo.toml", &manifest_with("dependencies", "clap"), "fence");
    assert_quiet("crates/cli/Cargo.toml", &manifest_with("dependencies", "clap"));
}

#[test]
fn pure_crates_and_storage_depend_on_no_runtime() {
    let tokio = manifest_with("dependencies", "tokio");

    for krate in walls::PURE.into_iter().chain(["storage"]) {
        assert_rule(&format!("crates/{krate}/Cargo.toml"), &tokio, "ban");
    }
    assert_quiet("crates/broker/Cargo.toml", &tokio);
}

#[test]
fn tests_of_pure_crates_may_use_chance_but_no_runtime() {
    let rand = manifest_with("dev-dependencies", "rand");
    let tokio = manifest_with("dev-dependencies", "tokio");

    assert_quiet("crates/queue/Cargo.toml", &rand);
    assert_rule("crates/queue/Cargo.toml", &manifest_with("dependencies", "rand"), "ban");
    assert_rule("crates/queue/Cargo.toml", &tokio, "ban");
}

#[test]
fn tests_of_the_broker_may_use_storage_and_the_broker_may_not() {
    let storage = "warren-storage";

    assert_quiet("crates/broker/Cargo.toml", &manifest_with("dev-dependencies", storage));
    assert_rule("crates/broker/Cargo.toml", &manifest_with("dependencies", storage), "arrow");
    assert_rule("crates/queue/Cargo.toml", &manifest_with("dev-dependencies", storage), "arrow");
}

#[test]
fn a_crate_without_the_workspaces_lints_is_found() {
    let without = "[package]\nname = \"warren-queue\"\n[lints.rust]\nunsafe_code = \"allow\"\n";

    assert_rule("crates/queue/Cargo.toml", without, "lints");
    assert_quiet("tests/Cargo.toml", without);
}

#[test]
fn what_is_ambient_is_found_in_pure_crates() {
    let planted = [
        "use std::fs;",
        "use std::{\n    collections::BTreeMap,\n    net::TcpStream,\n};",
        "fn f() -> u64 { std::process::id().into() }",
        "use std::time::{Duration, Instant};",
        "fn f() { let now = Instant::now(); }",
        "fn f(at: SystemTime) {}",
        "fn f() -> u8 { rand::random() }",
    ];

    for code in planted {
        let source = format!("//! Head.\n{code}\n");
        assert_rule("crates/types/src/a.rs", &source, "ambient");
        assert_quiet("crates/broker/src/a.rs", &source);
    }
}

#[test]
fn what_is_ambient_is_allowed_in_tests_comments_and_strings() {
    let in_tests = "//! Head.\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
    let in_text = "//! Head, not std::fs::File.\n\nfn f() -> &'static str { \"std::fs::File\" }\n";

    assert_quiet("crates/amqp/src/a.rs", in_tests);
    assert_quiet("crates/amqp/src/a.rs", in_text);
    assert_quiet("crates/amqp/tests/a.rs", "use std::fs;\n");
}

#[test]
fn a_module_that_is_compiled_for_tests_alone_counts_as_tests() {
    let files = Files::of(&[
        ("crates/amqp/src/lib.rs", "//! Head.\n#[cfg(test)]\nmod samples;\n"),
        ("crates/amqp/src/samples.rs", "//! Head.\nuse std::fs;\n"),
        ("crates/amqp/src/samples/bytes.rs", "//! Head.\nuse std::fs;\n"),
    ]);

    assert_eq!(sources::check(&files), []);
}

#[test]
fn hash_maps_are_found_where_replicas_must_agree() {
    let source = "//! Head.\nuse rustc_hash::FxHashMap;\n";

    assert_rule("crates/queue/src/a.rs", source, "order");
    assert_rule("crates/catalog/src/a.rs", "//! Head.\ntype A = HashSet<u8>;\n", "order");
    assert_quiet("crates/amqp/src/a.rs", source);
}

#[test]
fn the_wrapper_of_a_hash_map_cannot_be_walked() {
    let asks = "//! Head.\nuse rustc_hash::FxHashMap;\nfn f(a: &A) { a.map.get(&1); }\n";
    let walks = "//! Head.\nuse rustc_hash::FxHashMap;\nfn f(a: &A) { a.map.values(); }\n";

    assert_quiet("crates/queue/src/lookup.rs", asks);
    assert_rule("crates/queue/src/lookup.rs", walks, "order");
}

#[test]
fn a_file_has_a_head() {
    let without = "use std::fmt;\n";
    let late = "#![cfg(test)]\n//! Head.\n";

    assert_rule("crates/broker/src/a.rs", without, "head");
    assert_rule("crates/broker/src/a.rs", late, "head");
    assert_rule("crates/broker/src/a.rs", "", "head");
    assert_quiet("crates/broker/src/a.rs", GOOD);
    assert_quiet("crates/broker/build.rs", without);
    assert_quiet("crates/broker/src/a/tests.rs", without);
}

#[test]
fn a_long_file_is_found_and_its_tests_do_not_count() {
    let code = format!("{GOOD}{}", "fn g() {}\n".repeat(797));
    let tests = format!("{code}#[cfg(test)]\nmod tests {{\n{}}}\n", "fn h() {}\n".repeat(500));

    assert_quiet("crates/broker/src/a.rs", &code);
    assert_quiet("crates/broker/src/a.rs", &tests);
    assert_rule("crates/broker/src/a.rs", &format!("{code}fn i() {{}}\n"), "length");
}

#[test]
fn names_of_files_say_something() {
    assert_rule("crates/broker/src/queue/mod.rs", GOOD, "mod-file");
    assert_rule("crates/broker/src/utils.rs", GOOD, "empty-name");
    assert_rule("crates/broker/src/helpers/a.rs", GOOD, "empty-name");
}

#[test]
fn unfinished_work_needs_an_issue() {
    let planted = ["TODO: later", "TODO(#): later", "FIXME", "XXX why", "a HACK"];

    for comment in planted {
        assert_rule("crates/broker/src/a.rs", &format!("{GOOD}// {comment}\n"), "unfinished");
    }
    assert_quiet("crates/broker/src/a.rs", &format!("{GOOD}// TODO(#12): later\n"));
    assert_quiet("crates/broker/src/a.rs", &format!("{GOOD}fn g() {{ h(\"TODO\"); }}\n"));
}

#[test]
fn comments_that_tell_history_are_found() {
    for words in ["For now, one.", "It is no longer there.", "Two, as requested."] {
        assert_rule("crates/broker/src/a.rs", &format!("{GOOD}/// {words}\n"), "history");
        assert_rule("tests/src/a.rs", &format!("{GOOD}/* {words} */\n"), "history");
    }
    assert_quiet("crates/broker/src/a.rs", &format!("{GOOD}// for nowhere\n"));
}

#[test]
fn ignored_tests_are_found() {
    assert_rule("tests/e2e/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}\n", "ignored");
    assert_rule("tests/e2e/a.rs", "#[ignore]\n", "ignored");
}

#[test]
fn silenced_lints_are_expected_with_a_reason() {
    let allow = "//! Head.\n#[allow(dead_code)]\nfn f() {}\n";
    let bare = "//! Head.\n#[expect(dead_code)]\nfn f() {}\n";
    let good = "//! Head.\n#[expect(\n    dead_code,\n    reason = \"soon\"\n)]\nfn f() {}\n";

    assert_rule("crates/broker/src/a.rs", allow, "allow");
    assert_rule("crates/broker/src/a.rs", bare, "reason");
    assert_quiet("crates/broker/src/a.rs", good);
}

#[test]
fn a_finding_can_be_expected_with_a_reason() {
    let above = "//! Head.\n// tidy: expect(order) asked, never walked\ntype A = HashSet<u8>;\n";
    let beside = "//! Head.\ntype A = HashSet<u8>; // tidy: expect(order) never walked\n";
    let bare = "//! Head.\ntype A = HashSet<u8>; // tidy: expect(order)\n";
    let needless = "//! Head.\ntype A = u8; // tidy: expect(order) never walked\n";

    assert_quiet("crates/queue/src/a.rs", above);
    assert_quiet("crates/queue/src/a.rs", beside);
    assert_rule("crates/queue/src/a.rs", bare, "expect");
    assert_rule("crates/queue/src/a.rs", needless, "expect");
}
