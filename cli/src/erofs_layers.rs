//! What `layercage erofs --layers` prints.

use crate::report::{self, Done, Output};
use crate::tell;
use crate::verity;
use layercage::overlay::OverlayFormat;
use layercage::{ErofsLayer, ErofsLayers};
use serde_json::{Value, json};
use std::io;

/// Prints the files, the top layer first, and the notes or the report.
pub(crate) fn print(done: &Done, written: &ErofsLayers, json: bool) -> io::Result<()> {
    let mut output = Output::new(json);
    if json {
        output.line(|| object(done, written), String::new);
    } else {
        written.layers.iter().for_each(|layer| output.line(|| Value::Null, || line(layer)));
        tell::notes(&done.report);
    }
    output.finish()
}

/// The name of a file, and what `veritysetup` needs for it.
fn line(layer: &ErofsLayer) -> String {
    let arguments = layer.verity.as_ref().map(|verity| format!(" {}", verity::arguments(verity)));
    layer.name.clone() + &arguments.unwrap_or_default()
}

fn object(done: &Done, written: &ErofsLayers) -> Value {
    let layers = written.layers.iter().map(|layer| {
        let mut object = json!({
            "file": layer.name,
            "chain_id": layer.chain_id,
            "diff_id": layer.diff_id,
            "bytes": layer.bytes,
            "inodes": layer.inodes,
            "copied_bytes": layer.copied_bytes,
        });
        verity::add(&mut object, layer.verity.as_ref());
        object
    });
    let OverlayFormat { whiteouts, namespace } = written.format;
    let mut object = report::object(done);
    let layers = json!({
        "type": "erofs_layers",
        "layers": layers.collect::<Vec<_>>(),
        "whiteouts": whiteouts.name(),
        "xattr_namespace": namespace.name(),
    });
    if let Value::Object(members) = &mut object {
        members.insert("erofs_layers".to_owned(), layers);
    }
    object
}
