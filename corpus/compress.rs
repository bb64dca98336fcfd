//! gzip and zstd, stored and not compressed: what a case is about can be read in its bytes.

/// Which parts a gzip member's header has beside the fixed ones.
#[derive(Clone, Copy, Default)]
pub(crate) struct GzipHeader {
    pub(crate) extra: &'static [u8],
    pub(crate) name: &'static str,
    pub(crate) comment: &'static str,
    /// A checksum of the header: none, the right one or a wrong one.
    pub(crate) checksum: HeaderChecksum,
    /// Bits that are set beside the ones that announce all this.
    pub(crate) flags: u8,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum HeaderChecksum {
    #[default]
    None,
    Right,
    Wrong,
}

/// One gzip member, RFC 1952.
pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    gzip_with(GzipHeader::default(), content)
}

/// One gzip member with more of a header.
pub(crate) fn gzip_with(header: GzipHeader, content: &[u8]) -> Vec<u8> {
    let has = |is: bool, bit: u8| u8::from(is) << bit;
    let checksum = header.checksum != HeaderChecksum::None;
    let flags = header.flags
        | has(checksum, 1)
        | has(!header.extra.is_empty(), 2)
        | has(!header.name.is_empty(), 3)
        | has(!header.comment.is_empty(), 4);
    let mut member = vec![0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 0xff];
    if !header.extra.is_empty() {
        member.extend(u16::try_from(header.extra.len()).unwrap().to_le_bytes());
        member.extend(header.extra);
    }
    for text in [header.name, header.comment].into_iter().filter(|text| !text.is_empty()) {
        member.extend(text.bytes().chain([0]));
    }
    if checksum {
        let [low, high, ..] = crc32(&member).to_le_bytes();
        member.extend([low ^ u8::from(header.checksum == HeaderChecksum::Wrong), high]);
    }
    member.extend(deflate_stored(content));
    member.extend(crc32(content).to_le_bytes());
    member.extend((content.len() as u32).to_le_bytes());
    member
}

/// Stored blocks, RFC 1951, section 3.2.4.
fn deflate_stored(content: &[u8]) -> Vec<u8> {
    let mut blocks: Vec<_> = content.chunks(0xffff).collect();
    if blocks.is_empty() {
        blocks.push(&[]);
    }
    let last = blocks.len() - 1;
    let stored = blocks.into_iter().enumerate().map(|(index, block)| {
        let length = block.len() as u16;
        [&[u8::from(index == last)][..], &length.to_le_bytes(), &(!length).to_le_bytes(), block].concat()
    });
    stored.collect::<Vec<_>>().concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
    })
}

/// The first four bytes of a zstd frame.
pub(crate) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The window of [`zstd`], as a frame's header says it: 128 KiB.
const WINDOW: u8 = 7 << 3;

/// One zstd frame of raw blocks without a checksum, RFC 8878.
pub(crate) fn zstd(content: &[u8]) -> Vec<u8> {
    zstd_with(0, &[WINDOW], content)
}

/// One zstd frame with this descriptor, and these bytes between it and the blocks.
pub(crate) fn zstd_with(descriptor: u8, header: &[u8], content: &[u8]) -> Vec<u8> {
    let mut frame = [&ZSTD_MAGIC[..], &[descriptor], header].concat();
    let mut blocks: Vec<_> = content.chunks(1 << 16).collect();
    if blocks.is_empty() {
        blocks.push(&[]);
    }
    let last = blocks.len() - 1;
    for (index, block) in blocks.into_iter().enumerate() {
        frame.extend(zstd_block(0, index == last, block.len()));
        frame.extend(block);
    }
    frame
}

/// One zstd frame of zeros, whose blocks name the byte that they repeat.
pub(crate) fn zstd_of_zeros(blocks: usize) -> Vec<u8> {
    let mut frame = [&ZSTD_MAGIC[..], &[0, WINDOW]].concat();
    for index in 0..blocks {
        frame.extend(zstd_block(1, index + 1 == blocks, ZEROS_OF_A_BLOCK));
        frame.push(0);
    }
    frame
}

/// Bytes of a block of [`zstd_of_zeros`].
pub(crate) const ZEROS_OF_A_BLOCK: usize = 128 << 10;

/// The header of a block, raw (0) or of one byte repeated (1).
fn zstd_block(kind: u32, last: bool, bytes: usize) -> [u8; 3] {
    let [b0, b1, b2, _] = ((bytes as u32) << 3 | kind << 1 | u32::from(last)).to_le_bytes();
    [b0, b1, b2]
}

/// One zstd frame with a checksum behind it, whatever it is.
pub(crate) fn zstd_with_checksum(content: &[u8], checksum: u32) -> Vec<u8> {
    [&zstd_with(1 << 2, &[WINDOW], content)[..], &checksum.to_le_bytes()].concat()
}

/// A frame that decoders pass over, RFC 8878, section 3.1.2.
pub(crate) fn zstd_skippable(content: &[u8]) -> Vec<u8> {
    [&[0x5a, 0x2a, 0x4d, 0x18][..], &(content.len() as u32).to_le_bytes(), content].concat()
}
