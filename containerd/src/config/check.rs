//! Whether a configuration leads every layer here. One key that is missing bypasses the differ, and containerd says nothing.

use super::{DIFF_SERVICE, TRANSFER, Version};
use crate::arguments::Named;
use toml::{Table, Value};

/// What was found in a configuration.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// The ways of a layer that lead here, each in one sentence.
    pub(crate) ways: Vec<String>,
    /// Why some layers, or all of them, do not come here.
    pub(crate) problems: Vec<String>,
}

/// Checks the output of `containerd config dump`, which has what is configured and the defaults of the rest.
///
/// # Errors
///
/// It is no such output.
pub(crate) fn check(text: &str, version: Option<Version>, named: &Named) -> Result<Checked, String> {
    let table: Table = toml::from_str(text).map_err(|error| format!("this is no TOML: {}", error.message()))?;
    let mut checked = Checked::default();
    checked.problems.extend(version.and_then(Version::refused));
    match table.get("version").and_then(Value::as_integer) {
        Some(2..) => {}
        _ => checked.problems.push("`version` is not 2 or more: older configurations have no differs".to_owned()),
    }
    checked.proxy(&table, named);
    checked.diff_service(&table, named);
    checked.transfer(&table, version, named);
    Ok(checked)
}

impl Checked {
    /// The differ itself.
    fn proxy(&mut self, table: &Table, named: &Named) {
        let Named { name, socket } = named;
        let Some(proxy) = find(table, &["proxy_plugins", name]) else {
            return self.problems.push(format!("there is no [proxy_plugins.{name}]"));
        };
        if text(proxy, "type") != Some("diff") {
            self.problems.push(format!("[proxy_plugins.{name}] is not of `type = \"diff\"`"));
        }
        match text(proxy, "address") {
            Some(address) if address == socket || address.strip_prefix("unix://") == Some(socket) => {}
            address => {
                let address = address.unwrap_or("(nothing)");
                self.problems.push(format!("[proxy_plugins.{name}] has the address {address}, and not {socket}"));
            }
        }
    }

    /// The way of clients that unpack by themselves.
    fn diff_service(&mut self, table: &Table, named: &Named) {
        let default = find(table, &["plugins", DIFF_SERVICE, "default"]).and_then(Value::as_array);
        let names: Vec<_> = default.into_iter().flatten().filter_map(Value::as_str).collect();
        match names.first() {
            Some(&first) if first == named.name => {
                self.ways.push("the diff service (Kubernetes, Docker, ctr --local) leads here".to_owned());
            }
            first => self.problems.push(format!(
                "the diff service (Kubernetes, Docker, ctr --local) asks {} first: \
                 [plugins.\"{DIFF_SERVICE}\"] needs `default = [\"{}\", \"walking\"]`",
                first.unwrap_or(&"walking"),
                named.name
            )),
        }
    }

    /// The way of clients of the transfer service.
    fn transfer(&mut self, table: &Table, version: Option<Version>, named: &Named) {
        let disabled = table.get("disabled_plugins").and_then(Value::as_array);
        if disabled.into_iter().flatten().any(|plugin| plugin.as_str() == Some(TRANSFER)) {
            return self.ways.push("the transfer service is disabled".to_owned());
        }
        let transfer = find(table, &["plugins", TRANSFER]);
        self.parallel(transfer, version);
        let Some(entries) = transfer.and_then(|transfer| transfer.get("unpack_config")) else {
            return self.problems.push(format!(
                "the transfer service (ctr, nerdctl, Kubernetes from 2.1 on) has no \
                 [[plugins.\"{TRANSFER}\".unpack_config]], so it unpacks with its own differ"
            ));
        };
        let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
        if entries.is_empty() {
            self.ways.push("the transfer service unpacks nothing".to_owned());
        }
        for entry in entries {
            let what = format!(
                "the transfer service for {} and {}",
                text(entry, "snapshotter").unwrap_or("any snapshotter"),
                text(entry, "platform").unwrap_or("any platform")
            );
            match text(entry, "differ") {
                Some(differ) if differ == named.name => self.ways.push(format!("{what} leads here")),
                // It takes any of the differs, in no order.
                None | Some("") => {
                    self.problems.push(format!("{what} names no differ: it needs `differ = \"{}\"`", named.name))
                }
                Some(other) => self.problems.push(format!("{what} leads to {other}")),
            }
        }
    }

    /// Layers that are unpacked side by side.
    fn parallel(&mut self, transfer: Option<&Value>, version: Option<Version>) {
        let most = transfer.and_then(|transfer| transfer.get("max_concurrent_unpacks")).and_then(Value::as_integer);
        if most.is_none_or(|most| most <= 1) {
            return;
        }
        match version {
            Some(version) => self.problems.extend(version.refused_in_parallel()),
            None => self.problems.push(
                "max_concurrent_unpacks is above 1, which is wrong in some versions of containerd: \
                 `--containerd-version` states the version"
                    .to_owned(),
            ),
        }
    }
}

fn find<'t>(table: &'t Table, path: &[&str]) -> Option<&'t Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(*key))
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

    /// One that leads every layer here.
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
    fn a_configuration_without_the_differ_has_a_problem_on_each_way() {
        let problems = problems(UNCONFIGURED_1_7, Some("1.7.24"));
        assert_eq!(problems.len(), 3, "{problems:?}");
        for (problem, said) in problems.iter().zip(["proxy_plugins.layercage", "asks walking first", "names no differ"])
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
            ("[\"layercage\", \"walking\"]", "[\"walking\", \"layercage\"]", "asks walking first"),
            ("differ = \"layercage\"", "differ = \"walking\"", "leads to walking"),
            ("differ = \"layercage\"", "", "names no differ"),
            ("unpack_config", "other_config", "with its own differ"),
            ("max_concurrent_unpacks = 1", "max_concurrent_unpacks = 3", "whiteouts"),
        ] {
            assert!(RIGHT.contains(from), "{from}");
            let problems = problems(&RIGHT.replace(from, to), Some("2.2.1"));
            assert!(matches!(&problems[..], [problem] if problem.contains(said)), "{from} -> {to}: {problems:?}");
        }
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
}
