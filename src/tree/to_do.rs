//! The names that a walk has still to do.

use std::sync::Arc;

/// The names of a walk, with the targets of links on top of them.
#[derive(Debug)]
pub(super) struct ToDo<'n> {
    names: &'n [u8],
    /// How much of the names is done.
    done: usize,
    /// The targets of links, and how much of each is done. The last one comes first.
    targets: Vec<(Arc<[u8]>, usize)>,
}

/// A part of a name between two slashes.
#[derive(Debug, Clone)]
pub(super) enum Part<'n> {
    OfNames(&'n [u8]),
    /// From `start` to `end` in the target of a link.
    OfTarget {
        target: Arc<[u8]>,
        start: usize,
        end: usize,
    },
}

impl Part<'_> {
    /// The target of the link that the part is from; `None` for a part of the names.
    pub(super) fn target(&self) -> Option<&Arc<[u8]>> {
        match self {
            Self::OfNames(_) => None,
            Self::OfTarget { target, .. } => Some(target),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::OfNames(part) => part,
            Self::OfTarget { target, start, end } => target.get(*start..*end).unwrap_or_default(),
        }
    }
}

impl<'n> ToDo<'n> {
    /// The names, of which `done` bytes are done.
    pub(super) fn new(names: &'n [u8], done: usize) -> Self {
        Self { names, done, targets: Vec::new() }
    }

    /// How many bytes of the names lead to where the walk is; `None` while the target of a link is not done.
    pub(super) fn done(&self) -> Option<usize> {
        self.targets.is_empty().then_some(self.done)
    }

    /// The target of a link comes next.
    pub(super) fn push(&mut self, target: Arc<[u8]>) {
        self.targets.push((target, 0));
    }

    /// The next part. It may be empty.
    pub(super) fn next(&mut self) -> Option<Part<'n>> {
        match self.targets.pop() {
            Some((target, start)) => {
                let end = end_of_part(&target, start);
                // A target that is done is dropped at once: a chain of links needs no more memory than one.
                if end < target.len() {
                    self.targets.push((Arc::clone(&target), end + 1));
                }
                Some(Part::OfTarget { target, start, end })
            }
            None if self.done >= self.names.len() => None,
            None => {
                let start = if self.done == 0 { 0 } else { self.done + 1 };
                self.done = end_of_part(self.names, start);
                Some(Part::OfNames(self.names.get(start..self.done).unwrap_or_default()))
            }
        }
    }
}

fn end_of_part(names: &[u8], start: usize) -> usize {
    let rest = names.get(start..).unwrap_or_default();
    start + rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(to_do: &mut ToDo<'_>) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| to_do.next()).map(|part| part.as_bytes().to_vec()).collect()
    }

    #[test]
    fn names_come_part_by_part_from_where_they_are_done() {
        let all = [&b"usr"[..], b"lib", b"x"];
        for (done, left) in [(0, &all[..]), (3, &all[1..]), (7, &all[2..]), (9, &[])] {
            assert_eq!(parts(&mut ToDo::new(b"usr/lib/x", done)), left, "{done}");
        }
        assert_eq!(parts(&mut ToDo::new(b"", 0)), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn the_target_of_a_link_comes_before_the_rest() {
        let mut to_do = ToDo::new(b"a/b", 0);
        assert_eq!(to_do.next().unwrap().as_bytes(), b"a");
        assert_eq!(to_do.done(), Some(1));
        to_do.push(Arc::from(&b"/x/../y/"[..]));
        assert_eq!(to_do.next().unwrap().as_bytes(), b"");
        assert_eq!(to_do.done(), None);
        assert_eq!(parts(&mut to_do), [&b"x"[..], b"..", b"y", b"", b"b"]);
        assert_eq!(to_do.done(), Some(3));
    }
}
