//! A registry of container images on loopback: it serves one image, or fails as it is told to, and notes what it is
//! asked for.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, Response, StatusCode, Uri};
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::images;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A registry; ends when it is dropped.
pub struct Registry {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The digest of the image that it serves.
    pub digest: String,
    asked: Asked,
    pace: watch::Sender<Pace>,
    task: JoinHandle<()>,
}

/// How fast the parts of images arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    AtOnce,
    /// A few bytes now and then: it would take days.
    Drips,
}

/// How often a byte drips.
const DRIP: Duration = Duration::from_millis(200);

/// What was asked for: method and path.
type Asked = Arc<Mutex<Vec<String>>>;

/// What a registry does with requests.
enum Answers {
    Image(Image),
    Status(StatusCode, &'static str),
}

/// An image, by the digests of its parts.
struct Image {
    manifest: (String, Bytes),
    blobs: Vec<(String, Bytes)>,
}

impl Registry {
    /// Starts one that has the test image as `app:1`, `app:2` and so on, and no other image.
    pub async fn start() -> Self {
        let image = Image::of_the_shell();
        let digest = image.manifest.0.clone();
        Self::answering(Answers::Image(image), digest).await
    }

    /// Starts one of which images only drip until it is opened.
    pub async fn dripping() -> Self {
        let registry = Self::start().await;
        registry.pace.send_replace(Pace::Drips);
        registry
    }

    /// Lets images arrive at once from now on, also those that are on their way.
    pub fn open(&self) {
        self.pace.send_replace(Pace::AtOnce);
    }

    /// Starts one that answers every request with a status and a text.
    pub async fn failing(status: u16, text: &'static str) -> Self {
        Self::answering(Answers::Status(StatusCode::from_u16(status).expect("a status"), text), String::new()).await
    }

    /// Starts one that closes every connection at once.
    pub async fn closing() -> Self {
        let (listener, addr) = listen().await;
        let asked = Asked::default();
        let noted = asked.clone();
        let task = tokio::spawn(async move {
            while let Ok((_, from)) = listener.accept().await {
                noted.lock().expect("not poisoned").push(format!("a connection from {from}"));
            }
        });
        Self { addr, digest: String::new(), asked, pace: watch::channel(Pace::AtOnce).0, task }
    }

    async fn answering(answers: Answers, digest: String) -> Self {
        let (listener, addr) = listen().await;
        let asked = Asked::default();
        let (pace, seen) = watch::channel(Pace::AtOnce);
        let state = (Arc::new(answers), asked.clone(), seen);
        let router = Router::new().fallback(answer).with_state(state);
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serve");
        });
        Self { addr, digest, asked, pace, task }
    }

    /// Returns what an image of it is called.
    pub fn image(&self, tag: &str) -> String {
        format!("{}/app:{tag}", self.addr)
    }

    /// Returns how often it was asked for something with this in its path.
    pub fn asked_for(&self, part: &str) -> usize {
        self.asked.lock().expect("not poisoned").iter().filter(|one| one.contains(part)).count()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
    let addr = listener.local_addr().expect("an address");
    (listener, addr)
}

type Known = (Arc<Answers>, Asked, watch::Receiver<Pace>);

async fn answer(State((answers, asked, pace)): State<Known>, method: Method, uri: Uri) -> Response<Body> {
    asked.lock().expect("not poisoned").push(format!("{method} {}", uri.path()));
    let of = |status: StatusCode, kind: &str, body: Bytes| {
        Response::builder().status(status).header("content-type", kind).body(body.into()).expect("a response")
    };
    let image = match &*answers {
        Answers::Image(image) => image,
        Answers::Status(status, text) => return of(*status, "text/plain", Bytes::from_static(text.as_bytes())),
    };
    let missing = |code: &str, words: &str| {
        let errors: Value = json!({"errors": [{"code": code, "message": words, "detail": {}}]});
        of(StatusCode::NOT_FOUND, "application/json", errors.to_string().into())
    };
    let path = uri.path().trim_start_matches("/v2/");
    if path.is_empty() {
        return of(StatusCode::OK, "application/json", Bytes::from_static(b"{}"));
    }
    if let Some(reference) = path.strip_prefix("app/manifests/") {
        let (digest, manifest) = &image.manifest;
        let is_tag = !reference.is_empty() && reference.bytes().all(|byte| byte.is_ascii_digit());
        if !is_tag && reference != digest {
            return missing("MANIFEST_UNKNOWN", "manifest unknown");
        }
        let mut found = of(StatusCode::OK, MANIFEST, manifest.clone());
        found.headers_mut().insert("docker-content-digest", digest.parse().expect("a digest is a header's value"));
        return found;
    }
    let blob =
        path.strip_prefix("app/blobs/").and_then(|wanted| image.blobs.iter().find(|(digest, _)| digest == wanted));
    match blob {
        Some((_, content)) if method == Method::HEAD || *pace.borrow() == Pace::AtOnce => {
            of(StatusCode::OK, "application/octet-stream", content.clone())
        }
        Some((_, content)) => {
            let body = Body::from_stream(dripping(content.clone(), pace));
            let builder = Response::builder().header("content-type", "application/octet-stream");
            builder.header("content-length", content.len()).body(body).expect("a response")
        }
        None => missing("BLOB_UNKNOWN", "blob unknown to registry"),
    }
}

/// Gives a byte now and then, and the rest once the registry is open.
fn dripping(
    content: Bytes,
    pace: watch::Receiver<Pace>,
) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> {
    futures_util::stream::unfold((content, pace), |(mut rest, mut pace)| async move {
        if rest.is_empty() {
            return None;
        }
        let opened = tokio::time::timeout(DRIP, pace.wait_for(|pace| *pace == Pace::AtOnce)).await.is_ok();
        let piece = if opened { std::mem::take(&mut rest) } else { rest.split_to(1) };
        Some((Ok(piece), (rest, pace)))
    })
}

impl Image {
    /// The shell of the other tests, as a registry has it.
    fn of_the_shell() -> Self {
        let layer = part(std::fs::read(images::root_fs()).expect("read the image's files"));
        let arch = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let config = json!({
            "architecture": arch, "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]},
            // The layer is not compressed, so what is unpacked has the same digest.
            "rootfs": {"type": "layers", "diff_ids": [layer.0]},
        });
        let config = part(config.to_string().into_bytes());
        let describe = |kind: &str, (digest, content): &(String, Bytes)| json!({"mediaType": kind, "digest": digest, "size": content.len()});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": describe(CONFIG, &config), "layers": [describe(LAYER, &layer)],
        });
        Self { manifest: part(manifest.to_string().into_bytes()), blobs: vec![config, layer] }
    }
}

/// Content with its digest.
fn part(content: Vec<u8>) -> (String, Bytes) {
    let digest: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    (format!("sha256:{digest}"), content.into())
}
