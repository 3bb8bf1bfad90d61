//! What is written as CTRF against the rules of its JSON schema, version 1.0: which fields there are, which must be
//! there, and of which type they are. Everywhere but in `extra` and `labels` a field that the schema does not know is
//! refused by it.

use serde_json::Value;

/// Expects an object with only known fields and all that are required; each field is `name:type`, required with `!`.
fn object<'v>(value: &'v Value, what: &str, fields: &[&str]) -> &'v serde_json::Map<String, Value> {
    let object = value.as_object().unwrap_or_else(|| panic!("{what} is no object: {value}"));
    let known = |key: &str| {
        fields.iter().map(|field| field.trim_end_matches('!').split_once(':').unwrap()).find(|(name, _)| *name == key)
    };
    for (key, value) in object {
        let (_, kind) = known(key).unwrap_or_else(|| panic!("{what} has '{key}': {value}"));
        let fits = match kind {
            "string" => value.is_string(),
            "name" => value.as_str().is_some_and(|text| !text.is_empty()),
            "integer" => value.is_i64() || value.is_u64(),
            "bool" => value.is_boolean(),
            "object" => value.is_object(),
            "array" => value.is_array(),
            "strings" => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
            "status" => matches!(value.as_str(), Some("passed" | "failed" | "skipped" | "pending" | "other")),
            other => panic!("no type {other}"),
        };
        assert!(fits, "{what}: '{key}' is no {kind}: {value}");
    }
    for field in fields.iter().filter(|field| field.ends_with('!')) {
        let name = field.split(':').next().unwrap();
        assert!(object.contains_key(name), "{what} lacks '{name}'");
    }
    object
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn attachments(value: Option<&Value>) {
    list(value).for_each(|it| {
        object(it, "attachment", &["name:string!", "contentType:string!", "path:string!", "extra:object"]);
    });
}

/// Expects a document that the schema accepts.
pub(super) fn check(document: &Value) {
    let root = object(
        document,
        "report",
        &[
            "reportFormat:string!",
            "specVersion:string!",
            "reportId:string",
            "timestamp:string",
            "generatedBy:string",
            "results:object!",
            "insights:object",
            "baseline:object",
            "extra:object",
        ],
    );
    assert_eq!(root["reportFormat"], "CTRF");
    assert!(root["specVersion"].as_str().unwrap().split('.').filter(|part| part.parse::<u32>().is_ok()).count() == 3);
    let results = object(
        &root["results"],
        "results",
        &["tool:object!", "summary:object!", "tests:array!", "environment:object", "extra:object"],
    );
    object(&results["tool"], "tool", &["name:name!", "version:string", "extra:object"]);
    object(
        &results["summary"],
        "summary",
        &[
            "tests:integer!",
            "passed:integer!",
            "failed:integer!",
            "skipped:integer!",
            "pending:integer!",
            "other:integer!",
            "flaky:integer",
            "suites:integer",
            "start:integer!",
            "stop:integer!",
            "duration:integer",
            "extra:object",
        ],
    );
    if let Some(environment) = results.get("environment") {
        object(environment, "environment", &["reportName:string"]);
    }
    list(results.get("tests")).for_each(test);
}

fn test(value: &Value) {
    let test = object(
        value,
        "test",
        &[
            "name:name!",
            "status:status!",
            "duration:integer!",
            "testId:name",
            "suite:strings",
            "message:string",
            "trace:string",
            "line:integer",
            "rawStatus:string",
            "labels:object",
            "filePath:string",
            "retries:integer",
            "retryAttempts:array",
            "flaky:bool",
            "stdout:strings",
            "stderr:strings",
            "attachments:array",
            "extra:object",
        ],
    );
    assert!(list(test.get("suite")).count() > 0 || !test.contains_key("suite"), "an empty suite");
    if let Some(labels) = test.get("labels") {
        assert!(labels.as_object().unwrap().values().all(Value::is_string));
    }
    attachments(test.get("attachments"));
    for attempt in list(test.get("retryAttempts")) {
        let attempt = object(
            attempt,
            "attempt",
            &[
                "attempt:integer!",
                "status:status!",
                "duration:integer",
                "message:string",
                "trace:string",
                "line:integer",
                "stdout:strings",
                "stderr:strings",
                "attachments:array",
                "extra:object",
            ],
        );
        assert!(attempt["attempt"].as_u64() >= Some(1));
        attachments(attempt.get("attachments"));
    }
}
