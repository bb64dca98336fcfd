//! What happens to an archive that has a quirk, and the named sets of such verdicts.

use super::words;

words! {
    "a verdict":
    /// How an archive that has a quirk is handled.
    enum Verdict {
        /// It passes without a note.
        Pass "pass",
        /// It passes, and the report has a note.
        Note "note",
        /// It is refused.
        Refuse "refuse",
    }

    "a preset":
    /// A named set of verdicts.
    #[derive(Default)]
    #[non_exhaustive]
    enum Preset {
        /// Refuses hostile or ambiguous layers, and accepts every quirk that real images are known to have.
        #[default]
        Default "default",
        /// Accepts most that containerd accepts: devices are skipped, and links that lead above the root stop at the
        /// root.
        Compatible "compatible",
        /// Refuses everything that deserves a note.
        Paranoid "paranoid",
    }
}
