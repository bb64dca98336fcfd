//! The cost of following symbolic links. Every walk counts it in the same way.

use super::{Limit, Limits, Violation};

/// The number of followed links, and the steps that their targets need.
///
/// A link of 4,095 bytes can need 2,048 steps (`a/../a/../…`). Thus a limit on links alone does not bound the work: 39
/// such links on the way to every entry took minutes. All steps of a link are counted when it is followed, even if the
/// walk ends earlier. So the count depends only on names, and an audit refuses at the same entry as `apply`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Followed {
    pub(crate) links: u64,
    pub(crate) steps: u64,
}

impl Followed {
    /// Adds the links of a path that is not walked again.
    pub(crate) fn add(&mut self, other: Self) {
        self.links += other.links;
        self.steps += other.steps;
    }

    /// Counts a followed link.
    pub(crate) fn follow(&mut self, target: &[u8]) {
        self.links += 1;
        self.steps += 1 + target.iter().filter(|&&byte| byte == b'/').count() as u64;
    }

    /// Checks the number of links in one walk.
    pub(crate) fn check_walk(self, limits: &Limits) -> Result<(), Violation> {
        match self.links > limits.most(Limit::LinkHops) {
            true => Err(Violation::LinkLoop { hops: self.links }),
            false => Ok(()),
        }
    }

    /// Checks the number of links, and of steps through them, in all walks of a layer.
    pub(crate) fn check_layer(self, limits: &Limits) -> Result<(), Violation> {
        limits.check(Limit::LayerLinkHops, self.links)?;
        limits.check(Limit::LayerLinkSteps, self.steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_costs_as_many_steps_as_its_target_has_components() {
        for (target, steps) in [(&b"a"[..], 1), (b"a/b", 2), (b"a/../b", 3), (b"/a", 2), (b"//", 3)] {
            let mut followed = Followed::default();
            followed.follow(target);
            assert_eq!(followed, Followed { links: 1, steps });
        }
    }
}
