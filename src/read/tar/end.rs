//! The end of an archive.

use super::block::{BLOCK, Block, Blocks, padding};
use super::entry::{self, Composed};
use super::extended::Extended;
use super::header::Header;
use super::oddities::Oddities;
use crate::words::{ArchiveBytes, EntryKind, Error, Limits, Quirk, Violation};
use std::io::BufRead;

/// Reads what follows the first zero block, which should all be zeros: another block of them at least, and any
/// amount of padding. Whole blocks of them may be followed by the index of an eStargz layer.
///
/// # Errors
///
/// [`Violation::LoneZeroBlock`] when something stands in the second block. What comes later is left unread.
pub(crate) fn after_zero_block(blocks: &mut Blocks<impl BufRead>, limits: &Limits) -> Result<Vec<Quirk>, Error> {
    let start = blocks.offset();
    loop {
        let chunk = blocks.chunk(u64::MAX)?;
        let bytes = chunk.len();
        if bytes == 0 {
            break;
        }
        if let Some(index) = chunk.iter().position(|&byte| byte != 0) {
            // Anything else stays unread: the caller looks at it to call the file by its name.
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

/// The name of the one entry of an eStargz layer's index.
const INDEX: &[u8] = b"stargz.index.json";

/// Whether the rest is the index that BuildKit puts behind the end mark of a layer that it makes an eStargz layer: an
/// archive of one entry, then the end.
///
/// Readers stop at the end mark in front and do not see it; only `tar -i` goes on, and extracts the index. So it is taken
/// where it is exactly that and can hide nothing: a plain header without extended ones, JSON as far as its bytes tell (a
/// header has NULs), zeros for padding, an end mark, and nothing but zeros. What is not that is left unread in part.
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
    // The padding, two blocks of zeros, and any number more.
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

/// The size of the index, where the header is that of one. It has content: an empty one would not be JSON.
fn index_size(block: &Block, limits: &Limits) -> Option<u64> {
    let header = Header::parse(*block).ok()?;
    let (mut name, mut oddities) = (Vec::new(), Oddities::default());
    header.name(&mut name, &mut oddities).ok()?;
    let composed = entry::compose(&header, Extended::default(), &name, limits, &mut oddities).ok()?;
    let Composed { kind: EntryKind::File { size, sparse: None }, .. } = composed else { return None };
    let is_plain = header.is_plain_file() && oddities.into_quirks().is_empty();
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

/// Judges an archive that ends between entries, without a zero block.
pub(crate) fn without_zero_block(mark: EndMark, bytes: u64) -> Quirk {
    match mark {
        EndMark::Required => Quirk::UnmarkedEnd { bytes: ArchiveBytes(bytes) },
        EndMark::Optional => Quirk::NoEndBlocks,
    }
}
