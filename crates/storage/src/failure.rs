//! The end of a store: the first error, kept for good.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::StorageError;

/// Called once with what the store failed of.
pub(crate) type Hook = Box<dyn FnOnce(Arc<StorageError>) + Send>;

/// Whether, and of what, a store failed. The first error stays.
#[derive(Default)]
pub(crate) struct Failure {
    first: OnceLock<Arc<StorageError>>,
    hooks: Mutex<Vec<Hook>>,
}

impl Failure {
    /// Fails the store of `error`, unless it failed before, and calls the hooks.
    pub(crate) fn set(&self, error: &StorageError) {
        if matches!(error, StorageError::Failed { .. } | StorageError::Closed) {
            return;
        }
        let mut hooks = self.hooks();
        if self.first.set(Arc::new(error.clone())).is_err() {
            return;
        }
        let due = std::mem::take(&mut *hooks);
        drop(hooks);
        tracing::error!(error = %chain(error), "storage failed");
        for hook in due {
            hook(Arc::new(error.clone()));
        }
    }

    /// Has `hook` called when the store fails, at once if it has.
    pub(crate) fn on_failure(&self, hook: Hook) {
        let mut hooks = self.hooks();
        match self.first.get() {
            None => hooks.push(hook),
            Some(first) => {
                drop(hooks);
                hook(Arc::clone(first));
            }
        }
    }

    /// What the store failed of.
    pub(crate) fn get(&self) -> Option<Arc<StorageError>> {
        self.first.get().cloned()
    }

    /// Refuses when the store has failed.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        match self.first.get() {
            None => Ok(()),
            Some(first) => Err(StorageError::Failed { first: Arc::clone(first) }),
        }
    }

    fn hooks(&self) -> MutexGuard<'_, Vec<Hook>> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `error` and what it came from, in one line.
pub(crate) fn chain(error: &StorageError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
