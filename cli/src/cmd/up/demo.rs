//! The demo: three tests that are built into this binary, their images built on the spot from nothing but a static
//! busybox, without a registry and without a network.
//!
//! A test that is there already is left as it is, so that whoever pauses or changes one finds it so after a restart; an
//! image is built anew when its content has changed.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::process::Command;
use tracing::info;
use tstr_worker::podman_home::PodmanHome;

use super::client::Client;
use super::data_dir::DataDir;

/// The label of an image that tells from which content it was built.
const CONTENT: &str = "tstr.demo.content";
const BUILD_LIMIT: Duration = Duration::from_secs(120);

struct Example {
    test: &'static str,
    containerfile: &'static str,
    script_name: &'static str,
    script: &'static str,
}

macro_rules! example {
    ($name:literal) => {
        Example {
            test: include_str!(concat!("../../../../examples/", $name, "/test.yaml")),
            containerfile: include_str!(concat!("../../../../examples/", $name, "/Containerfile")),
            script_name: concat!($name, ".sh"),
            script: include_str!(concat!("../../../../examples/", $name, "/", $name, ".sh")),
        }
    };
}

const EXAMPLES: [Example; 3] = [example!("heartbeat"), example!("regions"), example!("broken")];

/// Builds the images that are missing and registers the tests that are, in the namespace `default`. A newly registered
/// test without a schedule is run once.
///
/// # Errors
/// There is no static busybox on this machine; Podman cannot build; the API refuses a test.
pub async fn set_up(podman: &PodmanHome, api: &Client, dir: &DataDir) -> Result<()> {
    let busybox = static_busybox()?;
    for example in &EXAMPLES {
        let test: Value = serde_saphyr::from_str(example.test).context("read a built-in test.yaml")?;
        let name = test["name"].as_str().context("a built-in test has a name")?;
        let image = test["run_config"]["container_image"].as_str().context("a built-in test has an image")?;
        build(podman, image, example, &busybox, dir).await.with_context(|| format!("build the image {image}"))?;

        let path = format!("/api/v1/namespaces/default/tests/{name}");
        if api.find(&path).await?.is_some() {
            continue;
        }
        let registered = api.put(&path, &test).await?;
        info!("registered the demo test {name}");
        if test.get("cron_schedule").is_none() {
            let key = format!("demo-{}", registered["id"].as_str().unwrap_or(name));
            api.post(&format!("{path}/runs"), &json!({}), &key).await?;
        }
    }
    Ok(())
}

/// Builds one image, unless it is there with just this content.
async fn build(podman: &PodmanHome, image: &str, example: &Example, busybox: &Busybox, dir: &DataDir) -> Result<()> {
    let mut hasher = DefaultHasher::new();
    (example.containerfile, example.script, &busybox.content).hash(&mut hasher);
    let content = format!("{:016x}", hasher.finish());

    let mut inspect = Command::from(podman.command());
    inspect.args(["image", "inspect", "--format"]).arg(format!("{{{{index .Labels \"{CONTENT}\"}}}}")).arg(image);
    if run(inspect).await.is_ok_and(|label| label.trim() == content) {
        return Ok(());
    }
    let context = tempfile::Builder::new().prefix("demo-").tempdir_in(dir.path())?;
    fs::write(context.path().join("Containerfile"), example.containerfile)?;
    fs::write(context.path().join(example.script_name), example.script)?;
    fs::copy(&busybox.path, context.path().join("busybox")).context("copy busybox")?;
    let mut build = Command::from(podman.command());
    build.args(["build", "--network=none", "--pull=never", "--force-rm", "--tag", image]);
    build.arg(format!("--label={CONTENT}={content}")).arg(context.path());
    run(build).await?;
    info!("built the demo image {image}");
    Ok(())
}

/// What a program wrote to its standard output; an error with its other words if it fails.
async fn run(mut command: Command) -> Result<String> {
    let run = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output =
        tokio::time::timeout(BUILD_LIMIT, run).await.context("podman takes too long")?.context("run podman")?;
    if !output.status.success() {
        bail!("podman failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

struct Busybox {
    path: PathBuf,
    content: Vec<u8>,
}

/// The machine's busybox, if it needs no library: in an image made from nothing there is none.
fn static_busybox() -> Result<Busybox> {
    for path in ["/bin/busybox", "/usr/bin/busybox", "/usr/local/bin/busybox"].map(Path::new) {
        let Ok(content) = fs::read(path) else { continue };
        ensure!(
            is_static(&content),
            "{} needs shared libraries, the demo images need one that does not (Debian: apt install busybox-static)",
            path.display()
        );
        return Ok(Busybox { path: path.to_owned(), content });
    }
    bail!(
        "there is no busybox on this machine, and the demo images are made of it (Debian: apt install busybox-static)"
    )
}

/// Whether an ELF program asks for no loader: it has no program header of type PT_INTERP. Only the 64-bit
/// little-endian form is read; of any other program the build of the image will tell.
fn is_static(elf: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return true;
    }
    let number = |at: usize, bytes: usize| {
        let field = elf.get(at..at + bytes)?;
        Some(field.iter().rev().fold(0usize, |value, byte| (value << 8) | usize::from(*byte)))
    };
    let headers = || Some((number(32, 8)?, number(54, 2)?, number(56, 2)?));
    let Some((offset, size, count)) = headers() else { return false };
    (0..count).all(|index| {
        let at = offset.saturating_add(index * size);
        at < elf.len() && number(at, 4) != Some(PT_INTERP as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_are_valid_tests() {
        for example in &EXAMPLES {
            let test: Value = serde_saphyr::from_str(example.test).expect("YAML");
            let test: tstr_shared::testdef::NewTestDef = serde_json::from_value(test).expect("a test");
            test.validate().expect("valid");
            assert!(example.containerfile.contains(&format!("COPY {0} /{0}", example.script_name)));
        }
        let original = include_str!("../../../../examples/original.json");
        let original: tstr_shared::testdef::NewTestDef = serde_json::from_str(original).expect("a test");
        original.validate().expect("valid");
    }

    #[test]
    fn a_program_with_a_loader_is_not_static() {
        let this = std::env::current_exe().and_then(fs::read).expect("readable");
        assert!(!is_static(&this), "this test is linked to libc");
        assert!(!is_static(&this[..60]), "cut in its middle");
        assert!(is_static(b"#!/bin/sh"), "not ELF: cannot tell");
    }
}
