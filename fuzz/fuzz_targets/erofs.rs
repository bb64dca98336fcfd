#![no_main]

use erofs_rs::EroFS;
use erofs_rs::backend::SliceImage;
use layercage_fuzz::erofs::{self, Plain};

// Another reader, which no one here wrote, finds the same as well.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    erofs::erofs(data);
    for (bytes, paths) in erofs::images(data) {
        let image = EroFS::new(SliceImage::new(&bytes)).unwrap();
        for Plain { path, content, xattrs } in paths {
            assert_eq!(image.xattrs(path.as_str()).unwrap(), xattrs, "{path}");
            let Some(content) = content else { continue };
            let file = image.open(path.as_str()).unwrap();
            assert_eq!(file.size(), content.len() as u64, "{path}");
            let (mut got, mut read) = (vec![0; content.len()], 0);
            while read < got.len() {
                let more = file.read_at(&mut got[read..], read as u64).unwrap();
                assert!(more > 0, "{path}");
                read += more;
            }
            assert!(got == content, "{path}");
        }
    }
});
