//! What a file seems to be, by its name. A guess for people who look at it; nothing trusts it.

/// What a file is of which nothing is known.
pub const OPAQUE: &str = "application/octet-stream";

/// Endings of names and what they stand for.
const KNOWN: &[(&[&str], &str)] = &[
    (&["txt", "log", "tap", "lp", "influx", "out", "err"], "text/plain"),
    (&["html", "htm"], "text/html"),
    (&["md"], "text/markdown"),
    (&["css"], "text/css"),
    (&["csv"], "text/csv"),
    (&["js", "mjs"], "text/javascript"),
    (&["yaml", "yml"], "application/yaml"),
    (&["json", "har"], "application/json"),
    (&["jsonl", "ndjson"], "application/x-ndjson"),
    (&["xml"], "application/xml"),
    (&["png"], "image/png"),
    (&["jpg", "jpeg"], "image/jpeg"),
    (&["gif"], "image/gif"),
    (&["webp"], "image/webp"),
    (&["svg"], "image/svg+xml"),
    (&["mp4"], "video/mp4"),
    (&["webm"], "video/webm"),
    (&["pdf"], "application/pdf"),
    (&["zip"], "application/zip"),
    (&["gz", "tgz"], "application/gzip"),
    (&["tar"], "application/x-tar"),
    (&["zst"], "application/zstd"),
    (&["wasm"], "application/wasm"),
];

/// Returns the media type that a name suggests.
pub fn media_type(name: &str) -> &'static str {
    let Some((_, ending)) = name.rsplit_once('.') else { return OPAQUE };
    let ending = ending.to_ascii_lowercase();
    KNOWN.iter().find(|(endings, _)| endings.contains(&ending.as_str())).map_or(OPAQUE, |(_, media)| media)
}

/// Tells whether a media type is one of texts.
pub fn is_text(media: &str) -> bool {
    let essence = media.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/")
        || matches!(essence, "application/json" | "application/x-ndjson" | "application/xml" | "application/yaml")
}
