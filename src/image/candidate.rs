//! The best of what fits.

use super::reference::list;
use super::selector::{Selector, several_match};
use crate::words::{Error, SelectBy};

/// Something that fits what is asked for.
pub(super) struct Candidate<K, T> {
    /// How many platforms would have been better.
    pub(super) rank: usize,
    /// What makes it different from others: two names of one image are no choice.
    pub(super) key: K,
    pub(super) value: T,
}

/// The key and the value of the best candidate, or `None`. `name` returns the name of a candidate in messages.
pub(super) fn best<K: PartialEq, T>(
    mut candidates: Vec<Candidate<K, T>>,
    selector: &Selector,
    name: impl Fn(&T) -> String,
) -> Result<Option<(K, T)>, Error> {
    let best = candidates.iter().map(|candidate| candidate.rank).min();
    candidates.retain(|candidate| Some(candidate.rank) == best);
    if let [first, others @ ..] = candidates.as_slice()
        && others.iter().any(|other| other.key != first.key)
    {
        let names = list(candidates.iter().map(|candidate| name(&candidate.value)));
        return Err(several_match(selector.wanted(), names, SelectBy::Any));
    }
    Ok(candidates.into_iter().next().map(|candidate| (candidate.key, candidate.value)))
}
