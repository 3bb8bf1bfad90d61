//! The one door to the standard output and the standard error: data goes out on the first, talk on the second.
//!
//! For people a table with relative ages and colours; where the output is not a terminal, tab-separated values with
//! exact times, no header and no colour. For programs JSON, JSON lines and YAML of exactly what the API answered.

pub mod plain;
mod table;

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::exit::{Exit, Failure, Outcome};

pub use table::{Cell, Column, Look, Tint};

/// How the answer of a command is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A table for people; tab-separated where the output is no terminal
    Table,
    /// The table with more columns
    Wide,
    /// JSON, exactly as the API answers; a list is an array
    Json,
    /// One JSON document a line
    Jsonl,
    /// YAML of the JSON
    Yaml,
    /// Bare names or ids, one a line
    Name,
}

impl Format {
    /// Tells whether programs read it, so that talk is kept short.
    pub fn is_for_programs(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl | Self::Yaml)
    }
}

/// When colours are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Colour {
    /// Decides for one output: the flag, then `NO_COLOR`, then `CLICOLOR_FORCE`, then whether it is a terminal.
    pub fn decide(self, env: &dyn Fn(&str) -> Option<String>, is_terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if env("NO_COLOR").is_some() => false,
            Self::Auto if env("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
            Self::Auto => {
                is_terminal && env("CLICOLOR").is_none_or(|v| v != "0") && env("TERM").is_none_or(|t| t != "dumb")
            }
        }
    }
}

/// What can be written in every format.
pub trait Show: DeserializeOwned {
    /// The columns of its table.
    const COLUMNS: &'static [Column];

    /// Returns its bare name or id.
    fn name(&self) -> String;

    /// Returns its row, one cell for each column.
    fn row(&self, look: &Look) -> Vec<Cell>;

    /// Returns what is told of it alone: a word and its value.
    fn facts(&self, look: &Look) -> Vec<(&'static str, Cell)> {
        Self::COLUMNS.iter().map(|column| column.title).zip(self.row(look)).collect()
    }
}

/// The door.
#[derive(Debug, Clone, Copy)]
pub struct Door {
    format: Format,
    paints: bool,
    is_terminal: bool,
    paints_talk: bool,
}

impl Door {
    /// Opens the door.
    pub fn open(format: Format, colour: Colour, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let (out, err) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        let (paints, paints_talk) = (colour.decide(env, out), colour.decide(env, err));
        Self { format, paints, is_terminal: out, paints_talk }
    }

    /// Returns the format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Tells whether the standard output is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Tells whether colours are used on the standard output.
    pub fn paints(&self) -> bool {
        self.paints
    }

    /// Returns how values are to be shown now.
    pub fn look(&self) -> Look {
        Look { now: chrono::Utc::now(), exact: !self.is_terminal }
    }

    /// Writes a list.
    pub fn list<T: Show>(&self, items: &[Value]) -> Outcome {
        self.text(&render_list::<T>(items, self.format, &self.look(), self.paints)?)
    }

    /// Writes one thing.
    pub fn item<T: Show>(&self, item: &Value) -> Outcome {
        self.text(&render_item::<T>(item, self.format, &self.look(), self.paints)?)
    }

    /// Writes rows that are no answer of the API but made from one, for people.
    pub fn rows(&self, columns: &[Column], rows: Vec<Vec<Cell>>) -> Outcome {
        let wide = self.format == Format::Wide;
        self.text(&table::rows(columns, rows, wide, !self.is_terminal, self.paints))
    }

    /// Tells that something was done: to people in words, to programs by what the API answered.
    pub fn done<T: Show>(&self, answer: &Value, words: &str) -> Outcome {
        match self.format {
            Format::Table | Format::Wide => self.say(words),
            Format::Json | Format::Jsonl | Format::Yaml | Format::Name => self.item::<T>(answer)?,
        }
        Ok(())
    }

    /// Writes what programs read, one document or several; tells whether it was that.
    pub fn documents(&self, documents: &[Value], as_one: bool) -> Outcome<bool> {
        let whole = match documents {
            [one] if as_one => one.clone(),
            many => Value::Array(many.to_vec()),
        };
        match self.format {
            Format::Json => self.text(&json(&whole))?,
            Format::Jsonl => self.text(&documents.iter().map(json_line).collect::<String>())?,
            Format::Yaml => self.text(&yaml(&whole)?)?,
            Format::Table | Format::Wide | Format::Name => return Ok(false),
        }
        Ok(true)
    }

    /// Writes a line of data.
    pub fn line(&self, line: &str) -> Outcome {
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// Writes text that is not empty.
    pub fn text(&self, text: &str) -> Outcome {
        if text.is_empty() { Ok(()) } else { self.bytes(text.as_bytes()) }
    }

    /// Writes bytes as they are, at once.
    pub fn bytes(&self, bytes: &[u8]) -> Outcome {
        write_all(bytes)
    }

    /// Says something to the person who waits, on the standard error.
    pub fn say(&self, words: &str) {
        talk(&plain::one_line(words));
    }

    /// Says something that may help; not where a program reads.
    pub fn hint(&self, words: &str) {
        if !self.format.is_for_programs() {
            self.say(words);
        }
    }

    /// Tells a failure on the standard error: as lines, or as one problem document where a program reads.
    pub fn tell(&self, failure: &Failure) {
        if failure.is_silent() {
            return;
        }
        if self.format.is_for_programs() {
            return talk(&plain::escape_json(&failure.document().to_string()));
        }
        for (i, line) in failure.lines().iter().enumerate() {
            let line = plain::tame(line);
            match line.strip_prefix("error:") {
                Some(rest) if i == 0 && self.paints_talk => talk(&format!("\x1b[1;31merror:\x1b[0m{rest}")),
                _ => talk(&line),
            }
        }
    }
}

/// Writes bytes to the standard output, at once.
pub fn write_all(bytes: &[u8]) -> Outcome {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::closed_pipe(),
        _ => Failure::new(Exit::Error, format!("cannot write to the standard output: {error}")),
    })
}

/// Writes a line to the standard error. Nothing can be done where that fails.
pub fn talk(line: &str) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{line}");
}

/// Reads an answer as the type that it should have.
pub fn typed<T: DeserializeOwned>(value: &Value) -> Outcome<T> {
    T::deserialize(value).map_err(|error| {
        Failure::new(Exit::Error, format!("the server's answer is not as expected: {error}"))
            .hint("client and server may be of different versions: tstr --version")
    })
}

/// Returns a value as JSON for people and programs alike.
pub fn json(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    plain::escape_json(&text) + "\n"
}

/// Returns a value as one line of JSON.
pub fn json_line(value: &Value) -> String {
    plain::escape_json(&value.to_string()) + "\n"
}

/// Returns a value as YAML.
pub fn yaml(value: &Value) -> Outcome<String> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(value, options)
        .map_err(|error| Failure::new(Exit::Error, format!("cannot write YAML: {error}")))
}

fn render_list<T: Show>(items: &[Value], format: Format, look: &Look, paints: bool) -> Outcome<String> {
    Ok(match format {
        Format::Json => json(&Value::Array(items.to_vec())),
        Format::Jsonl => items.iter().map(json_line).collect(),
        Format::Yaml => yaml(&Value::Array(items.to_vec()))?,
        Format::Name => {
            let names = items.iter().map(|item| Ok(plain::one_line(&typed::<T>(item)?.name()) + "\n"));
            names.collect::<Outcome<String>>()?
        }
        Format::Table | Format::Wide => {
            let rows = items.iter().map(|item| Ok(typed::<T>(item)?.row(look))).collect::<Outcome<Vec<_>>>()?;
            table::rows(T::COLUMNS, rows, format == Format::Wide, look.exact, paints)
        }
    })
}

fn render_item<T: Show>(item: &Value, format: Format, look: &Look, paints: bool) -> Outcome<String> {
    Ok(match format {
        Format::Json => json(item),
        Format::Jsonl => json_line(item),
        Format::Yaml => yaml(item)?,
        Format::Name => plain::one_line(&typed::<T>(item)?.name()) + "\n",
        Format::Table | Format::Wide => table::facts(typed::<T>(item)?.facts(look), look.exact, paints),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(serde::Deserialize)]
    struct Thing {
        name: String,
        state: String,
    }

    impl Show for Thing {
        const COLUMNS: &'static [Column] = &[Column::new("NAME"), Column::new("STATE"), Column::wide("LENGTH")];
        fn name(&self) -> String {
            self.name.clone()
        }
        fn row(&self, _: &Look) -> Vec<Cell> {
            vec![
                Cell::plain(&self.name),
                Cell::new(&self.state, Tint::Good),
                Cell::plain(self.name.chars().count().to_string()),
            ]
        }
    }

    fn list(format: Format, exact: bool, paints: bool) -> String {
        let things = [json!({"name": "a\tb", "state": "up"}), json!({"name": "longer", "state": "down"})];
        render_list::<Thing>(&things, format, &Look { now: chrono::Utc::now(), exact }, paints).unwrap()
    }

    #[test]
    fn a_table_is_aligned_and_without_borders() {
        assert_eq!(list(Format::Table, false, false), "NAME    STATE\na b     up\nlonger  down\n");
        assert_eq!(list(Format::Wide, false, false), "NAME    STATE  LENGTH\na b     up     3\nlonger  down   6\n");
    }

    #[test]
    fn colours_do_not_disturb_the_columns() {
        let text = list(Format::Table, false, true);
        assert!(text.contains("\x1b["), "{text:?}");
        let mut filter = plain::Filter::new(false);
        let bare = filter.feed(text.as_bytes());
        let trimmed: Vec<_> = bare.lines().map(str::trim_end).collect();
        assert_eq!(trimmed, ["NAME    STATE", "a b     up", "longer  down"]);
    }

    #[test]
    fn what_is_piped_is_tab_separated_without_a_header() {
        assert_eq!(list(Format::Table, true, false), "a b\tup\nlonger\tdown\n");
        assert_eq!(list(Format::Wide, true, false), "a b\tup\t3\nlonger\tdown\t6\n");
    }

    #[test]
    fn programs_get_what_the_api_answered() {
        let expected = json!([{"name": "a\tb", "state": "up"}, {"name": "longer", "state": "down"}]);
        assert_eq!(serde_json::from_str::<Value>(&list(Format::Json, true, false)).unwrap(), expected);
        let lines: Vec<Value> =
            list(Format::Jsonl, true, false).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(Value::Array(lines), expected);
        let yaml: Value = serde_saphyr::from_str(&list(Format::Yaml, true, false)).unwrap();
        assert_eq!(yaml, expected);
        assert_eq!(list(Format::Name, true, false), "a b\nlonger\n");
    }

    #[test]
    fn an_empty_list_is_an_empty_array() {
        let look = Look { now: chrono::Utc::now(), exact: true };
        let render = |format| render_list::<Thing>(&[], format, &look, false).unwrap();
        assert_eq!(render(Format::Json), "[]\n");
        assert_eq!(render(Format::Yaml).trim(), "[]");
        assert_eq!([render(Format::Jsonl), render(Format::Name), render(Format::Table)], ["", "", ""]);
    }

    #[test]
    fn yaml_keeps_texts_texts_and_the_order_of_keys() {
        let tricky = json!({
            "z": "1", "a": "true", "n": "null", "no": "no", "t": "2026-01-01", "e": "", "s": " x ", "o": "0o7", "f": "1e3",
            "m": "two\nlines\n", "c": "\u{9b}2J\u{7f}", "h": "# x", "d": "- x", "k": "a: b", "l": "x".repeat(200),
            "num": 1.5, "list": [], "map": {}, "nil": null, "nested": [{"a": [1, {"b": "~"}]}],
        });
        let text = yaml(&tricky).unwrap();
        let back: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(back, tricky, "{text}");
        assert_eq!(back.as_object().unwrap().keys().next().unwrap(), "z");
        assert!(!text.contains('\u{9b}') && !text.contains('\u{7f}'), "{text:?}");
    }

    #[test]
    fn one_thing_is_told_word_by_word() {
        let look = Look { now: chrono::Utc::now(), exact: false };
        let item = json!({"name": "x", "state": "up"});
        let text = render_item::<Thing>(&item, Format::Table, &look, false).unwrap();
        assert_eq!(text, "NAME    x\nSTATE   up\nLENGTH  1\n");
        let exact = render_item::<Thing>(&item, Format::Table, &Look { exact: true, ..look }, false).unwrap();
        assert_eq!(exact, "NAME\tx\nSTATE\tup\nLENGTH\t1\n");
    }

    #[test]
    fn colour_obeys_the_flag_then_the_environment_then_the_terminal() {
        let env = |set: &'static [(&'static str, &'static str)]| {
            move |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        assert!(Colour::Auto.decide(&env(&[]), true));
        assert!(!Colour::Auto.decide(&env(&[]), false));
        assert!(!Colour::Auto.decide(&env(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]), true));
        assert!(Colour::Auto.decide(&env(&[("CLICOLOR_FORCE", "1")]), false));
        assert!(!Colour::Auto.decide(&env(&[("CLICOLOR_FORCE", "0")]), false));
        assert!(!Colour::Auto.decide(&env(&[("TERM", "dumb")]), true));
        assert!(Colour::Always.decide(&env(&[("NO_COLOR", "1")]), false));
        assert!(!Colour::Never.decide(&env(&[("CLICOLOR_FORCE", "1")]), true));
    }
}
