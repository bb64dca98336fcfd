//! Reads everything, writes nothing, and tells all that the rules speak of.

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

/// Whether an archive could be read to its end.
enum Whole {
    Yes,
    No,
}

/// Is told what an [`Audit`] sees, as it comes.
pub trait Observer {
    /// What an entry means, and where it stands.
    fn change(&mut self, change: &Change, position: &Position) {
        let _ = (change, position);
    }

    /// Something that a rule speaks of.
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
    /// What hard links led to that some policies skip.
    linked: BTreeSet<Skippable>,
    findings: u64,
    bytes: u64,
}

impl Audit {
    /// An audit within these limits.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Tells what this policy does not let pass in silence (a named pipe, say, where it refuses them), instead of
    /// the default one.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Sees what depends on the tree, too, in the layers read from now on: each lies on the one before, and the first
    /// on what `lower` says.
    #[must_use]
    pub fn with_tree(mut self, lower: Lower) -> Self {
        self.tree = Some(TreeModel::over(lower, &self.limits));
        self
    }

    /// Whether what depends on the tree was seen to the end: false without [`Audit::with_tree`], and when there were
    /// more names than [`Limit::AuditBytes`](crate::rules::Limit::AuditBytes) has room for. In the latter case, a finding says
    /// so, and every policy refuses.
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

    /// How many findings were told.
    pub fn findings(&self) -> u64 {
        self.findings
    }

    /// Reads a layer.
    ///
    /// A refusal is told to the observer like any other finding. Reading goes on behind it where the archive's
    /// framing is not in doubt.
    ///
    /// # Errors
    ///
    /// What the system refuses; never the archive's fault.
    pub fn layer<R: Read>(&mut self, layer: Layer<R>, observer: &mut dyn Observer) -> Result<(), Error> {
        let Layer { reader, about, .. } = layer;
        let (base, expected) = (about.position(), about.expected);
        let limits = self.limits.clone();
        let stream = match LayerStream::open(reader, expected, &limits) {
            Ok(stream) => stream,
            Err(error) => return self.tell(error, base, observer),
        };
        if let Some(quirk) = about.compression_quirk(stream.format()) {
            self.tell(quirk.into(), base.clone(), observer)?;
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
        let read = self.all(&mut reader, &limits, tree.as_mut(), base, observer);
        if let Some(tree) = &tree {
            self.linked.extend(tree.linked());
        }
        self.tree = tree;
        if let Whole::No = read? {
            return self.blob(reader.into_inner(), base, observer);
        }
        let end = Position { layer: base.layer, ..reader.position() };
        for quirk in reader.end_quirks().to_vec() {
            self.tell(quirk.into(), end.clone(), observer)?;
        }
        match reader.into_inner().finish() {
            Ok(checked) => {
                checked.quirks.into_iter().try_for_each(|quirk| self.tell(quirk.into(), base.clone(), observer))
            }
            Err(error) => self.tell(error, base.clone(), observer),
        }
    }

    /// Reads all entries, as far as the archive can be read.
    fn all<R: Read>(
        &mut self,
        reader: &mut TarReader<LayerStream<R>>,
        limits: &Limits,
        mut tree: Option<&mut TreeModel>,
        base: &Position,
        observer: &mut dyn Observer,
    ) -> Result<Whole, Error> {
        let policy = self.policy.clone();
        loop {
            let entry = reader.next_entry();
            let position = Position { layer: base.layer, ..reader.position() };
            let entry = match entry {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(Whole::Yes),
                Err(error) => {
                    self.tell(error, position, observer)?;
                    match reader.can_go_on() {
                        true => continue,
                        false => return Ok(Whole::No),
                    }
                }
            };
            let mut findings = Vec::new();
            let mut tell = |finding| findings.push(finding);
            let mut before = Report::default();
            before.bytes_written = self.bytes;
            let mut reporter = Reporter::new(&policy, limits).after(&before).observed_by(&mut tell);
            reporter.set_position(position.clone());
            let result = judge(entry, &mut reporter).and_then(|change| {
                let Some(change) = change else { return Ok(()) };
                observer.change(change.get(), &position);
                match &mut tree {
                    Some(tree) => tree.change(change, &mut reporter),
                    None => Ok(()),
                }
            });
            self.bytes += reporter.into_report().bytes_written;
            for finding in findings {
                self.count(&finding, observer);
            }
            if let Err(error) = result {
                self.tell(error, position, observer)?;
            }
        }
    }

    /// Checks whether an unreadable layer is a damaged blob. If the reader fails meanwhile, the audit ends.
    fn blob<R: Read>(
        &mut self,
        stream: LayerStream<R>,
        base: &Position,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        stream.damage().map_or(Ok(()), |error| self.tell(error, base.clone(), observer))
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

    /// Tells what is the archive's fault; everything else ends the audit.
    fn tell(&mut self, error: Error, position: Position, observer: &mut dyn Observer) -> Result<(), Error> {
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
    /// Reads all layers of an image, and tells what is odd about the image itself.
    ///
    /// # Errors
    ///
    /// What the system refuses; never the image's fault.
    pub fn image(&mut self, image: &crate::image::Selected, observer: &mut dyn Observer) -> Result<(), Error> {
        for note in image.notes() {
            self.tell(note.quirk.clone().into(), note.position.clone(), observer)?;
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
