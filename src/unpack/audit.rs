//! The audit: reads everything, writes nothing, and reports every finding.

use super::layer::Layer;
use crate::output::TreeModel;
use crate::plan::{Reporter, is_skipped_by, judge};
use crate::read::{LayerStream, TarReader, Verifying};
use crate::tree::Lower;
use crate::words::{
    Change, Error, Finding, Limits, Policy, Position, QuirkRule, Report, Rule, Skippable, Verdict, ViolationRule,
};
use std::collections::BTreeSet;
use std::io::Read;

/// How far an archive was read.
enum ReadTo {
    End,
    /// An error behind which nothing can be read.
    Error,
}

/// Receives what an [`Audit`] reads, as it reads it. Both methods do nothing by default.
pub trait Observer {
    /// Called for the change that an entry means.
    fn change(&mut self, change: &Change, position: &Position) {
        let _ = (change, position);
    }

    /// Called for each finding, if the policy of the audit does not let it pass.
    fn finding(&mut self, finding: &Finding) {
        let _ = finding;
    }
}

/// Reads layers to their ends without a tree. Reports every refusal and every note that follows from the bytes alone,
/// not only the first.
///
/// Findings that depend on a tree (where links lead, whether the target of a hard link exists) need
/// [`Audit::with_tree`], which keeps names in memory. Findings that depend on the machine are not reported: privileges,
/// mounts, and the abilities of its file system.
///
/// [`Audit::layer`] judges every input as a layer: it does not report that the input is the archive of an image. If a
/// file may be either, use `What::of`. If it is a layer, report a requested manifest digest, tag or platform as an
/// error.
///
/// ```
/// # use layercage::{Layer, Limits, Policy};
/// # use layercage::audit::{Audit, Finding, Observer};
/// struct Print;
/// impl Observer for Print {
///     fn finding(&mut self, finding: &Finding) {
///         println!("{}: {}", finding.position, finding.rule);
///     }
/// }
///
/// # let mut archive = tar::Builder::new(Vec::new());
/// # let mut header = tar::Header::new_gnu();
/// # header.set_entry_type(tar::EntryType::Char);
/// # header.set_device_major(5)?;
/// # header.set_device_minor(1)?;
/// # header.set_size(0);
/// # archive.append_data(&mut header, "dev/console", &b""[..])?;
/// # let archive = archive.into_inner()?;
/// let mut audit = Audit::new(Limits::default());
/// audit.layer(Layer::new(&archive[..]), &mut Print)?;
/// assert!(audit.is_refused_by(&Policy::default()) && !audit.is_refused_by(&Policy::compatible()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Audit {
    policy: Policy,
    limits: Limits,
    tree: Option<TreeModel>,
    quirks: BTreeSet<QuirkRule>,
    violations: BTreeSet<ViolationRule>,
    /// The targets of hard links that some policies skip.
    linked: BTreeSet<Skippable>,
    findings: u64,
    bytes: u64,
}

impl Audit {
    /// Creates an audit with these limits.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Sets the policy. A finding that it lets pass is not reported. **The default policy** by default.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Enables findings that depend on the tree, for the layers that are read from now on. Each layer lies on the previous
    /// one, and the first on `lower`.
    #[must_use]
    pub fn with_tree(mut self, lower: Lower) -> Self {
        self.tree = Some(TreeModel::over(lower, &self.limits));
        self
    }

    /// Whether all findings that depend on the tree were reported. This is false without [`Audit::with_tree`], and if the
    /// names exceed [`Limit::AuditBytes`](crate::rules::Limit::AuditBytes). Then a finding reports the limit, and every
    /// policy refuses.
    pub fn has_seen_tree(&self) -> bool {
        self.tree.as_ref().is_some_and(|tree| !tree.is_lost())
    }

    /// Whether a policy would refuse what was read.
    pub fn is_refused_by(&self, policy: &Policy) -> bool {
        let refuses = |quirk| policy.verdict(quirk) == Verdict::Refuse;
        // The policy of the audit may skip what this one makes, and make what this one skips.
        let skips_links = self.linked.iter().any(|&skippable| is_skipped_by(skippable, policy));
        let mut others = self.quirks.iter().copied().filter(|&quirk| quirk != QuirkRule::HardLinkToSkipped);
        !self.violations.is_empty() || others.any(refuses) || (skips_links && refuses(QuirkRule::HardLinkToSkipped))
    }

    /// The number of findings that were reported.
    pub fn findings(&self) -> u64 {
        self.findings
    }

    /// Reads a layer.
    ///
    /// A refusal is reported to the observer like any other finding. Reading continues after it if the start of the next
    /// entry is certain.
    ///
    /// # Errors
    ///
    /// Errors of the system and of the reader. Refusals are findings, not errors.
    pub fn layer<R: Read>(&mut self, layer: Layer<R>, observer: &mut dyn Observer) -> Result<(), Error> {
        let Layer { reader, about, .. } = layer;
        let (base, expected) = (about.position(), about.expected);
        let limits = self.limits.clone();
        let stream = match LayerStream::open(reader, expected, &limits) {
            Ok(stream) => stream,
            Err(error) => return self.report(error, base, observer),
        };
        if let Some(quirk) = about.compression_quirk(stream.format()) {
            self.report(quirk.into(), base.clone(), observer)?;
        }
        let reader = TarReader::new(stream, &limits).with_end_mark(expected.end_mark());
        self.entries(reader, &base, observer)
    }

    fn entries<R: Read>(
        &mut self,
        mut reader: TarReader<LayerStream<R>>,
        base: &Position,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let limits = self.limits.clone();
        let mut tree = self.tree.take();
        if let Some(tree) = &mut tree {
            tree.begin_layer().map_err(|error| error.at(base.clone()))?;
        }
        let read = self.read_entries(&mut reader, &limits, tree.as_mut(), base, observer);
        if let Some(tree) = &tree {
            self.linked.extend(tree.linked());
        }
        self.tree = tree;
        if let ReadTo::Error = read? {
            return self.check_blob(reader.into_inner(), base, observer);
        }
        let end = Position { layer: base.layer, ..reader.position() };
        for quirk in reader.end_quirks().to_vec() {
            self.report(quirk.into(), end.clone(), observer)?;
        }
        match reader.into_inner().finish() {
            Ok(checked) => {
                checked.quirks.into_iter().try_for_each(|quirk| self.report(quirk.into(), base.clone(), observer))
            }
            Err(error) => self.report(error, base.clone(), observer),
        }
    }

    /// Reads all entries, as far as possible.
    fn read_entries<R: Read>(
        &mut self,
        reader: &mut TarReader<LayerStream<R>>,
        limits: &Limits,
        mut tree: Option<&mut TreeModel>,
        base: &Position,
        observer: &mut dyn Observer,
    ) -> Result<ReadTo, Error> {
        let policy = self.policy.clone();
        loop {
            let entry = reader.next_entry();
            let position = Position { layer: base.layer, ..reader.position() };
            let entry = match entry {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(ReadTo::End),
                Err(error) => {
                    self.report(error, position, observer)?;
                    match reader.can_go_on() {
                        true => continue,
                        false => return Ok(ReadTo::Error),
                    }
                }
            };
            let mut findings = Vec::new();
            let mut collect = |finding| findings.push(finding);
            let mut before = Report::default();
            before.bytes_written = self.bytes;
            let mut reporter = Reporter::new(&policy, limits).after(&before).observed_by(&mut collect);
            reporter.set_position(position.clone());
            let result = judge(entry, &mut reporter).and_then(|change| {
                let Some(change) = change else { return Ok(()) };
                observer.change(change.get(), &position);
                match &mut tree {
                    Some(tree) => tree.change(change, &mut reporter).map(drop),
                    None => Ok(()),
                }
            });
            self.bytes += reporter.into_report().bytes_written;
            for finding in findings {
                self.count(&finding, observer);
            }
            if let Err(error) = result {
                self.report(error, position, observer)?;
            }
        }
    }

    /// Checks whether an unreadable layer is a damaged blob. If the reader fails meanwhile, the audit ends.
    fn check_blob<R: Read>(
        &mut self,
        stream: LayerStream<R>,
        base: &Position,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        stream.damage().map_or(Ok(()), |error| self.report(error, base.clone(), observer))
    }

    /// Takes a refusal as a finding, for example that of an image that cannot be selected.
    ///
    /// # Errors
    ///
    /// The same error, if it is not a refusal.
    pub fn refusal(&mut self, error: Error, observer: &mut dyn Observer) -> Result<(), Error> {
        match error.rule() {
            Some(rule) => {
                self.count(&Finding { rule: rule.clone(), position: error.position().clone() }, observer);
                Ok(())
            }
            None => Err(error),
        }
    }

    /// Reports a refusal at a position. Any other error ends the audit.
    fn report(&mut self, error: Error, position: Position, observer: &mut dyn Observer) -> Result<(), Error> {
        self.refusal(error.at(position), observer)
    }

    fn count(&mut self, finding: &Finding, observer: &mut dyn Observer) {
        match &finding.rule {
            Rule::Quirk(quirk) => {
                self.quirks.insert(quirk.rule());
                if self.policy.verdict(quirk.rule()) == Verdict::Pass {
                    return;
                }
            }
            Rule::Violation(violation) => drop(self.violations.insert(violation.rule())),
        }
        self.findings += 1;
        observer.finding(finding);
    }
}

#[cfg(feature = "image")]
impl Audit {
    /// Reads all layers of an image, and reports the quirks of the image itself.
    ///
    /// # Errors
    ///
    /// Errors of the system. Refusals are findings, not errors.
    pub fn image(&mut self, image: &crate::image::Selected, observer: &mut dyn Observer) -> Result<(), Error> {
        for note in image.notes() {
            self.report(note.quirk.clone().into(), note.position.clone(), observer)?;
        }
        for layer in super::numbered::numbered(image, super::numbered::stored(image)) {
            match layer {
                Ok(layer) => self.layer(layer, observer)?,
                Err(error) => self.refusal(error, observer)?,
            }
        }
        Ok(())
    }
}
