//! What `check` and `list` print: lines for people, or JSON, an object a line.
//!
//! docs/json.md describes the objects.

use crate::remedy;
use crate::tell;
use layercage::audit::{Audit, Finding, Observer};
use layercage::error::{Escaped, Position};
use layercage::image::{ListedManifest, What};
use layercage::policy::{Preset, Verdict};
use layercage::rules::{Note, Rule};
use layercage::sandbox::SandboxStatus;
use layercage::tar::{Change, ChangeKind, Metadata};
use layercage::{Policy, Report, Selected};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::io::{self, BufWriter, Stdout, Write};

/// The result of unpacking, applying or filtering, and what the kernel forbade meanwhile.
pub(crate) struct Done {
    pub(crate) report: Report,
    pub(crate) sandboxed: Option<SandboxStatus>,
    /// The image that was unpacked; `None` for a layer.
    pub(crate) image: Option<Selected>,
}

/// Standard output. The first failure is kept, and nothing is written after it.
pub(crate) struct Output {
    json: bool,
    out: BufWriter<Stdout>,
    failure: Option<io::Error>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, out: BufWriter::new(io::stdout()), failure: None }
    }

    /// A line that is not printed as JSON.
    pub(crate) fn heading(&mut self, text: impl FnOnce() -> String) {
        if !self.json {
            self.line(|| Value::Null, text);
        }
    }

    pub(crate) fn line(&mut self, json: impl FnOnce() -> Value, text: impl FnOnce() -> String) {
        if self.failure.is_none() {
            let line = if self.json { json().to_string() } else { text() };
            self.failure = writeln!(self.out, "{line}").err();
        }
    }

    pub(crate) fn finish(&mut self) -> io::Result<()> {
        match self.failure.take().map_or(Ok(()), Err).and_then(|()| self.out.flush()) {
            // The reader has closed the pipe and needs no more.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}

/// Prints the result of unpacking or applying as JSON, and what the kernel forbade meanwhile.
pub(crate) fn print(done: &Done) -> io::Result<()> {
    let mut output = Output::new(true);
    output.line(|| object(done), String::new);
    output.finish()
}

/// The result of some work as JSON.
pub(crate) fn object(Done { report, sandboxed, image }: &Done) -> Value {
    let mut object = json!(report);
    if let Value::Object(members) = &mut object {
        members.insert("sandbox".into(), json!(sandboxed));
        members.extend(image.as_ref().map(|image| ("image".to_owned(), json!(image))));
    }
    object
}

/// Prints the images of an input, one per line.
pub(crate) fn images(manifests: &[ListedManifest], mut output: Output) -> io::Result<()> {
    if output.json {
        output.line(|| json!({"type": "input", "what": What::Image.name()}), String::new);
    }
    let digest = "sha256:".len() + 64;
    output.heading(|| {
        format!("{:<4} {:<11} {:<15} {:<digest$} {:<digest$} NAMES", "@N", "KIND", "PLATFORM", "MANIFEST", "IMAGE ID")
    });
    for listed in manifests {
        output.line(
            || json!(listed),
            || {
                let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
                let platform = or_dash(listed.platform().map(ToString::to_string));
                let manifest = or_dash(listed.manifest_digest().map(ToString::to_string));
                let image_id = or_dash(listed.image_id().map(ToString::to_string));
                let names: Vec<_> = listed.names().map(|name| Escaped::new(name.as_bytes()).to_string()).collect();
                let names = or_dash(Some(names.join(", ")).filter(|names| !names.is_empty()));
                let position = format!("@{}", listed.position());
                let kind = listed.kind().name();
                let problem = listed.problem().map(|problem| format!(" ({problem:#})")).unwrap_or_default();
                format!(
                    "{position:<4} {kind:<11} {platform:<15} {manifest:<digest$} {image_id:<digest$} {names}{problem}"
                )
            },
        );
    }
    output.finish()
}

/// Prints findings or changes.
pub(crate) trait Judgement: Observer {
    /// Called first, with whether the input is read as an image or as a layer.
    fn taken_for(&mut self, what: What) {
        let _ = what;
    }
}

/// What the findings of a check are based on.
#[derive(Clone, Copy)]
pub(crate) enum Seen {
    /// An image with the tree that its layers make.
    Image,
    /// An input that looks like an image and cannot be opened.
    NoImage,
    /// A layer, whose lower layers are unknown.
    Layer,
    /// Bytes without the whole tree, because it has more names than the limit allows.
    Bytes(What),
}

impl Seen {
    pub(crate) fn without_tree(self) -> Self {
        Self::Bytes(self.what())
    }

    fn what(self) -> What {
        match self {
            Self::Image | Self::NoImage => What::Image,
            Self::Layer => What::Layer,
            Self::Bytes(what) => what,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bytes(_) => "bytes",
            seen => seen.what().name(),
        }
    }

    /// A remark for the summary.
    fn remark(self) -> &'static str {
        match self {
            Self::Image => "",
            Self::NoImage => "; `--as layer` judges it as a layer",
            Self::Layer => "; the layers below it were not seen",
            Self::Bytes(_) => "; not all names were kept, `--limit audit-bytes=AMOUNT` keeps more",
        }
    }
}

/// The rules whose help was printed. It is printed once for each rule.
#[derive(Debug, Default)]
struct Helped(BTreeSet<&'static str>);

impl Helped {
    /// What to do about a rule, the first time that it occurs.
    fn first(&mut self, finding: &Finding) -> Option<String> {
        self.0.insert(finding.rule.id()).then(|| remedy::of_finding(finding))
    }
}

/// Prints findings, and how the policy handles them.
pub(crate) struct Findings {
    output: Output,
    policy: Policy,
    helped: Helped,
}

impl Findings {
    pub(crate) fn new(output: Output, policy: Policy) -> Self {
        Self { output, policy, helped: Helped::default() }
    }

    /// Prints whether the policy and each preset refuse the input. Returns whether the policy does.
    pub(crate) fn summary(&mut self, audit: &Audit, seen: Seen) -> io::Result<bool> {
        let word = |policy: &Policy| if audit.is_refused_by(policy) { "refuses" } else { "takes" };
        let presets = Preset::ALL.iter().map(|&preset| (preset.name(), word(&Policy::preset(preset))));
        let presets: Vec<_> = presets.collect();
        let (findings, asked) = (audit.findings(), word(&self.policy));
        self.output.line(
            || {
                let presets: Map<_, _> = presets.iter().map(|(name, word)| ((*name).to_owned(), json!(word))).collect();
                let (what, seen) = (seen.what().name(), seen.name());
                json!({"type": "summary", "findings": findings, "what": what, "seen": seen, "policy": asked,
                    "presets": presets})
            },
            || {
                let each: Vec<_> = presets.iter().map(|(name, word)| format!("{name} {word}")).collect();
                let (plural, each) = (if findings == 1 { "" } else { "s" }, each.join(", "));
                let remark = format!("Judged as {}{}", with_article(seen.what()), seen.remark());
                format!("{findings} finding{plural}: the policy {asked} it (presets: {each}). {remark}")
            },
        );
        self.output.finish()?;
        Ok(audit.is_refused_by(&self.policy))
    }
}

fn with_article(what: What) -> &'static str {
    match what {
        What::Image => "an image",
        What::Layer => "a layer",
    }
}

/// The summary names the kind of input.
impl Judgement for Findings {}

impl Observer for Findings {
    fn finding(&mut self, finding: &Finding) {
        let verdict = match &finding.rule {
            Rule::Quirk(quirk) => self.policy.verdict(quirk.rule()),
            Rule::Violation(_) => Verdict::Refuse,
        };
        // Quirks that pass need no help.
        let help = if verdict == Verdict::Refuse { self.helped.first(finding) } else { None };
        self.output.line(
            || {
                let mut object = json!(finding);
                if let (Some(help), Value::Object(members)) = (&help, &mut object) {
                    members.insert("help".to_owned(), json!(help));
                }
                object
            },
            || {
                let help = help.as_ref().map(|help| format!("\n  help: {help}")).unwrap_or_default();
                match (&finding.rule, verdict) {
                    // As unpacking says it: what is done about the quirk.
                    (Rule::Quirk(quirk), Verdict::Note) => {
                        let note = Note { quirk: quirk.clone(), position: finding.position.clone() };
                        format!("{} {note}", verdict.name())
                    }
                    _ => format!("{} {finding}{help}", verdict.name()),
                }
            },
        );
    }
}

/// Prints changes.
pub(crate) struct Listing {
    output: Output,
    what: Option<What>,
    refused: bool,
    helped: Helped,
}

impl Listing {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, what: None, refused: false, helped: Helped::default() }
    }

    /// Returns whether a violation was found, so that the list is incomplete.
    pub(crate) fn finish(&mut self) -> io::Result<bool> {
        let finished = self.output.finish();
        // This goes to standard error, so that each line of the list is a change.
        if let Some(what) = self.what.filter(|_| !self.output.json) {
            tell::say(&format_args!("layercage: listed as {}", with_article(what)));
        }
        finished.map(|()| self.refused)
    }
}

impl Judgement for Listing {
    fn taken_for(&mut self, what: What) {
        self.what = Some(what);
        if self.output.json {
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
                let Value::Object(mut object) = json!(position) else { return Value::Null };
                object.insert("type".into(), json!("change"));
                object.insert("path".into(), json!(name(path)));
                object.insert("change".into(), json!(word));
                object.extend(target.map(|target| ("target".to_owned(), json!(name(target)))));
                object.extend(size.map(|size| ("size".to_owned(), json!(size))));
                object.extend(metadata.map(attributes).into_iter().flatten());
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
            tell::refusal(finding, self.helped.first(finding).as_deref(), self.output.json);
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

fn attributes(metadata: &Metadata) -> [(String, Value); 5] {
    let Metadata { mode, uid, gid, mtime, xattrs, .. } = metadata;
    let names: Vec<_> = xattrs.iter().map(|xattr| name(&xattr.name)).collect();
    [
        ("mode".to_owned(), json!(format!("{mode:04o}"))),
        ("uid".to_owned(), json!(uid)),
        ("gid".to_owned(), json!(gid)),
        ("mtime".to_owned(), json!(mtime.to_string())),
        ("xattrs".to_owned(), json!(names)),
    ]
}

/// A whole name, escaped.
fn name(bytes: &[u8]) -> String {
    Escaped::whole(bytes).unquoted()
}
