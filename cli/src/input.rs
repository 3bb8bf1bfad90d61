//! Reads tests as people write them, YAML or JSON, into the JSON that the API takes.
//!
//! The order of keys is kept, since it is the order of a matrix's cells. A key that stands twice is refused: one of the
//! two was surely not meant. Faults name file, line and column.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use tstr_shared::error::FieldError;

use crate::exit::{Failure, Outcome};

/// The largest file that is read.
const MAX_FILE: u64 = 16 << 20;

/// One document of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Where it stands, for messages: the file, and the number of the document where there are several.
    pub place: String,
    /// What it says.
    pub value: Value,
    /// It was written as YAML, in which `1` is a number and `true` is none of the words.
    pub is_yaml: bool,
}

impl Document {
    /// Returns the name of the test, which decides where it is applied.
    pub fn name(&self) -> Outcome<&str> {
        match self.value.get("name") {
            Some(Value::String(name)) if !name.is_empty() => Ok(name),
            Some(Value::String(_)) | None => Err(self.fault("/name", "a test needs a name")),
            Some(_) => Err(self.fault("/name", "the name is a string").hint("write the value in quotes")),
        }
    }

    fn fault(&self, pointer: &str, detail: &str) -> Failure {
        let error = FieldError { pointer: pointer.into(), detail: detail.into() };
        Failure::usage(format!("{} is not a test", self.place)).with_errors(vec![error])
    }

    /// Tells where the document stands, and what people new to YAML trip over.
    pub fn explain(&self, failure: Failure) -> Failure {
        let unquoted: Vec<_> = failure.errors().iter().filter_map(|error| self.unquoted(error)).collect();
        let failure = failure.about(&self.place);
        match unquoted.first() {
            None => failure,
            Some((pointer, value)) => {
                let hint = match value {
                    Value::Number(_) => format!("{value} is a number in YAML; write \"{value}\" in quotes"),
                    Value::Bool(_) => format!("{value} is a truth value in YAML; write \"{value}\" in quotes"),
                    _ => "nothing is null in YAML; write \"\" for an empty text".to_owned(),
                };
                failure.hint(format!("{pointer}: {hint}"))
            }
        }
    }

    /// Finds the scalar that is no string where a string was expected, at the place of a fault or just below it.
    fn unquoted(&self, error: &FieldError) -> Option<(String, Value)> {
        if !self.is_yaml || !error.detail.contains("string") {
            return None;
        }
        let is_bare = |value: &Value| matches!(value, Value::Number(_) | Value::Bool(_) | Value::Null);
        let found = self.value.pointer(&error.pointer)?;
        let below: Vec<(String, &Value)> = match found {
            Value::Array(items) => items.iter().enumerate().map(|(i, item)| (format!("/{i}"), item)).collect(),
            Value::Object(map) => map.iter().map(|(key, item)| (format!("/{key}"), item)).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![(String::new(), found)],
        };
        let (step, value) = below.into_iter().find(|(_, value)| is_bare(value))?;
        Some((format!("{}{step}", error.pointer), value.clone()))
    }
}

/// Reads files, folders (their `.yaml`, `.yml` and `.json` files, by name) and `-`, the standard input.
pub fn read_all(paths: &[PathBuf]) -> Outcome<Vec<Document>> {
    let mut documents = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            let read = std::io::stdin().lock().take(MAX_FILE).read_to_string(&mut text);
            read.map_err(|error| Failure::usage(format!("cannot read the standard input: {error}")))?;
            documents.extend(parse(&text, "standard input", None)?);
        } else if path.is_dir() {
            for file in tests_in(path)? {
                documents.extend(read_file(&file)?);
            }
        } else {
            documents.extend(read_file(path)?);
        }
    }
    if documents.is_empty() {
        return Err(Failure::usage("there is no test in what was given"));
    }
    Ok(documents)
}

fn read_file(path: &Path) -> Outcome<Vec<Document>> {
    let fault = |why: &dyn fmt::Display| Failure::usage(format!("cannot read {}: {why}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| fault(&error))?.len();
    if size > MAX_FILE {
        return Err(fault(&format!("{size} bytes are too many for a test")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| fault(&error))?;
    parse(&text, &path.display().to_string(), path.extension().and_then(|extension| extension.to_str()))
}

fn tests_in(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let fault = |error: std::io::Error| Failure::usage(format!("cannot read {}: {error}", folder.display()));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_file() && matches!(extension, Some("yaml" | "yml" | "json")) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Reads the documents of a text. What looks like JSON is read as JSON first, since JSON with tabs is no YAML.
pub fn parse(text: &str, name: &str, extension: Option<&str>) -> Outcome<Vec<Document>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_json = extension == Some("json");
    if is_json || text.trim_start().starts_with(['{', '[']) {
        match parse_json(text) {
            Ok(value) => return Ok(place(flatten(vec![value]), name, false)),
            Err(error) if is_json => {
                let (line, column) = (error.line(), error.column());
                let words = error.to_string();
                let words = words.split(" at line ").next().unwrap_or_default();
                return Err(Failure::usage(format!("{name}:{line}:{column}: {words}")));
            }
            Err(_) => {}
        }
    }
    let values = parse_yaml(text).map_err(|error| {
        let words = error.without_snippet().to_string();
        match error.location() {
            Some(at) => {
                let shown = snippet(text, at.line(), at.column());
                Failure::usage(format!("{name}:{}:{}: {}{shown}", at.line(), at.column(), first_sentence(&words)))
            }
            None => Failure::usage(format!("{name}: {words}")),
        }
    })?;
    Ok(place(flatten(values), name, true))
}

fn parse_yaml(text: &str) -> Result<Vec<Value>, serde_saphyr::Error> {
    // YAML 1.2: only `true` and `false` are truth values, so that `no` and `on` stay the words that they are.
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_multiple_with_options(text, options)
}

/// Takes the place off the end of a message, where it follows already from what stands before it.
fn first_sentence(words: &str) -> &str {
    words.split(" at line ").next().unwrap_or(words).trim_end()
}

fn snippet(text: &str, line: u64, column: u64) -> String {
    let index = usize::try_from(line).unwrap_or(0).saturating_sub(1);
    let column = usize::try_from(column).unwrap_or(1).saturating_sub(1);
    match text.lines().nth(index) {
        Some(line) if line.len() <= 160 => format!("\n  {line}\n  {}^", " ".repeat(column)),
        _ => String::new(),
    }
}

/// A list stands for its items.
fn flatten(values: Vec<Value>) -> Vec<Value> {
    let items = |value| match value {
        Value::Array(items) => items,
        other => vec![other],
    };
    values.into_iter().flat_map(items).collect()
}

fn place(values: Vec<Value>, name: &str, is_yaml: bool) -> Vec<Document> {
    let count = values.len();
    let place = |i: usize| if count > 1 { format!("{name} (document {})", i + 1) } else { name.to_owned() };
    values.into_iter().enumerate().map(|(i, value)| Document { place: place(i), value, is_yaml }).collect()
}

fn parse_json(text: &str) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Reads any JSON and refuses a key that stands twice.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Strict)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(Strict)?;
            if object.contains_key(&key) {
                return Err(serde::de::Error::custom(format_args!("the key '{key}' stands twice")));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn values(text: &str) -> Vec<Value> {
        parse(text, "t.yaml", Some("yaml")).unwrap().into_iter().map(|document| document.value).collect()
    }
    fn fault(text: &str, file: &str) -> String {
        parse(text, file, file.rsplit('.').next()).unwrap_err().to_string()
    }

    #[test]
    fn several_documents_are_several_tests_and_empty_ones_are_none() {
        assert_eq!(values("name: a\n---\nname: b\n---\n# nothing\n"), [json!({"name": "a"}), json!({"name": "b"})]);
        let documents = parse("name: a\n---\nname: b\n", "x.yaml", None).unwrap();
        assert_eq!(documents[1].place, "x.yaml (document 2)");
        assert_eq!(values("- name: a\n- name: b\n").len(), 2);
        assert_eq!(values("# only a comment\n").len(), 0);
    }

    #[test]
    fn the_order_of_keys_is_kept() {
        let text = "matrix:\n  labels:\n    zone: [b, a]\n    arch: [x]\n    beta: [y]\n";
        let value = values(text).remove(0);
        let keys: Vec<_> = value["matrix"]["labels"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["zone", "arch", "beta"]);
        let json = parse(r#"{"z": 1, "a": {"y": 1, "b": 2}}"#, "x.json", Some("json")).unwrap();
        assert_eq!(json[0].value.to_string(), r#"{"z":1,"a":{"y":1,"b":2}}"#);
    }

    #[test]
    fn scalars_are_those_of_yaml_1_2() {
        let value =
            values("a: 1\nb: '1'\nc: no\nd: on\ne: true\nf: 0.5\ng: ~\nh: 5m\ni: 2026-01-01\nj: 1:30\n").remove(0);
        let expected = json!({"a": 1, "b": "1", "c": "no", "d": "on", "e": true, "f": 0.5, "g": null, "h": "5m",
            "i": "2026-01-01", "j": "1:30"});
        assert_eq!(value, expected);
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_with_its_place() {
        let yaml = fault("name: a\nlabels:\n  k: v\n  k: w\n", "x.yaml");
        assert!(yaml.starts_with("x.yaml:4:3: ") && yaml.contains("duplicate"), "{yaml}");
        let json = fault("{\"name\": \"a\",\n \"name\": \"b\"}", "x.json");
        assert!(json.starts_with("x.json:2:") && json.contains("'name' stands twice"), "{json}");
    }

    #[test]
    fn faults_name_file_line_and_column_and_show_the_line() {
        let yaml = fault("name: a\ncron_schedule: * * * * *\n", "x.yaml");
        assert!(yaml.starts_with("x.yaml:2:"), "{yaml}");
        assert!(yaml.contains("\n  cron_schedule: * * * * *\n"), "{yaml}");
        let json = fault("{\"name\": }", "x.json");
        assert!(json.starts_with("x.json:1:10: "), "{json}");
    }

    #[test]
    fn json_with_tabs_is_read_from_anywhere() {
        let text = "{\n\t\"name\": \"a\",\n\t\"labels\": {\"k\": \"v\"}\n}\n";
        for extension in [Some("json"), Some("yaml"), None] {
            let documents = parse(text, "x", extension).unwrap();
            assert_eq!(documents[0].value, json!({"name": "a", "labels": {"k": "v"}}));
        }
        assert_eq!(values("{name: a}"), [json!({"name": "a"})], "YAML in braces is still YAML");
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = String::from("a: &a [x,x,x,x,x,x,x,x,x,x]\n");
        for (name, below) in
            ["b", "c", "d", "e", "f", "g", "h", "i"].iter().zip(["a", "b", "c", "d", "e", "f", "g", "h"])
        {
            text += &format!("{name}: &{name} [{}]\n", vec![format!("*{below}"); 10].join(","));
        }
        assert!(parse(&text, "x.yaml", None).is_err());
    }

    #[test]
    fn a_number_where_a_text_belongs_gets_a_hint() {
        let document = parse("name: a\nlabels: {v: 1}\nenv: {N: true}\nl: [x, 2]\n", "x.yaml", None).unwrap().remove(0);
        let explain = |pointer: &str| {
            let error = FieldError { pointer: pointer.into(), detail: "invalid type, expected a string".into() };
            document.explain(Failure::usage("bad").with_errors(vec![error])).lines().pop().unwrap()
        };
        assert_eq!(explain("/labels/v"), "hint: /labels/v: 1 is a number in YAML; write \"1\" in quotes");
        assert_eq!(explain("/labels"), "hint: /labels/v: 1 is a number in YAML; write \"1\" in quotes");
        assert_eq!(explain("/env/N"), "hint: /env/N: true is a truth value in YAML; write \"true\" in quotes");
        assert_eq!(explain("/l"), "hint: /l/1: 2 is a number in YAML; write \"2\" in quotes");
        assert_eq!(explain("/nowhere"), "  /nowhere: invalid type, expected a string");
    }

    #[test]
    fn a_test_without_a_name_is_refused_before_anything_is_sent() {
        let name = |text: &str| parse(text, "x.yaml", None).unwrap().remove(0).name().map(str::to_owned);
        assert_eq!(name("name: a").unwrap(), "a");
        assert!(name("nme: a").is_err() && name("name: 1").is_err() && name("name: ''").is_err());
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            // Eighths are exact in both forms; serde_json does not round every other number alike.
            any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
            "\\PC{0,12}".prop_map(Value::from),
            prop::sample::select(vec!["null", "true", "~", "1", "1e3", "0x1f", "- a", "a: b", "#", "no", "", " "])
                .prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-z]{1,6}", inner), 0..4)
                    .prop_map(|pairs| { Value::Object(pairs.into_iter().collect()) }),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_survives_as_json_and_as_yaml(value in json_value()) {
            let value = json!({ "v": value });
            let text = value.to_string();
            prop_assert_eq!(&parse_json(&text).unwrap(), &value);
            let yaml = crate::output::yaml(&value).unwrap();
            prop_assert_eq!(&parse_yaml(&yaml).unwrap()[0], &value, "{}", yaml);
        }

        #[test]
        fn reading_never_panics(text in "\\PC{0,60}|[-:{}\\[\\]&*!|>'\"#%@`, \n\ta-z0-9]{0,60}") {
            let _ = parse(&text, "x", None);
        }
    }
}
