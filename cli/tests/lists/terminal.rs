//! Colours and widths: on a terminal only.

use super::{COMMAND, listed, world};
use std::path::Path;
use std::process::{Command, Stdio};

/// What a list prints on a terminal with so many columns. The package bsdutils, which has `script`, is essential.
fn on_terminal(options: &str, columns: u32, environment: &[(&str, &str)]) -> String {
    let run = format!("stty cols {columns}; exec {COMMAND} list {options} {}", world());
    let mut command = Command::new("script");
    command.args(["-qec", &run, "/dev/null"]).stdin(Stdio::null()).env("TERM", "xterm").env_remove("NO_COLOR");
    let output = command.envs(environment.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().replace('\r', "")
}

#[test]
fn a_terminal_has_colours_and_lines_of_its_width_and_a_pipe_has_neither() {
    let shown = on_terminal("--tree --depth 2", 60, &[]);
    for line in ["\x1b[32m+     16     4   dev\x1b[0m\n", "\x1b[31m-      8     4     motd\x1b[0m\n"] {
        assert!(shown.contains(line), "{shown}");
    }
    assert!(shown.contains("\x1b[33m~   754K       ./\x1b[0m\n"), "{shown}");
    assert!(shown.contains("\n       0     1   bin -> usr/bin\n"), "{shown}");
    let plain = on_terminal("--tree --depth 2", 60, &[("NO_COLOR", "1")]);
    assert!(!plain.contains('\x1b'), "{plain}");
    assert!(plain.lines().all(|line| line.chars().count() <= 60) && plain.contains('…'), "{plain}");
    assert!(!on_terminal("--tree", 60, &[("TERM", "dumb")]).contains('\x1b'));
    assert!(
        on_terminal("--tree --depth 1", 60, &[("NO_COLOR", "")]).contains("\x1b[32m"),
        "an empty NO_COLOR is unset"
    );
    let whole = listed(&["--tree", "--depth", "2", &world()], Path::new("."));
    assert!(!whole.contains('…') && !whole.contains('\x1b'), "{whole}");
    let uncoloured = on_terminal("--tree --depth 2", 1000, &[("NO_COLOR", "1")]);
    assert_eq!(uncoloured.replace("layercage: listed as an image\n", ""), whole);
}

#[test]
fn the_history_of_layers_is_cut_and_names_of_files_are_not() {
    let shown = on_terminal("--layers", 80, &[]);
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    assert!(shown.contains("\n      GNU tar, gnu: opaque directories and changes of type\n"), "{shown}");
    let wide = on_terminal("--layers", 200, &[]);
    assert_eq!(wide.replace("layercage: listed as an image\n", ""), listed(&["--layers", &world()], Path::new(".")));
    let names = on_terminal("--final", 40, &[]);
    assert!(names.lines().any(|line| line.len() > 100) && !names.contains('…'), "{names}");
}
