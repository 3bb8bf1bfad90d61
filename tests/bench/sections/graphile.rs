//! graphile-worker, which drains jobs that do nothing from a database of its own on the same server.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::server::Server;

/// The name of its database.
const DATABASE: &str = "graphile";

/// graphile-worker as `./scripts/bench` has installed it.
pub struct Graphile {
    script: PathBuf,
}

/// What a run of it tells.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Drained {
    done: u32,
    /// How many per second, from the first that was taken to the end of the worker.
    pub per_s: f64,
    /// Processor time of Node.js for each job, in microseconds.
    pub node_us: f64,
}

impl Graphile {
    /// Makes its database.
    pub async fn prepare(server: &Server) -> Result<Self> {
        let folder =
            std::env::var_os("TSTR_BENCH_GRAPHILE").context("TSTR_BENCH_GRAPHILE is set by ./scripts/bench")?;
        server.create_database(DATABASE).await?;
        Ok(Self { script: PathBuf::from(folder).join("drain.mjs") })
    }

    /// Adds jobs and lets it drain them.
    pub async fn drain(&self, server: &Server, count: u32) -> Result<Drained> {
        let mut node = server.client_of("node", DATABASE);
        node.arg(&self.script).arg(count.to_string());
        let output = tokio::process::Command::from(node).kill_on_drop(true).output().await.context("run node")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let faults = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "graphile-worker: {}\n{text}{faults}", output.status);
        let last = text.lines().last().unwrap_or_default();
        let drained: Drained = serde_json::from_str(last).with_context(|| format!("graphile-worker said\n{text}"))?;
        ensure!(drained.done == count, "graphile-worker did {} jobs of {count}", drained.done);
        Ok(drained)
    }

    /// Removes its database.
    pub async fn remove(self, server: &Server) -> Result<()> {
        server.drop_database(DATABASE).await
    }
}
