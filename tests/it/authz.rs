//! Every operation of both APIs against every kind of token: who gets in, who is told that, and who is told nothing.
//!
//! The table of operations is `authz/table.rs`; the outcomes follow from `tstr_shared::permission` and stand, readable,
//! in `policy.snap`. A change of either shows there.

pub mod raw;
mod table;
mod tokens;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use prost::Message;
use reqwest::Method;
use tonic::Request;
use tstr_proto::status::decode;
use tstr_shared::error::ErrorCode;
use tstr_shared::permission::{Scope, scopes_of};

use self::raw::Raw;
use self::table::{Reach, Row, table};
use self::world::{ARTIFACT, Caller, Target, World};

/// An operation of the OpenAPI document.
struct Operation {
    method: Method,
    path: String,
    permission: Option<String>,
}

/// Returns the operations of the OpenAPI document by their ids.
fn operations() -> BTreeMap<String, Operation> {
    let document = serde_json::to_value(tstr_api::http::openapi::document()).unwrap();
    let mut found = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            let permission = operation["x-permission"].as_str().map(str::to_owned);
            let id = operation["operationId"].as_str().unwrap().to_owned();
            assert!(found.insert(id, Operation { method, path: path.clone(), permission }).is_none());
        }
    }
    found
}

/// Returns the paths of the calls of the descriptor set by their names.
fn calls() -> BTreeMap<String, String> {
    let set = prost_types::FileDescriptorSet::decode(tstr_proto::DESCRIPTOR_SET).unwrap();
    let mut found = BTreeMap::new();
    for file in set.file.iter().filter(|file| file.package().starts_with("tstr")) {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                assert!(found.insert(method.name().to_owned(), path).is_none(), "{} stands twice", method.name());
            }
        }
    }
    found
}

#[test]
fn every_operation_has_a_row() {
    let table = table();
    let rows: BTreeSet<_> = table.iter().filter_map(|row| row.operation.map(str::to_owned)).collect();
    let known = operations();
    let secured: BTreeSet<_> =
        known.iter().filter(|(_, one)| one.permission.is_some()).map(|(id, _)| id.clone()).collect();
    assert_eq!(rows, secured, "rows of authz/table.rs and operations of the OpenAPI document");
    let rows: BTreeSet<_> = table.iter().filter_map(|row| row.rpc.map(str::to_owned)).collect();
    assert_eq!(rows, calls().into_keys().collect(), "rows of authz/table.rs and calls of the descriptor set");
    for row in &table {
        assert!(scopes_of(row.permission).is_some(), "{}", row.permission);
        if let Some(id) = row.operation {
            assert_eq!(known[id].permission.as_deref(), Some(row.permission), "{id}");
        }
    }
    // What is not secured is public, by name.
    let open: BTreeSet<_> =
        known.values().filter(|one| one.permission.is_none()).map(|one| one.path.as_str()).collect();
    let named = tstr_api::http::PUBLIC.iter().copied();
    assert_eq!(open, named.chain(tstr_api::http::PUBLIC_CALLS.iter().map(|(_, path)| *path)).collect());
    for service in calls().values() {
        let service = service[1..].split_once('/').unwrap().0;
        assert!(
            tstr_api::grpc::SERVICES.contains(&service) && !tstr_api::grpc::PUBLIC_SERVICES.contains(&service),
            "{service}"
        );
    }
}

#[test]
fn what_json_can_do_grpc_can_do_and_only_workers_speak_grpc_alone() {
    let calls = calls();
    let json_only: Vec<_> = table().iter().filter(|row| row.rpc.is_none()).map(|row| row.operation.unwrap()).collect();
    assert_eq!(json_only, ["get_metrics"]);
    for row in table().iter().filter(|row| row.operation.is_none()) {
        assert!(calls[row.rpc.unwrap()].starts_with("/tstr.v1.RunnerService/"), "{:?}", row.rpc);
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Ok,
    /// It succeeded, and what it was about is not in the answer.
    Hidden,
    Refused(ErrorCode),
}

impl Outcome {
    fn word(self) -> String {
        match self {
            Self::Ok => "ok".to_owned(),
            Self::Hidden => "hidden".to_owned(),
            Self::Refused(code) => tstr_api::error::row(code).http.to_string(),
        }
    }
}

/// Derives the outcome from the policy.
fn expected(row: &Row, caller: &Caller) -> Outcome {
    let granted = scopes_of(row.permission).unwrap().iter().any(|scope| caller.scopes.contains(scope));
    let refused = |code, otherwise| if granted { otherwise } else { Outcome::Refused(code) };
    if !caller.valid {
        return Outcome::Refused(ErrorCode::Unauthenticated);
    }
    let unseen = match row.reach {
        Reach::Global => Outcome::Ok,
        Reach::Listed => Outcome::Hidden,
        Reach::Named => {
            return if caller.sees {
                refused(ErrorCode::Forbidden, Outcome::Ok)
            } else {
                Outcome::Refused(ErrorCode::NotFound)
            };
        }
        Reach::Object => Outcome::Refused(ErrorCode::NotFound),
        Reach::Wished => Outcome::Refused(ErrorCode::Forbidden),
        Reach::Fenced => Outcome::Refused(ErrorCode::LeaseLost),
    };
    refused(ErrorCode::Forbidden, if caller.sees { Outcome::Ok } else { unseen })
}

/// Tells whether an answer holds what it was about: the namespace or token that was made for it.
fn holds(row: &Row, answer: &[u8], target: &Target) -> bool {
    let marks = match row.rpc {
        Some("ListNamespaces") => {
            let name = target.namespace.as_bytes();
            let length = u8::try_from(name.len()).unwrap();
            vec![[&[0x0a, length], name].concat(), format!("\"name\":\"{}\"", target.namespace).into_bytes()]
        }
        _ => vec![target.token.clone().into_bytes()],
    };
    marks.iter().any(|mark| answer.windows(mark.len()).any(|window| window == mark))
}

fn succeeded(row: &Row, answer: &[u8], target: &Target) -> Outcome {
    if row.reach == Reach::Listed && !holds(row, answer, target) { Outcome::Hidden } else { Outcome::Ok }
}

/// Calls by JSON; returns the outcome and the answer without what differs between any two.
async fn by_json(
    world: &World,
    row: &Row,
    operation: &Operation,
    caller: &Caller,
    target: &Target,
) -> (Outcome, String) {
    let mut path = operation.path.clone();
    for (name, value) in [
        ("namespace", &target.namespace),
        ("test", &target.test),
        ("run", &target.run),
        ("runner", &target.runner),
        ("token", &target.token),
        ("artifact", &ARTIFACT.to_owned()),
        ("case", &target.case),
        ("version", &"1".to_owned()),
        ("view", &target.fresh),
        ("other", &target.run),
        ("matrix_id", &target.matrix),
    ] {
        path = path.replace(&format!("{{{name}}}"), value);
    }
    if row.operation == Some("watch_events") {
        path = format!("{path}?namespace={}", target.namespace);
    }
    let person = world.admin.with_token(caller.token.clone());
    // Through a proxy, so that metrics are not given away to this host.
    let request = person.request(operation.method.clone(), &path).header("Forwarded", "for=192.0.2.1");
    let answer = person.send(match (row.json)(target) {
        Some(body) => request.json(&body),
        None => request,
    });
    let answer = answer.await;
    if answer.status.is_success() {
        return (succeeded(row, &answer.body, target), String::new());
    }
    let code = answer.problem(answer.status.as_u16())["code"].as_str().and_then(ErrorCode::from_word).unwrap();
    assert_eq!(tstr_api::error::row(code).http, answer.status.as_u16());
    let mut told: BTreeMap<_, _> =
        answer.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    let trace = told.remove("x-request-id").unwrap().to_owned();
    told.remove("date");
    told.remove("content-length");
    (Outcome::Refused(code), format!("{told:?} {}", answer.text().replace(&trace, "TRACE").replace(&path, "PATH")))
}

/// Calls by gRPC; returns the outcome and the answer without what differs between any two.
async fn by_grpc(world: &World, row: &Row, path: &str, caller: &Caller, target: &Target) -> (Outcome, String) {
    let peer = world.peer.with_token(caller.token.as_deref());
    let mut client = tonic::client::Grpc::new(peer.channel.clone());
    client.ready().await.unwrap();
    let mut request = Request::new((row.grpc)(target));
    peer.bearer().map(|token| request.metadata_mut().insert("authorization", token));
    let status = match client.server_streaming(request, path.parse().unwrap(), Raw).await {
        Err(status) => status,
        Ok(answer) => match answer.into_inner().message().await {
            Err(status) => status,
            Ok(message) => return (succeeded(row, &message.unwrap_or_default(), target), String::new()),
        },
    };
    let problem = decode(&status).unwrap_or_else(|| panic!("{path}: {status:?}"));
    assert_eq!(tstr_api::error::row(problem.code).grpc, status.code(), "{path}");
    (
        Outcome::Refused(problem.code),
        format!("{:?} {} {:?} {}", status.code(), problem.message, problem.errors, problem.retryable),
    )
}

#[tokio::test]
async fn every_caller_gets_from_every_operation_what_the_policy_says() {
    let world = World::new().await;
    let (operations, calls) = (operations(), calls());
    let mut snapshot = String::from(HEADER);
    for (rows, full, weak) in [
        ("what people and programs do", &[Scope::Admin, Scope::Control, Scope::Data][..], Scope::Runner),
        ("what workers do", &[Scope::Runner], Scope::Admin),
    ] {
        let callers = world.callers(full, weak).await;
        let columns: Vec<_> =
            callers.iter().map(|caller| format!("{:>10}", caller.name.replace("weak-", "w-"))).collect();
        writeln!(snapshot, "\n{rows:<38}{:<18}{}", "permission", columns.concat()).unwrap();
        for row in table().iter().filter(|row| (row.permission == "runs:execute") == (weak == Scope::Admin)) {
            let name = [row.operation, row.rpc].into_iter().flatten().collect::<Vec<_>>().join(" ");
            let mut words = String::new();
            let mut unseen: BTreeMap<(&str, bool), BTreeSet<String>> = BTreeMap::new();
            for caller in &callers {
                let expected = expected(row, caller);
                for json in [true, false] {
                    if (if json { row.operation } else { row.rpc }).is_none() {
                        continue;
                    }
                    let target = world.target(row.need, caller).await;
                    let (outcome, told) = match json {
                        true => by_json(&world, row, &operations[row.operation.unwrap()], caller, &target).await,
                        false => by_grpc(&world, row, &calls[row.rpc.unwrap()], caller, &target).await,
                    };
                    let by = if json { "JSON" } else { "gRPC" };
                    assert_eq!(outcome, expected, "{name} by {by} for {}: {told}", caller.name);
                    if caller.valid && !caller.sees {
                        let told = told.replace(&target.wished, "WISHED");
                        unseen.entry((by, caller.scopes == full)).or_default().insert(told);
                    }
                }
                write!(words, "{:>10}", expected.word()).unwrap();
            }
            // Byte for byte, nobody learns whether what it does not see exists.
            for ((by, _), told) in unseen {
                assert_eq!(told.len(), 1, "{name} by {by} tells apart what is hidden and what is not there: {told:#?}");
            }
            writeln!(snapshot, "{name:<38}{:<18}{words}", row.permission).unwrap();
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/policy.snap");
    if std::env::var_os("TSTR_ACCEPT").is_some_and(|value| value == "1") {
        std::fs::write(&file, &snapshot).unwrap();
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        snapshot == known,
        "the policy is not that of {}:\n{}\nIf it is meant, accept it: TSTR_ACCEPT=1 ./scripts/test test -E 'test(/authz/)'",
        file.display(),
        difference(&known, &snapshot)
    );
}

fn difference(before: &str, after: &str) -> String {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (before, after) = (lines(before), lines(after));
    let gone = before.difference(&after).map(|line| format!("- {line}\n"));
    let came = after.difference(&before).map(|line| format!("+ {line}\n"));
    gone.chain(came).collect()
}

const HEADER: &str = "\
Who gets what, as tests/it/authz.rs finds it on both transports (operation of the JSON API, call of the gRPC API).

  none … other-key   no token; a token that is malformed, expired, revoked, signed by another key
  admin … runner     a token with that scope alone, in its own namespace `prod`
  own, all           a token with all scopes (for workers: runner) that sees `prod`; that sees `.*`
  other, prefix      the same token as own, asking for things of the namespace `other`; of `prod-evil`
  longer, case       a token that sees `prod-evil`; `PROD`; asking for things of `prod`
  unknown            the same token as own, asking for what does not exist
  w-other, w-unknown a token without the scope, asking for things of `other`; for what does not exist

  ok, or hidden: done, but nothing of that namespace is in the answer; 401 no valid token; 403 the scope is missing, or
  the wish goes beyond the token; 404 not found, byte for byte the same whether it exists or not; 409 the lease is lost
";
