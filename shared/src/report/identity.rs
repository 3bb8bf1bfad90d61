//! The identity of a case: the same from run to run, whatever the cell, and different for different cases.

use std::fmt;
use std::str::FromStr;

use regex::{NoExpand, Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::case::CaseKey;
use super::limits::MAX_VOLATILE;
use crate::ids::TestId;
use crate::selector::MAX_PATTERN;

/// Names a case of a test for as long as the parts of its key stay what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "db", derive(sqlx::Type), sqlx(transparent))]
#[serde(transparent)]
pub struct CaseId(pub Uuid);

impl CaseId {
    /// The id of no case.
    pub const NIL: Self = Self(Uuid::nil());
}

impl From<Uuid> for CaseId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl FromStr for CaseId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl CaseKey {
    /// Derives the identity of the case in a test.
    ///
    /// It is the first 128 bits of a SHA-256, as a UUID of version 8, over the test's id and either the explicit
    /// `testId` alone, or the suite path, the classname (the file where there is none) and the name. What `volatile`
    /// matches in a part is left out of it. The derivation never changes: history hangs on it.
    pub fn id(&self, test: TestId, volatile: &Volatile) -> CaseId {
        let mut hash = Sha256::new();
        hash.update(b"tstr case 1\0");
        hash.update(test.0.as_bytes());
        let mut part = |tag: u8, text: &str| {
            let text = volatile.mask(text);
            hash.update([tag]);
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        match self.test_id.as_deref() {
            Some(id) => part(b'T', id),
            None => {
                self.suite.iter().for_each(|name| part(b'S', name));
                match (self.classname.as_deref(), self.file.as_deref()) {
                    (Some(classname), _) => part(b'C', classname),
                    (None, Some(file)) => part(b'F', file),
                    (None, None) => {}
                }
                part(b'N', &self.name);
            }
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        CaseId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// Tells whether the key says more than a name, so that two cases that share it are most likely one.
    pub(super) fn is_full(&self) -> bool {
        self.test_id.is_some() || self.classname.is_some() || self.file.is_some()
    }
}

/// What is left out of the parts of identities: random parameters, ports, times, addresses in memory.
///
/// Each match of a pattern counts as `*`. Patterns are not anchored, and of linear time.
#[derive(Debug, Clone, Default)]
pub struct Volatile(Vec<Regex>);

impl Volatile {
    /// Compiles patterns; says what is wrong with the first that is not allowed.
    ///
    /// At most [`MAX_VOLATILE`] patterns of at most [`MAX_PATTERN`] bytes; none may match the empty text.
    pub fn parse<S: AsRef<str>>(patterns: &[S]) -> Result<Self, String> {
        if patterns.len() > MAX_VOLATILE {
            return Err(format!("at most {MAX_VOLATILE} patterns for volatile parts, these are {}", patterns.len()));
        }
        patterns.iter().map(|pattern| compile(pattern.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    fn mask<'a>(&self, text: &'a str) -> std::borrow::Cow<'a, str> {
        self.0.iter().fold(text.into(), |text, regex| match regex.is_match(&text) {
            true => regex.replace_all(&text, NoExpand("*")).into_owned().into(),
            false => text,
        })
    }
}

fn compile(source: &str) -> Result<Regex, String> {
    if source.len() > MAX_PATTERN {
        return Err(format!("a pattern has at most {MAX_PATTERN} bytes, this one has {}", source.len()));
    }
    let regex =
        RegexBuilder::new(source).nest_limit(32).size_limit(256 * 1024).dfa_size_limit(512 * 1024).build().map_err(
            |error| match error {
                regex::Error::CompiledTooBig(_) => format!("the pattern '{source}' compiles to too large a program"),
                _ => format!("'{source}' is not a regular expression"),
            },
        )?;
    match regex.is_match("") {
        true => Err(format!("the pattern '{source}' matches the empty text")),
        false => Ok(regex),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: TestId = TestId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));

    fn key(suite: &[&str], classname: Option<&str>, name: &str, file: Option<&str>) -> CaseKey {
        CaseKey {
            suite: suite.iter().map(|&s| s.into()).collect(),
            classname: classname.map(Into::into),
            name: name.into(),
            file: file.map(Into::into),
            test_id: None,
        }
    }

    fn id(key: &CaseKey) -> CaseId {
        key.id(TEST, &Volatile::default())
    }

    #[test]
    fn the_identity_of_a_case_never_changes() {
        let case = key(&["pytest"], Some("tests.test_login"), "test_ok[chrome]", Some("tests/test_login.py"));
        assert_eq!(id(&case).to_string(), "8c914276-d072-85c6-b872-37fb5a9413d1");
        let explicit = CaseKey { test_id: Some("login-1".into()), ..case };
        assert_eq!(id(&explicit).to_string(), "2edb16e1-5091-8164-a085-50e5b2176164");
    }

    #[test]
    fn each_part_tells_cases_apart_and_parts_do_not_run_into_each_other() {
        let keys = [
            key(&["a", "b"], Some("c"), "n", None),
            key(&["ab"], Some("c"), "n", None),
            key(&["a"], Some("bc"), "n", None),
            key(&["a"], Some("b"), "cn", None),
            key(&["a"], None, "n", None),
            key(&["a"], None, "n", Some("b")),
            key(&["a"], Some("b"), "n", None),
            key(&["a", "n"], None, "", None),
        ];
        let ids: std::collections::HashSet<_> = keys.iter().map(id).collect();
        assert_eq!(ids.len(), keys.len());
        assert_ne!(id(&keys[0]), keys[0].id(TestId(Uuid::nil()), &Volatile::default()));
    }

    #[test]
    fn the_file_counts_only_without_a_classname() {
        assert_eq!(id(&key(&[], Some("c"), "n", Some("x"))), id(&key(&[], Some("c"), "n", None)));
        assert_ne!(id(&key(&[], None, "n", Some("x"))), id(&key(&[], None, "n", Some("y"))));
    }

    #[test]
    fn an_explicit_id_outlives_a_rename() {
        let named = |name| CaseKey { test_id: Some("7".into()), ..key(&["s"], Some(name), name, None) };
        assert_eq!(id(&named("old")), id(&named("new")));
    }

    #[test]
    fn volatile_parts_do_not_count() {
        let volatile = Volatile::parse(&["[0-9a-f]{8}-[0-9a-f-]{27}", r":\d+"]).unwrap();
        let with = |name: &str| key(&["s"], Some("c"), name, None).id(TEST, &volatile);
        assert_eq!(
            with("get[http://x:8080/123e4567-e89b-12d3-a456-426614174000]"),
            with("get[http://x:99/00000000-e89b-12d3-a456-426614174111]")
        );
        assert_ne!(with("get[http://x:8080/]"), with("get[http://y:8080/]"));
    }

    #[test]
    fn patterns_that_cannot_be_allowed_are_refused() {
        for bad in ["a*", "(", &"x".repeat(300), "(?:a{1000}){1000}"] {
            assert!(Volatile::parse(&[bad]).is_err(), "{bad}");
        }
        assert!(Volatile::parse(&["x"; 21]).is_err());
    }
}
