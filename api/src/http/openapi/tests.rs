//! Tests of the OpenAPI document: every operation is described, secured and answered as the rules say.

use std::collections::BTreeSet;

use serde_json::Value;
use tstr_shared::permission::scopes_of;

use super::super::{PUBLIC, PUBLIC_CALLS};
use super::*;

/// Returns each operation with its method and path.
fn operations() -> Vec<(String, String, Value)> {
    let document = serde_json::to_value(document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let each = |(path, item): (&String, &Value)| {
        let item = item.as_object().unwrap().clone();
        item.into_iter().map(|(method, operation)| (method, path.clone(), operation)).collect::<Vec<_>>()
    };
    paths.iter().flat_map(each).collect()
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn the_document_is_of_3_1_and_the_same_every_time() {
    let text = json();
    assert!(text.starts_with("{\n  \"openapi\": \"3.1") && text.ends_with("}\n"));
    assert_eq!(text, json());
    assert_eq!(text, std::thread::spawn(json).join().unwrap());
}

#[test]
fn building_the_document_reports_no_fault() {
    let faults = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = faults.clone();
    aide::generate::on_error(move |fault| noted.lock().unwrap().push(fault.to_string()));
    let _ = build();
    assert_eq!(*faults.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn every_operation_has_an_id_of_its_own_a_summary_and_a_tag() {
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations() {
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no id")).to_owned();
        assert!(id.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{id}");
        assert!(ids.insert(id.clone()), "{id} stands twice");
        assert!(operation["summary"].as_str().is_some_and(|s| s.len() > 10 && !s.ends_with('.')), "{id}");
        let tag = operation["tags"][0].as_str().unwrap();
        assert!(TAGS.iter().any(|(known, _)| *known == tag), "{id}: {tag}");
    }
    assert!(ids.len() > 30);
}

#[test]
fn every_operation_is_public_or_names_its_permission_and_takes_a_token() {
    let mut public = BTreeSet::new();
    for (method, path, operation) in operations() {
        match operation["x-permission"].as_str() {
            Some(permission) => {
                assert!(scopes_of(permission).is_some(), "{path}: {permission}");
                assert_eq!(operation["security"], json!([{"bearer": []}, {"session": []}]), "{method} {path}");
            }
            None => {
                assert_eq!(&operation["security"], &json!([]), "{method} {path}");
                public.insert((method.to_uppercase(), path));
            }
        }
    }
    let named = PUBLIC.iter().map(|path| ("GET", *path)).chain(PUBLIC_CALLS.iter().copied());
    assert_eq!(public, named.map(|(method, path)| (method.to_owned(), path.to_owned())).collect());
}

#[test]
fn every_operation_documents_a_success_and_the_problem() {
    for (method, path, operation) in operations() {
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('2')), "{method} {path}");
        assert_eq!(answers["default"], json!({"$ref": "#/components/responses/Problem"}), "{method} {path}");
        for answer in answers.values().filter(|answer| answer.get("$ref").is_none()) {
            assert!(answer["description"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}");
        }
    }
}

#[test]
fn every_parameter_is_described_and_every_one_of_a_path_is_there() {
    for (method, path, operation) in operations() {
        let none = Vec::new();
        let parameters = operation["parameters"].as_array().unwrap_or(&none);
        let named = |place: &str| -> BTreeSet<&str> {
            parameters.iter().filter(|p| p["in"] == place).map(|p| p["name"].as_str().unwrap()).collect()
        };
        let steps = path.split('/').filter_map(|step| step.strip_prefix('{')?.strip_suffix('}'));
        assert_eq!(named("path"), steps.collect(), "{method} {path}");
        for parameter in parameters {
            assert!(parameter["description"].as_str().is_some_and(|text| text.len() > 5), "{path}: {parameter}");
            assert!(parameter["in"] != "path" || parameter["required"] == true, "{path}: {parameter}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_referred_to() {
    let document = serde_json::to_value(document()).unwrap();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for target in &found {
        assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(found.contains(&format!("#/components/schemas/{name}")), "nothing refers to {name}");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{name}");
        assert!(!name.ends_with(|c: char| c.is_ascii_digit()), "{name}: two types of one name");
    }
}

#[test]
fn requests_are_closed_and_answers_are_open() {
    let document = serde_json::to_value(document()).unwrap();
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["NewTestDef"]["additionalProperties"], false);
    assert_eq!(schemas["RunConfigInput"]["required"], json!(["container_image"]));
    for answer in ["TestDef", "RegisteredTest", "Run", "RunConfig", "Problem", "Quotas"] {
        assert!(schemas[answer].get("additionalProperties").is_none(), "{answer}");
    }
    let required = schemas["TestDef"]["required"].as_array().unwrap();
    for field in ["id", "namespace", "version", "name", "run_config", "catch_up", "paused"] {
        assert!(required.contains(&field.into()), "{field}");
    }
    assert!(!required.contains(&"next_run_at".into()));
}

#[test]
fn the_schema_for_editors_stands_alone() {
    let schema = schemas::standalone::<NewTestDef>("A test of tstr");
    assert_eq!(schema["additionalProperties"], false);
    let mut found = BTreeSet::new();
    references(&schema, &mut found);
    assert!(found.iter().all(|target| schema.pointer(target.trim_start_matches('#')).is_some()), "{found:?}");
}
