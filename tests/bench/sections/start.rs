//! How soon the container of a queued run starts, beyond what the engine takes to make and start it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use tstr_shared::testdef::{Network, Resources};
use tstr_tests::images::SHELL;
use tstr_tests::process::uptime;
use tstr_tests::runner::Site;
use tstr_tests::{eventually, factory};
use tstr_worker::engine::podman::Podman;
use tstr_worker::engine::{ContainerSpec, Engine};
use uuid::Uuid;

use super::Found;
use crate::Bench;
use crate::api::Api;
use crate::goals::{Bound, Goal};
use crate::samples::quantile;
use crate::table::{Table, count};

/// The first that a container does: it says how long the machine has been up, to a hundredth of a second.
const FIRST: &str = "read -r up _ </proc/uptime; echo $up";

/// Measures.
pub async fn run(bench: &Bench) -> Result<Found> {
    let api = Api::start(&bench.server, "start").await?;
    api.register(&factory::script("first", FIRST)).await;
    let site = Site::with_token("start", api.runner_token());
    let mut runner = site.start(api.grpc_url(), &["--slots", "2"]).await;
    runner.registered_at(api.admin()).await;
    let service = runner.podman_service().arguments();
    let socket =
        service.iter().find_map(|word| word.strip_prefix("unix://")).context("the socket of Podman")?.to_owned();
    let podman = Podman::new(socket);
    // Once for what is only done once.
    through_tstr(&api).await?;
    alone(&podman, site.dir()).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for sample in 0..bench.plan.starts {
        if sample % 2 == 0 {
            ours.push(through_tstr(&api).await?);
            theirs.push(alone(&podman, site.dir()).await?);
        } else {
            theirs.push(alone(&podman, site.dir()).await?);
            ours.push(through_tstr(&api).await?);
        }
    }
    let status = runner.process.terminate(Duration::from_secs(60));
    ensure!(status.success(), "the worker ended with {status}:\n{}", runner.process.log_text());
    api.stop()?;
    bench.server.drop_database("start").await?;
    Ok(report(&mut ours, &mut theirs))
}

/// From the answer of a trigger to the first that the container does, in milliseconds.
async fn through_tstr(api: &Api) -> Result<f64> {
    let admin = api.admin();
    let triggered = admin.post("/api/v1/namespaces/default/tests/first/runs", &serde_json::json!({})).await;
    let queued = uptime();
    let run = triggered.expect(201)["runs"][0]["id"].as_str().context("the run's id")?.to_owned();
    let ended = eventually("the run ends", Duration::from_secs(60), async || {
        let run = admin.run(&run).await;
        (run["state"] == "finished").then_some(run)
    });
    let ended = ended.await;
    ensure!(ended["result"] == "pass", "the run did not pass: {ended}");
    let log = admin.request(reqwest::Method::GET, &format!("/api/v1/runs/{run}/logs"));
    let log = admin.send(log.header("accept", "text/plain")).await;
    ensure!(log.status == 200, "the log was answered {}: {}", log.status, log.text());
    Ok((log.text().trim().parse::<f64>().with_context(|| format!("the log is {:?}", log.text()))? - queued) * 1e3)
}

/// From the call that makes a container to the first that it does, in milliseconds: all that the worker asks the engine
/// for, and nothing else.
async fn alone(podman: &Podman, data_dir: &Path) -> Result<f64> {
    let name = format!("tstr-{}-1", Uuid::new_v4());
    let image = podman.image(SHELL).await?.context("the image of the tests")?;
    let spec = ContainerSpec {
        name: name.clone(),
        labels: BTreeMap::new(),
        image: image.id,
        command: vec!["/bin/sh".into(), "-c".into()],
        args: vec![FIRST.into()],
        env: BTreeMap::new(),
        unset_env: Vec::new(),
        resources: Resources::default(),
        network: Network::None,
        stop_timeout: Duration::from_secs(1),
        backstop: Duration::from_secs(60),
    };
    let asked = uptime();
    podman.create(&spec).await?;
    hand_over(&data_dir.join(format!("podman/storage/volumes/{name}/_data")))?;
    let mut frames = podman.attach(&name).await?;
    podman.start(&name).await?;
    let mut text = String::new();
    while let Some(frame) = frames.next().await {
        text += &String::from_utf8_lossy(&frame?.data);
    }
    podman.remove(&name).await?;
    Ok((text.trim().parse::<f64>().with_context(|| format!("the output is {text:?}"))? - asked) * 1e3)
}

/// The engine of this process made a directory in the volume. Podman runs as another user, when we are root: it shall own
/// what is there, as it does when its worker made it.
fn hand_over(volume: &Path) -> Result<()> {
    let artifacts = volume.join("artifacts");
    let (owner, own) = (std::fs::metadata(volume)?, std::fs::metadata(&artifacts)?);
    if owner.uid() != own.uid() {
        std::os::unix::fs::chown(artifacts, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

fn report(ours: &mut [f64], theirs: &mut [f64]) -> Found {
    let mut table = Table::new(
        "From queued to started",
        "A run is triggered on an idle system with a real worker; the time runs from the trigger's answer to the first command \
         in the container. Beside it the engine alone, asked as the worker asks it: create, attach, start. Milliseconds, to 10.",
        &["what", "samples", "median", "90 of 100", "99 of 100"],
    );
    let parts = [0.5, 0.9, 0.99];
    let ours_at = parts.map(|part| quantile(ours, part));
    let theirs_at = parts.map(|part| quantile(theirs, part));
    for (name, samples, at) in [("through tstr", ours.len(), ours_at), ("the engine alone", theirs.len(), theirs_at)] {
        let mut cells = vec![name.to_owned(), samples.to_string()];
        cells.extend(at.map(count));
        table.row(cells);
    }
    let [middle, _, late] = [0, 1, 2].map(|i| ours_at[i] - theirs_at[i]);
    let goals = vec![
        Goal::figure(
            "worker",
            "queued to container started, beyond create and start alone, 99 of 100",
            Bound::AtMost(100.0),
            late,
            "ms",
        ),
        Goal::figure("worker", "the same, median", Bound::AtMost(100.0), middle, "ms"),
    ];
    Found { text: table.into_text(), goals }
}
