//! The documents say what the code does: the diagram, the closed lists, the fields, the routes, the flags, the links.
//!
//! Prose cannot be checked; what a reader copies or looks up can.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tstr_api::error::row;
use tstr_api::http::openapi;
use tstr_shared::error::ErrorCode;
use tstr_shared::explain::{Verdict, Why};
use tstr_shared::run::{Reason, RunResult, RunState};
use tstr_shared::testdef::NewTestDef;
use tstr_tests::{binary, process};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn document(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns the fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), None::<(bool, String)>);
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(word)) => open = Some((word == language, String::new())),
            (Some((wanted, block)), Some(_)) => {
                if *wanted {
                    found.push(std::mem::take(block));
                }
                open = None;
            }
            (Some((_, block)), None) => *block += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

/// Returns the first cells of the rows of all tables.
fn first_cells(text: &str) -> Vec<&str> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
    rows.filter_map(|row| row.split(" | ").next()).collect()
}

/// Returns those of some words that the first column of no table holds as code.
fn not_in_a_table<'a>(text: &str, words: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let cells = first_cells(text);
    words.into_iter().filter(|word| !cells.iter().any(|cell| cell.contains(&format!("`{word}`")))).collect()
}

#[test]
fn the_diagram_of_states_is_the_rule_of_the_code() {
    let mut drawn = String::from("stateDiagram-v2\n    [*] --> queued\n");
    for from in RunState::ALL {
        for to in RunState::ALL.iter().filter(|to| from.may_become(**to)) {
            drawn += &format!("    {from} --> {to}\n");
        }
    }
    drawn += "    finished --> [*]\n";
    assert_eq!(blocks(&document("docs/run-lifecycle.md"), "mermaid"), [drawn]);
}

#[test]
fn every_state_result_and_reason_is_explained() {
    let text = document("docs/run-lifecycle.md");
    let words = RunState::ALL.iter().map(|state| state.word());
    let words = words.chain(RunResult::ALL.iter().map(|result| result.word()));
    let words = words.chain(Reason::ALL.iter().map(|reason| reason.word()));
    assert_eq!(not_in_a_table(&text, words), [""; 0]);
    for number in 1..=13 {
        assert_eq!(text.matches(&format!("\n| T{number} |")).count(), 1, "T{number} stands in the table once");
    }
}

#[test]
fn every_word_of_an_explanation_is_explained() {
    let words = Why::ALL.iter().map(|why| why.word()).chain(Verdict::ALL.iter().map(|verdict| verdict.word()));
    assert_eq!(not_in_a_table(&document("docs/api.md"), words), [""; 0]);
}

#[test]
fn every_error_code_stands_in_the_table_with_what_it_means_on_each_transport() {
    let text = document("docs/api.md");
    for code in ErrorCode::ALL {
        let row = row(code);
        let begin = format!("| `{}` | {} | `{}` |", code.word(), row.http, capitals(&format!("{:?}", row.grpc)));
        assert!(text.lines().any(|line| line.starts_with(&begin)), "no row begins with {begin}");
    }
    let retryable = text.lines().find(|line| line.starts_with("`retryable` is true for")).expect("a sentence");
    for code in ErrorCode::ALL {
        assert_eq!(retryable.contains(&format!("`{}`", code.word())), code.is_retryable(), "{}", code.word());
    }
}

/// `InvalidArgument` becomes `INVALID_ARGUMENT`.
fn capitals(name: &str) -> String {
    let mut text = String::new();
    for sign in name.chars() {
        if sign.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(sign.to_ascii_uppercase());
    }
    text
}

/// Collects the fields of a schema and, for words that a field can have, those words.
fn fields(schema: &Value, whole: &Value, path: &str, found: &mut BTreeSet<String>, words: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let target = whole.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{name} is there"));
        fields(target, whole, path, found, words);
    }
    for part in ["anyOf", "oneOf", "allOf"] {
        schema[part].as_array().into_iter().flatten().for_each(|one| fields(one, whole, path, found, words));
    }
    let choices = schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"));
    words.extend(choices.filter_map(|word| word.as_str().map(str::to_owned)));
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        fields(field, whole, &path, found, words);
        found.insert(path);
    }
}

#[test]
fn every_field_of_a_test_and_every_word_for_one_is_explained() {
    let schema = serde_json::to_value(schemars::schema_for!(NewTestDef)).unwrap();
    let (mut found, mut words) = (BTreeSet::new(), BTreeSet::new());
    fields(&schema, &schema, "", &mut found, &mut words);
    assert!(found.contains("run_config.resources.memory") && found.contains("matrix.include"), "{found:?}");
    let text = document("docs/writing-tests.md");
    // The fields of `run_config` have a table of their own.
    let shown = found.iter().map(|path| path.strip_prefix("run_config.").unwrap_or(path));
    assert_eq!(not_in_a_table(&text, shown), [""; 0]);
    assert!(words.contains("urgent"), "{words:?}");
    let missing: Vec<_> = words.iter().filter(|word| !text.contains(&format!("`{word}`"))).collect();
    assert!(missing.is_empty(), "not explained: {missing:?}");
}

fn check_test(yaml: &str) -> NewTestDef {
    let test: NewTestDef = serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    test.validate().unwrap_or_else(|invalid| panic!("{invalid}\n{yaml}"));
    test
}

#[test]
fn the_tests_that_the_documents_show_are_valid() {
    let readme = document("README.md");
    let (_, rest) = readme.split_once("cat > /tmp/hello/test.yaml <<'END'\n").expect("README.md shows a first test");
    let (yaml, rest) = rest.split_once("END\n").expect("it ends");
    let test = check_test(yaml);
    assert!(readme.contains(&format!("build -t {} /tmp/hello", test.run_config.container_image)), "its image is built");
    assert!(rest.contains(&format!("ctl test run {} ", test.name)), "it is run");
    let line = readme.split('`').find(|code| code.starts_with("cron_schedule: ")).expect("a schedule is shown");
    assert!(check_test(&format!("{yaml}{line}\n")).cron_schedule.is_some());

    let shown = blocks(&document("docs/writing-tests.md"), "yaml");
    assert!(!shown.is_empty());
    shown.iter().for_each(|yaml| drop(check_test(yaml)));
}

#[test]
fn every_route_and_every_call_that_is_shown_exists_and_none_is_missing() {
    let text = document("docs/api.md");
    let cells = first_cells(&text);
    let spec: Value = serde_json::from_str(&openapi::json()).unwrap();
    let mut missing = Vec::new();
    for (path, operations) in spec["paths"].as_object().unwrap() {
        for method in ["get", "post", "put", "patch", "delete"].into_iter().filter(|m| operations.get(m).is_some()) {
            let method = method.to_uppercase();
            let shown = cells.iter().any(|cell| {
                cell.contains(&format!(" {path}`"))
                    && (cell.contains(&format!("`{method}`")) || cell.contains(&format!("`{method} ")))
            });
            if !shown {
                missing.push(format!("{method} {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "docs/api.md lacks {missing:?}");
    for path in cells.iter().flat_map(|cell| cell.split('`')).filter_map(|code| code.split_once(" /")) {
        assert!(spec["paths"].get(format!("/{}", path.1)).is_some(), "there is no /{}", path.1);
    }

    let protos: String = ["control", "data", "admin", "identity", "runner"]
        .map(|name| document(&format!("proto/tstr/v1/{name}.proto")))
        .concat();
    let calls = text.split("tstr.v1.").filter_map(|rest| rest.split_whitespace().next()?.split_once('/'));
    let calls: Vec<_> = calls.collect();
    assert!(calls.len() > 3, "{calls:?}");
    for (service, call) in calls {
        let (_, body) = protos.split_once(&format!("service {service} {{")).unwrap_or_else(|| panic!("no {service}"));
        let body = body.split("\n}").next().unwrap();
        assert!(body.contains(&format!("rpc {call}(")), "{service} has no {call}");
    }
}

fn help(arguments: &[&str]) -> String {
    let mut command = process::command(binary());
    process::run(command.args(arguments).arg("--help"))
}

/// Returns the subcommands that a help lists.
fn subcommands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    listed.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_flag_of_the_servers_and_every_command_is_explained() {
    let text = document("docs/operating.md");
    for server in ["api", "ui", "run", "up"] {
        let help = help(&[server]);
        let flags = help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2);
        let flags: BTreeSet<_> =
            flags.map(|flag| flag.trim_end_matches(|c: char| !c.is_ascii_alphanumeric())).collect();
        assert!(flags.contains("--log-format"), "{flags:?}");
        for flag in flags.into_iter().filter(|flag| *flag != "--help") {
            assert!(text.contains(&format!("`{flag}`")), "docs/operating.md does not name {flag} of tstr {server}");
        }
    }

    let text = document("docs/cli.md");
    let cells = first_cells(&text).join("\n");
    for command in subcommands(&help(&[])) {
        let line = format!("`tstr {command}");
        assert!(cells.contains(&line), "docs/cli.md lacks {line}");
    }
    for group in subcommands(&help(&["ctl"])) {
        let verbs = subcommands(&help(&["ctl", &group]));
        let whole = verbs.is_empty().then(|| format!("`tstr ctl {group}"));
        for line in whole.into_iter().chain(verbs.iter().map(|verb| format!("`tstr ctl {group} {verb}"))) {
            // The four about contexts share a row.
            let short = line.rsplit(' ').next().map(|verb| format!("`{verb}`")).unwrap();
            assert!(
                cells.contains(&line) || (group == "context" && cells.contains(&short)),
                "docs/cli.md lacks {line}"
            );
        }
    }
}

/// All documents of the repository.
fn documents(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            documents(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// The anchors of a document's headings, as code hosts make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let slug = |heading: &str| {
        let kept = heading
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .collect::<String>();
        kept.replace(' ', "-")
    };
    headings.map(slug).collect()
}

#[test]
fn every_link_between_files_leads_somewhere() {
    let mut found = Vec::new();
    documents(&root(), &mut found);
    assert!(found.len() > 10, "{found:?}");
    let mut broken = Vec::new();
    for file in &found {
        let text = std::fs::read_to_string(file).unwrap();
        // Code shows links without meaning them.
        let prose: Vec<_> = text.split("```").step_by(2).collect();
        let targets = prose.iter().flat_map(|part| part.split("](").skip(1)).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let there = if path.is_empty() { file.clone() } else { file.parent().unwrap().join(path) };
            let leads = match std::fs::read_to_string(&there) {
                Ok(text) => anchor.is_empty() || anchors(&text).contains(anchor),
                Err(_) => there.is_dir() && anchor.is_empty(),
            };
            if !leads {
                broken.push(format!("{}: {target}", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
