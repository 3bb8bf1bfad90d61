//! The values that tests compare with; `reference/reference.py` computes them with SciPy, statsmodels and NumPy.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Returns all of them.
pub fn load() -> Value {
    serde_json::from_str(include_str!("reference/reference.json")).unwrap()
}

/// Reads a part of them.
pub fn of<T: DeserializeOwned>(value: &Value) -> Vec<T> {
    serde_json::from_value(value.clone()).unwrap()
}
