//! The content that a merged tree keeps, read under the eyes of the progress observer.

use super::progress::Watch;
use crate::output::{ContentPlace, ContentReader, Data, SinkError};
use crate::words::{Error, Source};

/// After so many bytes, the observer is asked again.
const ASKED_EACH: usize = 256 << 10;

/// Gives the content of a file to `read`. The observer may cancel.
pub(super) fn read_cached(
    reader: &mut ContentReader<'_>,
    place: ContentPlace,
    watch: &Watch<'_>,
    read: impl FnOnce(Data<'_>) -> Result<(), SinkError>,
) -> Result<(), SinkError> {
    watch.read(0)?;
    let (map, source) = reader.get(place)?;
    let mut source = Observed { source, watch, unreported: 0 };
    read(Data::new(&mut source, place.size, map))?;
    Ok(watch.read(source.unreported as u64)?)
}

/// A source whose bytes are reported to the observer.
struct Observed<'w, 'p, S> {
    source: S,
    watch: &'w Watch<'p>,
    unreported: usize,
}

impl<S: Source> Source for Observed<'_, '_, S> {
    fn chunk(&mut self) -> Result<&[u8], Error> {
        if self.unreported >= ASKED_EACH {
            self.watch.read(std::mem::take(&mut self.unreported) as u64)?;
        }
        self.source.chunk()
    }

    fn consume(&mut self, bytes: usize) {
        self.unreported += bytes;
        self.source.consume(bytes);
    }
}
