//! Findings on their way into the report: each gets its position, and policy decides about it.

use crate::words::{
    Error, Finding, Limit, Limits, Note, Policy, Position, Quirk, QuirkRule, Report, Rule, Verdict, Violation,
};

/// Takes the quirks that are found in a layer, and knows where in the layer they are found.
///
/// Policy decides about each quirk: it passes, it is recorded in the report, or it refuses the layer. A
/// [`Sink`](crate::Sink) is given the reporter with each change, for quirks that only the sink can see.
///
/// [`Reporter::new`] is for tests that call the methods of a sink one by one.
pub struct Reporter<'p> {
    policy: &'p Policy,
    limits: &'p Limits,
    /// The callback of an audit. It is given every quirk, and every quirk passes.
    observer: Option<&'p mut dyn FnMut(Finding)>,
    report: Report,
    /// The report of the lower layers of the session.
    before: Option<&'p Report>,
    position: Position,
}

impl std::fmt::Debug for Reporter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reporter")
            .field("position", &self.position)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

impl<'p> Reporter<'p> {
    /// Creates a reporter with an empty report and an unknown position.
    pub fn new(policy: &'p Policy, limits: &'p Limits) -> Self {
        let (report, position) = (Report::default(), Position::default());
        Self { policy, limits, observer: None, report, before: None, position }
    }

    /// Continues the report of the lower layers, if they share one report with this layer.
    pub(crate) fn after(self, before: &'p Report) -> Self {
        Self { before: Some(before), ..self }
    }

    /// Gives every quirk to an observer instead of judging it.
    pub(crate) fn observed_by(self, observer: &'p mut dyn FnMut(Finding)) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// Where in the image the current change stands: layer, entry, offset and path, each if it is known.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The limits that hold for the layer.
    pub fn limits(&self) -> &'p Limits {
        self.limits
    }

    /// The report so far. It is about this layer alone.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Reports a quirk at the current position.
    ///
    /// # Errors
    ///
    /// The refusal, if the policy refuses the quirk.
    pub fn quirk(&mut self, quirk: Quirk) -> Result<(), Error> {
        if let Some(observe) = &mut self.observer {
            observe(Finding { rule: Rule::Quirk(quirk), position: self.position.clone() });
            return Ok(());
        }
        match self.policy.verdict(quirk.rule()) {
            Verdict::Pass => (),
            Verdict::Note => self.report.note(Note { quirk, position: self.position.clone() }),
            Verdict::Refuse => return Err(quirk.into()),
        }
        Ok(())
    }

    /// Like [`Reporter::quirk`], but records only one note in a report. Use it for a quirk that is the same for many
    /// entries.
    ///
    /// Only the repeated note is dropped. If the policy refuses the quirk, each call refuses it: the state of a sink
    /// from an earlier layer with another policy must not allow it.
    ///
    /// # Errors
    ///
    /// The refusal, if the policy refuses the quirk.
    pub fn quirk_once(&mut self, quirk: Quirk) -> Result<(), Error> {
        let is_noted = |report: &Report| report.count(quirk.id()) > 0;
        let is_repeated = is_noted(&self.report) || self.before.is_some_and(is_noted);
        if self.observer.is_none() && is_repeated && self.policy.verdict(quirk.rule()) == Verdict::Note {
            return Ok(());
        }
        self.quirk(quirk)
    }

    /// Reports a quirk of the layer as a whole, or of an earlier entry: the position is the layer, without the entry.
    ///
    /// # Errors
    ///
    /// The refusal, if the policy refuses the quirk. Return it as
    /// [`SinkError::Earlier`](crate::sink::SinkError::Earlier).
    pub fn quirk_of_layer(&mut self, quirk: Quirk) -> Result<(), Error> {
        let of_layer = self.layer_position();
        let of_entry = std::mem::replace(&mut self.position, of_layer);
        let result = self.quirk(quirk);
        self.position = of_entry;
        result
    }

    /// The position of the layer, without the entry.
    pub(crate) fn layer_position(&self) -> Position {
        Position { layer: self.position.layer, ..Position::default() }
    }

    /// Sets the position of what is found next.
    pub(crate) fn set_position(&mut self, position: Position) {
        self.position = position;
    }

    /// The position, for a caller that reuses its memory.
    pub(crate) fn position_mut(&mut self) -> &mut Position {
        &mut self.position
    }

    pub(crate) fn policy(&self) -> &'p Policy {
        self.policy
    }

    /// Whether an audit observes. It continues as if devices and named pipes that its policy refuses were created.
    pub(crate) fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    /// Whether a quirk of this rule has no effect at all.
    pub(crate) fn is_silent_on(&self, rule: QuirkRule) -> bool {
        self.observer.is_none() && self.policy.verdict(rule) == Verdict::Pass
    }

    /// Whether policy refuses a quirk of this rule.
    pub(crate) fn refuses(&self, rule: QuirkRule) -> bool {
        self.observer.is_none() && self.policy.verdict(rule) == Verdict::Refuse
    }

    /// Counts one more entry.
    pub(crate) fn count_entry(&mut self) {
        self.report.entries += 1;
    }

    /// Counts the content of a file against [`Limit::ImageBytes`].
    pub(crate) fn count_content(&mut self, size: u64) -> Result<(), Violation> {
        let written = self.report.bytes_written.saturating_add(size);
        let before = self.before.map_or(0, |before| before.bytes_written);
        self.limits.check(Limit::ImageBytes, before.saturating_add(written))?;
        self.report.bytes_written = written;
        Ok(())
    }

    pub(crate) fn into_report(self) -> Report {
        self.report
    }
}
