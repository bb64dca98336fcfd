//! What standard output takes: colours and a width, on a terminal only.

use rustix::termios::tcgetwinsize;
use std::io::{self, IsTerminal};

/// How lines are written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Style {
    /// The width of the terminal. Lines elsewhere have any length.
    columns: Option<usize>,
    has_colours: bool,
}

/// Colours with a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Green,
    Yellow,
    Red,
}

impl Style {
    /// The style of standard output. `NO_COLOR` (<https://no-color.org>) and a dumb terminal have no colours.
    pub(super) fn of_output() -> Self {
        let out = io::stdout();
        if !out.is_terminal() {
            return Self::default();
        }
        let is_set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let columns = tcgetwinsize(&out).ok().map(|size| usize::from(size.ws_col)).filter(|&columns| columns > 0);
        let has_colours = is_set("NO_COLOR").is_none() && is_set("TERM").is_some_and(|term| term != "dumb");
        Self { columns, has_colours }
    }

    /// Without colours, on a terminal of this width.
    #[cfg(test)]
    pub(super) fn of_width(columns: Option<usize>) -> Self {
        Self { columns, has_colours: false }
    }

    /// Whether there is room for so many columns.
    pub(super) fn has_room(self, columns: usize) -> bool {
        self.columns.is_none_or(|all| all >= columns)
    }

    /// The line, cut to the width, in a colour.
    pub(super) fn line(self, line: String, colour: Option<Colour>) -> String {
        let line = self.cut(line);
        let code = match colour.filter(|_| self.has_colours) {
            Some(Colour::Green) => 32,
            Some(Colour::Yellow) => 33,
            Some(Colour::Red) => 31,
            None => return line,
        };
        format!("\x1b[{code}m{line}\x1b[0m")
    }

    /// A line that is too wide ends in `…`. All lines are ASCII, because names are escaped.
    fn cut(self, line: String) -> String {
        match self.columns.filter(|&columns| line.len() > columns) {
            Some(columns) => line.chars().take(columns - 1).chain(['…']).collect(),
            None => line,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_wide_as_the_terminal_and_no_wider() {
        let line = |columns| Style::of_width(columns).line("abcde".to_owned(), Some(Colour::Red));
        assert_eq!([Some(1), Some(4), Some(5), None].map(line), ["…", "abc…", "abcde", "abcde"]);
        let coloured = Style { columns: Some(3), has_colours: true };
        assert_eq!(coloured.line("abcde".to_owned(), Some(Colour::Red)), "\x1b[31mab…\x1b[0m");
        assert_eq!(coloured.line("abc".to_owned(), None), "abc");
    }
}
