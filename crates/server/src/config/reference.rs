//! The configuration as a TOML file, with what each key means.

use std::fmt::Write as _;

use super::Config;

impl Config {
    /// A TOML file with every key at its present value, and with its meaning and its environment
    /// variable above it. Reading it back gives the same configuration.
    #[must_use]
    pub fn reference(&self) -> String {
        let mut text = String::new();
        for section in self.sections() {
            let heading = section.heading();
            if !heading.is_empty() {
                text.push('\n');
            }
            for line in section.doc() {
                let _ = writeln!(text, "##{line}");
            }
            if !heading.is_empty() {
                let _ = writeln!(text, "[{heading}]");
            }
            for key in section.keys() {
                let name = key.path.rsplit('.').next().unwrap_or_default();
                text.push('\n');
                for line in key.doc {
                    let _ = writeln!(text, "#{line}");
                }
                let _ = writeln!(text, "# {}", key.variable());
                let _ = writeln!(text, "{name} = {}", key.value);
            }
        }
        text
    }
}
