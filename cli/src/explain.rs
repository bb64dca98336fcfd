//! The long form of each rule and limit: `explained.md`, split at its headings.

/// All explanations, one section for each rule and limit, under its id.
const PAGE: &str = include_str!("explained.md");

/// The long form of a rule or limit in Markdown: what it means, why it matters, which tools cause it, what to do, and
/// the CVE or report if there is one. `None` if no rule and no limit has this id.
pub(crate) fn explanation(id: &str) -> Option<&'static str> {
    sections().find(|(heading, _)| *heading == id).map(|(_, text)| text)
}

fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    PAGE.split("\n## ").skip(1).filter_map(|section| section.split_once('\n')).map(|(id, text)| (id, text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use layercage::rules::{Limit, QuirkRule, ViolationRule};

    fn ids() -> impl Iterator<Item = &'static str> {
        let quirks = QuirkRule::ALL.iter().map(|rule| rule.row().id);
        let violations = ViolationRule::ALL.iter().map(|rule| rule.row().id);
        quirks.chain(violations).chain(Limit::ALL.iter().map(|limit| limit.id()))
    }

    #[test]
    fn every_rule_and_every_limit_is_explained_once_and_nothing_else_is() {
        let (mut expected, mut explained): (Vec<_>, Vec<_>) = (ids().collect(), sections().map(|(id, _)| id).collect());
        expected.sort_unstable();
        explained.sort_unstable();
        assert_eq!(explained, expected);
    }

    #[test]
    fn every_explanation_says_what_it_is_why_it_matters_and_what_to_do() {
        for (id, text) in sections() {
            let labels: Vec<_> =
                text.split("\n\n").map(|part| part.split_once(": ").map_or("", |(label, _)| label)).collect();
            let known = ["What", "Why", "Written by", "What to do", "See"];
            assert!(labels.iter().all(|label| known.contains(label)), "{id}: {labels:?}");
            for label in ["What", "Why", "What to do"] {
                assert_eq!(labels.iter().filter(|given| **given == label).count(), 1, "{id}: {label}");
            }
            assert!(text.lines().all(|line| line.len() <= 120), "{id}: a line is too long");
        }
    }
}
