//! What `check`, `unpack` and `apply` print: lines for people, or JSON, an object a line.
//!
//! docs/json.md describes the objects.

use crate::remedy;
use crate::standard::{self, Raw};
use crate::tell;
use layercage::audit::{Audit, Finding, Observer};
use layercage::image::What;
use layercage::policy::{Preset, Verdict};
use layercage::rules::{Note, Rule};
use layercage::sandbox::SandboxStatus;
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
    out: BufWriter<Raw<Stdout>>,
    failure: Option<io::Error>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, out: BufWriter::new(standard::output()), failure: None }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// A line that is not printed as JSON.
    pub(crate) fn heading(&mut self, text: impl FnOnce() -> String) {
        if !self.json {
            self.line(|| Value::Null, text);
        }
    }

    pub(crate) fn line(&mut self, json: impl FnOnce() -> Value, text: impl FnOnce() -> String) {
        self.line_of_bytes(json, || text().into_bytes());
    }

    /// A line that need not be UTF-8.
    pub(crate) fn line_of_bytes(&mut self, json: impl FnOnce() -> Value, text: impl FnOnce() -> Vec<u8>) {
        if self.failure.is_none() {
            let line = if self.json { crate::json::line(&json()) } else { [&*text(), b"\n"].concat() };
            self.failure = self.out.write_all(&line).err();
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

/// Prints the result to standard error, because standard output has what was made.
pub(crate) fn say(done: &Done, json: bool) {
    match json {
        true => tell::say_object(&object(done)),
        false => tell::notes(&done.report),
    }
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
pub(crate) struct Helped(BTreeSet<&'static str>);

impl Helped {
    /// What to do about a rule, the first time that it occurs.
    pub(crate) fn first(&mut self, finding: &Finding) -> Option<String> {
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

pub(crate) fn with_article(what: What) -> &'static str {
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
