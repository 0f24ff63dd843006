//! Runtime and global parameters.

use serde_json::Value as Json;

use super::{Step, check_name};
use crate::defaults::Defaults;
use crate::{Catalog, Name, Outcome, Parameter, Refusal};

impl Catalog {
    pub(super) fn put_parameter(
        &mut self,
        step: &Step<'_>,
        vhost: Name,
        component: Name,
        name: Name,
        value: Name,
    ) -> Result<Outcome, Refusal> {
        check_name("component name", &component)?;
        check_name("parameter name", &name)?;
        check_json(&name, &value)?;
        let Some(state) = self.vhosts.row_mut(&vhost) else {
            return Err(Refusal::NoVhost { vhost });
        };
        let parameter =
            Parameter { vhost, component: component.clone(), name: name.clone(), value };
        let known = state.parameters.entry(component).or_default().insert(name, parameter.clone());
        let outcome = match known {
            Some(known) if known == parameter => return Ok(Outcome::Unchanged),
            Some(_) => Outcome::Updated,
            None => Outcome::Created,
        };
        self.changed(step);
        Ok(outcome)
    }

    pub(super) fn delete_parameter(
        &mut self,
        step: &Step<'_>,
        vhost: Name,
        component: &Name,
        name: &Name,
    ) -> Result<Outcome, Refusal> {
        let Some(state) = self.vhosts.row_mut(&vhost) else {
            return Err(Refusal::NoVhost { vhost });
        };
        let Some(parameters) = state.parameters.get_mut(component) else {
            return Ok(Outcome::Missing);
        };
        if parameters.remove(name).is_none() {
            return Ok(Outcome::Missing);
        }
        if parameters.is_empty() {
            state.parameters.remove(component);
        }
        self.changed(step);
        Ok(Outcome::Removed)
    }

    pub(super) fn put_global_parameter(
        &mut self,
        step: &mut Step<'_>,
        name: Name,
        value: Name,
    ) -> Result<Outcome, Refusal> {
        check_name("parameter name", &name)?;
        let content = check_json(&name, &value)?;
        if !Defaults::default().set(&name, &content) {
            return Err(Refusal::InvalidValue { name });
        }
        let before = self.defaults();
        let outcome = match self.global_parameters.insert(name, value.clone()) {
            Some(known) if known == value => return Ok(Outcome::Unchanged),
            Some(_) => Outcome::Updated,
            None => Outcome::Created,
        };
        self.defaults_changed(step, before);
        Ok(outcome)
    }

    pub(super) fn delete_global_parameter(
        &mut self,
        step: &mut Step<'_>,
        name: &Name,
    ) -> Result<Outcome, Refusal> {
        let before = self.defaults();
        if self.global_parameters.remove(name).is_none() {
            return Ok(Outcome::Missing);
        }
        self.defaults_changed(step, before);
        Ok(Outcome::Removed)
    }

    /// A global parameter was set or cleared: has queues follow where it is one of the defaults.
    fn defaults_changed(&mut self, step: &mut Step<'_>, before: Defaults) {
        self.changed(step);
        if self.defaults() != before {
            self.dress_all_queues(step);
        }
    }
}

fn check_json(name: &Name, value: &Name) -> Result<Json, Refusal> {
    serde_json::from_str(value).map_err(|_| Refusal::InvalidValue { name: name.clone() })
}
