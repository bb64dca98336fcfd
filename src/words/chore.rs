//! Work that can wait.

/// Work that whoever has nothing else to do may do a piece of.
///
/// A [`Sink`](crate::Sink) may put off what nobody waits for, and let the threads do it that read a layer, when they
/// are ahead.
pub trait Chore: Send + Sync {
    /// Does the next piece, unless there is none or somebody else is at it; says whether it did.
    fn help(&self) -> bool;
}
