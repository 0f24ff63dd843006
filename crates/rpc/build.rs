//! Generates the messages and services from `proto/`, without an installed protoc, and what of each
//! message can take memory.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

/// What `descriptor.proto` calls a field that is a list.
const LABEL_REPEATED: i32 = 3;

/// What it calls the types that are not numbers.
const TYPE_STRING: i32 = 9;
const TYPE_GROUP: i32 = 10;
const TYPE_MESSAGE: i32 = 11;
const TYPE_BYTES: i32 = 12;

fn main() -> Result<(), Box<dyn Error>> {
    let root = "../../proto";
    println!("cargo:rerun-if-changed={root}");
    let services = [
        "warren/cluster/v1/cluster.proto",
        "warren/frontend/v1/frontend.proto",
        "warren/raft/v1/raft.proto",
    ];
    let files = protox::compile(services, [root])?;
    let mut messages = Vec::new();
    for file in &files.file {
        for message in &file.message_type {
            if !message.nested_type.is_empty() {
                return Err(
                    format!("{} has messages within, which have no shape", message.name()).into()
                );
            }
            let fields = message.field.iter().map(|field| {
                let is_list = field.label == Some(LABEL_REPEATED);
                let kind = field.r#type.unwrap_or_default();
                (field.number(), is_list, kind, field.type_name().to_owned())
            });
            messages.push((format!(".{}.{}", file.package(), message.name()), fields.collect()));
        }
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(out.join("shapes.rs"), shapes(&messages)?)?;
    let builder = tonic_prost_build::configure().bytes(".");
    builder.codec_path("crate::codec::BoundedCodec").compile_fds(files)?;
    Ok(())
}

/// A message by its full name, and its fields: number, whether a list, type, and which message.
type Described = (String, Vec<(i32, bool, i32, String)>);

/// The shapes, and which message has which.
fn shapes(messages: &[Described]) -> Result<String, Box<dyn Error>> {
    let places: BTreeMap<&str, usize> =
        messages.iter().enumerate().map(|(place, (name, _))| (name.as_str(), place)).collect();
    let mut text = String::from("/// The shapes of all messages.\nstatic SHAPES: &[Shape] = &[\n");
    for (_, fields) in messages {
        text.push_str("    &[");
        for (number, is_list, kind, name) in fields {
            match *kind {
                TYPE_GROUP => return Err("groups have no shape".into()),
                TYPE_MESSAGE => {
                    let place = places.get(name.as_str()).ok_or("an unknown message")?;
                    write!(text, "({number}, {is_list}, Kind::Message({place})), ")?;
                }
                TYPE_STRING | TYPE_BYTES => write!(text, "({number}, {is_list}, Kind::Bytes), ")?,
                _ if *is_list => write!(text, "({number}, true, Kind::Number), ")?,
                _ => {}
            }
        }
        text.push_str("],\n");
    }
    text.push_str("];\n");
    for (place, (name, _)) in messages.iter().enumerate() {
        let mut parts = name.split('.').skip(2);
        let (module, message) = (parts.next().ok_or("a module")?, parts.last().ok_or("a name")?);
        let path = format!("crate::wire::generated::{module}::{message}");
        writeln!(text, "impl Shaped for {path} {{\n    const SHAPE: usize = {place};\n}}")?;
        writeln!(text, "const _: () = assert!(size_of::<{path}>() <= MESSAGE_COST_BYTES);")?;
    }
    Ok(text)
}
