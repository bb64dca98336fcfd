//! What the writer refuses, because it would make an image that is not the one that is meant.

use layercage::Error;
use layercage::erofs::{Entries, Options, Writer};
use layercage::error::Misuse;
use layercage::tar::Source;

/// Data, and then an error.
struct Breaks(&'static [u8]);

impl Source for Breaks {
    fn chunk(&mut self) -> Result<&[u8], Error> {
        if self.0.is_empty() { Err(Misuse::Cancelled.into()) } else { Ok(self.0) }
    }

    fn consume(&mut self, bytes: usize) {
        self.0 = &self.0[bytes..];
    }
}

#[test]
fn after_a_file_that_failed_the_writer_can_only_be_dropped() {
    let file = tempfile::tempfile().unwrap();
    let writer = || Writer::new(&file, Options::new(), tempfile::tempfile).unwrap();
    let failed = || {
        let mut writer = writer();
        let error = writer.write_file(1_000, None, &mut Breaks(b"a part")).unwrap_err();
        assert_eq!(error.misuse(), Some(&Misuse::Cancelled));
        writer
    };
    let later = failed().write_file(5, None, &mut &b"later"[..]).unwrap_err();
    assert_eq!(later.misuse(), Some(&Misuse::Poisoned));
    let finished = failed().finish(&Entries::new()).unwrap_err();
    assert_eq!(finished.misuse(), Some(&Misuse::Poisoned));
    assert_eq!(file.metadata().unwrap().len(), 0, "nothing was written");
    writer().finish(&Entries::new()).unwrap();
}
