//! Options that contradict each other, and a reader that closes the output early.

use super::{COMMAND, list, world};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn options_that_contradict_each_other_are_usage_errors() {
    let world = world();
    for (options, said) in [
        (&["--final", "--tree"][..], "`--final` contradicts `--tree`"),
        (&["--hidden", "--layers"], "`--layers` contradicts `--hidden`"),
        (&["--images", "--files", "*"], "`--files` contradicts `--images`"),
        (&["--digest"], "`--digest` goes with `--final`, `--files` or `--hidden`"),
        (&["--digest", "--layers"], "`--digest` goes with"),
        (&["--digest", "--tree"], "`--digest` goes with"),
        (&["--depth", "2", "--final"], "`--depth` goes with `--tree`"),
        (&["--depth", "2"], "`--depth` goes with `--tree`"),
        (&["--only", "etc"], "`--only` goes with `--final`, `--tree` or `--hidden`"),
        (&["--only", "etc", "--layers"], "`--only` goes with `--final`, `--tree` or `--hidden`"),
        (&["--final", "--only", "nothing"], "`--only nothing` matches no path of the image"),
        (&["--hidden", "--only", "nothing"], "`--only nothing` matches no path of the image"),
        (&["--tree", "--only", "etc", "--only", "bin/hello"], "it is behind a symbolic link: `--only usr/bin/hello`"),
        (&["--files", "hell?"], "`--files '**/hell?'` matches in all directories"),
        (&["--files", "bin/*"], "`bin` is a symbolic link to usr/bin: `--files 'usr/bin/*'`"),
        (&["--files", "etc"], "`--files etc` matches no file or link of the image"),
        (&["--digest", "--files", "bin"], "`--files bin` matches no regular file of the image"),
        (&["--only", "etc", "--files", "*"], "`--files` takes a pattern itself; omit `--only`"),
        (&["--final", "--only", "../etc"], "no path of an image has a `..` component"),
        (&["--files", ""], "it is empty"),
        (&["--tree", "--depth", "x"], "--depth"),
        (&["--final", "--as", "layer", "--ref", "latest"], "is a directory, and a layer is a file"),
    ] {
        for json in [&[][..], &["--json"]] {
            let output = list(&[options, json, &[&world]].concat(), Path::new("."));
            let message = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), &output.stdout[..]), (Some(2), &b""[..]), "{options:?}: {message}");
            assert!(message.contains(said), "{options:?}: {message}");
        }
    }
}

#[test]
fn a_list_ends_quietly_when_its_reader_does() {
    let world = world();
    for mode in [&["--final"][..], &["--tree"], &["--layers"], &["--hidden"], &["--files", "**"]] {
        for json in [&[][..], &["--json"]] {
            let mut command = Command::new(COMMAND);
            command.arg("list").args(mode).args(json).arg(&world);
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            drop(child.stdout.take());
            let output = child.wait_with_output().unwrap();
            let said = if json.is_empty() { "layercage: listed as an image\n" } else { "" };
            assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), said));
        }
    }
}
