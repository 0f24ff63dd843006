//! Generates the messages and services from `proto/`, without an installed protoc.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let root = "../../proto";
    println!("cargo:rerun-if-changed={root}");
    let services = [
        "warren/cluster/v1/cluster.proto",
        "warren/frontend/v1/frontend.proto",
        "warren/raft/v1/raft.proto",
    ];
    let files = protox::compile(services, [root])?;
    tonic_prost_build::configure().bytes(".").compile_fds(files)?;
    Ok(())
}
