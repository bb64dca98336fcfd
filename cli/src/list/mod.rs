//! `layercage list`: the changes of an image or a layer, its final file system, its layers, or the images of an input.

mod arguments;
mod changes;
mod hidden;
mod images;
mod item;
mod layers;
mod merged;
mod paths;
mod rows;
mod shown;
mod style;
mod tree;

use crate::report::Output;
use crate::sandbox::SandboxChoice;
use crate::tell::Failure;
pub(crate) use arguments::List;
use arguments::Mode;
use merged::Merged;

/// Prints the list that the user asks for. Returns the exit code.
pub(crate) fn run(list: &List, sandbox: SandboxChoice, json: bool) -> Result<u8, Failure> {
    let mode = list.mode().map_err(Failure::usage)?;
    let open = || Merged::open(list, sandbox);
    let output = Output::new(json);
    match mode {
        Mode::Changes => return changes::run(list, sandbox, json).map(|refused| if refused { 3 } else { 0 }),
        Mode::Images => images::run(list, sandbox, json)?,
        Mode::Final => paths::print_final(open()?, list.only(), list.contents(), output)?,
        Mode::Files(globs) => paths::print_files(open()?, globs, list.contents(), output)?,
        Mode::Hidden => hidden::print(open()?, list.only(), list.contents(), output)?,
        Mode::Layers => layers::print(&open()?, output)?,
        Mode::Tree => tree::print(&open()?, list.only(), list.depth(), output)?,
    }
    Ok(0)
}
