//! A store of objects on loopback that speaks as much of the protocol of S3 as is needed to keep artifacts, and fails as it
//! is told to. It looks at no signature.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The most bytes of a request.
const MOST: usize = 64 << 20;

/// A bucket; ends when it is dropped.
pub struct Bucket {
    addr: SocketAddr,
    shelf: Arc<Mutex<Shelf>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shelf {
    objects: BTreeMap<String, Vec<u8>>,
    /// The parts of uploads that have not ended, by the upload's number.
    parts: BTreeMap<usize, BTreeMap<usize, Vec<u8>>>,
    uploads: usize,
    /// So many requests are still refused.
    refusals: u32,
    /// Nothing is answered properly any more.
    ill: bool,
    /// Objects are said not to be stored, and are all the same, but later.
    is_late: bool,
    late: BTreeMap<String, Vec<u8>>,
    /// The second half of what is read waits for this.
    halves: Option<Arc<Notify>>,
    asked: Vec<String>,
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Bucket {
    /// Starts an empty one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let addr = listener.local_addr().expect("an address");
        let shelf = Arc::new(Mutex::new(Shelf::default()));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shelf));
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serve");
        });
        Self { addr, shelf, task }
    }

    /// Returns the settings by which the bucket `b` is found.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("aws_endpoint", format!("http://{}", self.addr)),
            ("aws_allow_http", "true".to_owned()),
            ("aws_region", "us-east-1".to_owned()),
            ("aws_access_key_id", "key".to_owned()),
            ("aws_secret_access_key", "secret".to_owned()),
        ]
    }

    /// Returns the names of its objects.
    pub fn names(&self) -> Vec<String> {
        self.lock().objects.keys().cloned().collect()
    }

    /// Returns how many uploads were begun and not ended.
    pub fn open_uploads(&self) -> usize {
        self.lock().parts.len()
    }

    /// Returns how many requests of this kind came, by a part of method and address.
    pub fn asked_for(&self, what: &str) -> usize {
        self.lock().asked.iter().filter(|asked| asked.contains(what)).count()
    }

    /// Answers the next requests with 503.
    pub fn refuse(&self, requests: u32) {
        self.lock().refusals = requests;
    }

    /// Answers all requests with 500, or properly again.
    pub fn set_ill(&self, ill: bool) {
        self.lock().ill = ill;
    }

    /// Answers with 500 when an object is stored whole; [`Bucket::appear`] then lets it be there.
    pub fn set_late(&self, is_late: bool) {
        self.lock().is_late = is_late;
    }

    /// Lets the objects be there that came late.
    pub fn appear(&self) {
        let mut shelf = self.lock();
        let late = std::mem::take(&mut shelf.late);
        shelf.objects.extend(late);
    }

    /// Sends one half of each object that is read from now on, and the other one when the answer is notified.
    pub fn hold_halves(&self) -> Arc<Notify> {
        let release = Arc::new(Notify::new());
        self.lock().halves = Some(Arc::clone(&release));
        release
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(shelf): State<Arc<Mutex<Shelf>>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MOST).await.expect("read the request");
    let path = parts.uri.path().trim_start_matches("/b").trim_start_matches('/').to_owned();
    let query: BTreeMap<String, String> = parts.uri.query().unwrap_or_default().split('&').map(pair).collect();
    let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
    shelf.asked.push(format!("{} {}", parts.method, parts.uri));
    if shelf.ill {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "ill");
    }
    if shelf.refusals > 0 {
        shelf.refusals -= 1;
        return plain(StatusCode::SERVICE_UNAVAILABLE, "busy");
    }
    let is_signed = parts.headers.get("authorization").is_some_and(|value| value.as_bytes().starts_with(b"AWS4-HMAC"));
    if !is_signed {
        return plain(StatusCode::FORBIDDEN, "not signed");
    }
    let upload = query.get("uploadId").and_then(|id| id.parse::<usize>().ok());
    match (parts.method, upload) {
        (Method::POST, None) if query.contains_key("uploads") => {
            shelf.uploads += 1;
            let id = shelf.uploads;
            shelf.parts.insert(id, BTreeMap::new());
            let text = "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key>";
            plain(StatusCode::OK, &format!("{text}<UploadId>{id}</UploadId></InitiateMultipartUploadResult>"))
        }
        (Method::PUT, Some(id)) => {
            let number = query.get("partNumber").and_then(|number| number.parse().ok()).expect("the number of a part");
            shelf.parts.entry(id).or_default().insert(number, body.to_vec());
            tagged(StatusCode::OK, Vec::new())
        }
        (Method::POST, Some(id)) => {
            let whole = shelf.parts.remove(&id).unwrap_or_default().into_values().collect::<Vec<_>>().concat();
            shelf.objects.insert(path, whole);
            plain(StatusCode::OK, "<CompleteMultipartUploadResult><ETag>\"t\"</ETag></CompleteMultipartUploadResult>")
        }
        (Method::DELETE, Some(id)) => {
            shelf.parts.remove(&id);
            plain(StatusCode::NO_CONTENT, "")
        }
        (Method::POST, None) => {
            let text = String::from_utf8(body.to_vec()).expect("text");
            let keys: Vec<&str> = text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next()).collect();
            let mut gone = String::from("<DeleteResult>");
            for key in keys {
                shelf.objects.remove(key);
                gone += &format!("<Deleted><Key>{key}</Key></Deleted>");
            }
            plain(StatusCode::OK, &(gone + "</DeleteResult>"))
        }
        (Method::PUT, None) if shelf.is_late => {
            shelf.late.insert(path, body.to_vec());
            plain(StatusCode::INTERNAL_SERVER_ERROR, "late")
        }
        (Method::PUT, None) => {
            shelf.objects.insert(path, body.to_vec());
            tagged(StatusCode::OK, Vec::new())
        }
        (Method::DELETE, None) => {
            shelf.objects.remove(&path);
            plain(StatusCode::NO_CONTENT, "")
        }
        (Method::GET, _) => match shelf.objects.get(&path) {
            Some(object) => match &shelf.halves {
                Some(release) => in_halves(part_of(object, &parts.headers), object, Arc::clone(release)),
                None => part_of(object, &parts.headers),
            },
            None => plain(StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>"),
        },
        (method, _) => panic!("{method} is not what is needed for artifacts"),
    }
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

fn part_of(object: &[u8], headers: &HeaderMap) -> Response<Body> {
    let range = headers.get("range").and_then(|value| value.to_str().ok()?.strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
        return tagged(StatusCode::OK, object.to_vec());
    };
    let first: usize = first.parse().expect("a number");
    let last = last.parse::<usize>().map_or(object.len() - 1, |last| last.min(object.len() - 1));
    let mut response = tagged(StatusCode::PARTIAL_CONTENT, object[first..=last].to_vec());
    let place = format!("bytes {first}-{last}/{}", object.len());
    response.headers_mut().insert("content-range", place.parse().expect("a header"));
    response
}

/// Sends the whole object, the second half of it later.
fn in_halves(answer: Response<Body>, object: &[u8], release: Arc<Notify>) -> Response<Body> {
    let (first, second) = object.split_at(object.len() / 2);
    let (first, second) = (Bytes::copy_from_slice(first), Bytes::copy_from_slice(second));
    let first = stream::iter([Ok::<_, std::io::Error>(first)]);
    let second = stream::once(async move {
        release.notified().await;
        Ok(second)
    });
    answer.map(|_| Body::from_stream(first.chain(second)))
}

fn tagged(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let response = Response::builder().status(status).header("etag", "\"t\"");
    let response = response.header("last-modified", "Mon, 30 Nov 2026 12:00:00 GMT");
    response.header("content-length", body.len()).body(Body::from(body)).expect("a response")
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    Response::builder().status(status).body(Body::from(text.to_owned())).expect("a response")
}
