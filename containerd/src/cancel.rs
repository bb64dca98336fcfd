//! The flag that stops the work on a layer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often the flag is looked at where nothing else happens.
const LOOK: Duration = Duration::from_millis(50);

/// Stops the work on one layer: its client went away, or the program stops.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel {
    this: Arc<AtomicBool>,
    all: Arc<AtomicBool>,
}

/// Stops the work when it is dropped. The future of a call is dropped when its client goes away.
#[derive(Debug)]
pub(crate) struct CancelOnDrop(Cancel);

impl Cancel {
    /// A flag for another layer, which the flag for all layers stops too.
    pub(crate) fn another(&self) -> Self {
        Self { this: Arc::default(), all: Arc::clone(&self.all) }
    }

    /// Stops the work on this layer.
    pub(crate) fn cancel(&self) {
        self.this.store(true, Ordering::Relaxed);
    }

    /// Stops the work on all layers.
    pub(crate) fn cancel_all(&self) {
        self.all.store(true, Ordering::Relaxed);
    }

    /// Waits until the work on all layers is to stop.
    pub(crate) async fn wait_for_all(&self) {
        while !self.all.load(Ordering::Relaxed) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether the work is to stop.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.this.load(Ordering::Relaxed) || self.all.load(Ordering::Relaxed)
    }

    /// A guard that stops the work on this layer when it is dropped.
    pub(crate) fn on_drop(&self) -> CancelOnDrop {
        CancelOnDrop(self.clone())
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_stopped_alone_or_with_all_others() {
        let all = Cancel::default();
        let (first, second) = (all.another(), all.another());
        drop(first.on_drop());
        assert_eq!((first.is_cancelled(), second.is_cancelled()), (true, false));
        all.cancel_all();
        assert!(second.is_cancelled() && all.another().is_cancelled());
    }
}
