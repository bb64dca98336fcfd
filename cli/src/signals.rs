//! Signals that end the command. It cleans up first, and then ends as the signal would have ended it.

use layercage::Error;
use layercage::error::Misuse;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::low_level::{emulate_default_handler, pipe, signal_name};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Ignores the signal for a file that grows beyond the limit of the process (`ulimit -f`). By default it ends the process
/// at once. The write fails with an error, so whether the signal came does not matter.
pub(crate) fn outlive_large_files() -> io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// The caught signals.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    which: Arc<AtomicUsize>,
    /// Readable after the first signal, or when a waiting reader should stop.
    wake: Arc<UnixStream>,
    waker: Arc<UnixStream>,
    left_off: Arc<AtomicBool>,
}

impl Signals {
    /// Catches SIGINT, SIGTERM and SIGHUP, except those that are ignored (as `nohup` does). A second signal ends the
    /// command at once.
    pub(crate) fn catch(ignored: Ignored) -> io::Result<Self> {
        let (wake, waker) = UnixStream::pair()?;
        let (wake, waker) = (Arc::new(wake), Arc::new(waker));
        let signals = Self { which: Arc::default(), wake, waker, left_off: Arc::default() };
        let came = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !ignored.has(*signal)) {
            // The number is registered first: a signal that comes between two of these calls must not be lost.
            signal_hook::flag::register_usize(
                signal,
                Arc::clone(&signals.which),
                usize::try_from(signal).unwrap_or(0),
            )?;
            pipe::register(signal, signals.waker.try_clone()?)?;
            // In this order, so that the first signal does not find its own flag.
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&came))?;
            signal_hook::flag::register(signal, Arc::clone(&came))?;
        }
        Ok(signals)
    }

    /// The signal that came.
    pub(crate) fn came(&self) -> Option<Signal> {
        match self.which.load(Ordering::SeqCst) {
            0 => None,
            number => i32::try_from(number).ok().map(Signal),
        }
    }

    /// The signal that caused this error.
    pub(crate) fn ended(&self, error: &Error) -> Option<Signal> {
        self.came().filter(|_| error.misuse() == Some(&Misuse::Cancelled))
    }

    /// Wakes a reader that may wait for long, because no more input is needed.
    pub(crate) fn leave_off(&self) {
        self.left_off.store(true, Ordering::SeqCst);
        // The byte is never read, so one is enough. If there is no room for it, another byte is there already.
        let _ = (&*self.waker).write(&[0]);
    }

    /// Whether readers should stop waiting.
    fn are_to_end(&self) -> bool {
        self.came().is_some() || self.left_off.load(Ordering::SeqCst)
    }

    /// Wraps a reader that may wait for long, so that a signal ends the waiting.
    pub(crate) fn interrupt<R: Read + AsFd>(&self, reader: R) -> Interruptible<R> {
        Interruptible { reader, signals: self.clone() }
    }
}

/// A signal that ends the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signal(i32);

impl Signal {
    pub(crate) fn name(self) -> &'static str {
        signal_name(self.0).unwrap_or("a signal")
    }

    /// The exit code that a shell sees.
    pub(crate) fn exit_code(self) -> u8 {
        u8::try_from(128 + self.0).unwrap_or(1)
    }

    /// Ends the process as the signal would have done, so that the parent process knows.
    pub(crate) fn end(self) {
        let _ = emulate_default_handler(self.0);
    }
}

/// The ignored signals: one bit each, the first for number 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ignored(u64);

impl Ignored {
    /// Reads them from `/proc`. Without access to it, as in the sandbox, no signal counts as ignored.
    #[expect(clippy::disallowed_methods, reason = "no path of the machine but a view of this very process")]
    pub(crate) fn find_out() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        Self(mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0))
    }

    fn has(self, signal: i32) -> bool {
        self.0 >> (signal - 1) & 1 == 1
    }
}

/// A pipe or a similar reader that may wait for long.
pub(crate) struct Interruptible<R> {
    reader: R,
    signals: Signals,
}

impl<R: Read + AsFd> Read for Interruptible<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut either = [
            PollFd::new(&self.reader, PollFlags::IN),
            PollFd::from_borrowed_fd(self.signals.wake.as_fd(), PollFlags::IN),
        ];
        loop {
            // Before the wait, too: a signal that came while the handlers were registered woke nothing.
            if self.signals.are_to_end() {
                return Err(Error::from(Misuse::Cancelled).into());
            }
            match poll(&mut either, None) {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            if self.signals.are_to_end() {
                return Err(Error::from(Misuse::Cancelled).into());
            }
            let [reader, _] = &either;
            if !reader.revents().is_empty() {
                return self.reader.read(out);
            }
        }
    }
}
