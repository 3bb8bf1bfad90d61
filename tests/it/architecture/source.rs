//! Source files as the rules look at them: the code without comments and texts, its words, and what it uses.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The folder of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository").to_owned()
}

/// A file of Rust.
pub struct Source {
    /// Its path in the repository.
    pub path: String,
    pub text: String,
}

/// Returns all files of Rust below a folder of the repository.
pub fn sources(below: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let roots = ["shared", "proto", "api", "worker", "cli", "tests"];
    for root in if below.is_empty() { roots.to_vec() } else { vec![below] } {
        walk(&repository().join(root), root, &mut found);
    }
    assert!(!found.is_empty(), "there is nothing in {below}");
    found
}

fn walk(folder: &Path, path: &str, found: &mut Vec<Source>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{path}/{name}");
        if entry.path().is_dir() {
            if name != "target" && name != "node_modules" {
                walk(&entry.path(), &path, found);
            }
        } else if name.ends_with(".rs") {
            found.push(Source { text: std::fs::read_to_string(entry.path()).unwrap(), path });
        }
    }
}

impl Source {
    /// Tells whether the file is this one, or lies in this folder.
    pub fn is_in(&self, place: &str) -> bool {
        let is_folder = place.ends_with('/') || !place.contains('.');
        match place.ends_with('/') {
            true => self.path.starts_with(place),
            false => {
                self.path == place
                    || (is_folder && self.path.starts_with(&format!("{place}/")))
                    || self.path == format!("{place}.rs")
            }
        }
    }

    /// Returns the module below `src` that the file belongs to.
    pub fn module(&self) -> String {
        let (_, inside) = self.path.split_once("/src/").expect("a file below src");
        inside.split(['/', '.']).next().unwrap_or_default().to_owned()
    }

    /// Returns the code without comments and without what stands in quotes.
    pub fn code(&self) -> String {
        let mut code = String::with_capacity(self.text.len());
        let mut rest = self.text.as_str();
        while let Some(first) = rest.chars().next() {
            let skip = match first {
                '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
                '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
                'r' if is_raw(rest) && !code.ends_with(is_name) => raw_length(rest),
                '"' => quoted_length(rest),
                // A quote in quotes begins no text; anything else behind one may be a lifetime.
                '\'' if rest.starts_with("'\"'") => 3,
                _ => 0,
            };
            match skip {
                0 => {
                    code.push(first);
                    rest = &rest[first.len_utf8()..];
                }
                skip => rest = &rest[skip..],
            }
        }
        code
    }

    /// Returns the words that names are made of.
    pub fn words(&self) -> BTreeSet<String> {
        let mut words = BTreeSet::new();
        for name in self.code().split(|c: char| !c.is_alphanumeric()) {
            let mut word = String::new();
            for c in name.chars() {
                if c.is_uppercase() {
                    words.insert(std::mem::take(&mut word));
                }
                word.extend(c.to_lowercase());
            }
            words.insert(word);
        }
        words
    }

    /// Returns the modules of its own crate that it names.
    pub fn uses(&self) -> BTreeSet<String> {
        let code = self.code();
        let mut uses = BTreeSet::new();
        for (at, _) in code.match_indices("crate::") {
            if code[..at].ends_with(is_name) || code[..at].ends_with('$') {
                continue;
            }
            let behind = &code[at + "crate::".len()..];
            uses.extend(behind.strip_prefix('{').map_or_else(|| vec![name(behind)], first_names));
        }
        uses
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn name(text: &str) -> String {
    text.trim_start().chars().take_while(|c| is_name(*c)).collect()
}

/// Returns the first name of each member of a group, up to its closing brace.
fn first_names(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut names) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(name(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
        if c == '}' && depth == 0 && start == at + 1 {
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn is_raw(text: &str) -> bool {
    text[1..].trim_start_matches('#').starts_with('"')
}

fn raw_length(text: &str) -> usize {
    let marks = text[1..].len() - text[1..].trim_start_matches('#').len();
    let open = marks + 2;
    let close = format!("\"{}", "#".repeat(marks));
    text[open..].find(&close).map_or(text.len(), |end| open + end + close.len())
}

fn quoted_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}
