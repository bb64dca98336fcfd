//! What following symbolic links costs, counted alike by every walk.

use super::{Limit, Limits, Violation};

/// The links that were followed, and the steps that they asked for.
///
/// A link of 4,095 bytes can ask for 2,048 steps (`a/../a/../…`), so that the number of links alone bounds no work: 39
/// of them on the way to every entry took minutes. What a link asks for is counted when it is followed, whether or not
/// the walk comes to the end of it. So the count depends on the names alone, and an audit refuses where applying does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Followed {
    pub(crate) links: u64,
    pub(crate) steps: u64,
}

impl Followed {
    /// Adds what was followed on a way that need not be walked again.
    pub(crate) fn add(&mut self, other: Self) {
        self.links += other.links;
        self.steps += other.steps;
    }

    /// A link is followed.
    pub(crate) fn follow(&mut self, target: &[u8]) {
        self.links += 1;
        self.steps += 1 + target.iter().filter(|&&byte| byte == b'/').count() as u64;
    }

    /// Says when one walk follows too many links.
    pub(crate) fn check_walk(self, limits: &Limits) -> Result<(), Violation> {
        match self.links > limits.most(Limit::LinkHops) {
            true => Err(Violation::LinkLoop { hops: self.links }),
            false => Ok(()),
        }
    }

    /// Says when the walks of a layer follow too many links, or take too many steps through them.
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
