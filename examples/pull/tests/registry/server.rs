//! A registry on this machine.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) struct Registry {
    process: Child,
    place: tempfile::TempDir,
    address: String,
}

impl Registry {
    /// Starts a registry, and pushes an image layout as `image:latest`. `None`, saying why, where that cannot be done.
    pub(crate) fn with_image(layout: &str) -> Option<Self> {
        let missing: Vec<_> =
            ["docker-registry", "skopeo"].into_iter().filter(|program| !is_installed(program)).collect();
        if !missing.is_empty() {
            let must_run = std::env::var_os("LAYERCAGE_NO_SKIP").is_some_and(|value| value == "1");
            assert!(!must_run, "must not be skipped: not installed: {}", missing.join(", "));
            eprintln!("skipped: not installed: {}", missing.join(", "));
            return None;
        }
        let registry = Self::start();
        let pushed = Command::new("skopeo")
            .args(["--insecure-policy", "copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"])
            .args([format!("oci:{layout}:latest"), format!("docker://{}/image:latest", registry.address)])
            .output()
            .unwrap();
        assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
        Some(registry)
    }

    fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        // The port was free a moment ago: the registry cannot say which one it took.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (config, data) = (place.path().join("config.yml"), place.path().join("data"));
        let storage = format!("storage:\n  filesystem:\n    rootdirectory: {}\n", data.display());
        fs::write(&config, format!("version: 0.1\n{storage}http:\n  addr: {address}\n")).unwrap();
        let log = fs::File::create(place.path().join("log")).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let registry = Self { process: command.spawn().unwrap(), place, address };
        let begun = Instant::now();
        while TcpStream::connect(&registry.address).is_err() {
            let log = || fs::read_to_string(registry.place.path().join("log")).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(30), "the registry does not answer: {}", log());
            sleep(Duration::from_millis(20));
        }
        registry
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Where the registry keeps a blob.
    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        self.place.path().join("data/docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is_installed(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|path| path.join(program).is_file())
}
