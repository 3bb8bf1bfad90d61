//! Metrics of this process, and the log.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tstr_shared::schedule::ZONE_TABLES;

/// Upper ends of the buckets of histograms, in seconds.
const BUCKETS: [f64; 13] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Of those of times that may be hours.
const LONG_BUCKETS: [f64; 15] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0];
/// The histograms of such times.
const LONG: [&str; 2] = ["tstr_schedule_lateness_seconds", "tstr_queue_wait_seconds"];

/// Returns the recorder of this process; the first call installs it.
///
/// A process has one recorder, whatever number of servers a test starts in it.
pub fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            // Histograms, not summaries: those of several replicas can be added up.
            let recorder = builder().unwrap_or_else(|_| PrometheusBuilder::new()).build_recorder();
            let handle = recorder.handle();
            // An error says that somebody else installed one; ours then stays empty, which a scrape shows.
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another metrics recorder is installed; /metrics stays empty");
            }
            let labels = [("version", env!("CARGO_PKG_VERSION")), ("zone_tables", ZONE_TABLES)];
            metrics::gauge!("tstr_build_info", &labels).set(1.0);
            handle
        })
        .clone()
}

fn builder() -> Result<PrometheusBuilder, metrics_exporter_prometheus::BuildError> {
    LONG.into_iter().try_fold(PrometheusBuilder::new().set_buckets(&BUCKETS)?, |builder, name| {
        builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), &LONG_BUCKETS)
    })
}

/// Starts the log on standard error: for people on a terminal, JSON elsewhere. `RUST_LOG` chooses what is written.
pub fn log_to_stderr() {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn,h2=warn,hyper=warn"));
    let plain = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let outcome = match std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        true => plain.compact().try_init(),
        false => plain.json().flatten_event(true).try_init(),
    };
    if let Err(error) = outcome {
        tracing::debug!("the log was started before: {error}");
    }
}
