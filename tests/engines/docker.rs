//! Docker and containerd: what they save, against the tree that they mount. `docker.sh` starts them and runs this test.

use crate::exported;
use crate::images::LAYERS;
use crate::tree::{self, Listing};
use crate::{Known, complaints, run, script, unpacked};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the tree that an engine mounts is not the image that it saves.
const LOSSES: &[Known] = &[
    (ALL, ".", "mtime", "no layer lists the root: an engine has the time of its own work, layercage the epoch"),
    (ALL, "opt/before-1970", "mtime", "times before 1970 become 1970"),
    (ALL, "opt/after-2262", "mtime", "times that 64 bits of nanoseconds lack become 1970"),
];

/// Where the tree that Docker mounts is not the archive that it imported.
const IMPORTED: &[Known] = &[
    (DOCKER, ".", "mtime", "the root has the time of the import"),
    (DOCKER, "etc/machine-id", "mtime", "times before 1970 become 1970"),
    (DOCKER, "srv/shared/plain", "xattr.system.posix_acl_access", "Docker sets the default ACL of a directory first"),
    (
        DOCKER,
        "usr/bin/hello",
        "xattr.security.capability",
        "Docker sets the owner of each hard link, the last one clears it",
    ),
    (
        DOCKER,
        "usr/bin/hi",
        "xattr.security.capability",
        "Docker sets the owner of each hard link, the last one clears it",
    ),
];

const DOCKER: &str = "docker-debian-12 docker-debian-13";

const ALL: &str = "docker-debian-12 containerd-debian-12 docker-debian-13 containerd-debian-13";

/// Running engines, perhaps in a root of their own.
struct Engines {
    /// The root in which their programs run, as seen from here.
    root: PathBuf,
    docker: Vec<String>,
    ctr: Vec<String>,
    /// A directory in the root, by its name there.
    place: String,
    /// The name in [`LOSSES`].
    name: String,
}

impl Engines {
    fn new() -> Option<Self> {
        let variable = |name: &str| std::env::var(format!("LAYERCAGE_{name}")).ok();
        let words = |name| Some(variable(name)?.split(' ').map(String::from).collect());
        let (docker, ctr) = (words("DOCKER")?, words("CTR")?);
        let root = PathBuf::from(variable("ENGINE_ROOT")?);
        Some(Self { root, docker, ctr, place: variable("ENGINE_PLACE")?, name: variable("ENGINE")? })
    }

    /// A place of the engines, as seen from here.
    fn outside(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
    }

    fn docker(&self, arguments: &[&str]) -> String {
        run(Command::new(&self.docker[0]).args(&self.docker[1..]).args(arguments))
    }

    /// Runs one of them with its output, or its input, in a file.
    fn piped(program: &[String], arguments: &[&str], file: &Path, is_output: bool) {
        let mut command = Command::new(&program[0]);
        command.args(&program[1..]).args(arguments);
        match is_output {
            true => command.stdout(File::create(file).unwrap()),
            false => command.stdin(File::open(file).unwrap()).stdout(Stdio::null()),
        };
        assert!(command.status().unwrap().success(), "{command:?}");
    }

    /// Builds the image: a layer for each script, which changes what a running container has mounted.
    fn build(&self) -> &'static str {
        for (number, layer) in LAYERS.iter().enumerate() {
            let from = if number == 0 { "awkward:base" } else { IMAGE };
            let container = self.docker(&["run", "-d", "--network", "none", from, "/busybox", "sleep", "1000"]);
            let merged = self.docker(&["inspect", "-f", "{{.GraphDriver.Data.MergedDir}}", &container]);
            script(layer, &self.outside(&merged));
            self.docker(&["commit", &container, IMAGE]);
            self.docker(&["rm", "-f", &container]);
        }
        IMAGE
    }

    /// Builds on top of it with the classic builder, each instruction a layer.
    fn build_by_file(&self) {
        const FILE: &str = r#"FROM awkward:form
ENV PATH=/
RUN ["/busybox", "sh", "-c", "cd /opt && busybox rm -r gone-tree kept && busybox ln first built && busybox chmod 4711 first"]
RUN ["/busybox", "sh", "-c", "cd /opt && busybox mkdir kept && echo new >kept/new && busybox mkfifo -m 600 kept/pipe"]
RUN ["/busybox", "sh", "-c", "busybox rm -r /usr/lib && busybox ln -s bin /usr/lib && busybox chown 5:6 /usr/bin/su"]
"#;
        let file = self.outside(&format!("{}/Dockerfile", self.place));
        std::fs::write(&file, FILE).unwrap();
        let arguments = ["build", "-q", "--network", "none", "-t", BUILT, "-"];
        let builder: Vec<_> =
            ["env", "DOCKER_BUILDKIT=0"].into_iter().map(String::from).chain(self.docker.clone()).collect();
        Self::piped(&builder, &arguments, &file, false);
    }

    /// The tree of an image as Docker mounts it, without the files of its own that a container gets on top.
    fn mounted(&self, image: &str) -> Listing {
        let of =
            |what: &str| self.docker(&["image", "inspect", "-f", &format!("{{{{.GraphDriver.Data.{what}}}}}"), image]);
        let (top, lower) = (of("UpperDir"), of("LowerDir"));
        if lower == "<no value>" {
            // A single layer is mounted as it is.
            return tree::list(&self.outside(&top));
        }
        let layers = format!("{top}:{lower}");
        // Relative to the store, since a page holds all options of a mount.
        let store = layers.split("/overlay2/").next().unwrap().to_owned() + "/overlay2";
        let layers = layers.replace(&format!("{store}/"), "");
        let place = self.outside(&format!("{}/mounted", self.place));
        std::fs::create_dir_all(&place).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "overlay", "overlay", "-o", &format!("ro,lowerdir={layers}")]).arg(&place);
        run(mount.current_dir(self.outside(&store)));
        let listing = tree::list(&place);
        run(Command::new("umount").arg(&place));
        listing
    }

    /// The tree of an image as containerd mounts it.
    fn viewed(&self, image: &str) -> Listing {
        let inside = format!("{}/viewed", self.place);
        std::fs::create_dir_all(self.outside(&inside)).unwrap();
        run(Command::new(&self.ctr[0]).args(&self.ctr[1..]).args(["images", "mount", image, &inside]));
        let listing = tree::list(&self.outside(&inside));
        run(Command::new("umount").arg(self.outside(&inside)));
        listing
    }
}

const IMAGE: &str = "awkward:form";
const BUILT: &str = "awkward:built";

#[test]
#[ignore = "docker.sh starts the engines and runs it"]
fn what_docker_and_containerd_save_is_what_they_mount() {
    let engines = Engines::new().unwrap_or_else(|| panic!("docker.sh sets LAYERCAGE_DOCKER and others"));
    let place = tempfile::tempdir().unwrap();
    let image = engines.build();
    let mounted = engines.mounted(image);
    let id = engines.docker(&["image", "inspect", "-f", "{{.Id}}", image]);
    let mut rows: Vec<(&str, String, PathBuf, &Listing)> = Vec::new();
    let to = |name: &str| place.path().join(name);

    Engines::piped(&engines.docker, &["save", image], &to("save.tar"), true);
    Engines::piped(&engines.docker, &["save", &id], &to("save-id.tar"), true);
    let packed = format!("gzip -1c <{} >{}", to("save.tar").display(), to("save.tar.gz").display());
    run(Command::new("sh").args(["-c", &packed]));
    rows.push(("docker", "`docker save NAME`".into(), to("save.tar"), &mounted));
    rows.push(("docker", "`docker save ID`".into(), to("save-id.tar"), &mounted));
    rows.push(("docker", "`docker save NAME`, gzip".into(), to("save.tar.gz"), &mounted));

    engines.build_by_file();
    let built = engines.mounted(BUILT);
    Engines::piped(&engines.docker, &["save", BUILT], &to("built.tar"), true);
    rows.push(("docker", "`docker save` of what `docker build` made".into(), to("built.tar"), &built));

    Engines::piped(&engines.ctr, &["images", "import", "-"], &to("save.tar"), false);
    let listed = run(Command::new(&engines.ctr[0]).args(&engines.ctr[1..]).args(["images", "ls", "-q"]));
    let name = listed.lines().find(|name| name.contains("awkward")).unwrap();
    let viewed = engines.viewed(name);
    Engines::piped(&engines.ctr, &["images", "export", "-", name], &to("export.tar"), true);
    rows.push(("containerd", "`docker save`, mounted by `ctr images mount`".into(), to("save.tar"), &viewed));
    rows.push(("containerd", "`ctr images export`".into(), to("export.tar"), &viewed));

    let mut wrong = BTreeMap::<String, Vec<String>>::new();
    let mut table = String::from("| engine | form | paths |\n|---|---|---|\n");
    for (engine, form, archive, expected) in rows {
        let tool = format!("{engine}-{}", engines.name);
        let lines = match unpacked(&archive, None, place.path()) {
            Ok((got, _)) => complaints(&tool, expected, &got, LOSSES),
            Err(error) => vec![format!("{tool}: {error}")],
        };
        table += &format!("| {tool} | {form} | {} |\n", expected.len());
        for line in lines {
            wrong.entry(line).or_default().push(form.clone());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!("{table}");
}

#[test]
#[ignore = "docker.sh starts the engines and runs it"]
fn what_docker_imports_of_an_export_is_the_tree() {
    let engines = Engines::new().unwrap_or_else(|| panic!("docker.sh sets LAYERCAGE_DOCKER and others"));
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("flat.tar");
    std::fs::write(&file, exported::archive()).unwrap();
    Engines::piped(&engines.docker, &["import", "-", "awkward:flat"], &file, false);
    let (expected, tool) = (exported::listed(), format!("docker-{}", engines.name));
    let mut lines = complaints(&tool, &expected, &engines.mounted("awkward:flat"), IMPORTED);
    let saved = place.path().join("saved.tar");
    Engines::piped(&engines.docker, &["save", "awkward:flat"], &saved, true);
    lines.extend(match unpacked(&saved, None, place.path()) {
        Ok((got, _)) => complaints(&tool, &expected, &got, &[]),
        Err(error) => vec![format!("{tool}: {error}")],
    });
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}
