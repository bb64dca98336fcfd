//! Chooses the best of several images that match.

use super::reference::list;
use super::selector::{Selector, several_match};
use crate::words::{Error, SelectBy};

/// An image that matches.
pub(super) struct Candidate<K, T> {
    /// The number of platforms that are preferred to this one.
    pub(super) rank: usize,
    /// What distinguishes images. Two candidates with the same key are two names of one image.
    pub(super) key: K,
    pub(super) value: T,
}

/// The key and the value of the best candidate, or `None` if there is none. `name` returns the name of a candidate in
/// messages.
///
/// # Errors
///
/// [`Misuse::SeveralSelected`](crate::error::Misuse::SeveralSelected) if several different ones are equally good.
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
