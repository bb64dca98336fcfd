//! Extended headers: what stands before an entry and belongs to it.

use super::{header::until_nul, oddities::Oddities, pax::Pax};
use crate::words::{Escaped, Limits, Quirk, Violation};

/// The extended headers of one entry, each kind at most once.
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

    /// Adds one header; of two of a kind the later one counts, as in Go.
    pub(crate) fn add(
        &mut self,
        kind: ExtendedKind,
        content: &[u8],
        limits: &Limits,
        oddities: &mut Oddities,
    ) -> Result<(), Violation> {
        let twice = match kind {
            ExtendedKind::GnuPath => {
                self.gnu_path.replace(gnu_text(content, Violation::NameEmpty, oddities)?).is_some()
            }
            ExtendedKind::GnuTarget => {
                self.gnu_target.replace(gnu_text(content, Violation::LinkTargetEmpty, oddities)?).is_some()
            }
            ExtendedKind::Pax => self.pax.replace(Pax::parse(content, limits, oddities)?).is_some(),
        };
        if twice {
            oddities.add(Quirk::ExtendedHeaderTwice { kind: kind.name() });
        }
        Ok(())
    }

    /// The name that replaces the header's.
    pub(crate) fn take_path(&mut self, oddities: &mut Oddities) -> Option<Vec<u8>> {
        // Writers of sparse files put a stand-in into `path`. In Go their own key counts before all else.
        let sparse = self.pax.as_mut().and_then(|pax| pax.sparse.name.take());
        let pax = self.pax.as_mut().and_then(|pax| pax.path.take());
        let agreed = agreed(self.gnu_path.take(), sparse.clone().or(pax), oddities);
        sparse.or(agreed)
    }

    /// The link target that replaces the header's.
    pub(crate) fn take_target(&mut self, oddities: &mut Oddities) -> Option<Vec<u8>> {
        let pax = self.pax.as_mut().and_then(|pax| pax.target.take());
        agreed(self.gnu_target.take(), pax, oddities)
    }

    /// The size by the records.
    pub(crate) fn size(&self) -> Option<u64> {
        self.pax.as_ref().and_then(|pax| pax.size)
    }

    /// The other things that records say.
    pub(crate) fn into_pax(self) -> Pax {
        self.pax.unwrap_or_default()
    }
}

/// Of two names the GNU one counts, as in Go.
fn agreed(gnu: Option<Vec<u8>>, pax: Option<Vec<u8>>, oddities: &mut Oddities) -> Option<Vec<u8>> {
    if let (Some(gnu), Some(pax)) = (&gnu, &pax)
        && gnu != pax
    {
        oddities.add(Quirk::PathDisagrees { gnu: Escaped::new(gnu), pax: Escaped::new(pax) });
    }
    gnu.or(pax)
}

/// The text of an `L` or `K` header: a NUL at its end is customary, and only NULs should follow one. Nothing at all is
/// refused, since Go would use the header's own field and GNU tar the empty name.
fn gnu_text(content: &[u8], empty: Violation, oddities: &mut Oddities) -> Result<Vec<u8>, Violation> {
    let text = until_nul(content);
    if content.iter().skip(text.len()).any(|&byte| byte != 0) {
        oddities.add(Quirk::LongNameTrailing);
    }
    if text.is_empty() { Err(empty) } else { Ok(text.to_vec()) }
}
