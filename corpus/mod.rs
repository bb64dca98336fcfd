//! Container image layers that break rules, or look as if they did; `README.md` tells more.

pub(crate) mod build;
mod case;
pub(crate) mod compress;

mod compression;
mod devices;
mod ends;
mod extended;
pub(crate) mod foreign;
mod limits;
mod links;
mod names;
mod numbers;
mod oddities;
mod sparse;
mod types;
mod whiteouts;
mod xattrs;

pub(crate) use case::{Case, Expected, Fact, Told};

/// A topic and its cases.
type Topic = (&'static str, fn() -> Vec<Case>);

const TOPICS: &[Topic] = &[
    ("names", names::cases),
    ("links", links::cases),
    ("whiteouts", whiteouts::cases),
    ("types", types::cases),
    ("numbers", numbers::cases),
    ("extended", extended::cases),
    ("sparse", sparse::cases),
    ("ends", ends::cases),
    ("compression", compression::cases),
    ("foreign", foreign::cases),
    ("limits", limits::cases),
    ("devices", devices::cases),
    ("xattrs", xattrs::cases),
    ("oddities", oddities::cases),
];

/// Every case, topic by topic.
pub(crate) fn all() -> Vec<Case> {
    let cases = TOPICS.iter().flat_map(|(topic, cases)| cases().into_iter().map(|case| Case { topic, ..case }));
    cases.collect()
}
