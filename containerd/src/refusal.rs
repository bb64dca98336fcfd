//! Why a layer was not applied: the message that the user of containerd reads.

use layercage::Error;
use layercage::error::{Blame, Misuse, Remedy};
use std::fmt::Display;
use tonic::Status;

/// Why a layer was not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    outcome: Outcome,
    rule: Option<&'static str>,
    message: String,
}

/// What a layer that was not applied counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The layer, or the request, is one that is not accepted.
    Refused,
    /// Something failed on this machine.
    Failed,
    /// The client went away, or the program stops.
    Cancelled,
}

impl Outcome {
    /// The word for logs and metrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The most characters of a message.
const LONGEST: usize = 4000;

impl Refusal {
    /// How each message begins that a client reads.
    pub(crate) const PREFIX: &str = "layercage: ";

    /// A request that is not accepted.
    pub(crate) fn of_request(why: impl Display) -> Self {
        Self::new(Outcome::Refused, None, format!("refused: {why}"))
    }

    /// A failure of this machine.
    pub(crate) fn of_system(why: impl Display) -> Self {
        Self::new(Outcome::Failed, None, why.to_string())
    }

    /// A defect of this program.
    pub(crate) fn of_panic() -> Self {
        let why = "a defect in layercage-differ, please report it; its log has the details".to_owned();
        Self::new(Outcome::Failed, None, why)
    }

    /// The client went away, or the program stops.
    pub(crate) fn cancelled() -> Self {
        Self::new(Outcome::Cancelled, None, "cancelled".to_owned())
    }

    /// An error of the library.
    pub(crate) fn of_layer(error: &Error) -> Self {
        let outcome = match error.blame() {
            _ if error.misuse() == Some(&Misuse::Cancelled) => Outcome::Cancelled,
            Blame::Archive | Blame::Caller => Outcome::Refused,
            Blame::System | Blame::Bug => Outcome::Failed,
        };
        let keys: Vec<_> = error.remedies().iter().filter_map(key).collect();
        let help = match keys.is_empty() {
            true => String::new(),
            false => format!(" (in differ.toml: {})", keys.join(", or ")),
        };
        Self::new(outcome, error.rule_id(), format!("{error:#}{help}"))
    }

    fn new(outcome: Outcome, rule: Option<&'static str>, message: String) -> Self {
        // Paths are escaped already. What another library says may have line breaks.
        let mut message: String = message.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
        // A media type may have megabytes.
        if let Some((end, _)) = message.char_indices().nth(LONGEST) {
            message.truncate(end);
            message.push('…');
        }
        Self { outcome, rule, message }
    }

    /// What the layer counts as.
    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The id of the rule that the layer breaks, if it is one.
    pub(crate) fn rule(&self) -> Option<&'static str> {
        self.rule
    }

    /// The message, in one line.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The answer to the client. It is never `Unimplemented`: containerd 1.7 would then go on to its own unpacker.
    pub(crate) fn status(&self) -> Status {
        Status::failed_precondition(format!("{}{}", Self::PREFIX, self.message))
    }
}

/// The key of the policy file that lets such a layer pass.
fn key(remedy: &Remedy) -> Option<String> {
    Some(match remedy {
        Remedy::Allow(rule) => format!("allow = [\"{rule}\"]"),
        Remedy::Raise { limit, at_least } => format!("limit.{limit} = {at_least} or more"),
        Remedy::Devices(choice) => format!("devices = \"{choice}\""),
        Remedy::Fifos(choice) => format!("fifos = \"{choice}\""),
        Remedy::SetId(choice) => format!("setid = \"{choice}\""),
        Remedy::Links(choice) => format!("links = \"{choice}\""),
        Remedy::Xattrs(choice) => format!("xattrs = \"{choice}\""),
        Remedy::Owners(choice) => format!("owners = \"{choice}\""),
        Remedy::MapId => "a larger uid-map and gid-map".to_owned(),
        Remedy::ClampTimes => "mtime = \"clamp=SECONDS\"".to_owned(),
        // What no policy decides.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use layercage::rules::{Quirk, Violation};
    use tonic::Code;

    #[test]
    fn a_refusal_is_one_line_with_a_prefix_its_rule_and_what_can_be_done() {
        let error = Error::from(Quirk::Fifo);
        let refusal = Refusal::of_layer(&error);
        assert_eq!((refusal.outcome(), refusal.rule()), (Outcome::Refused, Some("fifo")));
        let status = refusal.status();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert!(status.message().starts_with("layercage: refused [fifo]"), "{status}");
        assert!(status.message().contains("in differ.toml: fifos = \"skip\""), "{status}");
        let many = Refusal::of_system("line\nanother\x1b[31m");
        assert_eq!(many.status().message(), "layercage: line another [31m");
        assert_eq!(Refusal::of_request("é".repeat(1 << 20)).message().chars().count(), LONGEST + 1);
    }

    #[test]
    fn every_answer_has_the_code_that_containerd_does_not_pass_over() {
        let truncated = Refusal::of_layer(&Violation::Truncated.into());
        let full = std::io::Error::from_raw_os_error(28);
        let system = Refusal::of_layer(&Error::system("openat", b"a", full));
        for refusal in [Refusal::of_panic(), Refusal::cancelled(), Refusal::of_request("a"), truncated, system] {
            assert_eq!(refusal.status().code(), Code::FailedPrecondition);
        }
    }
}
