//! The end of the process, when a group cannot go on.
//!
//! A replica whose core has stopped by itself neither votes nor follows, yet its node would look
//! alive to everybody. So whatever ends a core unasked ends the process: an error, a panic, or the
//! mere fact that one of its parts was dropped ([`Vigil`]).

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use warren_types::GroupId;

/// Why the process must end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fatality {
    /// The group that cannot go on; none when it is the storage of all.
    pub group: Option<GroupId>,
    /// What happened.
    pub text: String,
}

impl fmt::Display for Fatality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group {
            Some(group) => write!(f, "group {group}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

type Hook = Box<dyn FnOnce(Fatality) + Send>;

/// What is called when something fatal happens; the first call only.
#[derive(Clone)]
pub(crate) struct Alarm {
    state: Arc<Mutex<AlarmState>>,
}

enum AlarmState {
    Armed(Option<Hook>),
    Rung(Fatality),
}

impl Alarm {
    pub(crate) fn new() -> Self {
        Self { state: Arc::new(Mutex::new(AlarmState::Armed(None))) }
    }

    /// Sets what happens; at once, if it has happened.
    pub(crate) fn set(&self, hook: Hook) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let rung = match &mut *state {
            AlarmState::Armed(slot) => {
                *slot = Some(hook);
                return;
            }
            AlarmState::Rung(fatality) => fatality.clone(),
        };
        drop(state);
        hook(rung);
    }

    /// Without a hook, nobody could end the process in order: it ends at once.
    pub(crate) fn ring(&self, fatality: Fatality) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let hook = match &mut *state {
            AlarmState::Armed(hook) => hook.take(),
            AlarmState::Rung(_) => return,
        };
        *state = AlarmState::Rung(fatality.clone());
        drop(state);
        tracing::error!(%fatality, "consensus cannot go on");
        match hook {
            Some(hook) => hook(fatality),
            None => std::process::abort(),
        }
    }
}

/// Whether a group is meant to run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life(Arc<AtomicBool>);

impl Life {
    /// From here on, an end is unasked for.
    pub(crate) fn begin(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// From here on, everything may end.
    pub(crate) fn end(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    pub(crate) fn running(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Rings the alarm when it is dropped while its group is meant to run.
pub(crate) struct Vigil {
    group: GroupId,
    part: &'static str,
    life: Life,
    alarm: Alarm,
}

impl Vigil {
    pub(crate) fn new(group: GroupId, part: &'static str, life: &Life, alarm: &Alarm) -> Self {
        Self { group, part, life: life.clone(), alarm: alarm.clone() }
    }
}

impl Drop for Vigil {
    fn drop(&mut self) {
        if !self.life.running() {
            return;
        }
        let text = format!("its {} ended by itself", self.part);
        self.alarm.ring(Fatality { group: Some(self.group), text });
    }
}
