//! The environment and the labels of an image, without what runtimes refuse or take for something else.

use layercage::error::Escaped;
use layercage::image::ImageConfig;
use std::collections::BTreeMap;

/// Annotations that tell a runtime what to do: the beginning of the name, and a runtime that obeys. An image must not give
/// orders to the runtime. `run.oci.pidfd_receiver`, for example, names a socket of the host to which crun connects, and
/// `org.systemd.property.` sets properties of a unit of the host.
const ORDERS: &[(&str, &str)] = &[
    ("run.oci.", "crun"),
    ("module.wasm.image/", "crun"),
    ("org.systemd.property.", "runc"),
    ("org.criu.config", "runc"),
    ("dev.gvisor.", "gVisor"),
    ("io.katacontainers.", "Kata Containers"),
    ("io.kubernetes.cri", "Kata Containers"),
];

/// What an image states of its process, as runtimes take it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stated {
    /// Each variable once, as `NAME=VALUE`.
    pub(super) env: Vec<String>,
    pub(super) labels: BTreeMap<String, String>,
    /// What was dropped, and why.
    pub(super) notes: Vec<String>,
}

impl Stated {
    /// What the image states. An error if a text has a NUL byte: it would end there, in the program or in the runtime.
    pub(super) fn of(image: &ImageConfig, args: &[String]) -> Result<Self, String> {
        let variables = image.env().iter().map(|variable| ("an environment variable", variable.as_str()));
        let args = args.iter().map(|arg| ("an argument of the program", arg.as_str()));
        let directory = image.working_dir().map(|directory| ("the working directory", directory));
        if let Some((what, text)) = variables.chain(args).chain(directory).find(|(_, text)| text.contains('\0')) {
            return Err(format!("{what} of the image has a NUL byte, and would end there: {}", shown(text)));
        }
        let mut stated = Self::default();
        image.env().iter().for_each(|variable| stated.add_variable(variable));
        image.labels().iter().for_each(|(name, value)| stated.add_label(name, value));
        Ok(stated)
    }

    /// Adds a variable. The last one of a name counts, as in engines: of two, some programs read the first one.
    fn add_variable(&mut self, variable: &str) {
        let Some((name, _)) = variable.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            let why = "it has no name or no `=`, and runtimes refuse that";
            return self.notes.push(format!("the environment variable {} is dropped: {why}", shown(variable)));
        };
        let same = self.env.iter_mut().find(|other| name_of(other) == name);
        match same {
            None => self.env.push(variable.to_owned()),
            Some(same) => {
                if same != variable {
                    self.notes
                        .push(format!("the environment variable {} is set twice: the last value counts", shown(name)));
                }
                variable.clone_into(same);
            }
        }
    }

    /// Adds a label, which becomes an annotation.
    fn add_label(&mut self, name: &str, value: &str) {
        let order = ORDERS.iter().find(|(prefix, _)| name.starts_with(prefix));
        let why = match order {
            Some((_, runtime)) => format!("as an annotation, it tells a runtime ({runtime}) what to do"),
            None if name.is_empty() => "it has no name, and the runtime-spec demands one".to_owned(),
            None if name.contains('\0') || value.contains('\0') => "it has a NUL byte, and would end there".to_owned(),
            None => return drop(self.labels.insert(name.to_owned(), value.to_owned())),
        };
        self.notes.push(format!("the label {} is dropped: {why}", shown(name)));
    }
}

/// The name of a variable.
pub(super) fn name_of(variable: &str) -> &str {
    variable.split('=').next().unwrap_or_default()
}

fn shown(text: &str) -> Escaped {
    Escaped::new(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_has_a_name_and_a_value_and_is_there_once() {
        let mut stated = Stated::default();
        for variable in ["A=1", "B", "", "=x", "C=a=b", "A=2", "D=", "C=a=b", "é b=\n"] {
            stated.add_variable(variable);
        }
        assert_eq!(stated.env, ["A=2", "C=a=b", "D=", "é b=\n"]);
        let notes: Vec<_> = stated.notes.iter().map(|note| note.split(':').next().unwrap()).collect();
        let dropped = |shown| format!("the environment variable {shown} is dropped");
        let twice = "the environment variable \"A\" is set twice".to_owned();
        assert_eq!(notes, [dropped("\"B\""), dropped("\"\""), dropped("\"=x\""), twice]);
    }

    #[test]
    fn a_label_that_a_runtime_would_obey_is_dropped() {
        let mut stated = Stated::default();
        let orders = ["run.oci.pidfd_receiver", "org.systemd.property.X", "org.criu.config", "dev.gvisor.flag.debug"];
        let kept =
            ["org.opencontainers.image.title", "io.k8s.display-name", "maintainer", "run.ocix", "io.kubernetes.x"];
        for name in orders.iter().chain(&kept) {
            stated.add_label(name, "value");
        }
        for (name, value) in [("", "x"), ("a\0b", "x"), ("c", "\0")] {
            stated.add_label(name, value);
        }
        assert_eq!(stated.labels.len(), kept.len());
        assert!(kept.iter().all(|name| stated.labels.contains_key(*name)));
        assert_eq!(stated.notes.len(), orders.len() + 3);
        assert!(stated.notes[0].contains("\"run.oci.pidfd_receiver\"") && stated.notes[0].contains("crun"));
        assert!(stated.notes.iter().all(|note| !note.contains('\0')));
    }
}
