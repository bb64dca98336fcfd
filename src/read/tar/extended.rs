//! Extended headers, which precede an entry and belong to it.

use super::{header::until_nul, pax::Pax, quirk_set::QuirkSet};
use crate::words::{Escaped, Limits, Quirk, Violation};

/// The extended headers of one entry, at most one of each kind.
#[derive(Debug, Default)]
pub(crate) struct Extended {
    gnu_path: Option<Vec<u8>>,
    gnu_target: Option<Vec<u8>>,
    pax: Option<Pax>,
}

/// The kinds of extended headers that belong to one entry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ExtendedKind {
    GnuPath,
    GnuTarget,
    Pax,
}

impl ExtendedKind {
    /// Reads a header's type flag.
    pub(crate) fn of(flag: u8) -> Option<Self> {
        match flag {
            b'L' => Some(Self::GnuPath),
            b'K' => Some(Self::GnuTarget),
            b'x' => Some(Self::Pax),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::GnuPath => "GNU long name",
            Self::GnuTarget => "GNU long link",
            Self::Pax => "PAX",
        }
    }
}

impl Extended {
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self { gnu_path: None, gnu_target: None, pax: None })
    }

    /// Adds one header. If there are two of a kind, the later one counts, as in Go.
    pub(crate) fn add(
        &mut self,
        kind: ExtendedKind,
        content: &[u8],
        limits: &Limits,
        quirks: &mut QuirkSet,
    ) -> Result<(), Violation> {
        let twice = match kind {
            ExtendedKind::GnuPath => self.gnu_path.replace(gnu_text(content, Violation::NameEmpty, quirks)?).is_some(),
            ExtendedKind::GnuTarget => {
                self.gnu_target.replace(gnu_text(content, Violation::LinkTargetEmpty, quirks)?).is_some()
            }
            ExtendedKind::Pax => self.pax.replace(Pax::parse(content, limits, quirks)?).is_some(),
        };
        if twice {
            quirks.add(Quirk::ExtendedHeaderTwice { kind: kind.name() });
        }
        Ok(())
    }

    /// Takes the name that replaces that of the header.
    pub(crate) fn take_path(&mut self, quirks: &mut QuirkSet) -> Option<Vec<u8>> {
        // Writers of sparse files put a placeholder into `path`, and the name into a key of their own. In Go, that key
        // has precedence over all others.
        let sparse = self.pax.as_mut().and_then(|pax| pax.sparse.name.take());
        let pax = self.pax.as_mut().and_then(|pax| pax.path.take());
        let agreed = agreed(self.gnu_path.take(), sparse.clone().or(pax), quirks);
        sparse.or(agreed)
    }

    /// Takes the link target that replaces that of the header.
    pub(crate) fn take_target(&mut self, quirks: &mut QuirkSet) -> Option<Vec<u8>> {
        let pax = self.pax.as_mut().and_then(|pax| pax.target.take());
        agreed(self.gnu_target.take(), pax, quirks)
    }

    /// The size in the PAX records.
    pub(crate) fn size(&self) -> Option<u64> {
        self.pax.as_ref().and_then(|pax| pax.size)
    }

    /// Returns the PAX records.
    pub(crate) fn into_pax(self) -> Pax {
        self.pax.unwrap_or_default()
    }
}

/// Chooses between a GNU and a PAX name. If there are both, the GNU name counts, as in Go.
fn agreed(gnu: Option<Vec<u8>>, pax: Option<Vec<u8>>, quirks: &mut QuirkSet) -> Option<Vec<u8>> {
    if let (Some(gnu), Some(pax)) = (&gnu, &pax)
        && gnu != pax
    {
        quirks.add(Quirk::PathDisagrees { gnu: Escaped::new(gnu), pax: Escaped::new(pax) });
    }
    gnu.or(pax)
}

/// Returns the text of an `L` or `K` header. It usually ends with a NUL, and only NULs should follow. An empty text is
/// refused: Go would use the field of the header, and GNU tar the empty name.
fn gnu_text(content: &[u8], empty: Violation, quirks: &mut QuirkSet) -> Result<Vec<u8>, Violation> {
    let text = until_nul(content);
    if content.iter().skip(text.len()).any(|&byte| byte != 0) {
        quirks.add(Quirk::LongNameTrailing);
    }
    if text.is_empty() { Err(empty) } else { Ok(text.to_vec()) }
}
