//! The JSON API as its clients see it: one file per resource, each with what works, what is invalid, what is forbidden
//! and what a foreign namespace looks like.

mod artifacts;
mod compare;
mod idempotency;
mod lasting;
mod logs;
mod namespaces;
mod pages;
mod quotas;
mod runners;
mod runs;
mod runs_end;
mod runs_filters;
mod server;
mod sessions;
mod testdefs;
mod testdefs_versions;
mod tokens;
mod versions;

use reqwest::Method;
use serde_json::Value;
use tstr_shared::permission::Scope;
use tstr_tests::people::Answer;
use tstr_tests::{Person, Stack};

/// Where the tests of the namespace `default` are.
pub const TESTS: &str = "/api/v1/namespaces/default/tests";
/// Where the runs of the namespace `default` are.
pub const RUNS: &str = "/api/v1/namespaces/default/runs";
/// An id that nothing has.
pub const NOBODY: &str = "01890000-0000-7000-8000-00000000dead";

/// Somebody who sees the namespace `elsewhere` only, and may do everything there but execute runs.
pub async fn foreigner(stack: &Stack) -> Person {
    stack.namespace("elsewhere").await;
    stack.person(&[Scope::Admin, Scope::Control, Scope::Data], &["elsewhere"]).await
}

/// Sends a request with one more header.
pub async fn with_header(
    person: &Person,
    method: Method,
    path: &str,
    header: (&str, &str),
    body: Option<&Value>,
) -> Answer {
    let request = person.request(method, path).header(header.0, header.1);
    person
        .send(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
}

/// Returns one field of every item of a list, as text.
pub fn each(list: &Value, field: &str) -> Vec<String> {
    let text = |item: &Value| item[field].as_str().unwrap_or_else(|| panic!("{field} of {item}")).to_owned();
    list["items"].as_array().expect("a list").iter().map(text).collect()
}
