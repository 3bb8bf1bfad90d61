//! The body of libpod's create call: the container defaults of tstr in the engine's words.
//!
//! Pure. Each line was tried on Podman 4.3.1; `docs/containers.md` says what each is for.

use serde_json::{Value, json};
use tstr_shared::testdef::Network;

use super::ContainerSpec;

/// Where a container finds its writable volume.
pub(super) const VOLUME_AT: &str = "/tstr";
/// Size of the range of user ids that each container gets to itself.
pub(super) const USERNS_SIZE: u32 = 65_536;

const TMP_SIZE: &str = "size=64m";
const SHM_BYTES: u64 = 16 << 20;
const MAX_FILE: u64 = 1 << 30;
const MAX_OPEN: u64 = 1024;
/// The length of a period of the processor scheduler, in microseconds.
const CPU_PERIOD: u64 = 100_000;
/// The runtime itself has threads in the container's group while it sets it up.
const MIN_PIDS: u32 = 16;

/// What of the machine and the engine decides how a container is made.
#[derive(Debug, Clone, Default)]
pub(super) struct Host {
    pub(super) memory: bool,
    pub(super) cpus: bool,
    pub(super) pids: bool,
    /// Each container gets a range of user ids of its own.
    pub(super) own_users: bool,
    /// The engine's newer network program is there.
    pub(super) pasta: bool,
}

/// Returns the body that makes `spec` on `host`.
pub(super) fn create_body(spec: &ContainerSpec, host: &Host) -> Value {
    let resources = &spec.resources;
    // Our init is one process more than those that the test was granted.
    let processes = u64::from(resources.pids) + 1;
    let mut body = json!({
        "name": spec.name,
        "labels": spec.labels,
        "image": spec.image,
        "env": spec.env,
        "unsetenv": spec.unset_env,
        "httpproxy": false,

        "cap_drop": ["all"],
        "no_new_privileges": true,
        "read_only_filesystem": true,
        "mounts": [{
            "destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
            "options": ["rw", "nosuid", "nodev", TMP_SIZE, "mode=1777"],
        }],
        "volumes": [{ "Name": spec.name, "Dest": VOLUME_AT, "Options": ["U", "nosuid", "nodev"] }],
        "image_volume_mode": "ignore",
        "shm_size": SHM_BYTES,

        "ipcns": { "nsmode": "private" },
        "pidns": { "nsmode": "private" },
        "utsns": { "nsmode": "private" },
        "cgroupns": { "nsmode": "private" },
        "hostname": "tstr",

        "r_limits": [
            rlimit("NOFILE", MAX_OPEN), rlimit("NPROC", processes), rlimit("CORE", 0), rlimit("FSIZE", MAX_FILE),
        ],

        "stop_timeout": spec.stop_timeout.as_secs(),
        "timeout": spec.backstop.as_secs(),
        "log_configuration": { "driver": "none" },
        "healthconfig": { "Test": ["NONE"] },
        "systemd": "false",
        "sdnotifyMode": "ignore",
        "init": true,
    });
    // Podman warns of limits that it cannot enforce even where none is named.
    let limits = limits(spec, host);
    if limits != json!({}) {
        body["resource_limits"] = limits;
    }
    if !spec.command.is_empty() {
        body["entrypoint"] = json!(spec.command);
    }
    if !spec.args.is_empty() {
        body["command"] = json!(spec.args);
    }
    if host.own_users {
        // The mode alone is passed over in silence; the mappings must ask for it as well.
        body["userns"] = json!({ "nsmode": "auto", "value": format!("size={USERNS_SIZE}") });
        body["idmappings"] = json!({ "AutoUserNs": true, "AutoUserNsOpts": { "Size": USERNS_SIZE } });
    }
    match spec.network {
        Network::None => body["netns"] = json!({ "nsmode": "none" }),
        // Pasta keeps the host's loopback out of reach unless it is told otherwise.
        Network::Outbound if host.pasta => body["netns"] = json!({ "nsmode": "pasta" }),
        Network::Outbound => {
            body["netns"] = json!({ "nsmode": "slirp4netns" });
            body["network_options"] = json!({ "slirp4netns": ["allow_host_loopback=false"] });
        }
    }
    body
}

fn rlimit(kind: &str, most: u64) -> Value {
    json!({ "type": kind, "soft": most, "hard": most })
}

/// Returns the limits that the engine can enforce; it refuses some of the others instead of passing over them.
fn limits(spec: &ContainerSpec, host: &Host) -> Value {
    let mut limits = json!({});
    if host.memory {
        let bytes = spec.resources.memory.0;
        limits["memory"] = json!({ "limit": bytes, "swap": bytes });
    }
    if host.cpus {
        let quota = (spec.resources.cpus * CPU_PERIOD as f64).round().max(1000.0) as u64;
        limits["cpu"] = json!({ "quota": quota, "period": CPU_PERIOD });
    }
    if host.pids {
        limits["pids"] = json!({ "limit": spec.resources.pids.saturating_add(1).max(MIN_PIDS) });
    }
    limits
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use tstr_shared::size::Bytes;
    use tstr_shared::testdef::Resources;

    use super::*;

    fn spec() -> ContainerSpec {
        ContainerSpec {
            name: "tstr-x-1".into(),
            labels: BTreeMap::from([("tstr.run".into(), "x".into())]),
            image: "abc".into(),
            command: Vec::new(),
            args: Vec::new(),
            env: BTreeMap::from([("A".into(), "b".into())]),
            unset_env: vec!["TSTR_RUN_ID".into()],
            resources: Resources { memory: Bytes::mib(64), cpus: 0.5, pids: 10 },
            network: Network::None,
            stop_timeout: Duration::from_secs(7),
            backstop: Duration::from_secs(700),
        }
    }

    #[test]
    fn a_container_gets_no_privilege_by_default() {
        let body = create_body(&spec(), &Host { own_users: true, ..Host::default() });
        assert_eq!(body["cap_drop"], json!(["all"]));
        assert_eq!(body["no_new_privileges"], true);
        assert_eq!(body["read_only_filesystem"], true);
        assert_eq!(body["netns"]["nsmode"], "none");
        assert_eq!(body["idmappings"]["AutoUserNs"], true);
        assert_eq!(body["image_volume_mode"], "ignore");
        assert_eq!(body["log_configuration"]["driver"], "none");
        assert!(body.get("privileged").is_none() && body.get("devices").is_none());
    }

    #[test]
    fn the_images_own_entrypoint_and_arguments_stay_unless_replaced() {
        let body = create_body(&spec(), &Host::default());
        assert!(body.get("entrypoint").is_none() && body.get("command").is_none());
        let given = ContainerSpec { command: vec!["/bin/a".into()], args: vec!["b".into()], ..spec() };
        let body = create_body(&given, &Host::default());
        assert_eq!((&body["entrypoint"], &body["command"]), (&json!(["/bin/a"]), &json!(["b"])));
    }

    #[test]
    fn only_limits_that_are_enforced_are_sent() {
        assert!(create_body(&spec(), &Host::default()).get("resource_limits").is_none());
        let host = Host { memory: true, cpus: true, pids: true, ..Host::default() };
        assert_eq!(
            create_body(&spec(), &host)["resource_limits"],
            json!({
                "memory": { "limit": 64 << 20, "swap": 64 << 20 },
                "cpu": { "quota": 50_000, "period": 100_000 },
                "pids": { "limit": 16 },
            })
        );
    }

    #[test]
    fn an_outbound_network_never_reaches_the_hosts_loopback() {
        let outbound = ContainerSpec { network: Network::Outbound, ..spec() };
        let body = create_body(&outbound, &Host::default());
        assert_eq!(body["network_options"]["slirp4netns"], json!(["allow_host_loopback=false"]));
        let body = create_body(&outbound, &Host { pasta: true, ..Host::default() });
        assert_eq!(body["netns"], json!({ "nsmode": "pasta" }));
    }
}
