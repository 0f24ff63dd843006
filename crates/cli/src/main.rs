//! `warrenctl`: asks a node over HTTP. Only the probes of `chaos` speak AMQP, as clients do.
//!
//! Under the names `rabbitmqctl`, `rabbitmq-diagnostics`, `rabbitmq-queues`, `rabbitmq-plugins`,
//! `rabbitmq-upgrade` and `rabbitmq-server` it does what those do, in their words: command names,
//! columns, banners and exit codes are RabbitMQ's, so that its users' scripts work.
//!
//! Data goes to stdout, all else to stderr, except banners, which RabbitMQ's scripts expect on stdout.

#![expect(clippy::print_stderr, reason = "a command line tool prints")]

mod api;
mod call;
mod command;
mod failure;
mod help;
mod http;
mod line;
mod locate;
mod nearest;
mod probe;
mod server;
mod show;
mod tool;

use std::env;
use std::process::ExitCode;

use failure::Failure;
use line::{Line, Wish};
use show::Output;
use tool::Tool;

fn main() -> ExitCode {
    let mut words = env::args_os().map(|word| word.to_string_lossy().into_owned());
    let tool = Tool::named(&words.next().unwrap_or_default());
    let words: Vec<String> = words.collect();
    if tool == Tool::Server {
        return server::run(&words);
    }
    match Line::parse(tool, words) {
        Ok(Wish::Help(text)) => {
            show::line(&text);
            ExitCode::SUCCESS
        }
        Ok(Wish::Call(call)) => {
            let outcome = (call.command.run)(&call);
            finish(&call, outcome)
        }
        Err(mistake) => {
            eprintln!("{}", mistake.text);
            ExitCode::from(mistake.exit)
        }
    }
}

fn finish(call: &call::Call, outcome: Result<Output, Failure>) -> ExitCode {
    match outcome {
        Ok(output) => {
            show::print(call, &output);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            failure.print(call);
            ExitCode::from(failure.exit())
        }
    }
}
