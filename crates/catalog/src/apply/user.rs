//! Users and what they may do.

use std::collections::BTreeMap;

use super::{Step, check_name};
use crate::catalog::UserState;
use crate::{
    Catalog, Effect, Name, Outcome, PasswordHash, Pattern, Permission, PutUser, Refusal,
    TopicPermission, User, UserLimit, UserLimits,
};

impl Catalog {
    pub(super) fn put_user(
        &mut self,
        step: &Step<'_>,
        wanted: PutUser,
    ) -> Result<Outcome, Refusal> {
        check_name("user name", &wanted.user)?;
        let known = self.users.get(&wanted.user).map(|state| state.row.clone());
        let mut row = known.clone().unwrap_or_else(|| User {
            name: wanted.user.clone(),
            password: PasswordHash::none(),
            tags: Vec::new(),
            loopback_only: false,
            limits: UserLimits::default(),
        });
        if let Some(password) = wanted.password {
            row.password = password;
        }
        if let Some(mut tags) = wanted.tags {
            tags.sort();
            tags.dedup();
            row.tags = tags;
        }
        row.loopback_only = wanted.loopback_only.unwrap_or(row.loopback_only);
        let outcome = match known {
            Some(known) if known == row => return Ok(Outcome::Unchanged),
            Some(_) => Outcome::Updated,
            None => Outcome::Created,
        };
        self.changed(step);
        match self.users.get_mut(&wanted.user) {
            Some(state) => state.row = row,
            None => {
                self.users.insert(wanted.user, UserState::new(row));
            }
        }
        Ok(outcome)
    }

    pub(super) fn delete_user(
        &mut self,
        step: &mut Step<'_>,
        user: &Name,
    ) -> Result<Outcome, Refusal> {
        if self.users.remove(user).is_none() {
            return Ok(Outcome::Missing);
        }
        step.effects.push(Effect::UserRemoved(user.clone()));
        self.changed(step);
        Ok(Outcome::Removed)
    }

    pub(super) fn set_user_limit(
        &mut self,
        step: &Step<'_>,
        user: Name,
        limit: UserLimit,
        value: Option<u64>,
    ) -> Result<Outcome, Refusal> {
        let state = self.known_user(user)?;
        let known = match limit {
            UserLimit::MaxConnections => &mut state.row.limits.max_connections,
            UserLimit::MaxChannels => &mut state.row.limits.max_channels,
        };
        if *known == value {
            return Ok(Outcome::Unchanged);
        }
        *known = value;
        self.changed(step);
        Ok(Outcome::Updated)
    }

    pub(super) fn set_permission(
        &mut self,
        step: &Step<'_>,
        user: Name,
        vhost: Name,
        patterns: [Name; 3],
    ) -> Result<Outcome, Refusal> {
        self.known_vhost(&vhost)?;
        let state = self.known_user(user)?;
        let [configure, write, read] = patterns.map(Pattern::new);
        let permission = Permission { configure: configure?, write: write?, read: read? };
        let outcome = match state.permissions.insert(vhost, permission.clone()) {
            Some(known) if known == permission => return Ok(Outcome::Unchanged),
            Some(_) => Outcome::Updated,
            None => Outcome::Created,
        };
        self.changed(step);
        Ok(outcome)
    }

    pub(super) fn clear_permission(
        &mut self,
        step: &Step<'_>,
        user: Name,
        vhost: Name,
    ) -> Result<Outcome, Refusal> {
        self.known_vhost(&vhost)?;
        if self.known_user(user)?.permissions.remove(&vhost).is_none() {
            return Ok(Outcome::Missing);
        }
        self.changed(step);
        Ok(Outcome::Removed)
    }

    pub(super) fn set_topic_permission(
        &mut self,
        step: &Step<'_>,
        user: Name,
        vhost: Name,
        exchange: Name,
        patterns: [Name; 2],
    ) -> Result<Outcome, Refusal> {
        self.known_vhost(&vhost)?;
        let state = self.known_user(user)?;
        let [write, read] = patterns.map(Pattern::new);
        let permission = TopicPermission { write: write?, read: read? };
        let exchanges = state.topic_permissions.entry(vhost).or_insert_with(BTreeMap::new);
        let outcome = match exchanges.insert(exchange, permission.clone()) {
            Some(known) if known == permission => return Ok(Outcome::Unchanged),
            Some(_) => Outcome::Updated,
            None => Outcome::Created,
        };
        self.changed(step);
        Ok(outcome)
    }

    pub(super) fn clear_topic_permission(
        &mut self,
        step: &Step<'_>,
        user: Name,
        vhost: Name,
        exchange: Option<Name>,
    ) -> Result<Outcome, Refusal> {
        self.known_vhost(&vhost)?;
        let state = self.known_user(user)?;
        let Some(exchanges) = state.topic_permissions.get_mut(&vhost) else {
            return Ok(Outcome::Missing);
        };
        let before = exchanges.len();
        match exchange {
            Some(exchange) => drop(exchanges.remove(&exchange)),
            None => exchanges.clear(),
        }
        let removed = exchanges.len() < before;
        if exchanges.is_empty() {
            state.topic_permissions.remove(&vhost);
        }
        if !removed {
            return Ok(Outcome::Missing);
        }
        self.changed(step);
        Ok(Outcome::Removed)
    }

    fn known_user(&mut self, user: Name) -> Result<&mut UserState, Refusal> {
        self.users.get_mut(&user).ok_or(Refusal::NoUser { user })
    }
}
