//! What the program prints and how it ends, compared with RabbitMQ 4.3's tools: `golden/api.txt`
//! has what its HTTP API answered, and `golden/recorded.txt` what its tools printed at that time.
//!
//! Left out of the recordings are processes of Erlang, and rows of other people's objects. Arrays
//! in arguments differ: RabbitMQ's JSON has one element of each type only.

use serde_json::Value;

use crate::fake::Fake;
use crate::program::{run, text};

const API: &str = include_str!("../golden/api.txt");
const RECORDED: &str = include_str!("../golden/recorded.txt");

/// One call, as it was recorded.
#[derive(Debug, Default, PartialEq, Eq)]
struct Recording {
    exit: i32,
    out: String,
    err: String,
}

#[test]
fn every_recorded_call_prints_and_ends_as_rabbitmqs_tools_do() {
    let node = node();
    let mut differing = Vec::new();

    for (line, expected) in recordings() {
        let words = split(&line);
        let [tool, arguments @ ..] = words.as_slice() else { panic!("{line}") };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = run(tool, &node.url, &arguments);
        let found = Recording {
            exit: output.status.code().expect("it ends by itself"),
            out: text(&output.stdout),
            err: text(&output.stderr),
        };
        let same = found.exit == expected.exit
            && alike(&found.out, &expected.out)
            && alike(&found.err, &expected.err);
        if !same {
            differing.push(format!("{line}\nexpected {expected:#?}\nfound {found:#?}"));
        }
    }

    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n\n"));
}

fn node() -> Fake {
    let lines: Vec<&str> = API.lines().collect();
    let answers: Vec<(&str, u16, &str)> = lines
        .chunks(2)
        .map(|pair| match pair {
            [request, body] => (*request, 200, *body),
            other => panic!("{other:?}"),
        })
        .collect();
    Fake::answering(&answers)
}

/// JSON is compared by what it says, everything else to the byte.
fn alike(found: &str, expected: &str) -> bool {
    match (serde_json::from_str::<Value>(found), serde_json::from_str::<Value>(expected)) {
        (Ok(found), Ok(expected)) => found == expected,
        _ => found.trim_end() == expected.trim_end(),
    }
}

fn recordings() -> Vec<(String, Recording)> {
    let mut recordings: Vec<(String, Recording)> = Vec::new();
    let mut to_err = false;
    for line in RECORDED.lines() {
        if let Some(call) = line.strip_prefix("### ") {
            recordings.push((call.to_owned(), Recording::default()));
            continue;
        }
        let (_, recording) = recordings.last_mut().expect("a recording begins with its call");
        match line {
            "--out" => to_err = false,
            "--err" => to_err = true,
            _ => {
                if let Some(exit) = line.strip_prefix("--rc ") {
                    recording.exit = exit.parse().expect("it is a number");
                    continue;
                }
                let to = if to_err { &mut recording.err } else { &mut recording.out };
                to.push_str(line);
                to.push('\n');
            }
        }
    }
    recordings
}

/// Words as a shell splits them, with quotes of both kinds.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in line.chars() {
        match (letter, quote) {
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (_, Some(open)) if letter == open => quote = None,
            (' ', None) => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}
