//! From a leased run to the container that executes it. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use tstr_shared::artifacts::FOLDER;
use tstr_shared::ids::RunnerId;
use tstr_shared::lease::{Fence, LeasedRun};
use tstr_shared::output::records::{RECORD_END, RECORD_START};
use tstr_shared::output::{METRICS_FILE, OUTPUT_FILE, SUMMARY_FILE};
use tstr_shared::results::{FAILED_CASES, SKIP_CASES};

use crate::engine::{ContainerSpec, Image, LABEL_ATTEMPT, LABEL_RUN, LABEL_WORKER};

/// How much later than the worker the engine itself ends a container, should the worker not live to do so.
const BACKSTOP: Duration = Duration::from_secs(60);
/// The prefix of variables that only tstr sets.
const RESERVED: &str = "TSTR_";
/// Those that the server sets.
const HANDED: [&str; 2] = [FAILED_CASES, SKIP_CASES];

/// Returns the name of an attempt's container and volume.
pub(crate) fn container_name(fence: Fence) -> String {
    format!("tstr-{}-{}", fence.run_id, fence.attempt)
}

/// Returns the container that executes a run with an image.
pub(crate) fn container(run: &LeasedRun, image: &Image, worker: RunnerId) -> ContainerSpec {
    let config = &run.run_config;
    let labels = BTreeMap::from([
        (LABEL_RUN.to_owned(), run.fence.run_id.to_string()),
        (LABEL_ATTEMPT.to_owned(), run.fence.attempt.to_string()),
        (LABEL_WORKER.to_owned(), worker.to_string()),
    ]);
    let env = environment(run);
    // What an image says in our name is not true; what we say ourselves replaces it anyway.
    let lies = image.env.iter().filter(|name| name.starts_with(RESERVED) && !env.contains_key(*name));
    ContainerSpec {
        name: container_name(run.fence),
        labels,
        image: image.id.clone(),
        command: config.command.0.clone(),
        args: config.args.clone(),
        unset_env: lies.cloned().collect(),
        env,
        resources: config.resources,
        network: config.network,
        stop_timeout: config.grace.duration(),
        backstop: config.timeout.duration() + config.grace.duration() + BACKSTOP,
    }
}

/// Tells whether an image can only be one that was built or loaded here: `localhost/…` names no registry.
pub(crate) fn is_local(reference: &str) -> bool {
    reference.starts_with("localhost/")
}

fn environment(run: &LeasedRun) -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> = BTreeMap::new();
    let mut set = |name: &str, value: String| env.insert(name.to_owned(), value);
    set("TSTR_RUN_ID", run.fence.run_id.to_string());
    set("TSTR_ATTEMPT", run.fence.attempt.to_string());
    set("TSTR_NAMESPACE", run.namespace.to_string());
    set("TSTR_TEST", run.test_name.clone());
    set("TSTR_CELL", run.cell.text());
    set("TSTR_OUTPUT", OUTPUT_FILE.into());
    set("TSTR_METRICS", METRICS_FILE.into());
    set("TSTR_SUMMARY", SUMMARY_FILE.into());
    set("TSTR_ARTIFACTS", FOLDER.into());
    set("RECORD_START", RECORD_START.into());
    set("RECORD_END", RECORD_END.into());
    for (key, value) in run.labels.iter() {
        set(&label_variable(key), value.to_owned());
    }
    let is_handed = |name: &str| !name.starts_with(RESERVED) || HANDED.contains(&name);
    for (name, value) in run.run_config.env.iter().filter(|(name, _)| is_handed(name)) {
        set(name, value.to_owned());
    }
    env
}

fn label_variable(key: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("TSTR_LABEL_{}", key.chars().map(word).collect::<String>())
}

#[cfg(test)]
mod tests {
    use tstr_shared::labels::Labels;
    use tstr_shared::testdef::Command;

    use super::*;
    use crate::run::tests::leased;

    #[test]
    fn a_container_sees_its_run_and_its_labels() {
        let mut run = leased("localhost/x:1");
        run.cell = [("region", "nyc"), ("a", "1")].into_iter().collect();
        run.labels = [("region", "nyc"), ("app.kubernetes.io/name", "x")].into_iter().collect();
        let env =
            [("TZ", "UTC"), ("RECORD_END", "mine"), ("TSTR_RUN_ID", "forged"), ("TSTR_X", "x"), (FAILED_CASES, "[]")];
        run.run_config.env = env.into_iter().collect();
        let env = environment(&run);
        let get = |name: &str| env.get(name).map(String::as_str);
        assert_eq!(get("TSTR_RUN_ID"), Some(run.fence.run_id.to_string().as_str()));
        assert_eq!(get("TSTR_CELL"), Some("a=1,region=nyc"));
        assert_eq!(get("TSTR_LABEL_REGION"), Some("nyc"));
        assert_eq!(get("TSTR_LABEL_APP_KUBERNETES_IO_NAME"), Some("x"));
        assert_eq!((get("TZ"), get("RECORD_START"), get("RECORD_END")), (Some("UTC"), Some("\x1c\x1e"), Some("mine")));
        assert_eq!(get("TSTR_OUTPUT"), Some("/tstr/output"));
        assert_eq!((get("TSTR_X"), get(FAILED_CASES), get(SKIP_CASES)), (None, Some("[]"), None));
    }

    #[test]
    fn what_an_image_says_in_our_name_is_removed() {
        let run = leased("localhost/x:1");
        let env = ["PATH", "TSTR_RUN_ID", "TSTR_LABEL_ROOT"].map(str::to_owned).to_vec();
        let image = Image { id: "abc".into(), digest: None, env };
        let spec = container(&run, &image, RunnerId(uuid::Uuid::nil()));
        assert_eq!(spec.unset_env, ["TSTR_LABEL_ROOT"]);
        assert_eq!(spec.image, "abc");
    }

    #[test]
    fn names_and_labels_say_whose_a_container_is() {
        let mut run = leased("localhost/x:1");
        run.run_config.command = Command(vec!["/bin/a".into(), "b".into()]);
        run.labels = Labels::default();
        let worker = RunnerId(uuid::Uuid::now_v7());
        let spec = container(&run, &Image::default(), worker);
        assert_eq!(spec.name, format!("tstr-{}-1", run.fence.run_id));
        assert_eq!(spec.labels["tstr.worker"], worker.to_string());
        assert_eq!(spec.command, ["/bin/a", "b"]);
        assert_eq!(spec.backstop, Duration::from_secs(600 + 10 + 60));
    }
}
