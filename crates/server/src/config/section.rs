//! The macro that declares a section of the configuration once: its fields, their defaults, their
//! keys and what is said about them.

use super::setting::Given;

/// A key of the configuration, as the reference shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its dotted name in the TOML file.
    pub path: String,
    /// What it means, line by line.
    pub doc: &'static [&'static str],
    /// Its present value as TOML.
    pub value: String,
    /// Whether nobody may be shown it.
    pub is_secret: bool,
}

impl Key {
    /// The environment variable that sets this key: `WARREN_`, then the dotted name in capitals
    /// with an underscore for each dot.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("WARREN_{}", self.path.to_uppercase().replace('.', "_"))
    }
}

/// Keys that stand under one heading of the TOML file.
pub(crate) trait Section {
    /// The heading; empty for the keys above all headings.
    fn heading(&self) -> &'static str;

    /// What the section is about, line by line.
    fn doc(&self) -> &'static [&'static str];

    /// Sets the key `name` of this section. `None` when it has no such key.
    fn set(&mut self, name: &str, given: Given<'_>) -> Option<Result<(), String>>;

    /// The section's keys, in the order in which they are declared.
    fn keys(&self) -> Vec<Key>;
}

/// `name` under `heading`, as one dotted name.
pub(crate) fn dotted(heading: &str, name: &str) -> String {
    if heading.is_empty() { name.to_owned() } else { format!("{heading}.{name}") }
}

macro_rules! section {
    (
        $(#[doc = $section_doc:literal])+
        pub struct $section:ident in $heading:literal {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $kind:ty = $default:expr,
            )+
        }
    ) => {
        $(#[doc = $section_doc])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $section {
            $(
                $(#[doc = $doc])+
                pub $field: $kind,
            )+
        }

        impl Default for $section {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl $crate::config::section::Section for $section {
            fn heading(&self) -> &'static str {
                $heading
            }

            fn doc(&self) -> &'static [&'static str] {
                &[$($section_doc),+]
            }

            fn set(
                &mut self,
                name: &str,
                given: $crate::config::setting::Given<'_>,
            ) -> Option<Result<(), String>> {
                let result = match name {
                    $(stringify!($field) => {
                        $crate::config::setting::Setting::read(given).map(|value| self.$field = value)
                    })+
                    _ => return None,
                };
                Some(result)
            }

            fn keys(&self) -> Vec<$crate::config::section::Key> {
                vec![$(
                    $crate::config::section::Key {
                        path: $crate::config::section::dotted($heading, stringify!($field)),
                        doc: &[$($doc),+],
                        value: $crate::config::setting::Setting::show(&self.$field),
                        is_secret: <$kind as $crate::config::setting::Setting>::IS_SECRET,
                    },
                )+]
            }
        }
    };
}

pub(super) use section;
