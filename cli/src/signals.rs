//! Signals that end the command: it cleans up first, and then ends as they would have ended it.

use layercage::{Error, Misuse};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::low_level::{emulate_default_handler, pipe, signal_name};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Has a file that would grow beyond what the process may write (`ulimit -f`) be an error like any: by default the
/// signal ends the process where it stands. Nobody asks whether it came, since the write that it came of fails.
pub(crate) fn outlive_large_files() -> io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// What is known of signals since they are caught.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    which: Arc<AtomicUsize>,
    /// Readable from the first one on, or when what waits is to wait no longer.
    wake: Arc<UnixStream>,
    waker: Arc<UnixStream>,
    left_off: Arc<AtomicBool>,
}

impl Signals {
    /// Catches SIGINT, SIGTERM and SIGHUP, as far as nobody has had them ignored (`nohup` does). The second that comes
    /// ends the command at once.
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

    /// The one that came.
    pub(crate) fn came(&self) -> Option<Signal> {
        match self.which.load(Ordering::SeqCst) {
            0 => None,
            number => i32::try_from(number).ok().map(Signal),
        }
    }

    /// The one that ended what failed.
    pub(crate) fn ended(&self, error: &Error) -> Option<Signal> {
        self.came().filter(|_| error.misuse() == Some(&Misuse::Cancelled))
    }

    /// Ends what reads from what may make us wait for long: nobody wants more of it.
    pub(crate) fn leave_off(&self) {
        self.left_off.store(true, Ordering::SeqCst);
        // It is read by nobody, so that one byte is enough, and there is room for it unless others lie there.
        let _ = (&*self.waker).write(&[0]);
    }

    /// Whether there is any use in waiting.
    fn are_to_end(&self) -> bool {
        self.came().is_some() || self.left_off.load(Ordering::SeqCst)
    }

    /// Has reading end when a signal comes, from what may make us wait for long.
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

    /// As a shell sees it.
    pub(crate) fn exit_code(self) -> u8 {
        u8::try_from(128 + self.0).unwrap_or(1)
    }

    /// Ends the process as the signal would have done, so that whoever waits for it knows.
    pub(crate) fn end(self) {
        let _ = emulate_default_handler(self.0);
    }
}

/// The signals that are ignored: a bit each, the first for number 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ignored(u64);

impl Ignored {
    /// None where nobody says so: in the sandbox nobody does.
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

/// A pipe or the like, whose next bytes may be long in coming.
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
