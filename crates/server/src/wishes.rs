//! What operators want a node to do with itself, on its way from HTTP to whoever runs the node.

use tokio::sync::{mpsc, oneshot};
use warren_management::Wish;

/// Wishes that may wait. There is one operator, or a few.
const WAITING: usize = 8;

/// A wish, and where to say what becomes of it.
#[derive(Debug)]
pub struct Asked {
    /// The wish.
    pub wish: Wish,
    answer: oneshot::Sender<Result<(), String>>,
}

/// Where wishes go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Wishes {
    mailbox: mpsc::Sender<Asked>,
}

impl Wishes {
    /// A way for wishes, and its end.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Asked>) {
        let (mailbox, asked) = mpsc::channel(WAITING);
        (Self { mailbox }, asked)
    }

    /// Passes a wish on, and waits for what is said to it.
    ///
    /// # Errors
    /// When it is refused, with the reason.
    pub async fn send(&self, wish: Wish) -> Result<(), String> {
        let gone = || "the node is stopping".to_owned();
        let (answer, answered) = oneshot::channel();
        self.mailbox.send(Asked { wish, answer }).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Asked {
    /// Says what becomes of it.
    pub fn answer(self, answer: Result<(), String>) {
        // Who does not wait any more does not want to know.
        let _heard = self.answer.send(answer);
    }
}
