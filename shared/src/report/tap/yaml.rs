//! The little of YAML that is read of a diagnostic block: simple values of keys at its outermost level.

/// Returns the value of a key, if it is a text, a number or a block of lines.
pub(super) fn scalar(block: &str, key: &str) -> Option<String> {
    let mut lines = block.lines();
    let value = lines.by_ref().find_map(|line| line.strip_prefix(key)?.strip_prefix(':').map(str::trim))?;
    match value.as_bytes().first() {
        None => None,
        Some(b'|' | b'>') => Some(block_scalar(value, lines)),
        Some(b'\'') => quoted(value),
        Some(b'"') => serde_json::from_str(value).ok().or_else(|| Some(value.trim_matches('"').to_owned())),
        Some(b'[' | b'{' | b'&' | b'*' | b'!') => None,
        Some(_) => Some(value.to_owned()),
    }
}

fn quoted(value: &str) -> Option<String> {
    let inner = value.strip_prefix('\'')?;
    Some(inner.strip_suffix('\'').unwrap_or(inner).replace("''", "'"))
}

/// Reads the lines behind `|` or `>`, as deep as the header says or the first of them stands.
fn block_scalar<'a>(header: &str, lines: impl Iterator<Item = &'a str>) -> String {
    let is_folded = header.starts_with('>');
    let mut indent = header.bytes().find(u8::is_ascii_digit).map(|digit| usize::from(digit - b'0'));
    let mut kept: Vec<&str> = Vec::new();
    for line in lines {
        let depth = line.len() - line.trim_start_matches(' ').len();
        if line.trim().is_empty() {
            kept.push("");
            continue;
        }
        let indent = *indent.get_or_insert(depth.max(1));
        if depth < indent {
            break;
        }
        kept.push(&line[indent..]);
    }
    kept.join(if is_folded { " " } else { "\n" }).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_values_are_read() {
        let block = "duration_ms: 1.5\nerror: 'it''s'\nname: \"a\\nb\"\nempty:\nlist: [1]\nnested:\n  duration_ms: 9\n\
                     stack: |-\n  one\n    two\n\n  three\nindented: |2-\n    x\n  y\nfolded: >-\n  a\n  b\nlast: end";
        let get = |key| scalar(block, key);
        assert_eq!(get("duration_ms").as_deref(), Some("1.5"));
        assert_eq!(get("error").as_deref(), Some("it's"));
        assert_eq!(get("name").as_deref(), Some("a\nb"));
        assert_eq!((get("empty"), get("list"), get("nested"), get("none")), (None, None, None, None));
        assert_eq!(get("stack").as_deref(), Some("one\n  two\n\nthree"));
        assert_eq!(get("indented").as_deref(), Some("  x\ny"));
        assert_eq!(get("folded").as_deref(), Some("a b"));
        assert_eq!(get("last").as_deref(), Some("end"));
    }
}
