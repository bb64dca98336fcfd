//! Where the content of files goes while layers are merged.

use super::node::Node;
use crate::output::data::Data;
use crate::output::sink_error::SinkError;

/// Stores the content of files, while the tree keeps everything else.
///
/// Content is given once, before it is known whether an upper layer hides the file, and before its layer is verified: what
/// was stored may be used only after the merge has succeeded.
pub(crate) trait ContentStore {
    /// Stores the content of a file that has come into the tree, and returns its place: a number of the store's own, which
    /// [`Node::place`] returns later. `None` if it is not stored, or if the store knows its place by itself. Content that is not read is
    /// skipped.
    ///
    /// It is not called for files without content. The file is not yet what it will be: other names and other metadata may
    /// follow.
    fn store(&mut self, file: Node<'_>, data: &mut Data<'_>) -> Result<Option<u64>, SinkError>;
}
