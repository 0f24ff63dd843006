//! One call of a command: its arguments, and the node that it is about.

use std::cell::OnceCell;
use std::time::Duration;

use crate::api::{Api, path};
use crate::command::{Command, listeners};
use crate::failure::{DATA_ERROR, Failure, USAGE};
use crate::line::{Options, validation};
use crate::locate;
use crate::show::Format;
use crate::tool::Tool;

/// How long an answer may take when nobody says.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What stands for no limit: longer than anybody waits, and short enough to be added to a clock.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// One call of a command.
pub(crate) struct Call {
    pub(crate) tool: Tool,
    pub(crate) command: &'static Command,
    arguments: Vec<String>,
    options: Options,
    words: Vec<String>,
    api: OnceCell<Api>,
    node: OnceCell<String>,
}

impl Call {
    /// A call that was found on a command line of those `words`.
    pub(crate) fn new(
        tool: Tool,
        command: &'static Command,
        arguments: Vec<String>,
        options: Options,
        words: Vec<String>,
    ) -> Self {
        let (api, node) = (OnceCell::new(), OnceCell::new());
        Self { tool, command, arguments, options, words, api, node }
    }

    /// What follows the command.
    pub(crate) fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// The argument at that place, or nothing, which the command's number of arguments rules out
    /// for those that must be there.
    pub(crate) fn argument(&self, place: usize) -> &str {
        self.arguments.get(place).map(String::as_str).unwrap_or_default()
    }

    /// The whole command line.
    pub(crate) fn words(&self) -> &[String] {
        &self.words
    }

    /// What a switch says.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// Whether a switch is on.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.option(name) == Some("true")
    }

    /// The virtual host in question.
    pub(crate) fn vhost(&self) -> &str {
        self.option("vhost").unwrap_or("/")
    }

    /// How the output looks.
    ///
    /// # Errors
    /// When nobody knows that format.
    pub(crate) fn format(&self) -> Result<Format, Failure> {
        match self.option("formatter") {
            None => Ok(Format::Table),
            Some(name) => Format::named(name).ok_or_else(|| {
                self.misused("the requested formatter is not supported by this command")
            }),
        }
    }

    /// Whether the row of column names is shown.
    pub(crate) fn has_header(&self) -> bool {
        !self.is("silent") && self.option("table-headers") != Some("false")
    }

    /// How long an answer may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout_or(TIMEOUT)
    }

    /// How long something may take that takes longer than an answer.
    pub(crate) fn timeout_or(&self, otherwise: Duration) -> Duration {
        match self.option("timeout") {
            None => otherwise,
            Some(text) => text.parse().map_or(FOR_EVER, Duration::from_secs),
        }
    }

    /// Says what is about to be done, unless nobody wants to know.
    pub(crate) fn say(&self, banner: &str) -> Result<(), Failure> {
        let quiet = self.is("quiet") || self.is("silent");
        if !quiet && !self.format()?.is_for_machines() {
            crate::show::line(banner);
        }
        Ok(())
    }

    /// The node that answers.
    pub(crate) fn api(&self) -> Result<&Api, Failure> {
        if let Some(api) = self.api.get() {
            return Ok(api);
        }
        let (url, login) = locate::locate(self)?;
        Ok(self.api.get_or_init(|| Api::new(url, login, self.timeout())))
    }

    /// The API of a node that may not have started: found again, as it is elsewhere after a start.
    pub(crate) fn fresh_api(&self) -> Result<Api, Failure> {
        if self.option("node").is_some() {
            return self.api_of_node();
        }
        let (url, login) = locate::locate(self)?;
        Ok(Api::new(url, login, self.timeout()))
    }

    /// The name of the node in question: the one that answers, or the one that `--node` names.
    pub(crate) fn node(&self) -> Result<&str, Failure> {
        if let Some(node) = self.node.get() {
            return Ok(node);
        }
        let node = match self.option("node") {
            None => self.own_node()?,
            Some(wanted) => self.node_named(wanted)?,
        };
        Ok(self.node.get_or_init(|| node))
    }

    /// The API of the node in question, for what only that node knows.
    pub(crate) fn api_of_node(&self) -> Result<Api, Failure> {
        let api = self.api()?;
        if self.option("node").is_none() {
            return Ok(api.clone());
        }
        let node = self.node()?;
        if node == self.own_node()? {
            return Ok(api.clone());
        }
        match listeners::http_of(self, node)? {
            Some(url) => Ok(api.elsewhere(url)),
            None => Err(Failure::no_such_node(node)),
        }
    }

    /// The name of the node that answers.
    fn own_node(&self) -> Result<String, Failure> {
        let api = self.api()?;
        let said = match api.get(&(path(&["overview"]) + "?columns=node")) {
            // One that has been reset knows of no cluster, and still its name.
            Err(problem) if problem.is_unavailable() => api.get(&path(&["warren", "app"]))?,
            overview => overview?,
        };
        let node = said.get("node").and_then(|node| node.as_str());
        node.map(str::to_owned).ok_or_else(|| Failure::senseless("the node does not say its name"))
    }

    /// The node of that name, of which either part is enough.
    pub(crate) fn node_named(&self, wanted: &str) -> Result<String, Failure> {
        let nodes = self.api()?.list(&(path(&["nodes"]) + "?columns=name"))?;
        let names = nodes.iter().filter_map(|node| node.get("name")?.as_str());
        let fits = |name: &&str| {
            let parts = name.split_once('@');
            *name == wanted || parts.is_some_and(|(head, host)| head == wanted || host == wanted)
        };
        match names.filter(fits).collect::<Vec<_>>().as_slice() {
            [name] => Ok((*name).to_owned()),
            // None, or several.
            _ => Err(Failure::no_such_node(wanted)),
        }
    }

    /// The command was called in a way that it cannot be.
    pub(crate) fn misused(&self, text: &str) -> Failure {
        Failure::Usage(validation(self, USAGE, text))
    }

    /// An argument makes no sense.
    pub(crate) fn bad_argument(&self, text: &str) -> Failure {
        Failure::Usage(validation(self, DATA_ERROR, text))
    }

    /// The argument at that place as a number from 1.
    pub(crate) fn positive(&self, place: usize) -> Result<u64, Failure> {
        match self.argument(place).parse() {
            Ok(number) if number > 0 => Ok(number),
            Ok(_) | Err(_) => Err(self.bad_argument("Argument must be a positive integer")),
        }
    }
}
