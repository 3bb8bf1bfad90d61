//! Selectors: what a runner accepts and rejects, and whether it takes a run.
//!
//! Patterns are regular expressions of linear time (the `regex` crate), always anchored at both ends and limited in
//! size, so that a token or a runner cannot slow the server down.

use std::collections::BTreeMap;
use std::fmt;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::error::{Invalid, pointer_step};
use crate::labels::{self, Labels};
use crate::namespace::NamespacePatterns;

/// The longest source of a pattern, in bytes.
pub const MAX_PATTERN: usize = 256;

/// An anchored regular expression that remembers its source.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    regex: Regex,
}

impl Pattern {
    /// Compiles a source; says what is wrong with it otherwise.
    pub fn parse(source: &str) -> Result<Self, String> {
        if source.len() > MAX_PATTERN {
            return Err(format!("a pattern has at most {MAX_PATTERN} bytes, this one has {}", source.len()));
        }
        if source.chars().any(char::is_control) {
            return Err("a pattern must not hold control characters".into());
        }
        let build = |text: &str| {
            RegexBuilder::new(text).nest_limit(32).size_limit(256 * 1024).dfa_size_limit(512 * 1024).build()
        };
        // The bare source must be whole by itself, or `a)|(b` would break out of the group that anchors it.
        let regex = build(source).and_then(|_| build(&format!("^(?:{source})$")));
        regex.map(|regex| Self { source: source.to_owned(), regex }).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => format!("the pattern '{source}' compiles to too large a program"),
            other => format!("'{source}' is not a regular expression: {}", one_line(&other.to_string())),
        })
    }

    /// Tells whether the pattern matches the whole text.
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Returns the pattern as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}
impl Eq for Pattern {}

fn one_line(text: &str) -> String {
    text.lines().next_back().unwrap_or_default().trim_start_matches("error: ").trim().to_owned()
}

/// The key that stands for every label whose key no other accept selector names.
pub const ANY_KEY: &str = "*";

/// The accept and reject selectors of a runner as they travel: label key to pattern source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SelectorSources {
    /// Labels that the runner takes; without any, it takes every label.
    pub accept: BTreeMap<String, String>,
    /// Labels that the runner refuses.
    pub reject: BTreeMap<String, String>,
}

/// The compiled selectors of a runner.
#[derive(Debug, Clone, Default)]
pub struct Selectors {
    accept: BTreeMap<String, Pattern>,
    reject: BTreeMap<String, Pattern>,
}

impl Selectors {
    /// Compiles the sources; reports every fault with its place.
    pub fn parse(sources: &SelectorSources) -> Result<Self, Invalid> {
        let mut invalid = Invalid::default();
        let mut compile = |side: &str, from: &BTreeMap<String, String>| {
            let mut compiled = BTreeMap::new();
            if from.len() > labels::MAX_LABELS {
                invalid.add(format!("/{side}"), format!("at most {} selectors", labels::MAX_LABELS));
                return compiled;
            }
            for (key, source) in from {
                let place = format!("/{side}/{}", pointer_step(key));
                let is_any = side == "accept" && key == ANY_KEY;
                if let Err(fault) = labels::check_key(key)
                    && !is_any
                {
                    invalid.add(&place, fault);
                }
                match Pattern::parse(source) {
                    Ok(pattern) => drop(compiled.insert(key.clone(), pattern)),
                    Err(fault) => invalid.add(&place, fault),
                }
            }
            compiled
        };
        let (accept, reject) = (compile("accept", &sources.accept), compile("reject", &sources.reject));
        invalid.into_result().map(|()| Self { accept, reject })
    }

    /// Tells whether labels fit, or the first predicate that fails.
    pub fn check(&self, labels: &Labels) -> Result<(), Misfit> {
        for (key, pattern) in &self.reject {
            if let Some(value) = labels.get(key)
                && pattern.matches(value)
            {
                let pattern = pattern.source().to_owned();
                return Err(Misfit::Rejected { key: key.clone(), value: value.to_owned(), pattern });
            }
        }
        if self.accept.is_empty() {
            return Ok(());
        }
        for (key, value) in labels.iter() {
            let pattern = self.acceptor(key);
            if !pattern.is_some_and(|pattern| pattern.matches(value)) {
                let pattern = pattern.map(|pattern| pattern.source().to_owned());
                return Err(Misfit::NotAccepted { key: key.to_owned(), value: value.to_owned(), pattern });
            }
        }
        Ok(())
    }

    /// Counts the labels that fit by themselves; the more, the nearer a runner is to taking a run.
    pub fn fitting(&self, labels: &Labels) -> usize {
        let fits = |(key, value): &(&str, &str)| {
            let rejected = self.reject.get(*key).is_some_and(|pattern| pattern.matches(value));
            let accepted = self.accept.is_empty() || self.acceptor(key).is_some_and(|pattern| pattern.matches(value));
            accepted && !rejected
        };
        labels.iter().filter(fits).count()
    }

    /// Returns the accept selector that is for a key.
    fn acceptor(&self, key: &str) -> Option<&Pattern> {
        self.accept.get(key).or_else(|| self.accept.get(ANY_KEY))
    }
}

/// Tells whether a runner takes runs of a placement class, or why not.
pub fn check_placement(
    namespaces: &NamespacePatterns,
    selectors: &Selectors,
    namespace: &str,
    labels: &Labels,
) -> Result<(), Misfit> {
    if !namespaces.matches(namespace) {
        return Err(Misfit::Namespace { namespace: namespace.to_owned() });
    }
    selectors.check(labels)
}

/// Why a runner does not take a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// The runner's token does not see the run's namespace.
    Namespace {
        /// The run's namespace.
        namespace: String,
    },
    /// A reject selector matches a label.
    Rejected {
        /// The label's key.
        key: String,
        /// The label's value.
        value: String,
        /// The selector.
        pattern: String,
    },
    /// No accept selector matches a label.
    NotAccepted {
        /// The label's key.
        key: String,
        /// The label's value.
        value: String,
        /// The selector that is for this key; absent where there is none, not even `*`.
        pattern: Option<String>,
    },
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace { namespace } => write!(f, "its token does not cover namespace {namespace}"),
            Self::Rejected { key, value, pattern } => write!(f, "it rejects {key}={value} (reject {key}={pattern})"),
            Self::NotAccepted { key, value, pattern: Some(pattern) } => {
                write!(f, "it does not accept {key}={value} (accept {key}={pattern})")
            }
            Self::NotAccepted { key, value, pattern: None } => {
                write!(f, "it does not accept {key}={value} (no accept selector is for {key})")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arb;

    fn selectors(accept: &[(&str, &str)], reject: &[(&str, &str)]) -> Selectors {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Selectors::parse(&SelectorSources { accept: map(accept), reject: map(reject) }).unwrap()
    }
    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().copied().collect()
    }

    #[test]
    fn a_runner_without_accept_selectors_takes_every_label() {
        assert!(selectors(&[], &[]).check(&labels(&[("a", "1"), ("b", "2")])).is_ok());
    }

    #[test]
    fn a_run_without_labels_fits_every_runner() {
        assert!(selectors(&[("region", "nyc")], &[("region", ".*")]).check(&Labels::default()).is_ok());
    }

    #[test]
    fn every_label_needs_its_accept_selector_or_the_star() {
        let narrow = selectors(&[("region", "nyc|sfo")], &[]);
        assert!(narrow.check(&labels(&[("region", "nyc")])).is_ok());
        assert_eq!(
            narrow.check(&labels(&[("region", "nyc"), ("type", "e2e")])),
            Err(Misfit::NotAccepted { key: "type".into(), value: "e2e".into(), pattern: None })
        );
        let wide = selectors(&[("region", "nyc"), ("*", ".*")], &[]);
        assert!(wide.check(&labels(&[("region", "nyc"), ("type", "e2e")])).is_ok());
        // The star stands only for keys that are not named.
        let misfit = wide.check(&labels(&[("region", "sfo")])).unwrap_err();
        assert_eq!(misfit.to_string(), "it does not accept region=sfo (accept region=nyc)");
    }

    #[test]
    fn reject_beats_accept() {
        let both = selectors(&[("region", ".*")], &[("region", "nyc")]);
        assert_eq!(
            both.check(&labels(&[("region", "nyc")])),
            Err(Misfit::Rejected { key: "region".into(), value: "nyc".into(), pattern: "nyc".into() })
        );
    }

    #[test]
    fn patterns_are_anchored_and_cannot_break_out() {
        let pattern = Pattern::parse("a|b").unwrap();
        assert!(pattern.matches("a") && pattern.matches("b"));
        assert!(!pattern.matches("ab") && !pattern.matches("xb"));
        assert!(Pattern::parse("a)|(b").is_err());
    }

    #[test]
    fn patterns_are_limited_in_length_and_in_compiled_size() {
        assert!(Pattern::parse(&"a".repeat(256)).is_ok());
        assert!(Pattern::parse(&"a".repeat(257)).unwrap_err().contains("256"));
        assert!(Pattern::parse(r"\w{1000}\w{1000}").unwrap_err().contains("too large"));
    }

    #[test]
    fn faults_name_side_and_key() {
        let sources = SelectorSources {
            accept: [("region".to_string(), "(".to_string())].into(),
            reject: [("*".to_string(), "x".to_string())].into(),
        };
        let places: Vec<_> = Selectors::parse(&sources).unwrap_err().errors.into_iter().map(|e| e.pointer).collect();
        assert_eq!(places, ["/accept/region", "/reject/*"]);
    }

    /// The rule of placement said once more, word by word, as a loop over all labels and selectors.
    fn naive(sources: &SelectorSources, labels: &Labels) -> bool {
        let full = |source: &str, value: &str| Regex::new(&format!("^(?:{source})$")).unwrap().is_match(value);
        for (key, value) in labels.iter() {
            for (rejected, source) in &sources.reject {
                if rejected == key && full(source, value) {
                    return false;
                }
            }
            let named = sources.accept.get(key);
            let accepted = match (named, sources.accept.get("*")) {
                (Some(source), _) => full(source, value),
                (None, Some(source)) => full(source, value),
                (None, None) => sources.accept.is_empty(),
            };
            if !accepted {
                return false;
            }
        }
        true
    }

    proptest! {
        #[test]
        fn check_agrees_with_the_rule_read_word_by_word(sources in arb::selectors(), labels in arb::labels()) {
            let compiled = Selectors::parse(&sources).unwrap();
            prop_assert_eq!(compiled.check(&labels).is_ok(), naive(&sources, &labels));
            prop_assert_eq!(compiled.fitting(&labels) == labels.0.len(), naive(&sources, &labels));
        }

        #[test]
        fn parsing_never_panics(source in ".{0,300}") {
            let _ = Pattern::parse(&source);
        }
    }
}
