//! Progress: a line on a terminal that is redrawn, and signals, which cancel.

use crate::signals::Signals;
use layercage::progress::{Advance, Progress, Step};
use std::io::{self, IsTerminal, Stderr, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Draws the line on a terminal, and cancels after a signal. Dropping it removes the line.
pub(crate) struct Watcher<W: Write = Stderr> {
    signals: Signals,
    line: Option<Line<W>>,
}

impl Watcher {
    /// Draws a line if standard error is a terminal and the output is not JSON.
    pub(crate) fn new(signals: &Signals, json: bool) -> Self {
        let shown = !json && io::stderr().is_terminal();
        Self { signals: signals.clone(), line: shown.then(|| Line::new(io::stderr())) }
    }
}

impl<W: Write> Progress for Watcher<W> {
    fn advanced(&mut self, advance: &Advance) -> ControlFlow<()> {
        if let Some(line) = &mut self.line {
            line.show(advance, Instant::now());
        }
        match self.signals.came() {
            None => ControlFlow::Continue(()),
            Some(_) => ControlFlow::Break(()),
        }
    }
}

/// A line that is redrawn.
struct Line<W: Write> {
    out: W,
    drawn: Option<Instant>,
}

/// The time between two drawings.
const PAUSE: Duration = Duration::from_millis(100);

/// Moves to the first column and clears the line.
const CLEAR: &str = "\r\x1b[K";

impl<W: Write> Line<W> {
    fn new(out: W) -> Self {
        Self { out, drawn: None }
    }

    fn show(&mut self, advance: &Advance, now: Instant) {
        if self.drawn.is_some_and(|drawn| now.duration_since(drawn) < PAUSE) {
            return;
        }
        self.drawn = Some(now);
        // A line that cannot be drawn is not an error.
        let _ = self.out.write_all(format!("{CLEAR}{}", render(advance)).as_bytes()).and_then(|()| self.out.flush());
    }
}

impl<W: Write> Drop for Line<W> {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            let _ = self.out.write_all(CLEAR.as_bytes()).and_then(|()| self.out.flush());
        }
    }
}

/// `layer 2 of 5, 120 MiB read, 3,400 entries`
fn render(advance: &Advance) -> String {
    let layer = advance.layer.map(|layer| format!("layer {} of {}", layer.number, layer.of));
    // The other step is applying, filtering or writing, depending on the command.
    let step = (advance.step == Step::Verifying).then(|| "verifying".to_owned());
    let mut parts: Vec<_> = layer.or(step).into_iter().collect();
    parts.push(format!("{} read", bytes(advance.bytes_read)));
    if advance.entries > 0 {
        parts.push(format!("{} {}", grouped(advance.entries), if advance.entries == 1 { "entry" } else { "entries" }));
    }
    parts.join(", ")
}

/// An amount in the largest unit that fits into it.
fn bytes(amount: u64) -> String {
    const UNITS: [&str; 4] = ["TiB", "GiB", "MiB", "KiB"];
    let unit = UNITS.iter().zip([40, 30, 20, 10]).find(|(_, shift)| amount >> shift > 0);
    match unit {
        Some((unit, shift)) => format!("{} {unit}", amount >> shift),
        None => format!("{amount} B"),
    }
}

/// A number with a comma at every third digit.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use layercage::error::LayerPosition;

    fn advance(layer: Option<LayerPosition>, step: Step, bytes_read: u64, entries: u64) -> Advance {
        let mut advance = Advance::default();
        (advance.layer, advance.step, advance.bytes_read, advance.entries) = (layer, step, bytes_read, entries);
        advance
    }

    #[test]
    fn the_line_says_which_layer_how_much_and_how_many() {
        let second = Some(LayerPosition { number: 2, of: 5 });
        for (advance, line) in [
            (advance(second, Step::Applying, 120 << 20, 3_400), "layer 2 of 5, 120 MiB read, 3,400 entries"),
            (advance(second, Step::Applying, 512, 0), "layer 2 of 5, 512 B read"),
            (advance(None, Step::Verifying, 3 << 30, 0), "verifying, 3 GiB read"),
            (advance(None, Step::Applying, 1 << 40, 1_234_567), "1 TiB read, 1,234,567 entries"),
            (advance(None, Step::Applying, 1 << 10, 1), "1 KiB read, 1 entry"),
        ] {
            assert_eq!(render(&advance), line);
        }
    }

    #[test]
    fn the_line_is_drawn_ten_times_a_second_at_most_and_goes_in_the_end() {
        let mut out = Vec::new();
        let start = Instant::now();
        let mut line = Line::new(&mut out);
        for (millis, entries) in [(0, 1), (50, 2), (99, 3), (100, 4), (150, 5), (260, 6)] {
            line.show(&advance(None, Step::Applying, 0, entries), start + Duration::from_millis(millis));
        }
        drop(line);
        let drawn = [1, 4, 6].map(|entries| format!("{CLEAR}{}", render(&advance(None, Step::Applying, 0, entries))));
        assert_eq!(String::from_utf8(out).unwrap(), format!("{}{CLEAR}", drawn.concat()));
    }

    #[test]
    fn a_line_that_was_never_drawn_leaves_no_trace() {
        let mut out = Vec::new();
        drop(Line::new(&mut out));
        assert!(out.is_empty());
    }
}
