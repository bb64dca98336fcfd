//! Whether a configuration of containerd sends every layer to this program. If one key is missing, layers bypass it, and
//! containerd reports nothing.

use super::{DIFF_SERVICE, TRANSFER, Version};
use crate::arguments::Named;
use crate::syntax::malformed;
use toml::{Table, Value};

/// The root of containerd's directories by default.
const ROOT: &str = "/var/lib/containerd";

/// How the ids of proxy differs begin.
const DIFFERS: &str = "io.containerd.differ.v1.";

/// The transfer service, and what uses it.
const TRANSFER_CLIENTS: &str = "the transfer service (ctr, nerdctl, Kubernetes from 2.1 on)";

/// What was found in a configuration.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// What is configured as it should be, each in one sentence.
    pub(crate) right: Vec<String>,
    /// What this program cannot check.
    pub(crate) notes: Vec<String>,
    /// What is missing or wrong, so that some layers or all bypass this program.
    pub(crate) problems: Vec<String>,
}

/// Checks the output of `containerd config dump`, which has what is configured and the defaults of the rest.
///
/// # Errors
///
/// It is no such output.
pub(crate) fn check(text: &str, version: Option<Version>, named: &Named) -> Result<Checked, String> {
    let table: Table = toml::from_str(text).map_err(|error| format!("not valid TOML: {}", malformed(text, &error)))?;
    let mut checked = Checked::default();
    checked.problems.extend(version.and_then(Version::refused));
    match table.get("version").and_then(Value::as_integer) {
        Some(2..) => {}
        _ => checked.problems.push("`version` is not 2 or more: older configurations have no differs".to_owned()),
    }
    checked.dump(&table);
    checked.disabled(&table, named);
    checked.proxy(&table, named);
    checked.diff_service(&table, named);
    checked.transfer(&table, version, named);
    Ok(checked)
}

impl Checked {
    /// Whether this is what containerd makes of its configuration.
    fn dump(&mut self, table: &Table) {
        if is_incomplete(table) {
            let problem =
                "`imports` names other files, which are not checked: check the output of `containerd config dump`";
            self.problems.push(problem.to_owned());
        }
        if let Some(root) = text_of(table, "root").filter(|root| *root != ROOT) {
            self.notes.push(format!(
                "the root of containerd is {root}: `layercage-differ serve` needs \
                 `--snapshot-root {root}/io.containerd.snapshotter.v1.overlayfs/snapshots`, and the unit that path in \
                 `ReadWritePaths`"
            ));
        }
    }

    /// Whether what is needed is disabled.
    fn disabled(&mut self, table: &Table, named: &Named) {
        for plugin in disabled(table) {
            if plugin == DIFF_SERVICE || plugin.strip_prefix(DIFFERS) == Some(&named.name) {
                self.problems.push(format!("{plugin} is in `disabled_plugins`: remove it from there"));
            }
        }
    }

    /// The differ itself.
    fn proxy(&mut self, table: &Table, named: &Named) {
        let Named { name, socket } = named;
        let Some(proxy) = find(table, &["proxy_plugins", name]) else {
            return self.problems.push(format!("[proxy_plugins.{name}] is missing"));
        };
        if text(proxy, "type") != Some("diff") {
            self.problems.push(format!("[proxy_plugins.{name}] needs `type = \"diff\"`"));
        }
        match text(proxy, "address") {
            Some(address) if address == socket || address.strip_prefix("unix://") == Some(socket) => {}
            None => {
                self.problems.push(format!("[proxy_plugins.{name}] has no address: it needs `address = {socket:?}`"))
            }
            Some(address) => self.problems.push(format!(
                "[proxy_plugins.{name}] has the address {address}, but the socket of the differ is {socket}: \
                 `--socket` states another one"
            )),
        }
    }

    /// The service that clients use which unpack by themselves.
    fn diff_service(&mut self, table: &Table, named: &Named) {
        let default = find(table, &["plugins", DIFF_SERVICE, "default"]).and_then(Value::as_array);
        let names: Vec<_> = default.into_iter().flatten().filter_map(Value::as_str).collect();
        let name = &named.name;
        let what = "the diff service (Kubernetes, Docker, ctr --local)";
        let problem = match names.first() {
            Some(first) if first == name => return self.right.push(format!("{what} uses {name}")),
            Some(first) => format!("{what} uses {first} first"),
            None => format!("{what} has no `default`, so it uses walking"),
        };
        self.problems
            .push(format!("{problem}: [plugins.\"{DIFF_SERVICE}\"] needs `default = [\"{name}\", \"walking\"]`"));
    }

    /// The transfer service, which unpacks for its clients.
    fn transfer(&mut self, table: &Table, version: Option<Version>, named: &Named) {
        if disabled(table).any(|plugin| plugin == TRANSFER) {
            return self.right.push("the transfer service is disabled".to_owned());
        }
        let transfer = find(table, &["plugins", TRANSFER]);
        self.parallel(transfer, version);
        let Some(entries) = transfer.and_then(|transfer| transfer.get("unpack_config")) else {
            return self
                .problems
                .push(format!("{TRANSFER_CLIENTS} uses walking: [[plugins.\"{TRANSFER}\".unpack_config]] is missing"));
        };
        let Some(entries) = entries.as_array() else {
            return self.problems.push("`unpack_config` of the transfer service is not a list of tables".to_owned());
        };
        if entries.is_empty() {
            self.right.push("the transfer service unpacks nothing: its `unpack_config` is empty".to_owned());
        }
        entries.iter().for_each(|entry| self.unpack_config(entry, named));
    }

    fn unpack_config(&mut self, entry: &Value, named: &Named) {
        let (name, what) = (&named.name, TRANSFER_CLIENTS);
        let snapshotter = text(entry, "snapshotter").unwrap_or("any snapshotter");
        let images = format!("for {snapshotter} on {}", text(entry, "platform").unwrap_or("any platform"));
        let problem = match text(entry, "differ") {
            Some(differ) if differ == name => return self.right.push(format!("{what} uses {name} {images}")),
            // It takes any of the differs, in no order.
            None | Some("") => format!("{what} uses any differ {images}"),
            Some(other) => format!("{what} uses {other} {images}"),
        };
        self.problems.push(format!("{problem}: its `unpack_config` needs `differ = {name:?}`"));
    }

    /// Layers that are unpacked at the same time.
    fn parallel(&mut self, transfer: Option<&Value>, version: Option<Version>) {
        let most = match transfer.and_then(|transfer| transfer.get("max_concurrent_unpacks")) {
            None => return,
            Some(Value::Integer(most)) => *most,
            Some(other) => {
                return self.problems.push(format!("max_concurrent_unpacks is a {}, not a number", other.type_str()));
            }
        };
        match version {
            _ if most <= 1 => {}
            Some(version) => match version.refused_in_parallel() {
                Some(problem) => self.problems.push(problem),
                None => self
                    .right
                    .push(format!("max_concurrent_unpacks is {most}: layers that need lower layers wait for them")),
            },
            None => self.problems.push(
                "max_concurrent_unpacks is above 1, which loses files in some versions of containerd: \
                 `--containerd-version` states the version"
                    .to_owned(),
            ),
        }
    }
}

/// The plugins that are disabled.
fn disabled(table: &Table) -> impl Iterator<Item = &str> {
    table.get("disabled_plugins").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// Whether a file imports others. The output of `containerd config dump` has a list of imports, too, but these are in it
/// already. It has every key of its top level, and no patterns.
fn is_incomplete(table: &Table) -> bool {
    let imports = table.get("imports").and_then(Value::as_array);
    let mut imports = imports.into_iter().flatten().filter_map(Value::as_str).peekable();
    let is_dump = ["root", "state", "oom_score", "required_plugins"].iter().all(|key| table.contains_key(*key));
    imports.peek().is_some() && (!is_dump || imports.any(|import| import.contains(['*', '?', '['])))
}

fn find<'t>(table: &'t Table, path: &[&str]) -> Option<&'t Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(*key))
}

fn text_of<'t>(table: &'t Table, key: &str) -> Option<&'t str> {
    table.get(key).and_then(Value::as_str)
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `containerd config dump` of 1.7 prints of the keys that matter here, when nothing of them is configured.
    const UNCONFIGURED_1_7: &str = r#"
        disabled_plugins = []
        version = 2
        [plugins]
          [plugins."io.containerd.service.v1.diff-service"]
            default = ["walking"]
          [plugins."io.containerd.transfer.v1.local"]
            max_concurrent_downloads = 3
            [[plugins."io.containerd.transfer.v1.local".unpack_config]]
              differ = ""
              platform = "linux/amd64"
              snapshotter = "overlayfs"
        [proxy_plugins]
    "#;

    /// One that sends every layer to the differ.
    const RIGHT: &str = r#"
        version = 3
        [proxy_plugins.layercage]
          type = "diff"
          address = "/run/layercage/differ.sock"
        [plugins."io.containerd.service.v1.diff-service"]
          default = ["layercage", "walking"]
        [plugins."io.containerd.transfer.v1.local"]
          max_concurrent_unpacks = 1
          [[plugins."io.containerd.transfer.v1.local".unpack_config]]
            differ = "layercage"
            platform = "linux/amd64"
            snapshotter = "overlayfs"
    "#;

    fn problems(text: &str, version: Option<&str>) -> Vec<String> {
        let named = Named { name: "layercage".to_owned(), socket: "/run/layercage/differ.sock".to_owned() };
        check(text, version.map(|version| Version::parse(version).unwrap()), &named).unwrap().problems
    }

    #[test]
    fn a_configuration_without_the_differ_has_a_problem_for_each_service() {
        let problems = problems(UNCONFIGURED_1_7, Some("1.7.24"));
        assert_eq!(problems.len(), 3, "{problems:?}");
        for (problem, said) in problems.iter().zip(["proxy_plugins.layercage", "uses walking first", "uses any differ"])
        {
            assert!(problem.contains(said), "{problem}");
        }
    }

    #[test]
    fn each_key_that_is_missing_or_other_is_one_problem() {
        assert_eq!(problems(RIGHT, Some("2.3.4")), Vec::<String>::new());
        for (from, to, said) in [
            ("version = 3", "version = 1", "`version`"),
            ("type = \"diff\"", "type = \"snapshot\"", "`type = \"diff\"`"),
            ("/run/layercage/differ.sock", "/run/other.sock", "/run/other.sock"),
            ("[\"layercage\", \"walking\"]", "[\"walking\", \"layercage\"]", "uses walking first"),
            ("differ = \"layercage\"", "differ = \"walking\"", "uses walking for overlayfs"),
            ("differ = \"layercage\"", "", "uses any differ"),
            ("unpack_config", "other_config", "unpack_config]] is missing"),
            ("max_concurrent_unpacks = 1", "max_concurrent_unpacks = 3", "whiteouts"),
            ("max_concurrent_unpacks = 1", "max_concurrent_unpacks = \"3\"", "not a number"),
            (
                "version = 3",
                "version = 3\ndisabled_plugins = [\"io.containerd.differ.v1.layercage\"]",
                "disabled_plugins",
            ),
            (
                "version = 3",
                "version = 3\ndisabled_plugins = [\"io.containerd.service.v1.diff-service\"]",
                "disabled_plugins",
            ),
            ("version = 3", "version = 3\nimports = [\"/etc/containerd/conf.d/*.toml\"]", "`containerd config dump`"),
        ] {
            assert!(RIGHT.contains(from), "{from}");
            let problems = problems(&RIGHT.replace(from, to), Some("2.2.1"));
            assert!(matches!(&problems[..], [problem] if problem.contains(said)), "{from} -> {to}: {problems:?}");
        }
    }

    #[test]
    fn another_root_of_containerd_is_noted_with_what_it_needs() {
        let named = Named { name: "layercage".to_owned(), socket: "/run/layercage/differ.sock".to_owned() };
        let checked = check(&RIGHT.replace("version = 3", "version = 3\nroot = \"/srv/c\""), None, &named).unwrap();
        assert_eq!(checked.problems, Vec::<String>::new());
        assert!(checked.notes[0].contains("--snapshot-root /srv/c/io.containerd.snapshotter.v1.overlayfs/snapshots"));
        let default = RIGHT.replace("version = 3", "version = 3\nroot = \"/var/lib/containerd\"");
        assert_eq!(check(&default, None, &named).unwrap().notes, Vec::<String>::new());
        let malformed = check("version = 2\n[plugins\n", None, &named).unwrap_err();
        assert!(malformed.starts_with("not valid TOML: line 2, column "), "{malformed}");
    }

    #[test]
    fn what_depends_on_the_version_is_refused_for_it() {
        let parallel = RIGHT.replace("max_concurrent_unpacks = 1", "max_concurrent_unpacks = 3");
        assert_eq!(problems(&parallel, Some("2.2.3")), Vec::<String>::new());
        assert!(problems(&parallel, None)[0].contains("--containerd-version"));
        assert!(problems(RIGHT, Some("1.6.20"))[0].contains("panic"));
        let disabled =
            RIGHT.replace("version = 3", "version = 3\ndisabled_plugins = [\"io.containerd.transfer.v1.local\"]");
        assert_eq!(problems(&disabled.replace("differ = \"layercage\"", ""), None), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_imports_others_is_not_taken_for_the_output_of_config_dump() {
        let dump = "imports = [\"/etc/containerd/config.toml\"]\nroot = \"/var/lib/containerd\"\noom_score = 0\n\
                    state = \"/run/containerd\"\nrequired_plugins = []\n"
            .to_owned()
            + RIGHT;
        assert_eq!(problems(&dump, None), Vec::<String>::new());
        for (from, to) in [("/config.toml", "/conf.d/*.toml"), ("oom_score = 0\n", ""), ("state", "stat")] {
            let problems = problems(&dump.replace(from, to), None);
            assert!(matches!(&problems[..], [problem] if problem.contains("containerd config dump")), "{problems:?}");
        }
    }
}
