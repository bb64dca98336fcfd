//! Docker, with its containerd image store, over the same containerd.

use crate::engine::{Engine, Unpacks, shown};
use crate::trees::write_hello;
use std::fs;
use std::process::{Command, Output};

fn docker(engine: &Engine, arguments: &[&str]) -> Output {
    let host = format!("unix://{}", engine.text("docker.sock"));
    let mut command: Command = engine.inside(&[&["docker", "-H", &host], arguments].concat());
    command.env("HOME", engine.at("home")).output().unwrap()
}

#[test]
fn docker_loads_and_runs_an_image_that_the_differ_has_unpacked() {
    let Some(mut engine) = Engine::start(Unpacks::Layercage) else { return };
    if !engine.inside(&["sh", "-c", "command -v dockerd && command -v docker"]).output().unwrap().status.success() {
        eprintln!("skipped: Docker is not in the directory of LAYERCAGE_CONTAINERD");
        return;
    }
    fs::write(engine.at("daemon.json"), r#"{"features": {"containerd-snapshotter": true}}"#).unwrap();
    let host = format!("unix://{}", engine.text("docker.sock"));
    let [data, state, socket, configuration, pid] =
        ["docker", "docker-state", "c.sock", "daemon.json", "docker.pid"].map(|name| engine.text(name));
    let arguments = [
        "dockerd",
        "-H",
        &host,
        "--data-root",
        &data,
        "--exec-root",
        &state,
        "--containerd",
        &socket,
        "--config-file",
        &configuration,
        "--pidfile",
        &pid,
        "--bridge",
        "none",
        "--iptables=false",
        "--ip6tables=false",
    ];
    engine.serve("dockerd.log", &arguments);
    engine.wait("dockerd serves", |engine| {
        let log = || fs::read_to_string(engine.at("dockerd.log")).unwrap();
        assert!(!log().contains("failed to start daemon"), "{}", log());
        docker(engine, &["version"]).status.success()
    });
    let driver = docker(&engine, &["info", "--format", "{{.Driver}} {{.DriverStatus}}"]);
    assert!(String::from_utf8_lossy(&driver.stdout).contains("containerd.snapshotter"), "{driver:?}");
    write_hello(&engine, "hello.tar");
    let before = engine.log().matches("layer applied").count();
    let loaded = docker(&engine, &["load", "-i", &engine.text("hello.tar")]);
    let said = String::from_utf8_lossy(&loaded.stdout).into_owned();
    assert!(loaded.status.success(), "{}{said}", shown(&loaded));
    let name = said.trim().rsplit(' ').next().unwrap().to_owned();
    let run = docker(&engine, &["run", "--rm", "--network", "none", &name]);
    assert!(run.status.success(), "{}\n{said}", shown(&run));
    assert!(!run.stdout.is_empty());
    assert_eq!(engine.log().matches("layer applied").count() - before, 2, "{}", engine.log());
}
