//! What benchmarks share.

#![allow(dead_code, reason = "none of them needs all of it")]

#[cfg(feature = "image")]
pub(crate) mod images;
pub(crate) mod layers;

use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::path::Path;

/// A number from the environment.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The processor's time that this process has used, the kernel's for it included.
pub(crate) fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The peak of this process' memory.
pub(crate) fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

/// With `BLESS=1`, writes a table into its place in a page.
pub(crate) fn table(page: &str, name: &str, lines: &[String]) {
    if std::env::var_os("BLESS").is_none() {
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(&format!("<!-- {name} -->\n")).unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    fs::write(&path, format!("{before}<!-- {name} -->\n{}\n<!-- end -->{after}", lines.join("\n"))).unwrap();
}
