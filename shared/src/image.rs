//! Image references: the grammar of the distribution project, with our limits.

/// The longest reference, in bytes.
pub const MAX_IMAGE: usize = 512;

/// Checks an image reference: `[registry[:port]/]path[:tag][@algorithm:hex]`.
///
/// The grammar is that of the OCI distribution specification's reference implementation (`reference.go`), written
/// as plain checks; what cannot be a reference never reaches the engine.
pub fn check(reference: &str) -> Result<(), String> {
    let fault = |why: &str| Err(format!("'{}' is not an image reference: {why}", shown(reference)));
    if reference.is_empty() {
        return Err("an image reference must not be empty".into());
    }
    if reference.len() > MAX_IMAGE {
        return Err(format!("an image reference has at most {MAX_IMAGE} bytes, this one has {}", reference.len()));
    }
    let (name_tag, digest) = match reference.split_once('@') {
        Some((head, digest)) => (head, Some(digest)),
        None => (reference, None),
    };
    if let Some(digest) = digest
        && !is_digest(digest)
    {
        return fault("the digest is not of the form sha256:<64 hexadecimal digits>");
    }
    // A colon after the last slash starts a tag; one before it belongs to the registry's port.
    let last_slash = name_tag.rfind('/').map_or(0, |i| i + 1);
    let (name, tag) = match name_tag[last_slash..].split_once(':') {
        Some((last, tag)) => (&name_tag[..last_slash + last.len()], Some(tag)),
        None => (name_tag, None),
    };
    if let Some(tag) = tag
        && !is_tag(tag)
    {
        return fault("a tag has 1 to 128 letters, digits, '.', '_', '-' and does not begin with '.' or '-'");
    }
    let mut parts: Vec<&str> = name.split('/').collect();
    let has_registry = parts.len() > 1 && (parts[0].contains(['.', ':']) || parts[0] == "localhost");
    if has_registry && !is_registry(parts.remove(0)) {
        return fault("the registry is not a host name with an optional port");
    }
    if !parts.iter().all(|part| is_component(part)) {
        return fault("a path has lowercase letters and digits, parted by '.', '_', '__', '-' or '/'");
    }
    Ok(())
}

fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn is_digest(text: &str) -> bool {
    let hex = |s: &str, n| s.len() == n && s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    match text.split_once(':') {
        Some(("sha256", digits)) => hex(digits, 64),
        Some(("sha512", digits)) => hex(digits, 128),
        _ => false,
    }
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let label = |s: &str| {
        !s.is_empty()
            && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !s.starts_with('-')
            && !s.ends_with('-')
    };
    host.split('.').all(label)
        && port.is_none_or(|port| {
            !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
        })
}

fn is_component(text: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    if !bytes.first().copied().is_some_and(alnum) || !bytes.last().copied().is_some_and(alnum) {
        return false;
    }
    bytes
        .split(|b| alnum(*b))
        .all(|separator| matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn references_as_people_write_them() {
        let digest = format!("alpine@sha256:{}", "a".repeat(64));
        for good in [
            "alpine",
            "alpine:3.20",
            "ghcr.io/acme/e2e:1.2",
            "localhost/tstr-demo:1",
            "127.0.0.1:5000/x/y",
            "registry.example.com:443/a_b/c__d/e--f:V1.0-rc_1",
            "library/ubuntu",
            &digest,
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_is_not_a_reference_is_refused() {
        for bad in [
            "",
            "-alpine",
            "--privileged",
            "Alpine",
            "a b",
            "a:",
            "a@",
            "a@sha256:12",
            "a:-x",
            "/a",
            "a/",
            "a//b",
            "a___b",
            "http://a/b",
            "a\nb",
            "a;rm",
            "host.x:99999/a",
            "-h.x/a",
            "x:5000:1/a",
            &"a".repeat(513),
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn checking_never_panics(text in "\\PC{0,80}") {
            let _ = check(&text);
        }
    }
}
