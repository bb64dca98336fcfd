//! The end of an archive.

use super::block::{BLOCK, Block, Blocks, padding};
use super::entry::{self, Composed};
use super::extended::Extended;
use super::header::Header;
use super::quirk_set::QuirkSet;
use crate::words::{ArchiveBytes, EntryKind, Error, Limits, Quirk, Violation};
use std::io::BufRead;

/// Reads what follows the first zero block. It should be zeros: at least one more block, and any amount of padding. After
/// whole blocks of zeros, the index of an eStargz layer may follow.
///
/// # Errors
///
/// [`Violation::LoneZeroBlock`] if the second block has other bytes. The rest stays unread.
pub(crate) fn after_zero_block(blocks: &mut Blocks<impl BufRead>, limits: &Limits) -> Result<Vec<Quirk>, Error> {
    let start = blocks.offset();
    loop {
        let chunk = blocks.chunk(u64::MAX)?;
        let bytes = chunk.len();
        if bytes == 0 {
            break;
        }
        if let Some(index) = chunk.iter().position(|&byte| byte != 0) {
            // Other data stays unread: the caller inspects it to detect what the file is.
            let is_named = chunk.iter().skip(index).zip(INDEX).all(|(byte, expected)| byte == expected);
            let at = blocks.offset() + index as u64;
            if at - start < BLOCK as u64 {
                return Err(Violation::LoneZeroBlock.into());
            }
            blocks.consume(index);
            let is_index = is_named && at.is_multiple_of(BLOCK as u64) && estargz_index(blocks, limits)?;
            return Ok(vec![if is_index { Quirk::EstargzIndex } else { Quirk::DataAfterEnd { at } }]);
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

/// The name of the single entry in the index of an eStargz layer.
const INDEX: &[u8] = b"stargz.index.json";

/// Whether the rest is the index of an eStargz layer. BuildKit writes it after the end mark of the layer, as an archive of
/// one entry.
///
/// Readers stop at the end mark before it. Only `tar -i` continues, and extracts the index. So the index is accepted only
/// if it can hide nothing: a plain header without extended headers, content that may be JSON (and no header, which has
/// NULs), zeros as padding, an end mark, and only zeros after it. Other data may stay unread in part.
fn estargz_index(blocks: &mut Blocks<impl BufRead>, limits: &Limits) -> Result<bool, Error> {
    let mut block = Vec::with_capacity(BLOCK);
    blocks.append(&mut block, BLOCK as u64)?;
    let Some(size) = block.first_chunk().and_then(|block| index_size(block, limits)) else { return Ok(false) };
    let mut left = size;
    while left > 0 {
        let chunk = blocks.chunk(left)?;
        let is_json = chunk.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..));
        let bytes = chunk.len();
        if !is_json || bytes == 0 || (left == size && chunk.first() != Some(&b'{')) {
            return Ok(false);
        }
        blocks.consume(bytes);
        left -= bytes as u64;
    }
    // The padding, two blocks of zeros, and any number of further blocks.
    let least = padding(size) + 2 * BLOCK as u64;
    let mut zeros = 0;
    loop {
        let chunk = blocks.chunk(u64::MAX)?;
        let bytes = chunk.len();
        if bytes == 0 {
            return Ok(zeros >= least && (zeros - least).is_multiple_of(BLOCK as u64));
        }
        if chunk.iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        blocks.consume(bytes);
        zeros += bytes as u64;
    }
}

/// Returns the size of the index if this is its header. An index is not empty, because it is JSON.
fn index_size(block: &Block, limits: &Limits) -> Option<u64> {
    let header = Header::parse(*block).ok()?;
    let (mut name, mut quirks) = (Vec::new(), QuirkSet::default());
    header.name(&mut name, &mut quirks).ok()?;
    let composed = entry::compose(&header, Extended::default(), &name, limits, &mut quirks).ok()?;
    let Composed { kind: EntryKind::File { size, sparse: None }, .. } = composed else { return None };
    let is_plain = header.is_plain_file() && quirks.into_vec().is_empty();
    (is_plain && name == INDEX && size > 0).then_some(size)
}

/// Whether an archive may end without its end mark, two zero blocks.
///
/// Some writers never write it: stacker, and older versions of umoci, ggcr and kaniko. A download that was cut off
/// between two entries looks the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EndMark {
    /// An archive without it may be cut off: [`Quirk::UnmarkedEnd`]. **The default.**
    #[default]
    Required,
    /// A digest or diff ID shows that the archive is complete. The end mark may be missing ([`Quirk::NoEndBlocks`]), and
    /// the padding of the last file ([`Quirk::NoPadding`]). See [`Expected::end_mark`](crate::Expected::end_mark).
    Optional,
}

/// Returns the quirk of an archive that ends between entries, without a zero block.
pub(crate) fn without_zero_block(mark: EndMark, bytes: u64) -> Quirk {
    match mark {
        EndMark::Required => Quirk::UnmarkedEnd { bytes: ArchiveBytes(bytes) },
        EndMark::Optional => Quirk::NoEndBlocks,
    }
}
