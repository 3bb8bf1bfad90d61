//! The schemas of the document: one for what is sent, one for what is answered.
//!
//! The same type reads differently in the two directions: a field with a default may be left out of a request and is
//! always in an answer; a request must not have unknown fields, an answer may get new ones. So requests are described
//! by what serde reads and answers by what serde writes. Where both meet under one name and differ, that of requests
//! is called `…Input`.

use std::collections::{BTreeMap, BTreeSet};

use aide::openapi::{OpenApi, Operation, Parameter, ParameterSchemaOrContent, ReferenceOr, SchemaObject};
use aide::util::iter_operations_mut;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value};

/// Where an operation carries the schemas of its request until [`settle`] takes them out.
const CARRIED: &str = "x-input-definitions";
const INPUTS: &str = "#/components/inputs/";
const SCHEMAS: &str = "#/components/schemas/";

/// Returns the generator for answers.
pub(super) fn answers() -> SchemaGenerator {
    settings(SCHEMAS).for_serialize().into_generator()
}

fn settings(path: &'static str) -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = path.into();
        settings.meta_schema = None;
    })
}

/// Returns the schema of a part of a request; the operation carries what it refers to.
pub(super) fn input_schema<T: JsonSchema>(operation: &mut Operation) -> Schema {
    let mut generator = settings(INPUTS).for_deserialize().into_generator();
    let schema = generator.subschema_for::<T>();
    let carried = operation.extensions.entry(CARRIED.to_owned()).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(carried) = carried {
        carried.extend(generator.take_definitions(true));
    }
    schema
}

/// Returns the schema of `T` as users write it, as a document of its own.
pub(super) fn standalone<T: JsonSchema>(title: &str) -> Value {
    let mut schema = SchemaSettings::draft2020_12().for_deserialize().into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema.to_value()
}

/// Brings the schemas of requests and of answers together under `components/schemas`, in the order of their names.
pub(super) fn settle(document: &mut OpenApi) {
    let mut inputs: BTreeMap<String, Value> = BTreeMap::new();
    for operation in operations(document) {
        if let Some(Value::Object(carried)) = operation.extensions.shift_remove(CARRIED) {
            inputs.extend(carried);
        }
    }
    let components = document.components.get_or_insert_default();
    let mut schemas: BTreeMap<String, Value> = BTreeMap::new();
    for (name, schema) in std::mem::take(&mut components.schemas) {
        let mut schema = schema.json_schema.to_value();
        open_up(&mut schema);
        never_null(&mut schema);
        schemas.insert(name, schema);
    }
    let apart = differing(&inputs, &schemas);
    for (name, mut schema) in inputs {
        redirect(&mut schema, &apart);
        schemas.insert(if apart.contains(&name) { input_name(&name) } else { name }, schema);
    }
    components.schemas = schemas.into_iter().map(|(name, schema)| (name, object(schema))).collect();
    for operation in operations(document) {
        for (is_parameter, schema) in request_schemas(operation) {
            let mut value = schema.json_schema.clone().to_value();
            redirect(&mut value, &apart);
            if let (true, Value::Object(fields)) = (is_parameter, &mut value) {
                fields.shift_remove("description"); // the parameter itself has it
            }
            *schema = object(value);
        }
    }
}

fn input_name(name: &str) -> String {
    format!("{name}Input")
}

fn object(schema: Value) -> SchemaObject {
    // Every value here came out of a schema a moment ago.
    let json_schema = Schema::try_from(schema).unwrap_or_default();
    SchemaObject { json_schema, external_docs: None, example: None }
}

fn operations(document: &mut OpenApi) -> impl Iterator<Item = &mut Operation> {
    let paths = document.paths.iter_mut().flat_map(|paths| paths.paths.values_mut());
    let items = paths.filter_map(|path| match path {
        ReferenceOr::Item(item) => Some(item),
        ReferenceOr::Reference { .. } => None,
    });
    items.flat_map(iter_operations_mut).map(|(_, operation)| operation)
}

/// Returns the schemas of a request, and whether each is that of a parameter.
fn request_schemas(operation: &mut Operation) -> Vec<(bool, &mut SchemaObject)> {
    let mut found = Vec::new();
    for parameter in &mut operation.parameters {
        if let ReferenceOr::Item(parameter) = parameter
            && let ParameterSchemaOrContent::Schema(schema) = &mut data(parameter).format
        {
            found.push((true, schema));
        }
    }
    if let Some(ReferenceOr::Item(body)) = &mut operation.request_body {
        found.extend(body.content.values_mut().filter_map(|media| Some((false, media.schema.as_mut()?))));
    }
    found
}

fn data(parameter: &mut Parameter) -> &mut aide::openapi::ParameterData {
    match parameter {
        Parameter::Query { parameter_data, .. }
        | Parameter::Header { parameter_data, .. }
        | Parameter::Path { parameter_data, .. }
        | Parameter::Cookie { parameter_data, .. } => parameter_data,
    }
}

/// Finds the names under which requests and answers mean different things, by themselves or by what they refer to.
fn differing(inputs: &BTreeMap<String, Value>, answers: &BTreeMap<String, Value>) -> BTreeSet<String> {
    let mut apart = BTreeSet::new();
    loop {
        let before = apart.len();
        for (name, schema) in inputs {
            let mut redirected = schema.clone();
            redirect(&mut redirected, &apart);
            if answers.get(name).is_some_and(|answer| *answer != redirected) {
                apart.insert(name.clone());
            }
        }
        if apart.len() == before {
            return apart;
        }
    }
}

/// Makes references to schemas of requests point to where those come to stand.
fn redirect(schema: &mut Value, apart: &BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(target) if key == "$ref" => {
                        if let Some(name) = target.strip_prefix(INPUTS) {
                            let name = if apart.contains(name) { input_name(name) } else { name.to_owned() };
                            *target = format!("{SCHEMAS}{name}");
                        }
                    }
                    other => redirect(other, apart),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redirect(item, apart)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Lets answers have fields that this version does not know.
fn open_up(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("additionalProperties") == Some(&Value::Bool(false)) {
                fields.shift_remove("additionalProperties");
            }
            fields.values_mut().for_each(open_up);
        }
        Value::Array(items) => items.iter_mut().for_each(open_up),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Takes `null` from the fields that an answer may lack: ours are left out instead.
fn never_null(schema: &mut Value) {
    let required: BTreeSet<String> = match schema.get("required") {
        Some(Value::Array(names)) => names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        _ => BTreeSet::new(),
    };
    let Some(Value::Object(fields)) = schema.get_mut("properties") else { return };
    for (_, field) in fields.iter_mut().filter(|(name, _)| !required.contains(*name)) {
        let Value::Object(field) = field else { continue };
        if let Some(Value::Array(types)) = field.get_mut("type") {
            types.retain(|one| one != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                field.insert("type".to_owned(), only);
            }
        }
        let Some(Value::Array(choices)) = field.get("anyOf") else { continue };
        let rest: Vec<_> = choices.iter().filter(|one| one.get("type").is_none_or(|t| t != "null")).cloned().collect();
        if let [Value::Object(only)] = rest.as_slice() {
            field.shift_remove("anyOf");
            field.extend(only.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_spreads_to_those_that_refer_to_it() {
        let inputs = BTreeMap::from([
            ("Leaf".to_owned(), json!({"type": "object"})),
            ("Same".to_owned(), json!({"type": "string"})),
            ("Tree".to_owned(), json!({"properties": {"leaf": {"$ref": "#/components/inputs/Leaf"}}})),
            ("Only".to_owned(), json!({"items": {"$ref": "#/components/inputs/Tree"}})),
        ]);
        let answers = BTreeMap::from([
            ("Leaf".to_owned(), json!({"type": "object", "required": ["a"]})),
            ("Same".to_owned(), json!({"type": "string"})),
            ("Tree".to_owned(), json!({"properties": {"leaf": {"$ref": "#/components/schemas/Leaf"}}})),
        ]);
        let apart = differing(&inputs, &answers);
        assert_eq!(apart.iter().map(String::as_str).collect::<Vec<_>>(), ["Leaf", "Tree"]);
        let mut only = inputs["Only"].clone();
        redirect(&mut only, &apart);
        assert_eq!(only, json!({"items": {"$ref": "#/components/schemas/TreeInput"}}));
    }

    #[test]
    fn a_field_that_may_be_absent_is_never_null() {
        let mut schema = json!({
            "properties": {
                "a": {"type": ["string", "null"]},
                "b": {"description": "B.", "anyOf": [{"$ref": "#/x"}, {"type": "null"}]},
                "c": {"type": ["integer", "null"]},
            },
            "required": ["c"],
        });
        never_null(&mut schema);
        assert_eq!(schema["properties"]["a"], json!({"type": "string"}));
        assert_eq!(schema["properties"]["b"], json!({"description": "B.", "$ref": "#/x"}));
        assert_eq!(schema["properties"]["c"], json!({"type": ["integer", "null"]}));
    }
}
