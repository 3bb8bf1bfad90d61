//! Bodies of requests, with what a test does not care about filled in.

use serde_json::{Value, json};
use tstr_shared::permission::Scope;

/// A token for a day.
pub fn token(scopes: &[Scope], namespaces: &[&str]) -> Value {
    json!({"name": "test", "scopes": scopes, "namespaces": namespaces, "expires_in": "24h"})
}

/// A test with this name.
pub fn test(name: &str) -> Value {
    json!({"name": name, "run_config": {"container_image": "localhost/none:1", "pull": "never"}})
}

/// A test that runs a shell script in the test image (`images::SHELL`).
pub fn script(name: &str, script: &str) -> Value {
    json!({"name": name, "run_config": {
        "container_image": crate::images::SHELL, "pull": "never", "timeout": "60s", "grace": "1s",
        "command": ["/bin/sh", "-c"], "args": [script],
    }})
}

/// A test whose container tells when it begins and ends, as the checker reads it, around a shell script.
///
/// The lines go to the standard error, so the standard output is the script's own. Where it is known how many bytes the
/// script writes there, the variable `WROTE` says so.
pub fn witness(name: &str, script: &str) -> Value {
    let text = format!(
        "say() {{ read -r up _ </proc/uptime; echo \"$1 $TSTR_RUN_ID $TSTR_ATTEMPT ${{up%.*}}${{up#*.}}0000000 $$ $2 $3\" >&2; }}\n\
         say S\n(\n{script}\n)\ncode=$?\nsay E $code $WROTE\nexit $code"
    );
    with(self::script(name, &text), "/run_config/env", json!({"WITNESS": "1"}))
}

/// Sets a field by its JSON pointer, making objects on the way.
pub fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let mut place = &mut body;
    for step in pointer.trim_start_matches('/').split('/') {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[step];
    }
    *place = value;
    body
}
