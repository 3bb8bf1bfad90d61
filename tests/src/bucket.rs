//! A store of objects on loopback that speaks as much of the protocol of S3 as is needed to keep artifacts, and fails as it
//! is told to. It looks at no signature.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
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
        (Method::PUT, None) => {
            shelf.objects.insert(path, body.to_vec());
            tagged(StatusCode::OK, Vec::new())
        }
        (Method::DELETE, None) => {
            shelf.objects.remove(&path);
            plain(StatusCode::NO_CONTENT, "")
        }
        (Method::GET, _) => match shelf.objects.get(&path) {
            Some(object) => part_of(object, &parts.headers),
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

fn tagged(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let response = Response::builder().status(status).header("etag", "\"t\"");
    let response = response.header("last-modified", "Mon, 30 Nov 2026 12:00:00 GMT");
    response.header("content-length", body.len()).body(Body::from(body)).expect("a response")
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    Response::builder().status(status).body(Body::from(text.to_owned())).expect("a response")
}
