//! The work that the names of layers ask for, counted alike by every walk.

use super::{Followed, Limit, Limits, Violation};

/// The steps that one directory that no entry lists counts for in [`Limit::ImageSteps`]. Creating one takes about 11
/// microseconds.
const IMPLIED: u64 = 300;

/// The steps that one opened directory counts for. Opening one takes 3 microseconds or more.
const OPENED: u64 = 100;

/// How many levels double the cost of an open: Landlock looks at each level between a directory and the root.
const LEVELS: usize = 16;

/// The work that the names of a tree's layers have asked for.
///
/// Small layers can ask for much of it: 1,247 bytes of zstd kept an unpacking busy for minutes. Limits on one layer do
/// not bound an image, which may name the same blob 500 times. So all layers of one tree are counted together, too.
#[derive(Debug, Default)]
pub(crate) struct Work {
    followed: Followed,
    implied: u64,
    opens: u64,
    /// The steps of the layers before this one.
    before: u64,
}

impl Work {
    /// Another layer of the same tree begins.
    pub(crate) fn begin_layer(&mut self) {
        *self = Self { before: self.steps(), ..Self::default() };
    }

    /// A link is followed.
    pub(crate) fn follow(&mut self, target: &[u8], limits: &Limits) -> Result<(), Violation> {
        self.followed.follow(target);
        self.check_links(limits)
    }

    /// Adds the links on a way that need not be walked again.
    pub(crate) fn add(&mut self, followed: Followed, limits: &Limits) -> Result<(), Violation> {
        self.followed.add(followed);
        self.check_links(limits)
    }

    /// A directory that no entry lists is made.
    pub(crate) fn imply(&mut self, limits: &Limits) -> Result<(), Violation> {
        self.implied += 1;
        limits.check(Limit::ImpliedDirectories, self.implied)?;
        self.check_image(limits)
    }

    /// A directory is opened in the one at `parent`.
    pub(crate) fn open(&mut self, parent: &[u8], limits: &Limits) -> Result<(), Violation> {
        let depth = parent.iter().filter(|&&byte| byte == b'/').count();
        self.opens += 1 + (depth / LEVELS) as u64;
        limits.check(Limit::LayerOpens, self.opens)?;
        self.check_image(limits)
    }

    fn check_links(&self, limits: &Limits) -> Result<(), Violation> {
        self.followed.check_layer(limits)?;
        self.check_image(limits)
    }

    fn check_image(&self, limits: &Limits) -> Result<(), Violation> {
        limits.check(Limit::ImageSteps, self.steps())
    }

    fn steps(&self) -> u64 {
        let directories = self.implied.saturating_mul(IMPLIED).saturating_add(self.opens.saturating_mul(OPENED));
        self.before.saturating_add(self.followed.steps).saturating_add(directories)
    }

    /// How many directories that no entry lists were made in this layer.
    #[cfg(test)]
    pub(crate) fn implied(&self) -> u64 {
        self.implied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_one_tree_are_counted_together_and_each_alone() {
        let limits = Limits::default().with(Limit::ImageSteps, 1_000).with(Limit::ImpliedDirectories, 2);
        let mut work = Work::default();
        for _ in 0..3 {
            work.begin_layer();
            work.imply(&limits).unwrap();
        }
        assert_eq!(work.implied(), 1);
        work.open(b"", &limits).unwrap();
        let refused = work.follow(b"a", &limits).unwrap_err();
        assert!(
            matches!(refused, Violation::LimitExceeded { limit: Limit::ImageSteps, amount: 1_001, .. }),
            "{refused}"
        );
    }

    #[test]
    fn a_deep_directory_costs_more_opens() {
        let limits = Limits::default().with(Limit::LayerOpens, 10);
        let mut work = Work::default();
        (0..10).for_each(|_| work.open(b"a/b", &limits).unwrap());
        assert!(work.open(b"a/b", &limits).is_err());
        let mut work = Work::default();
        work.open("a/".repeat(159).as_bytes(), &limits).unwrap();
        assert!(work.open(b"", &limits).is_err());
    }
}
