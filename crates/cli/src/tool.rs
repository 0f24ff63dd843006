//! Which program this is: it depends on the name that it is called by.

use std::path::Path;

/// A program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// Knows all commands.
    Warrenctl,
    /// `rabbitmqctl`.
    Ctl,
    /// `rabbitmq-diagnostics`.
    Diagnostics,
    /// `rabbitmq-queues`.
    Queues,
    /// `rabbitmq-plugins`.
    Plugins,
    /// `rabbitmq-upgrade`.
    Upgrade,
    /// `rabbitmq-server`.
    Server,
}

impl Tool {
    /// The program that is called by that path. One by any other name is `warrenctl`.
    pub(crate) fn named(path: &str) -> Self {
        let name = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let tools = [
            Self::Ctl,
            Self::Diagnostics,
            Self::Queues,
            Self::Plugins,
            Self::Upgrade,
            Self::Server,
        ];
        tools.into_iter().find(|tool| tool.name() == name).unwrap_or(Self::Warrenctl)
    }

    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Warrenctl => "warrenctl",
            Self::Ctl => "rabbitmqctl",
            Self::Diagnostics => "rabbitmq-diagnostics",
            Self::Queues => "rabbitmq-queues",
            Self::Plugins => "rabbitmq-plugins",
            Self::Upgrade => "rabbitmq-upgrade",
            Self::Server => "rabbitmq-server",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_by_the_last_part_of_its_path() {
        let cases = [
            ("/usr/sbin/rabbitmqctl", Tool::Ctl),
            ("rabbitmq-diagnostics", Tool::Diagnostics),
            ("./rabbitmq-queues", Tool::Queues),
            ("rabbitmq-plugins", Tool::Plugins),
            ("rabbitmq-upgrade", Tool::Upgrade),
            ("rabbitmq-server", Tool::Server),
            ("/usr/local/bin/warrenctl", Tool::Warrenctl),
            ("rabbitmqctl-old", Tool::Warrenctl),
            ("", Tool::Warrenctl),
        ];

        for (path, tool) in cases {
            assert_eq!(Tool::named(path), tool, "{path}");
        }
    }
}
