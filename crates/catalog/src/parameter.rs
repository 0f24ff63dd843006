//! Runtime parameters: values that components keep in the catalog, as JSON text.

use crate::Name;

/// A runtime parameter of a virtual host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Where it applies.
    pub vhost: Name,
    /// Whose it is, such as `shovel`.
    pub component: Name,
    /// Its name.
    pub name: Name,
    /// Its value, JSON.
    pub value: Name,
}
