//! How an upper layer hides what a lower layer brought.

use super::words;

words! {
    "a way to hide a path":
    /// How a path that a layer brought was hidden again.
    #[non_exhaustive]
    enum Hiding {
        /// Another entry took its path.
        Replaced "replaced",
        /// A whiteout removed it, or a directory above it.
        WhitedOut "whited-out",
        /// An opaque whiteout of a directory above it removed it.
        Opaque "opaque",
        /// Another entry took the path of a directory above it.
        ParentReplaced "parent-replaced",
    }
}
