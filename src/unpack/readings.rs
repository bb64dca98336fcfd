//! The layers that are being read, and which thread does which step.
//!
//! The *current* layer is the one that the calling thread applies. The *first* layer is the lowest that is not read to its
//! end. It comes before everything else, so that the calling thread does not wait for it.

use super::blob_bytes::Counted;
use super::jobs::Ahead;
use super::layer::{Layer, Opened};
use crate::read::{Arrived, Queues, Reading, Room, Shared, Step};
use crate::words::{DeferredWork, Error, Limits, Lock, SharedWork};
use std::collections::VecDeque;
use std::io::Read;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

/// Reads the layers that an iterator opens.
pub(super) struct Readings<'l, R, I> {
    pub(super) shared: Shared,
    limits: &'l Limits,
    deferred: &'l SharedWork,
    ahead: Ahead,
    bounds: Bounds,
    /// Locked while a layer is opened.
    layers: Lock<I>,
    slots: Lock<Slots<R>>,
}

/// How far ahead layers are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The largest number of layers that are open and not read to their end.
    pub(super) open: usize,
    /// The largest number of layers after the current one of which anything is read.
    pub(super) ahead: usize,
}

type Delivered = Receiver<Result<Opened<Arrived>, Error>>;

struct Slots<R> {
    slots: VecDeque<Slot<R>>,
    /// The index of the next layer to be opened.
    next: usize,
    /// No further layer is opened.
    is_exhausted: bool,
    /// Nothing is needed any more.
    is_closed: bool,
    /// A thread would have done a step that another thread was doing, or had to leave to another one.
    was_missed: bool,
    workers: usize,
    /// The number of workers that read a layer ahead of the first one.
    ahead: usize,
}

/// A layer, from its opening until the next layer is the current one.
struct Slot<R> {
    layer: usize,
    /// `None` once the thread that applies the layer has it.
    delivered: Option<Delivered>,
    queues: Option<Queues>,
    reading: State<R>,
}

enum State<R> {
    Idle(Box<Reading<Counted<R>>>),
    /// A thread has it, and does a step.
    Busy,
    Over,
}

/// A step to be done.
struct Chosen<R> {
    reading: Box<Reading<Counted<R>>>,
    layer: usize,
    room: Room,
    is_ahead: bool,
}

/// A thread that looks for work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thread {
    Calling,
    Worker,
}

/// The stream of the next layer, if it is there.
pub(super) enum Next {
    Layer(Box<Result<Opened<Arrived>, Error>>),
    /// It has not arrived. This thread has to wait.
    Later,
    /// There is no next layer.
    None,
}

impl<'l, R: Read, I> Readings<'l, R, I>
where
    I: Iterator<Item = Result<Layer<R>, Error>>,
{
    pub(super) fn new(
        shared: Shared,
        limits: &'l Limits,
        deferred: &'l SharedWork,
        (ahead, bounds): (Ahead, Bounds),
        layers: I,
    ) -> Self {
        let slots = Slots {
            slots: VecDeque::new(),
            next: 0,
            is_exhausted: false,
            is_closed: false,
            was_missed: false,
            workers: 0,
            ahead: 0,
        };
        Self { shared, limits, deferred, ahead, bounds, layers: Lock::new(layers), slots: Lock::new(slots) }
    }

    /// Opens layers and reads them until nothing is left to do for this thread. It also does deferred work.
    pub(super) fn work(&self) {
        let work = &self.shared.work;
        loop {
            let seen = work.count();
            if self.leaves() {
                return;
            }
            if !(self.open_next() || self.step_first() || self.share() || self.step_ahead(Thread::Worker)) {
                work.wait(seen);
            }
        }
    }

    /// A worker is about to start. It must call [`Readings::work`].
    pub(super) fn enlist(&self) {
        self.slots.lock().workers += 1;
    }

    /// A worker could not start.
    pub(super) fn dismiss(&self) {
        self.slots.lock().workers -= 1;
    }

    /// Whether a worker has nothing left to do.
    fn leaves(&self) -> bool {
        let slots = &mut *self.slots.lock();
        let unread = slots.slots.iter().filter(|slot| slot.is_unread()).count();
        // One worker for each layer, and one more for digests and deferred work.
        let leaves = slots.is_closed || (self.is_exhausted(slots) && slots.workers > unread.max(1) + 1);
        slots.workers -= usize::from(leaves);
        leaves
    }

    /// The index of the last layer that may be read.
    fn last(&self) -> usize {
        self.shared.arrivals.layer().saturating_add(self.bounds.ahead)
    }

    fn is_exhausted(&self, slots: &Slots<R>) -> bool {
        slots.is_exhausted || self.shared.stop.is_set()
    }

    /// Opens the next layer, perhaps a download, if it may be opened. Returns whether it did anything.
    fn open_next(&self) -> bool {
        let Some(mut layers) = self.layers.try_lock() else { return false };
        let layer = {
            let slots = self.slots.lock();
            let open = slots.slots.iter().filter(|slot| slot.is_unread()).count();
            let last = self.last();
            // The caller's readers are opened before they are read.
            let is_near = slots.next <= last || matches!(self.ahead, Ahead::Readers(_));
            if slots.is_closed || self.is_exhausted(&slots) || open >= self.bounds.open || !is_near {
                return false;
            }
            slots.next
        };
        let opened = layers.next();
        // With the lock, so that the layers are in order.
        let mut slots = self.slots.lock();
        match opened {
            _ if slots.is_closed => (),
            None => slots.is_exhausted = true,
            Some(opened) => {
                slots.is_exhausted = opened.is_err();
                slots.next += 1;
                slots.slots.push_back(self.slot(layer, opened));
            }
        }
        drop(slots);
        self.shared.arrivals.announce(layer);
        self.shared.work.ring();
        true
    }

    fn slot(&self, layer: usize, opened: Result<Layer<R>, Error>) -> Slot<R> {
        let (deliver, delivered) = channel();
        let reading = match opened {
            Err(error) => {
                // Cannot fail: the receiver is here.
                let _ = deliver.send(Err(error));
                State::Over
            }
            Ok(Layer { reader, about, on_abandoned, blob_bytes, .. }) => {
                let (reader, expected) = (Counted::new(reader, blob_bytes.clone()), about.expected);
                let deliver = move |arrived: Result<Arrived, Error>| {
                    let opened = match arrived {
                        Ok(stream) => Ok(Opened { about, blob_bytes, stream }),
                        Err(error) => Err(error.at(about.position())),
                    };
                    // Fails only if the layer is not wanted.
                    let _ = deliver.send(opened);
                };
                State::Idle(Box::new(Reading::new(
                    layer,
                    self.shared.clone(),
                    reader,
                    (expected, self.limits),
                    on_abandoned.0,
                    Box::new(deliver),
                )))
            }
        };
        Slot { layer, delivered: Some(delivered), queues: None, reading }
    }

    /// Does a step of the first layer.
    fn step_first(&self) -> bool {
        let chosen = {
            let (current, last) = (self.shared.arrivals.layer(), self.last());
            let slots = &mut *self.slots.lock();
            let Some(first) = slots.slots.iter_mut().find(|slot| slot.is_unread()) else {
                return false;
            };
            if first.layer != current && (self.shared.stop.is_set() || first.layer > last) {
                return false;
            }
            // In memory alone: before it is written to a file, other work is done.
            let room = if first.layer == current { Room::Turn } else { Room::Memory };
            match first.take() {
                Some(reading) => Chosen { reading, layer: first.layer, room, is_ahead: false },
                None => {
                    slots.was_missed = true;
                    return false;
                }
            }
        };
        self.step(chosen)
    }

    /// Does a step of a layer whose turn has not come.
    fn step_ahead(&self, thread: Thread) -> bool {
        let mut from = 0;
        while let Some(chosen) = self.choose_ahead(thread, from) {
            from = chosen.layer + 1;
            if self.step(chosen) {
                return true;
            }
        }
        false
    }

    /// Takes the next layer from `from` that is not the current one and may be read by this thread.
    fn choose_ahead(&self, thread: Thread, from: usize) -> Option<Chosen<R>> {
        let may_block = matches!(self.ahead, Ahead::Readers(_));
        if (may_block && thread == Thread::Calling) || self.shared.stop.is_set() {
            return None;
        }
        let (current, last) = (self.shared.arrivals.layer(), self.last());
        let slots = &mut *self.slots.lock();
        let first = slots.slots.iter().find(|slot| slot.is_unread()).map(|slot| slot.layer);
        let from = from.max(current.saturating_add(1));
        for slot in slots.slots.iter_mut().filter(|slot| (from..=last).contains(&slot.layer)) {
            let is_ahead = Some(slot.layer) != first;
            // Another worker must be left that reads the first layer. This one may block, perhaps until the layers before it
            // are applied.
            let must_leave = may_block && is_ahead && slots.ahead + 1 >= slots.workers;
            match slot.reading {
                State::Over => continue,
                State::Idle(_) if !must_leave => {
                    let is_ahead = is_ahead && thread == Thread::Worker;
                    slots.ahead += usize::from(is_ahead);
                    return Some(Chosen { reading: slot.take()?, layer: slot.layer, room: Room::Spool, is_ahead });
                }
                _ => slots.was_missed = true,
            }
        }
        None
    }

    /// Does a step. Returns `false` if there was no room for it.
    fn step(&self, chosen: Chosen<R>) -> bool {
        let Chosen { mut reading, layer, room, is_ahead } = chosen;
        // If it panics, the reading is dropped, and the thread that waits for it is woken.
        let step = reading.step(room);
        let queues = reading.queues();
        let mut slots = self.slots.lock();
        slots.ahead -= usize::from(is_ahead);
        // In this order: a current layer that is refused stops the others, and is read to its end.
        let is_stopped = self.shared.stop.is_set();
        let is_wanted = !slots.is_closed && (!is_stopped || layer == self.shared.arrivals.layer());
        let mut unwanted = Some(reading);
        if let Some(slot) = slots.slots.iter_mut().find(|slot| slot.layer == layer) {
            slot.queues = queues.or(slot.queues.take());
            slot.reading = match unwanted.take_if(|_| is_wanted && step != Step::Over) {
                Some(reading) => State::Idle(reading),
                None => State::Over,
            };
        }
        // Without room, other threads can do nothing with it either. If they were woken for that, they would wake each other
        // until there is room, and take the time of the threads that make it.
        let was_missed = step != Step::Full && std::mem::take(&mut slots.was_missed);
        drop(slots);
        // Its reader is the caller's, and is dropped without the lock.
        drop(unwanted);
        if step == Step::Over {
            self.shared.work.ring();
        } else if was_missed {
            self.shared.work.ring_for_one();
        }
        step != Step::Full
    }

    /// Hashes a chunk, or does deferred work.
    fn share(&self) -> bool {
        let queues = {
            let slots = self.slots.lock();
            let mut queues = slots.slots.iter().filter_map(|slot| slot.queues.clone());
            [queues.next(), queues.next()]
        };
        queues.iter().flatten().any(Queues::run_one) || self.deferred.run_one()
    }

    /// The stream of the layer with this index, which becomes the current one.
    pub(super) fn next(&self, layer: usize) -> Next {
        let is_new = self.shared.arrivals.turn_to(layer);
        let slots = &mut *self.slots.lock();
        // Their chunks are used and hashed.
        while slots.slots.front().is_some_and(|slot| slot.layer < layer) {
            slots.slots.pop_front();
        }
        if is_new {
            self.shared.work.ring();
        }
        let Some(slot) = slots.slots.front_mut() else {
            return if self.is_exhausted(slots) || slots.workers == 0 { Next::None } else { Next::Later };
        };
        match slot.delivered.as_ref().map(Receiver::try_recv) {
            Some(Ok(opened)) => {
                slot.delivered = None;
                Next::Layer(Box::new(opened))
            }
            Some(Err(TryRecvError::Empty)) => Next::Later,
            _ => Next::None,
        }
    }

    /// No further layer, and no further byte, is needed.
    pub(super) fn close(&self) {
        self.shared.stop.set();
        let dropped = {
            let mut slots = self.slots.lock();
            slots.is_closed = true;
            std::mem::take(&mut slots.slots)
        };
        drop(dropped);
        self.shared.work.ring();
        self.shared.arrivals.announce(self.shared.arrivals.layer());
    }
}

impl<R> Slot<R> {
    /// Whether the layer is not read to its end.
    fn is_unread(&self) -> bool {
        !matches!(self.reading, State::Over)
    }

    fn take(&mut self) -> Option<Box<Reading<Counted<R>>>> {
        match std::mem::replace(&mut self.reading, State::Busy) {
            State::Idle(reading) => Some(reading),
            other => {
                self.reading = other;
                None
            }
        }
    }
}

/// What the calling thread does while it waits for bytes.
impl<R: Read + Send, I> DeferredWork for Readings<'_, R, I>
where
    I: Iterator<Item = Result<Layer<R>, Error>> + Send,
{
    fn run_one(&self) -> bool {
        self.deferred.run_one() || self.step_ahead(Thread::Calling)
    }
}
