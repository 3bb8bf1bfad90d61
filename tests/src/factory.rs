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
