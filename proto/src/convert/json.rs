//! JSON values inside of messages: the merge patch of a test, and the values of a diff.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use tstr_shared::error::{Invalid, pointer_step};

/// The largest integer up to which a double, the only number of the wire, holds every integer.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Makes the message of a JSON value. Integers beyond 2⁵³ lose their last digits.
pub(super) fn value(json: serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(truth) => Kind::BoolValue(truth),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Kind::StringValue(text),
        serde_json::Value::Array(items) => {
            Kind::ListValue(ListValue { values: items.into_iter().map(value).collect() })
        }
        serde_json::Value::Object(fields) => Kind::StructValue(structure(fields)),
    };
    Value { kind: Some(kind) }
}

/// Makes the message of a JSON object.
pub fn structure(fields: serde_json::Map<String, serde_json::Value>) -> Struct {
    Struct { fields: fields.into_iter().map(|(name, json)| (name, value(json))).collect() }
}

/// Reads the JSON object at `place`.
///
/// # Errors
///
/// Refuses values without a kind, and numbers that JSON does not have.
pub fn json(place: &str, message: Struct) -> Result<serde_json::Value, Invalid> {
    let fields = message.fields.into_iter().map(|(name, value)| {
        let json = read(&format!("{place}/{}", pointer_step(&name)), value)?;
        Ok((name, json))
    });
    fields.collect::<Result<serde_json::Map<_, _>, _>>().map(serde_json::Value::Object)
}

pub(super) fn read(place: &str, message: Value) -> Result<serde_json::Value, Invalid> {
    match message.kind {
        None => Err(Invalid::one(place, "must be given")),
        Some(Kind::NullValue(_)) => Ok(serde_json::Value::Null),
        Some(Kind::BoolValue(truth)) => Ok(truth.into()),
        Some(Kind::NumberValue(number)) => read_number(place, number),
        Some(Kind::StringValue(text)) => Ok(text.into()),
        Some(Kind::StructValue(message)) => json(place, message),
        Some(Kind::ListValue(list)) => {
            let items = list.values.into_iter().enumerate();
            items.map(|(i, item)| read(&format!("{place}/{i}"), item)).collect::<Result<Vec<_>, _>>().map(Into::into)
        }
    }
}

fn read_number(place: &str, number: f64) -> Result<serde_json::Value, Invalid> {
    // An integer must become one: `2.0` is refused where the field of a test is an integer.
    if number.fract() == 0.0 && number.abs() <= EXACT {
        return Ok((number as i64).into());
    }
    let number = serde_json::Number::from_f64(number);
    number.map(Into::into).ok_or_else(|| Invalid::one(place, "not a finite number"))
}

#[cfg(test)]
mod tests {
    use serde_json::json as of;

    use super::*;

    #[test]
    fn a_patch_comes_out_as_it_went_in() {
        let patch = of!({
            "paused": true, "matrix": null, "retry": {"on_fail": 2}, "run_config": {"resources": {"cpus": 0.5}},
            "labels": {"a/b": "x"}, "list": [1, -1, "2", [], {}], "large": 9_007_199_254_740_992u64,
        });
        let serde_json::Value::Object(fields) = patch.clone() else { panic!("an object") };
        assert_eq!(json("/patch", structure(fields)), Ok(patch));
    }

    #[test]
    fn faults_name_their_place() {
        for number in [f64::NAN, f64::INFINITY] {
            let list = ListValue { values: vec![Value { kind: Some(Kind::NumberValue(number)) }] };
            let fields = [("a/b".to_owned(), Value { kind: Some(Kind::ListValue(list)) })];
            let fault = json("/patch", Struct { fields: fields.into() }).unwrap_err();
            assert_eq!(fault.errors[0].pointer, "/patch/a~1b/0");
        }
        let fields = [("x".to_owned(), Value { kind: None })];
        assert_eq!(json("/patch", Struct { fields: fields.into() }).unwrap_err().errors[0].pointer, "/patch/x");
    }
}
