//! The tree that an audit sees: names in memory, and what the applier finds about them.

use crate::plan::{Judged, Reporter};
use crate::tree::{Applier, Lower, Memory, Outcome};
use crate::words::{Change, Error, Limit, Limits, Skippable, Terms, Violation};
use std::collections::BTreeSet;

/// The tree that layers would make, as far as names tell.
#[derive(Debug)]
pub(crate) struct TreeModel {
    names: Names,
    terms: Terms,
}

#[derive(Debug)]
enum Names {
    Kept(Box<Applier<Memory>>),
    /// There were more than the limit allows.
    Lost {
        /// What hard links led to until then.
        linked: BTreeSet<Skippable>,
    },
}

impl TreeModel {
    pub(crate) fn over(lower: Lower, limits: &Limits) -> Self {
        let mut terms = Terms::new();
        terms.limits.clone_from(limits);
        Self { names: Names::Kept(Box::new(Applier::new(Memory::over(lower)))), terms }
    }

    /// The targets of hard links that some policies skip, with the hard links.
    pub(crate) fn linked(&self) -> &BTreeSet<Skippable> {
        match &self.names {
            Names::Kept(applier) => applier.linked(),
            Names::Lost { linked } => linked,
        }
    }

    /// Whether there were more names than the limit allows. Nothing that depends on the tree is found from there on.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self.names, Names::Lost { .. })
    }

    pub(crate) fn begin_layer(&mut self) -> Result<(), Error> {
        let Names::Kept(applier) = &mut self.names else { return Ok(()) };
        applier.tree_mut().begin_layer();
        applier.begin_layer(&self.terms)
    }

    /// Applies a change to the names, and returns its effect.
    ///
    /// # Errors
    ///
    /// Refusals, and [`Violation::LimitExceeded`] for [`Limit::AuditBytes`]. An audit without a tree finds less, and the
    /// author of the image decides how many names there are: it must not pass.
    pub(crate) fn change(&mut self, change: Judged<Change>, reporter: &mut Reporter<'_>) -> Result<Outcome, Error> {
        let Names::Kept(applier) = &mut self.names else { return Ok(Outcome::AsStated) };
        if let Err(violation) = check_room(applier, &self.terms.limits) {
            self.names = Names::Lost { linked: applier.linked().clone() };
            return Err(violation.into());
        }
        applier.apply(change.into_inner(), &mut &b""[..], reporter)
    }
}

/// Checks that what is kept is within the limit. An index that is too small counts as too much.
fn check_room(applier: &Applier<Memory>, limits: &Limits) -> Result<(), Violation> {
    let amount = applier.tree().bytes().map(|bytes| bytes.saturating_add(applier.bytes()));
    let (limit, most) = (Limit::AuditBytes, limits.most(Limit::AuditBytes));
    match amount {
        Some(amount) => limits.check(limit, amount),
        None => Err(Violation::LimitExceeded { limit, most, amount: most.saturating_add(1) }),
    }
}
