//! How much the property tests try.

use proptest::prelude::ProptestConfig;

/// A number of random cases. The variable `PROPTEST_CASES` overrides it.
pub(crate) fn cases(number: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").map_or(number, |cases| cases.parse().unwrap());
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}
