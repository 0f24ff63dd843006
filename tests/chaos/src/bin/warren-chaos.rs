//! `warren-chaos`: breaks real nodes on purpose. See `warren_chaos`.

use std::process::ExitCode;

use warren_chaos::command;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match command::run(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
