//! Panics of tasks during a run: the runtime would pass over them.

use std::cell::RefCell;
use std::sync::Once;

use super::history::History;

thread_local! {
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// From here on, panics on this thread are kept.
pub(super) fn watch() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let text = panic.to_string();
            let keep = |kept: &RefCell<Option<Vec<String>>>| {
                if let Some(kept) = kept.borrow_mut().as_mut() {
                    kept.push(text);
                }
            };
            // At the end of a thread there is nobody to keep it.
            let _kept = PANICS.try_with(keep);
            before(panic);
        }));
    });
    PANICS.set(Some(Vec::new()));
}

/// Tells the history of the panics that there were.
pub(super) fn take(history: &History) {
    for panic in PANICS.take().unwrap_or_default() {
        history.fault(panic);
    }
}
