//! The files of the UI, as its build leaves them: each plain and, where that is smaller, compressed beside it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// The page that all routes of the UI begin with.
pub(super) const INDEX: &str = "index.html";

/// All files by their paths, without a slash in front.
#[derive(Debug)]
pub struct Files(BTreeMap<String, File>);

/// A file with its compressed forms.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) plain: Bytes,
    pub(super) brotli: Option<Bytes>,
    pub(super) gzip: Option<Bytes>,
    /// Names the content.
    pub(super) hash: String,
    pub(super) media_type: &'static str,
}

#[cfg(feature = "embed-ui")]
#[derive(rust_embed::RustEmbed)]
#[folder = "../ui/dist/"]
struct Dist;

impl Files {
    /// Returns the files that are part of this program; `None` in a build without the feature `embed-ui`.
    #[cfg(feature = "embed-ui")]
    pub(super) fn embedded() -> anyhow::Result<Option<Self>> {
        let found = Dist::iter().filter_map(|path| {
            let file = Dist::get(&path)?;
            Some((path.into_owned(), bytes(file.data)))
        });
        Self::of(found).map(Some)
    }

    /// Returns the files that are part of this program; `None` in a build without the feature `embed-ui`.
    #[cfg(not(feature = "embed-ui"))]
    pub(super) fn embedded() -> anyhow::Result<Option<Self>> {
        Ok(None)
    }

    /// Reads the files of a folder, once.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(one) = folders.pop() {
            for entry in std::fs::read_dir(&one).with_context(|| format!("cannot read {}", one.display()))? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
                    let content = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                    found.push((name, bytes(content.into())));
                }
            }
        }
        Self::of(found).with_context(|| format!("{} is not what the build of the UI leaves", folder.display()))
    }

    fn of(found: impl IntoIterator<Item = (String, Bytes)>) -> anyhow::Result<Self> {
        // What begins with a dot is the build's own.
        let is_shown = |path: &str| !path.split('/').any(|part| part.starts_with('.'));
        let found: BTreeMap<String, Bytes> = found.into_iter().filter(|(path, _)| is_shown(path)).collect();
        let is_compressed = |path: &str| {
            [".br", ".gz"].iter().any(|end| path.strip_suffix(end).is_some_and(|path| found.contains_key(path)))
        };
        let plain = found.iter().filter(|(path, _)| !is_compressed(path));
        let file = |(path, content): (&String, &Bytes)| {
            let file = File {
                plain: content.clone(),
                brotli: found.get(&format!("{path}.br")).cloned(),
                gzip: found.get(&format!("{path}.gz")).cloned(),
                hash: hash(content),
                media_type: media_type(path),
            };
            (path.clone(), file)
        };
        let files: BTreeMap<_, _> = plain.map(file).collect();
        ensure!(files.contains_key(INDEX), "there is no {INDEX}");
        Ok(Self(files))
    }

    /// Returns a file by its path.
    pub(super) fn get(&self, path: &str) -> Option<&File> {
        self.0.get(path)
    }
}

impl File {
    /// The same file with another content, which is not compressed.
    pub(super) fn with_content(&self, content: String) -> Self {
        let plain = Bytes::from(content);
        Self { hash: hash(&plain), plain, brotli: None, gzip: None, media_type: self.media_type }
    }
}

fn bytes(content: Cow<'static, [u8]>) -> Bytes {
    match content {
        Cow::Borrowed(content) => Bytes::from_static(content),
        Cow::Owned(content) => content.into(),
    }
}

fn hash(content: &[u8]) -> String {
    Sha256::digest(content).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("wasm") => "application/wasm",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Makes files from texts.
    pub(in super::super) fn files(given: &[(&str, &'static str)]) -> anyhow::Result<Files> {
        Files::of(given.iter().map(|(path, text)| ((*path).to_owned(), Bytes::from_static(text.as_bytes()))))
    }

    #[test]
    fn a_compressed_file_belongs_to_the_plain_one_and_the_builds_own_is_left_out() {
        let given = [
            ("index.html", "x"),
            ("assets/a.js", "plain"),
            ("assets/a.js.br", "b"),
            ("assets/a.js.gz", "g"),
            ("data.gz", "alone"),
            (".vite/manifest.json", "{}"),
        ];
        let files = files(&given).unwrap();
        let script = files.get("assets/a.js").unwrap();
        assert_eq!((script.brotli.as_deref(), script.gzip.as_deref()), (Some(&b"b"[..]), Some(&b"g"[..])));
        assert!(files.get("assets/a.js.br").is_none() && files.get(".vite/manifest.json").is_none());
        assert!(files.get("data.gz").is_some() && script.media_type.starts_with("text/javascript"));
    }

    #[test]
    fn what_has_no_index_is_no_ui() {
        assert!(files(&[("a.js", "")]).is_err());
    }
}
