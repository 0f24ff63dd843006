//! What the program can tell about its commands.

use crate::command::{self, Command, Section};
use crate::tool::Tool;

/// What every command takes.
const GENERAL: &str = "General Options

The following options are accepted by most or all commands.

short            | long             | description
-----------------|------------------|--------------------------------
-?               | --help           | displays command help
-n <node>        | --node <node>    | the node in question, by the name that list_nodes shows
-t <n>           | --timeout <n>    | how long to wait for an answer, seconds
-q               | --quiet          | no banners
-s               | --silent         | neither banners nor the row of column names
-p <vhost>       | --vhost <vhost>  | the virtual host in question, / otherwise
                 | --formatter <f>  | table, json, csv, pretty_table or erlang
                 | --data-dir <dir> | data directory of the node on this machine that is asked
                 | --url <url>      | address of the node that is asked, http:// or https://
                 | --cacertfile <f> | authorities that are believed under https
                 | --certfile <f>   | certificate to show under https, with --keyfile
-u <name>        | --username <n>   | whom to log in as, with --password";

/// How a command is called.
pub(crate) fn usage(tool: Tool, command: &Command) -> String {
    let Command { name, usage, .. } = command;
    let tool = tool.name();
    let text = format!("\nUsage\n\n{tool} [--node <node>] [--longnames] [--quiet] {name} {usage}");
    text.trim_end().to_owned()
}

/// All about one command.
pub(crate) fn one(tool: Tool, command: &Command) -> String {
    format!("{}\n\n{}.\n\n\n{GENERAL}\n", usage(tool, command), command.about)
}

/// A line about every command.
pub(crate) fn all(tool: Tool) -> String {
    let name = tool.name();
    let mut text = format!(
        "\nUsage\n\n{name} [--node <node>] [--timeout <timeout>] [--longnames] [--quiet] <command> [<command options>]\n\nAvailable commands:\n"
    );
    let widest = command::known_to(tool).map(|command| command.name.len()).max();
    let width = widest.unwrap_or_default();
    for section in Section::ALL {
        let mut commands: Vec<&Command> =
            command::known_to(tool).filter(|command| command.section == section).collect();
        if commands.is_empty() {
            continue;
        }
        commands.sort_by_key(|command| command.name);
        text.push_str(&format!("\n{}:\n\n", section.title()));
        for Command { name, about, .. } in commands {
            text.push_str(&format!("   {name:width$}  {about}\n"));
        }
    }
    text.push_str(&format!("\nUse '{name} help <command>' to learn more about a command\n"));
    text
}
