//! Sections that an operator names: as many as are wanted, each with the same keys.
//!
//! In the file they are tables, such as `[auth_oauth2.resource_servers.prod]`. As text, in a variable,
//! they stand in one inline table: `{ prod = { id = "rabbit_prod" } }`.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::section::Section;
use super::setting::{Given, Setting, kind_of, quoted};

/// Sections by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<T>(pub BTreeMap<String, T>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// A section within a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inner<T>(pub T);

impl<T: Section + Default> Setting for Named<T> {
    fn read(given: Given<'_>) -> Result<Self, String> {
        in_table(given, |table| {
            let entries = table.iter().map(|(name, value)| {
                let Inner(entry) = Inner::<T>::read(Given::Toml(value.get_ref()))
                    .map_err(|text| format!("{}: {text}", name.get_ref()))?;
                Ok((name.get_ref().to_string(), entry))
            });
            entries.collect::<Result<_, String>>().map(Self)
        })
    }

    fn show(&self) -> String {
        let entry = |(name, entry): (&String, &T)| format!("{} = {}", quoted(name), shown(entry));
        braced(self.0.iter().map(entry))
    }
}

impl<T: Section + Default> Setting for Inner<T> {
    fn read(given: Given<'_>) -> Result<Self, String> {
        in_table(given, |table| {
            let mut section = T::default();
            for (key, value) in table {
                let name = key.get_ref();
                match section.set(name, Given::Toml(value.get_ref())) {
                    Some(outcome) => outcome.map_err(|text| format!("{name}: {text}"))?,
                    None => {
                        let known: Vec<String> =
                            section.keys().into_iter().map(|key| key.path).collect();
                        return Err(format!(
                            "expected one of {}, found '{name}'",
                            known.join(", ")
                        ));
                    }
                }
            }
            Ok(Self(section))
        })
    }

    fn show(&self) -> String {
        shown(&self.0)
    }
}

/// What need not be said.
impl<T: Setting> Setting for Option<T> {
    const IS_SECRET: bool = T::IS_SECRET;

    fn read(given: Given<'_>) -> Result<Self, String> {
        T::read(given).map(Some)
    }

    /// Nothing, which is no TOML: keys that were not given are left out.
    fn show(&self) -> String {
        self.as_ref().map(Setting::show).unwrap_or_default()
    }
}

fn in_table<R>(
    given: Given<'_>,
    read: impl FnOnce(&DeTable<'_>) -> Result<R, String>,
) -> Result<R, String> {
    match given {
        Given::Toml(DeValue::Table(table)) => read(table),
        Given::Toml(other) => Err(format!("expected a section, found {}", kind_of(other))),
        Given::Text(text) => {
            let document = format!("given = {text}");
            let wrong = || format!("expected {{ name = {{ key = value }} }}, found '{text}'");
            let parsed = DeTable::parse(&document).map_err(|_| wrong())?;
            match parsed.get_ref().get("given").map(|value| value.get_ref()) {
                Some(DeValue::Table(table)) if parsed.get_ref().len() == 1 => read(table),
                Some(_) | None => Err(wrong()),
            }
        }
    }
}

fn shown(section: &impl Section) -> String {
    let given = section.keys().into_iter().filter(|key| !key.value.is_empty());
    braced(given.map(|key| format!("{} = {}", key.path, key.value)))
}

fn braced(entries: impl Iterator<Item = String>) -> String {
    let entries: Vec<String> = entries.collect();
    if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
}
