//! Hostile layers: each is refused by the rule that it breaks, or unpacks into what it says; nothing outside
//! of the root is touched either way, under any policy.

mod devices;
mod links;
mod names;
mod types;
mod whiteouts;

use crate::support::is_root;
use crate::support::layer::LayerBuilder;
use crate::support::world::World;
use layercage::rules::{QuirkRule, ViolationRule};
use layercage::{Policy, Report};

/// What holds of a tree, and of the report, when a layer was applied.
type Then = Box<dyn Fn(&World, &Report)>;

/// A sentence, what is there before, a layer, and what comes of it.
struct Case {
    sentence: &'static str,
    before: fn(&World),
    /// Lower layers, then the hostile one.
    layers: Vec<LayerBuilder>,
    policy: Policy,
    needs_root: bool,
    expected: Result<Then, &'static str>,
}

fn layer() -> LayerBuilder {
    LayerBuilder::new()
}

/// Paranoid, but for the owners, which not everybody who runs the tests may set.
fn paranoid() -> Policy {
    Policy::paranoid().allow(QuirkRule::OwnerToCaller)
}

/// A layer that is refused by a rule.
fn refused(rule: &'static str, sentence: &'static str, layer: LayerBuilder) -> Case {
    let (before, policy) = (|_: &World| (), Policy::default());
    Case { sentence, before, layers: vec![layer], policy, needs_root: false, expected: Err(rule) }
}

/// A layer that unpacks, and then what holds.
fn unpacks(sentence: &'static str, layer: LayerBuilder, then: impl Fn(&World, &Report) + 'static) -> Case {
    Case { expected: Ok(Box::new(then)), ..refused("", sentence, layer) }
}

impl Case {
    fn over(mut self, lower: LayerBuilder) -> Self {
        self.layers.insert(0, lower);
        self
    }

    fn after(self, before: fn(&World)) -> Self {
        Self { before, ..self }
    }

    fn under(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    fn needs_root(self) -> Self {
        Self { needs_root: true, ..self }
    }

    fn run(&self, mut world: World) {
        let sentence = self.sentence;
        if self.needs_root && !is_root(sentence) {
            return;
        }
        (self.before)(&world);
        world.look_again();
        let result = world.apply(&self.layers, &self.policy);
        world.assert_untouched(sentence);
        match (&self.expected, result) {
            (Ok(then), Ok(applied)) => then(&world, applied.report()),
            (Ok(_), Err(error)) => panic!("{sentence}: {error}"),
            (Err(rule), Ok(_)) => panic!("{sentence}: it unpacks, not refused by {rule}"),
            (Err(rule), Err(error)) => assert_eq!(error.rule_id(), Some(*rule), "{sentence}: {error}"),
        }
    }

    /// A violation is refused under every policy; and no policy lets anything out.
    fn run_under(&self, policy: Policy, mut world: World) {
        let sentence = self.sentence;
        if self.needs_root && !is_root(sentence) {
            return;
        }
        (self.before)(&world);
        world.look_again();
        let (last, lower) = self.layers.split_last().unwrap();
        if !lower.is_empty() {
            world.apply(lower, &self.policy).unwrap();
        }
        let result = world.apply(std::slice::from_ref(last), &policy);
        world.assert_untouched(sentence);
        if let Err(rule) = self.expected
            && ViolationRule::ALL.iter().any(|violation| violation.row().id == rule)
        {
            assert!(result.is_err(), "{sentence}: {policy:?} lets a violation pass");
        }
    }
}

fn run(cases: fn(&str) -> Vec<Case>) {
    let count = cases("").len();
    for index in 0..count {
        let case = |world: &World| cases(world.out().to_str().unwrap()).swap_remove(index);
        let world = World::new();
        case(&world).run(world);
        for policy in [Policy::compatible(), Policy::paranoid()] {
            let world = World::new();
            case(&world).run_under(policy, world);
        }
    }
    eprintln!("{count} rows");
}

#[test]
fn names_stay_within_the_root() {
    run(names::cases);
}

#[test]
fn links_lead_nowhere_outside() {
    run(links::cases);
}

#[test]
fn whiteouts_remove_nothing_but_what_they_may() {
    run(whiteouts::cases);
}

#[test]
fn devices_are_made_only_where_policy_says_so() {
    run(devices::cases);
}

#[test]
fn hard_links_and_changes_of_type_pass_nothing_on() {
    run(types::cases);
}
