//! Audits of images and layers, for `check` and `list`.

use crate::input::{Taken, open_input, require_form};
use crate::opened::Opened;
use crate::report::{Judgement, Seen};
use crate::sandbox::SandboxChoice;
use crate::selection::Input;
use crate::tell::Failure;
use layercage::audit::{Audit, Lower};
use layercage::image::What;
use layercage::{Layer, Limits};

/// Whether an audit builds the tree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tree {
    Seen,
    Unseen,
}

/// Reads an image or a layer to its end. Returns how much was seen.
pub(crate) fn run_audit(
    input: &Input,
    sandbox: SandboxChoice,
    limits: &Limits,
    audit: Audit,
    tree: Tree,
    observer: &mut impl Judgement,
) -> Result<(Audit, Seen), Failure> {
    let over = |lower| match tree {
        Tree::Seen => audit.with_tree(lower),
        Tree::Unseen => audit,
    };
    let opened = Opened::find(&input.input)?;
    let selector = input.selection.selector(opened.tag.as_deref()).map_err(Failure::usage)?;
    let form = opened.form;
    let image = match open_input(input, opened, sandbox, limits)? {
        Taken::Image(image) => *image,
        Taken::Layer(file) => {
            observer.taken_for(What::Layer);
            let mut audit = over(Lower::Unknown);
            audit.layer(Layer::new(file), observer).map_err(Failure::read)?;
            return Ok(seen(audit, Seen::Layer));
        }
    };
    let found = if image.is_ok() || input.taken_for.is_some() { Seen::Image } else { Seen::NoImage };
    let image = require_form(image, form, &input.input)?;
    observer.taken_for(What::Image);
    let mut audit = over(Lower::Nothing);
    match image.and_then(|image| image.select(&selector)) {
        Ok(selected) => audit.image(&selected, observer).map_err(Failure::read)?,
        Err(error) => audit.refusal(error, observer).map_err(Failure::read)?,
    }
    Ok(seen(audit, found))
}

fn seen(audit: Audit, all: Seen) -> (Audit, Seen) {
    let seen = if audit.has_seen_tree() { all } else { all.without_tree() };
    (audit, seen)
}
