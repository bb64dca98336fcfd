//! The end of an archive.

use super::block::{BLOCK, Blocks};
use crate::words::{ArchiveBytes, Fault, Quirk, Violation};
use std::io::BufRead;

/// Reads what follows the first zero block, which should all be zeros: another block of them at least, and any
/// amount of padding.
///
/// # Errors
///
/// [`Violation::LoneZeroBlock`] when something stands in the second block. What comes later is left unread.
pub(crate) fn after_zero_block(blocks: &mut Blocks<impl BufRead>) -> Result<Vec<Quirk>, Fault> {
    let start = blocks.offset();
    loop {
        let chunk = blocks.chunk(u64::MAX)?;
        let bytes = chunk.len();
        if bytes == 0 {
            break;
        }
        if let Some(index) = chunk.iter().position(|&byte| byte != 0) {
            let at = blocks.offset() + index as u64;
            let second = at - start < BLOCK as u64;
            return if second { Err(Violation::LoneZeroBlock.into()) } else { Ok(vec![Quirk::DataAfterEnd { at }]) };
        }
        blocks.consume(bytes);
    }
    let zeros = blocks.offset() - start;
    let mut quirks = Vec::new();
    if zeros < BLOCK as u64 {
        quirks.push(Quirk::OneZeroBlock);
    }
    match zeros % BLOCK as u64 {
        0 => {}
        bytes => quirks.push(Quirk::RaggedEnd { bytes }),
    }
    Ok(quirks)
}

/// Judges an archive that ends between entries, without a zero block. It may have been cut there, unless a
/// digest covers all of it.
pub(crate) fn without_zero_block(covered: bool, bytes: u64) -> Quirk {
    if covered { Quirk::NoEndBlocks } else { Quirk::UnmarkedEnd { bytes: ArchiveBytes(bytes) } }
}
