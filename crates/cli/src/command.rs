//! The commands, each with its arguments, switches and what it does.

mod certificates;
mod chaos;
mod checks;
mod cluster;
mod connections;
mod definitions;
mod features;
mod limits;
pub(crate) mod listeners;
mod messages;
mod node;
mod objects;
mod parameters;
mod permissions;
mod plugins;
mod policies;
mod queues;
mod replicas;
mod status;
mod users;
mod vhosts;

use serde_json::Value;

use crate::api::Problem;
use crate::call::Call;
use crate::failure::Failure;
use crate::line::Switch;
use crate::show::Output;
use crate::tool::Tool;

/// The version of this program, which is that of the nodes it came with.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How a command ends.
pub(crate) type Outcome = Result<Output, Failure>;

/// A command.
#[derive(Debug)]
pub(crate) struct Command {
    /// What it is called.
    pub(crate) name: &'static str,
    /// What it is about.
    pub(crate) section: Section,
    /// Who knows it, beside `warrenctl`.
    tools: &'static [Tool],
    /// What follows it.
    pub(crate) usage: &'static str,
    /// What it does.
    pub(crate) about: &'static str,
    /// How many arguments it takes, at least and at most.
    pub(crate) arguments: (usize, usize),
    /// Its own switches.
    pub(crate) switches: &'static [Switch],
    /// Does it.
    pub(crate) run: fn(&Call) -> Outcome,
}

/// What a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// The node.
    Nodes,
    /// The cluster.
    Cluster,
    /// Replicas of queues.
    Replication,
    /// Users.
    Users,
    /// Who may do what.
    Access,
    /// What is there, and how it is.
    Monitoring,
    /// Parameters.
    Parameters,
    /// Policies.
    Policies,
    /// Virtual hosts.
    VirtualHosts,
    /// Queues.
    Queues,
    /// Connections.
    Operations,
    /// Definitions.
    Definitions,
    /// What can be turned on.
    Features,
    /// Plugins.
    Plugins,
    /// The program.
    Help,
}

impl Section {
    /// All, in the order in which help shows them.
    pub(crate) const ALL: [Self; 15] = [
        Self::Help,
        Self::Nodes,
        Self::Cluster,
        Self::Replication,
        Self::Users,
        Self::Access,
        Self::Monitoring,
        Self::Parameters,
        Self::Policies,
        Self::VirtualHosts,
        Self::Queues,
        Self::Operations,
        Self::Definitions,
        Self::Features,
        Self::Plugins,
    ];

    /// What help calls it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Nodes => "Nodes",
            Self::Cluster => "Cluster",
            Self::Replication => "Replication",
            Self::Users => "Users",
            Self::Access => "Access Control",
            Self::Monitoring => "Monitoring, observability and health checks",
            Self::Parameters => "Parameters",
            Self::Policies => "Policies",
            Self::VirtualHosts => "Virtual hosts",
            Self::Queues => "Queues",
            Self::Operations => "Operations",
            Self::Definitions => "Definitions",
            Self::Features => "Feature flags",
            Self::Plugins => "Plugin Management",
            Self::Help => "Help",
        }
    }
}

/// Everybody but `rabbitmq-plugins` and `rabbitmq-server`.
const MOST: &[Tool] = &[Tool::Ctl, Tool::Diagnostics, Tool::Queues, Tool::Upgrade];
/// Those who change things.
const CTL: &[Tool] = &[Tool::Ctl];
/// Those who look.
const LOOK: &[Tool] = &[Tool::Ctl, Tool::Diagnostics];
/// Those who look harder.
const CHECK: &[Tool] = &[Tool::Ctl, Tool::Diagnostics, Tool::Upgrade];
/// Those who care for replicas.
const QUEUES: &[Tool] = &[Tool::Queues];
/// Those who want to know about replicas.
const QUEUE_CHECK: &[Tool] = &[Tool::Queues, Tool::Diagnostics, Tool::Upgrade];
/// Those who restart nodes.
const UPGRADE: &[Tool] = &[Tool::Upgrade];
/// Those who ask for plugins, which warren has none of.
const PLUGINS: &[Tool] = &[Tool::Plugins];
/// What RabbitMQ does not have.
const OURS: &[Tool] = &[];

/// As many arguments as one likes.
const ANY: usize = usize::MAX;

impl Command {
    /// A command without arguments and switches.
    const fn new(
        name: &'static str,
        section: Section,
        tools: &'static [Tool],
        about: &'static str,
        run: fn(&Call) -> Outcome,
    ) -> Self {
        Self { name, section, tools, usage: "", about, arguments: (0, 0), switches: &[], run }
    }

    /// The same with `least` to `most` arguments.
    const fn takes(self, usage: &'static str, least: usize, most: usize) -> Self {
        Self { usage, arguments: (least, most), ..self }
    }

    /// The same with switches of its own.
    const fn with(self, switches: &'static [Switch]) -> Self {
        Self { switches, ..self }
    }

    fn is_known_to(&self, tool: Tool) -> bool {
        match tool {
            // There `list` and `set` would be about anything.
            Tool::Warrenctl => self.section != Section::Plugins,
            Tool::Ctl
            | Tool::Diagnostics
            | Tool::Queues
            | Tool::Plugins
            | Tool::Upgrade
            | Tool::Server => self.tools.contains(&tool),
        }
    }
}

/// What every program tells of itself.
static OWN: &[Command] = &[
    Command::new("help", Section::Help, EVERY, "Tells how a command is used", version).takes(
        "[<command>]",
        0,
        1,
    ),
    Command::new("version", Section::Help, EVERY, "Tells this program's version", version),
];

/// Everybody.
const EVERY: &[Tool] = &[Tool::Ctl, Tool::Diagnostics, Tool::Queues, Tool::Plugins, Tool::Upgrade];

/// How a command ends that asks for one thing to be done to what may be missing.
fn done(answer: Result<Value, Problem>, missing: impl FnOnce() -> Failure) -> Outcome {
    answer.map(|_| Output::Done).map_err(|problem| problem.or_missing(missing))
}

fn version(_: &Call) -> Outcome {
    Ok(Output::Document {
        text: VERSION.to_owned(),
        value: serde_json::json!({"result": "ok", "value": {"version": VERSION}}),
    })
}

fn all() -> impl Iterator<Item = &'static Command> {
    [
        OWN,
        certificates::COMMANDS,
        chaos::COMMANDS,
        checks::COMMANDS,
        cluster::COMMANDS,
        connections::COMMANDS,
        definitions::COMMANDS,
        features::COMMANDS,
        limits::COMMANDS,
        listeners::COMMANDS,
        node::COMMANDS,
        objects::COMMANDS,
        parameters::COMMANDS,
        permissions::COMMANDS,
        plugins::COMMANDS,
        policies::COMMANDS,
        queues::COMMANDS,
        messages::COMMANDS,
        replicas::COMMANDS,
        status::COMMANDS,
        users::COMMANDS,
        vhosts::COMMANDS,
    ]
    .into_iter()
    .flatten()
}

/// The commands that a program knows.
pub(crate) fn known_to(tool: Tool) -> impl Iterator<Item = &'static Command> {
    all().filter(move |command| command.is_known_to(tool))
}

/// The command of that name.
pub(crate) fn find(tool: Tool, name: &str) -> Option<&'static Command> {
    known_to(tool).find(|command| command.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_commands_of_a_program_have_one_name() {
        for tool in [Tool::Warrenctl, Tool::Ctl, Tool::Diagnostics, Tool::Queues, Tool::Plugins] {
            let mut names = BTreeSet::new();
            for command in known_to(tool) {
                assert!(names.insert(command.name), "{}", command.name);
            }
        }
    }

    #[test]
    fn every_section_is_shown_by_help() {
        for command in all() {
            assert!(Section::ALL.contains(&command.section), "{}", command.name);
        }
    }
}
