//! Whole archives: any bytes, with checksums that fit where the fuzzer asks for it.

use super::bytes::Bytes;
use super::pieces::Pieces;
use super::reading::{self, Setup, Step};
use layercage::audit::{Audit, Finding, Observer};
use layercage::blob::{Format, LayerStream};
use layercage::rules::Rule;
use layercage::{Expected, Layer};

/// Reads an archive in every way, and audits it.
pub fn archive(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let setup = Setup::choose(&mut bytes);
    let fit = bytes.byte() & 1 == 1;
    let mut archive = bytes.rest().to_vec();
    if fit {
        fit_checksums(&mut archive);
    }
    let steps = reading::read(&archive, &setup);
    let opened = LayerStream::open(&archive[..], Expected::unchecked(), &setup.limits);
    if opened.is_ok_and(|stream| stream.format() == Format::Plain) {
        let whole = audit(&archive, &[], &setup);
        assert_eq!(whole, audit(&archive, setup.sizes, &setup), "an audit finds the same in pieces");
        let mut refusals = steps.iter().filter_map(|step| match step {
            Step::Refused(violation, position) => Some((Rule::Violation(violation.clone()), position.clone())),
            _ => None,
        });
        if let Some((rule, position)) = refusals.next() {
            assert!(whole.contains(&Finding { rule, position }), "an audit finds what a reader refuses");
        }
    }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Observer for Findings {
    fn finding(&mut self, finding: &Finding) {
        self.0.push(finding.clone());
    }
}

fn audit(archive: &[u8], sizes: &[u8], setup: &Setup<'_>) -> Vec<Finding> {
    let mut findings = Findings::default();
    let mut audit = Audit::new(setup.limits.clone());
    audit.layer(Layer::new(Pieces::new(archive, sizes)), &mut findings).expect("bytes alone are the archive's fault");
    assert_eq!(audit.findings(), findings.0.len() as u64);
    findings.0
}

/// Gives every header the checksum that fits, so that a changed byte does not hide behind it.
pub(super) fn fit_checksums(archive: &mut [u8]) {
    let mut at = 0;
    while let Some(block) = archive.get_mut(at..at + 512) {
        at += 512;
        if block.iter().all(|&byte| byte == 0) {
            continue;
        }
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let size = std::str::from_utf8(&block[124..135]).ok().and_then(|size| usize::from_str_radix(size, 8).ok());
        let has_data = matches!(block[156], b'0' | 0 | b'7' | b'S' | b'x' | b'g' | b'L' | b'K');
        at = at.saturating_add(size.filter(|_| has_data).unwrap_or(0).next_multiple_of(512));
    }
}
