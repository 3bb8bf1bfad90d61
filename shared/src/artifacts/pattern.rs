//! Patterns for files of a container: absolute paths with `*`, `?`, `**`, `[…]` and `{…}`. Linear in time.
//!
//! What is copied out of a container begins at a folder that has a name, never at its root, so that a pattern does not
//! cost a copy of the whole image.

use std::fmt::Write;

use regex::{Regex, RegexBuilder};

use super::{FOLDER, MAX_PATH};

/// A pattern that remembers its source.
#[derive(Debug, Clone)]
pub struct ArtifactPattern {
    source: String,
    /// The folder, or the file, below which everything lies that it can match.
    base: String,
    regex: Regex,
}

impl PartialEq for ArtifactPattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl ArtifactPattern {
    /// Reads a pattern; says what is wrong with it otherwise.
    pub fn parse(source: &str) -> Result<Self, String> {
        if source.len() > MAX_PATH {
            return Err(format!("a pattern has at most {MAX_PATH} bytes, this one has {}", source.len()));
        }
        if source.chars().any(char::is_control) {
            return Err("a pattern must not hold control characters".into());
        }
        let Some(inside) = source.strip_prefix('/') else {
            return Err("a pattern begins with a slash: it is a path in the container".into());
        };
        let steps: Vec<&str> = inside.split('/').collect();
        if let Some(step) = steps.iter().find(|step| matches!(**step, "" | "." | "..")) {
            return Err(format!("a pattern must not have the step '{step}'"));
        }
        let plain = steps.iter().take_while(|step| !step.contains(['*', '?', '[', ']', '{', '}'])).count();
        if plain == 0 {
            return Err("the first folder of a pattern must be named".into());
        }
        let mut text = String::from("^");
        for (i, step) in steps.iter().enumerate() {
            match *step {
                // Any number of folders, and as the last step everything below.
                "**" if i + 1 == steps.len() => text.push_str("/.+"),
                "**" => text.push_str("(?:/[^/]+)*"),
                step => {
                    text.push('/');
                    translate(step, &mut text)?;
                }
            }
        }
        // A folder stands for everything in it.
        text.push_str("(?:/.*)?$");
        let regex =
            RegexBuilder::new(&text).size_limit(1 << 20).dfa_size_limit(1 << 20).dot_matches_new_line(true).build();
        let regex = regex.map_err(|_| format!("'{source}' is too large a pattern"))?;
        Ok(Self { source: source.to_owned(), base: format!("/{}", steps[..plain].join("/")), regex })
    }

    /// Tells whether the file at an absolute path is meant.
    pub fn matches(&self, path: &str) -> bool {
        self.regex.is_match(path)
    }

    /// Returns the pattern as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// Writes what one step matches as a regular expression.
fn translate(step: &str, text: &mut String) -> Result<(), String> {
    let (mut chars, mut in_braces) = (step.chars(), false);
    while let Some(c) = chars.next() {
        match c {
            '*' => text.push_str("[^/]*"),
            '?' => text.push_str("[^/]"),
            '[' => {
                let rest = chars.as_str();
                let end = rest.char_indices().skip(1).find(|(_, c)| *c == ']').map(|(at, _)| at);
                let end = end.ok_or_else(|| format!("'{step}' has a '[' without its ']'"))?;
                let (inner, negated) = match rest[..end].strip_prefix(['!', '^']) {
                    Some("") => return Err(format!("'{step}' has a '[' without its ']'")),
                    Some(inner) => (inner, "^/"),
                    None => (&rest[..end], ""),
                };
                write_class(inner, negated, text)?;
                chars = rest[end + 1..].chars();
            }
            '{' if in_braces => return Err(format!("'{step}' has braces within braces")),
            '{' => {
                in_braces = true;
                text.push_str("(?:");
            }
            '}' if in_braces => {
                in_braces = false;
                text.push(')');
            }
            ',' if in_braces => text.push('|'),
            ']' | '}' => return Err(format!("'{step}' has a '{c}' that closes nothing")),
            c => text.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    if in_braces { Err(format!("'{step}' has a '{{' without its '}}'")) } else { Ok(()) }
}

/// Writes a class of characters: single ones and ranges.
fn write_class(inner: &str, negated: &str, text: &mut String) -> Result<(), String> {
    let escaped = |c: char| format!("\\x{{{:x}}}", c as u32);
    let chars: Vec<char> = inner.chars().collect();
    let _ = write!(text, "[{negated}");
    let mut i = 0;
    while i < chars.len() {
        match chars[i..] {
            [low, '-', high, ..] if low <= high => {
                let _ = write!(text, "{}-{}", escaped(low), escaped(high));
                i += 3;
            }
            [low, '-', high, ..] => return Err(format!("the range {low}-{high} is backwards")),
            [one, ..] => {
                text.push_str(&escaped(one));
                i += 1;
            }
            [] => break,
        }
    }
    text.push(']');
    Ok(())
}

/// A folder or file that is copied out of a container, with what is taken from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Root {
    /// Its absolute path.
    pub base: String,
    /// The patterns of files that are taken; without any, everything is.
    pub patterns: Vec<ArtifactPattern>,
}

impl Root {
    /// Returns the path that a file of this root is kept under; `None` when it is not taken. `below` is its path below the
    /// root, empty for the root itself.
    pub fn kept_as(&self, below: &str) -> Option<String> {
        if self.patterns.is_empty() {
            return Some(below.to_owned());
        }
        let whole = if below.is_empty() { self.base.clone() } else { format!("{}/{below}", self.base) };
        // What lies in the folder for artifacts is kept already, under its own name.
        let is_there = whole.strip_prefix(FOLDER).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let is_wanted = !is_there && self.patterns.iter().any(|pattern| pattern.matches(&whole));
        is_wanted.then(|| whole.trim_start_matches('/').to_owned())
    }
}

/// Returns what is copied out of a container: the folder for artifacts first, then what patterns ask for. No folder is
/// copied twice for the sake of two patterns.
pub fn roots(patterns: &[ArtifactPattern]) -> Vec<Root> {
    let mut roots = vec![Root { base: FOLDER.to_owned(), patterns: Vec::new() }];
    let covers =
        |outer: &str, inner: &str| inner.strip_prefix(outer).is_some_and(|r| r.is_empty() || r.starts_with('/'));
    let mut bases: Vec<&str> = Vec::new();
    for pattern in patterns {
        if !bases.iter().any(|base| covers(base, &pattern.base)) {
            bases.retain(|base| !covers(&pattern.base, base));
            bases.push(&pattern.base);
        }
    }
    for base in bases {
        let of = patterns.iter().filter(|pattern| covers(base, &pattern.base)).cloned().collect();
        roots.push(Root { base: base.to_owned(), patterns: of });
    }
    roots
}
