//! Tests that need what a machine may lack.

/// Says what is skipped, and why. With `LAYERCAGE_NO_SKIP=1`, which `.ci/run` sets where it installed the tools, it
/// fails instead.
pub(crate) fn skip(what: &str) {
    let must_run = std::env::var_os("LAYERCAGE_NO_SKIP").is_some_and(|value| value == "1");
    assert!(!must_run, "must not be skipped: {what}");
    eprintln!("skipped: {what}");
}
