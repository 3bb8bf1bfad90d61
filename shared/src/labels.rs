//! Labels and annotations: keys and values with limits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Invalid, pointer_step};

/// Keys and values; the order is that of the keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Labels(pub BTreeMap<String, String>);

/// The most labels that one thing may have.
pub const MAX_LABELS: usize = 64;
/// The longest key, in bytes.
pub const MAX_KEY: usize = 63;
/// The longest value, in bytes.
pub const MAX_VALUE: usize = 256;

impl Labels {
    /// Returns the value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Returns the pairs in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Tells whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns these labels, overridden by those of `over`.
    pub fn merged(&self, over: &Labels) -> Labels {
        let mut merged = self.clone();
        merged.0.extend(over.0.iter().map(|(key, value)| (key.clone(), value.clone())));
        merged
    }

    /// Tells whether every pair of `part` is among these labels.
    pub fn contains(&self, part: &Labels) -> bool {
        part.iter().all(|(key, value)| self.get(key) == Some(value))
    }

    /// Returns `key=value` pairs joined by commas; the name of a cell for people.
    pub fn text(&self) -> String {
        self.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    }

    /// Returns a text that no other set of labels has: each part is preceded by its length.
    pub fn canonical(&self) -> String {
        self.iter().map(|(key, value)| format!("{}:{key}{}:{value}", key.len(), value.len())).collect()
    }

    /// Returns 16 bytes that name this set of labels.
    pub fn hash16(&self) -> [u8; 16] {
        let digest = Sha256::digest(self.canonical().as_bytes());
        let mut hash = [0u8; 16];
        hash.copy_from_slice(&digest[..16]);
        hash
    }

    /// Checks keys, values and their number.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        if self.0.len() > MAX_LABELS {
            invalid.add("", format!("{} labels, at most {MAX_LABELS} are allowed", self.0.len()));
        }
        for (key, value) in self.iter() {
            let place = format!("/{}", pointer_step(key));
            if let Err(fault) = check_key(key) {
                invalid.add(&place, fault);
            }
            if let Err(fault) = check_value(value) {
                invalid.add(&place, fault);
            }
        }
        invalid.into_result()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// Checks a label's key: 1 to 63 letters, digits and `._/-`, beginning and ending with a letter or digit.
pub fn check_key(key: &str) -> Result<(), String> {
    let end = |c: char| c.is_ascii_alphanumeric();
    if key.is_empty() {
        return Err("a label key must not be empty".into());
    }
    if key.len() > MAX_KEY {
        return Err(format!("a label key has at most {MAX_KEY} characters, this one has {}", key.len()));
    }
    if !key.chars().all(|c| end(c) || matches!(c, '.' | '_' | '/' | '-'))
        || !key.starts_with(end)
        || !key.ends_with(end)
    {
        return Err("a label key has letters, digits and inner '.', '_', '/', '-'".into());
    }
    Ok(())
}

/// Checks a label's value: at most 256 bytes, no control characters.
pub fn check_value(value: &str) -> Result<(), String> {
    if value.len() > MAX_VALUE {
        return Err(format!("a label value has at most {MAX_VALUE} bytes, this one has {}", value.len()));
    }
    if value.chars().any(char::is_control) {
        return Err("a label value must not hold control characters".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arb;

    #[test]
    fn faults_name_the_key() {
        let labels: Labels = [("a b", "x"), ("ok", "line\nbreak")].into_iter().collect();
        let invalid = labels.validate().unwrap_err();
        assert_eq!(invalid.errors.iter().map(|e| e.pointer.as_str()).collect::<Vec<_>>(), ["/a b", "/ok"]);
    }

    #[test]
    fn the_limits_are_exact() {
        assert!(check_key(&"k".repeat(63)).is_ok() && check_key(&"k".repeat(64)).is_err());
        assert!(check_value(&"v".repeat(256)).is_ok() && check_value(&"v".repeat(257)).is_err());
        let many = |n: usize| (0..n).map(|i| (format!("k{i}"), "v")).collect::<Labels>();
        assert!(many(64).validate().is_ok() && many(65).validate().is_err());
    }

    proptest! {
        #[test]
        fn different_labels_have_different_canonical_texts(a in arb::labels(), b in arb::labels()) {
            prop_assert_eq!(a == b, a.canonical() == b.canonical());
        }
    }
}
