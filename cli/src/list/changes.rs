//! The changes of an image or a layer, one per line.

use super::arguments::List;
use super::shown::name;
use crate::auditing::{Tree, run_audit};
use crate::report::{Helped, Judgement, Output, with_article};
use crate::sandbox::SandboxChoice;
use crate::tell::{self, Failure};
use layercage::audit::{Audit, Finding, Observer};
use layercage::error::Position;
use layercage::image::What;
use layercage::rules::Rule;
use layercage::tar::{Change, ChangeKind, Metadata};
use serde_json::{Value, json};
use std::io;

/// Prints the changes. Returns whether a violation was found, so that the list is incomplete.
pub(super) fn run(list: &List, sandbox: SandboxChoice, json: bool) -> Result<bool, Failure> {
    let mut listing = Listing::new(Output::new(json));
    let (limits, audit) = (list.limits(), Audit::new(list.limits()));
    run_audit(&list.input, sandbox, &limits, audit, Tree::Unseen, &mut listing)?;
    listing.finish().map_err(Failure::output)
}

/// Prints changes.
struct Listing {
    output: Output,
    what: Option<What>,
    refused: bool,
    helped: Helped,
}

impl Listing {
    fn new(output: Output) -> Self {
        Self { output, what: None, refused: false, helped: Helped::default() }
    }

    /// Returns whether a violation was found, so that the list is incomplete.
    fn finish(&mut self) -> io::Result<bool> {
        let finished = self.output.finish();
        // This goes to standard error, so that each line of the list is a change.
        if let Some(what) = self.what.filter(|_| !self.output.is_json()) {
            tell::say(&format_args!("layercage: listed as {}", with_article(what)));
        }
        finished.map(|()| self.refused)
    }
}

impl Judgement for Listing {
    fn taken_for(&mut self, what: What) {
        self.what = Some(what);
        if self.output.is_json() {
            self.output.line(|| json!({"type": "input", "what": what.name()}), String::new);
        }
    }
}

impl Observer for Listing {
    fn change(&mut self, change: &Change, position: &Position) {
        let Change { path, kind, .. } = change;
        let path = if path.is_root() { b"." } else { path.as_bytes() };
        let (word, metadata, size, target) = describe(kind);
        self.output.line(
            || {
                // The path of the change is the name that the entry means.
                let (Value::Object(mut object), Value::Object(members)) = (json!(position), json!(change)) else {
                    return Value::Null;
                };
                object.extend(members);
                Value::Object(object)
            },
            || {
                let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
                let mode = or_dash(metadata.map(|metadata| format!("{:04o}", metadata.mode)));
                let owner = or_dash(metadata.map(|metadata| format!("{}:{}", metadata.uid, metadata.gid)));
                let size = or_dash(size.map(|size| size.to_string()));
                let arrow = target.map(|target| format!(" -> {}", name(target))).unwrap_or_default();
                format!("{word:<8} {mode:>4} {owner:>11} {size:>11} {}{arrow}", name(path))
            },
        );
    }

    fn finding(&mut self, finding: &Finding) {
        if let Rule::Violation(_) = finding.rule {
            self.refused = true;
            tell::refusal(finding, self.helped.first(finding).as_deref(), self.output.is_json());
        }
    }
}

type Described<'c> = (&'static str, Option<&'c Metadata>, Option<u64>, Option<&'c [u8]>);

fn describe(kind: &ChangeKind) -> Described<'_> {
    match kind {
        ChangeKind::Directory(metadata) => ("dir", Some(metadata), None, None),
        ChangeKind::File { metadata, size, .. } => ("file", Some(metadata), Some(*size), None),
        ChangeKind::PseudoLink { metadata, size, .. } => ("pseudo", Some(metadata), Some(*size), None),
        ChangeKind::HardLink { target, metadata } => ("hardlink", Some(metadata), None, Some(target.as_bytes())),
        ChangeKind::Symlink { target, metadata } => ("symlink", Some(metadata), None, Some(target.as_bytes())),
        ChangeKind::Fifo(metadata) => ("fifo", Some(metadata), None, None),
        ChangeKind::Device { metadata, .. } => ("device", Some(metadata), None, None),
        ChangeKind::Skipped(_) => ("skipped", None, None, None),
        ChangeKind::Whiteout => ("whiteout", None, None, None),
        ChangeKind::OpaqueWhiteout => ("opaque", None, None, None),
    }
}
