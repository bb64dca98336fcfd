//! What writers of tar write and layercage refuses on purpose.

use crate::writers::Writer;

const T: &[&str] = &["tar"];

/// The writer, the rule, and the reason.
pub(crate) const REFUSED: &[(Writer, &str, &str)] = &[
    (
        Writer { name: "gnu-label", needs: T, write: "tar --format=gnu --label=name -cf $ARCHIVE plain" },
        "entry-type",
        "a volume label is an entry of type V, which other readers make a file of",
    ),
    (
        Writer { name: "gnu-incremental", needs: T, write: "tar --format=gnu -g $PLACE/snapshot -cf $ARCHIVE plain" },
        "entry-type",
        "a directory of type D has data, which other readers take for a file or fail at",
    ),
    (
        Writer { name: "gnu-pax-incremental", needs: T, write: "tar --format=pax -g $PLACE/s -cf $ARCHIVE plain" },
        "pax-foreign-key",
        "`GNU.dumpdir` lists what a directory had, and has `tar -g` remove what it had not",
    ),
    (
        Writer {
            name: "gnu-multi-volume",
            needs: T,
            write: "tar --format=gnu -M -L 100 -F 'cp $ARCHIVE $PLACE/b' -cf $ARCHIVE plain && mv $PLACE/b $ARCHIVE",
        },
        "entry-type",
        "a part of a file that began in another archive",
    ),
    (
        Writer { name: "two-archives", needs: T, write: "tar -cf $ARCHIVE plain; tar -cf - special >>$ARCHIVE" },
        "data-after-end",
        "only `tar -i` reads behind the end mark",
    ),
    (
        Writer { name: "gnu-xz", needs: &["tar", "xz"], write: "tar -Jcf $ARCHIVE plain" },
        "compression",
        "image-spec has gzip and zstd",
    ),
    (
        Writer { name: "gnu-bzip2", needs: &["tar", "bzip2"], write: "tar -jcf $ARCHIVE plain" },
        "compression",
        "image-spec has gzip and zstd",
    ),
    (
        Writer { name: "cpio-newc", needs: &["cpio"], write: "find plain | cpio --quiet -H newc -o >$ARCHIVE" },
        "not-a-tar",
        "no tar",
    ),
    (
        Writer {
            name: "7z-zip",
            needs: &["7z"],
            write: "7z a -tzip $PLACE/b.zip plain >$PLACE/log && mv $PLACE/b.zip $ARCHIVE",
        },
        "not-a-tar",
        "no tar",
    ),
    (
        Writer {
            name: "node-tar-stream-1960",
            needs: &["node"],
            write: "node $HERE/writers.js $ARCHIVE tar-stream-1960",
        },
        "number",
        "a time whose field begins with a minus sign: GNU tar reads digits of base 64 behind it",
    ),
    (
        Writer {
            name: "node-tar-stream-1969",
            needs: &["node"],
            write: "node $HERE/writers.js $ARCHIVE tar-stream-1969",
        },
        "time-sign",
        "a time with a minus sign behind zeros: some readers take it for zero, or fail",
    ),
];
