//! The OpenAPI document that is checked in is the one that the code writes, and is whole.

use std::path::Path;

use serde_json::Value;
use tstr_api::http::openapi;
use tstr_tests::Stack;

#[test]
fn the_document_that_is_checked_in_is_the_one_that_the_code_writes() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi/tstr.json");
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    let (known, written) = (known.lines().collect::<Vec<_>>(), openapi::json());
    let written: Vec<_> = written.lines().collect();
    let first = known.iter().zip(&written).position(|(a, b)| a != b).unwrap_or(known.len().min(written.len()));
    let around =
        |lines: &[&str]| lines[first.saturating_sub(3).min(lines.len())..(first + 3).min(lines.len())].join("\n");
    assert!(
        known == written,
        "{} is not of this code; ./scripts/gen writes it anew. From line {}:\n{}\n--- the code writes:\n{}",
        file.display(),
        first + 1,
        around(&known),
        around(&written)
    );
}

#[test]
fn the_document_is_of_3_1_and_every_operation_says_what_it_is_and_answers() {
    let document: Value = serde_json::from_str(&openapi::json()).unwrap();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")), "{}", document["openapi"]);
    let mut count = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for text in ["operationId", "summary"] {
                assert!(operation[text].as_str().is_some_and(|text| !text.is_empty()), "{text} of {method} {path}");
            }
            let answers = operation["responses"].as_object().unwrap();
            assert!(
                answers.keys().any(|status| status.starts_with('2')) && answers.contains_key("default"),
                "{method} {path}"
            );
            assert!(operation["security"].is_array(), "{method} {path} says whether it needs a token");
            count += 1;
        }
    }
    assert!(count > 30, "{count} operations");
}

#[tokio::test]
async fn the_server_hands_out_the_same_document() {
    let stack = Stack::start().await;
    let served = stack.anonymous().get("/api/v1/openapi.json").await.expect(200);
    assert_eq!(served, serde_json::from_str::<Value>(&openapi::json()).unwrap());
}
