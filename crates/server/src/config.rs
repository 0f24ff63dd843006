//! What an operator may set, and from where.
//!
//! A [`Config`] is put together from four sources; the first that has a key wins: flags of the
//! command line, environment variables, the TOML file, defaults. Every key can be given in the file
//! and as a variable, whose name is `WARREN_` and the dotted key in capitals with `_` for each dot
//! (`limits.heartbeat_s` is `WARREN_LIMITS_HEARTBEAT_S`). An empty variable counts as not set.
//!
//! **Always true:** a key that does not exist, a value that is none, and values that do not fit
//! together are errors that say where they were given, by file and line, variable or flag; all of
//! them are reported, not the first alone. The keys themselves are in `sections.rs`.
//!
//! **Not here:** what the settings do. `node.rs` hands them to the crates that know.

mod amount;
mod auth;
mod check;
mod environment;
mod file;
mod named;
mod oauth2;
mod reference;
mod section;
mod sections;
mod secure;
mod setting;
mod similar;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

pub use amount::Amount;
pub use auth::{
    AuthCacheSection, AuthHttpSection, AuthHttpTlsSection, Backends, NamedFiles, Texts, Words,
};
pub use environment::CONFIG_VARIABLE;
pub use named::{Inner, Named};
pub use oauth2::{
    LoginSection, Oauth2HttpsSection, Oauth2Section, OauthLoginSection, ProviderHttpsSection,
    ProviderSection, ResourceServerSection,
};
pub use section::Key;
pub use sections::{
    AuditSection, ChaosSection, LimitsSection, LogSection, NodeSection, RaftSection, RocksSection,
    StorageSection, TracingSection,
};
pub use secure::{LoginFrom, PeersSection, SanType, TlsSection, Verify, WebTlsSection};
pub use setting::{LogFormat, Ratio, Sampler, Secret};

use section::Section;
use setting::Given;
use similar::similar;

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nowhere.
    Default,
    /// In the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line in it, from 1.
        line: usize,
    },
    /// In an environment variable.
    Variable(String),
    /// In a flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it was given.
    pub source: Source,
    /// What is wrong with it, with the key's name.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.text)
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Wrong {
        /// Everything that is wrong.
        problems: Vec<Problem>,
    },
}

/// What a configuration is made from.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The file, if one is named by a flag; a variable can name one as well.
    pub file: Option<PathBuf>,
    /// The environment.
    pub variables: Vec<(OsString, OsString)>,
    /// Flags that were given: the flag, its key and its value.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

impl Inputs {
    /// The file that is read, if one is named by a flag or a variable.
    #[must_use]
    pub fn config_file(&self) -> Option<PathBuf> {
        self.file.clone().or_else(|| environment::file_of(&self.variables))
    }
}

/// Everything that can be set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The node itself.
    pub node: NodeSection,
    /// What one client may ask for.
    pub limits: LimitsSection,
    /// How the groups agree.
    pub raft: RaftSection,
    /// What the node keeps in memory of its disk.
    pub storage: StorageSection,
    /// RocksDB's memory and files.
    pub rocksdb: RocksSection,
    /// What the node says about itself.
    pub log: LogSection,
    /// Where single messages are followed to.
    pub tracing: TracingSection,
    /// The record of who did what.
    pub audit: AuditSection,
    /// Whether it may be broken on purpose.
    pub chaos: ChaosSection,
    /// TLS for clients.
    pub ssl: TlsSection,
    /// TLS for HTTP, where that differs.
    pub web: WebTlsSection,
    /// What nodes trust each other by.
    pub peers: PeersSection,
    /// Tokens.
    pub oauth2: Oauth2Section,
    /// TLS where their keys are.
    pub oauth2_https: Oauth2HttpsSection,
    /// Logging in with them in a browser.
    pub oauth_login: OauthLoginSection,
    /// The service that knows clients.
    pub auth_http: AuthHttpSection,
    /// TLS where it is asked.
    pub auth_http_tls: AuthHttpTlsSection,
    /// What is remembered of its answers.
    pub auth_cache: AuthCacheSection,
}

/// A configuration, with what should be said about it once there is a log.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Things that look like mistakes.
    pub warnings: Vec<String>,
}

impl Config {
    /// Puts the configuration together.
    ///
    /// # Errors
    /// When the file cannot be read, or with everything that is wrong in any source.
    pub fn load(inputs: &Inputs) -> Result<Loaded, ConfigError> {
        let mut builder = Builder::default();
        if let Some(path) = inputs.config_file() {
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(source) => return Err(ConfigError::Unreadable { path, source }),
            };
            file::read(&mut builder, &path, &text);
        }
        let warnings = environment::read(&mut builder, &inputs.variables);
        for (flag, key, value) in &inputs.flags {
            builder.set(key, Given::Text(value), Source::Flag(flag));
        }
        builder.finish().map(|config| Loaded { config, warnings })
    }

    /// The configuration that `text` makes by itself, as if it stood in a file.
    ///
    /// # Errors
    /// With everything that is wrong in it.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut builder = Builder::default();
        file::read(&mut builder, Path::new("text"), text);
        builder.finish()
    }

    /// Every key with its present value, section by section.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        self.sections().into_iter().flat_map(|section| section.keys()).collect()
    }

    fn sections(&self) -> [&dyn Section; 18] {
        [
            &self.node,
            &self.limits,
            &self.raft,
            &self.storage,
            &self.rocksdb,
            &self.log,
            &self.tracing,
            &self.audit,
            &self.chaos,
            &self.ssl,
            &self.web,
            &self.peers,
            &self.oauth2,
            &self.oauth2_https,
            &self.oauth_login,
            &self.auth_http,
            &self.auth_http_tls,
            &self.auth_cache,
        ]
    }

    fn sections_mut(&mut self) -> [&mut dyn Section; 18] {
        [
            &mut self.node,
            &mut self.limits,
            &mut self.raft,
            &mut self.storage,
            &mut self.rocksdb,
            &mut self.log,
            &mut self.tracing,
            &mut self.audit,
            &mut self.chaos,
            &mut self.ssl,
            &mut self.web,
            &mut self.peers,
            &mut self.oauth2,
            &mut self.oauth2_https,
            &mut self.oauth_login,
            &mut self.auth_http,
            &mut self.auth_http_tls,
            &mut self.auth_cache,
        ]
    }
}

/// A configuration in the making: its values, where each came from, and what was wrong.
#[derive(Debug, Default)]
struct Builder {
    config: Config,
    sources: BTreeMap<String, Source>,
    problems: Vec<Problem>,
}

impl Builder {
    /// Sets the key with the dotted name `path`, or notes why not.
    fn set(&mut self, path: &str, given: Given<'_>, source: Source) {
        let (heading, name) = path.rsplit_once('.').unwrap_or(("", path));
        let section =
            self.config.sections_mut().into_iter().find(|section| section.heading() == heading);
        match section.and_then(|section| section.set(name, given)) {
            Some(Ok(())) => {
                self.sources.insert(path.to_owned(), source);
            }
            Some(Err(text)) => self.problem(source, format!("{path}: {text}")),
            None => self.unknown(path, source),
        }
    }

    /// Notes a key that does not exist.
    fn unknown(&mut self, path: &str, source: Source) {
        let hint = similar(path, &self.config.keys())
            .map(|key| format!("; did you mean '{key}'?"))
            .unwrap_or_default();
        self.problem(source, format!("unknown key '{path}'{hint}"));
    }

    fn problem(&mut self, source: Source, text: String) {
        self.problems.push(Problem { source, text });
    }

    /// Whether `path` is the heading of a section, or leads to one.
    fn is_heading(&self, path: &str) -> bool {
        self.config.sections().into_iter().any(|section| {
            section.heading() == path || section.heading().starts_with(&format!("{path}."))
        })
    }

    /// The configuration, if nothing is wrong with it. How values fit together is looked at only
    /// when each is right by itself.
    fn finish(mut self) -> Result<Config, ConfigError> {
        if !self.problems.is_empty() {
            return Err(ConfigError::Wrong { problems: self.problems });
        }
        for (path, text) in check::problems(&self.config) {
            let source = self.sources.get(path).cloned().unwrap_or(Source::Default);
            self.problem(source, format!("{path}: {text}"));
        }
        if self.problems.is_empty() {
            Ok(self.config)
        } else {
            Err(ConfigError::Wrong { problems: self.problems })
        }
    }
}
