//! The policy file.

use super::section::Section;
use crate::syntax::{malformed, unexpected};
use layercage::policy::Devices;
use layercage::{Limits, Policy};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// The policy and the limits for the layers of one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judging {
    /// The policy.
    pub(crate) policy: Policy,
    /// The limits.
    pub(crate) limits: Limits,
}

/// What the policy file says.
///
/// The keys at its top are for all namespaces. A table `namespace.NAME` replaces some of them for one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policies {
    general: Judging,
    namespaces: BTreeMap<String, Judging>,
}

/// The default policy and limits, for all namespaces.
impl Default for Policies {
    fn default() -> Self {
        let general = Judging { policy: Policy::default(), limits: Limits::default() };
        Self { general, namespaces: BTreeMap::new() }
    }
}

impl Policies {
    /// Parses a policy file.
    ///
    /// # Errors
    ///
    /// Why it is not one: TOML that is malformed, a key or a value that is not known, or keys that contradict each other.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // Positions in the text are lost once it is a table, so the syntax is reported first.
        let mut table: Table = toml::from_str(text).map_err(|error| malformed(text, &error))?;
        let namespaces = match table.remove("namespace") {
            None => Table::new(),
            Some(Value::Table(namespaces)) => namespaces,
            Some(_) => return Err("`namespace` is a table of tables: `[namespace.NAME]`".to_owned()),
        };
        let general: Section =
            Value::Table(table).try_into().map_err(|error: toml::de::Error| unexpected(&[], &error))?;
        let special = namespaces.into_iter().map(|(name, value)| {
            let judging = special(&name, value, &general)?;
            Ok((name, judging))
        });
        let namespaces = special.collect::<Result<_, String>>()?;
        Ok(Self { general: judging(&general)?, namespaces })
    }

    /// The policy and limits for a namespace.
    pub(crate) fn of(&self, namespace: &str) -> &Judging {
        self.namespaces.get(namespace).unwrap_or(&self.general)
    }

    /// Whether the policy depends on the namespace.
    pub(crate) fn tell_namespaces_apart(&self) -> bool {
        self.namespaces.values().any(|judging| *judging != self.general)
    }

    /// Whether any policy creates device nodes, for which the program must keep a privilege.
    pub(crate) fn creates_devices(&self) -> bool {
        [&self.general].into_iter().chain(self.namespaces.values()).any(|judging| judging.creates_devices())
    }
}

impl Judging {
    fn creates_devices(&self) -> bool {
        self.policy.devices() == Devices::Create
    }
}

/// The section of one namespace, on top of the general one.
fn special(name: &str, value: Value, general: &Section) -> Result<Judging, String> {
    // In TOML, [namespace.k8s.io] is a table `io` in a table `k8s`.
    let nested = value.as_table().into_iter().flatten().find(|(key, value)| value.is_table() && *key != "limit");
    if let Some((key, _)) = nested {
        return Err(format!(
            "`namespace.{name}`: unknown key `{key}`: a name with dots needs quotes, as in `[namespace.\"{name}.{key}\"]`"
        ));
    }
    let section: Section =
        value.try_into().map_err(|error: toml::de::Error| unexpected(&["namespace", name], &error))?;
    judging(&section.over(general)).map_err(|why| format!("`namespace.{name}`: {why}"))
}

fn judging(section: &Section) -> Result<Judging, String> {
    Ok(Judging { policy: section.policy()?, limits: section.limits() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use layercage::policy::{Durability, Links, Preset, Verdict, Xattrs};
    use layercage::rules::{Limit, QuirkRule};

    #[test]
    fn an_empty_file_is_the_default_policy() {
        assert_eq!(Policies::parse(""), Ok(Policies::default()));
    }

    #[test]
    fn every_option_of_the_command_is_a_key() {
        let text = r#"
            policy = "compatible"
            devices = "create"
            fifos = "skip"
            setid = "strip"
            owners = "map"
            uid-map = ["0:100000:65536"]
            gid-map = ["0:100000:65536"]
            xattrs = "all"
            links = "refuse"
            mtime = "clamp=1700000000"
            epoch = 1700000000
            allow = ["hard-link-metadata"]
            refuse = ["ragged-end"]
            sync = true
            selinux-label = "system_u:object_r:container_file_t:s0"
            [limit]
            entries = 1000
            image-bytes = "off"
        "#;
        let policies = match Policies::parse(text) {
            Ok(policies) => policies,
            Err(why) => panic!("{why}"),
        };
        let Judging { policy, limits } = policies.of("default");
        assert_eq!((policy.links(), policy.xattrs()), (Links::Refuse, Xattrs::All));
        assert_eq!(policy.verdict(QuirkRule::RaggedEnd), Verdict::Refuse);
        assert!(policies.creates_devices());
        assert_eq!(policies.of("any").policy.durability(), Durability::Synced);
        assert_eq!((limits.most(Limit::Entries), limits.most(Limit::ImageBytes)), (1000, Limit::OFF));
    }

    #[test]
    fn a_namespace_replaces_single_keys_and_single_limits() {
        let policies = Policies::parse(
            "devices = \"skip\"\n[limit]\nentries = 10\npath-bytes = 20\n\
             [namespace.\"k8s.io\"]\npolicy = \"paranoid\"\n[namespace.\"k8s.io\".limit]\nentries = 5\n",
        )
        .unwrap();
        let (general, special) = (policies.of("moby"), policies.of("k8s.io"));
        assert_eq!(general.policy, Policy::default().with_devices(Devices::Skip));
        assert_eq!(special.policy, Policy::preset(Preset::Paranoid).with_devices(Devices::Skip));
        assert_eq!(general.limits.most(Limit::Entries), 10);
        assert_eq!((special.limits.most(Limit::Entries), special.limits.most(Limit::PathBytes)), (5, 20));
    }

    #[test]
    fn what_is_not_known_is_an_error_that_names_it() {
        for (text, said) in [
            ("device = \"skip\"", "unknown key `device`"),
            ("devices = \"drop\"", "`skip`"),
            ("[namespace.moby]\ndevice = \"skip\"", "`namespace.moby`: unknown key `device`"),
            ("[namespace.moby]\nallow = [\"name-climbs\"]", "`namespace.moby.allow`: `name-climbs` is a violation"),
            (
                "[namespace.k8s.io]\ndevices = \"skip\"",
                "unknown key `io`: a name with dots needs quotes, as in `[namespace.\"k8s.io\"]`",
            ),
            ("[namespaces.moby]\ndevices = \"skip\"", "`namespaces`"),
            ("namespace = 1", "`namespace` is a table"),
            ("[namespace]\nmoby = 1", "`namespace.moby`"),
            ("[limit]\nentry = 1", "entr"),
            ("[limit]\nentries = \"many\"", "`limit.entries`: a limit is a number, or \"off\""),
            ("[limit]\nentries = -1", "\"off\""),
            ("allow = [\"name-climbs\"]", "`allow`: `name-climbs` is a violation: no policy can allow it"),
            ("refuse = [\"entries\"]", "limit"),
            ("allow = [\"no-such\"]", "`no-such`"),
            ("allow = [\"device-node\"]\ndevices = \"create\"", "but `devices` decides"),
            ("refuse = [\"fifo\"]\nfifos = \"skip\"", "`refuse` has `fifo`, but `fifos` decides"),
            ("allow = [\"ragged-end\"]\nrefuse = [\"ragged-end\"]", "`allow` has `ragged-end`, but `refuse` decides"),
            ("[namespace.moby]\nrefuse = [\"fifo\"]\nfifos = \"skip\"", "`namespace.moby`: `refuse` has `fifo`"),
            ("owners = \"map\"", "`uid-map`"),
            ("uid-map = [\"0:1:2\"]", "belong together"),
            ("devices = \"skip\"\ndevices = \"create\"", "duplicate key"),
            ("fifos = \"skip\"\ndevices = skip", "line 2, column 11: "),
        ] {
            let why = Policies::parse(text).unwrap_err();
            assert!(why.contains(said) && !why.contains('\n'), "{text:?}: {why}");
        }
    }
}
