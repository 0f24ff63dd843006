//! Values that arrive one after the other.

use std::pin::Pin;

use tokio_stream::Stream;

/// Values that arrive one after the other.
pub type Flow<T> = Pin<Box<dyn Stream<Item = T> + Send>>;
