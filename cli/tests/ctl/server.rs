//! A server that answers as a test tells it to, and loses connections when told so.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// A request that came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn line(&self) -> String {
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        format!("{} {}{query}", self.method, self.path)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What is answered.
pub enum Reply {
    /// A status and a body.
    Json(u16, Value),
    /// The same with `Retry-After: 0`.
    Busy,
    /// A stream that ends as it should.
    Stream(Vec<u8>),
    /// A stream that breaks off behind these bytes.
    Broken(Vec<u8>),
    /// Nothing: the connection is closed.
    Lost,
    /// Nothing, and the connection stays.
    Silence,
}

/// Makes a problem document.
pub fn problem(status: u16, code: &str, detail: &str) -> Reply {
    let errors =
        if status == 422 { json!([{"pointer": "/labels/v", "detail": "expected a string"}]) } else { json!([]) };
    Reply::Json(
        status,
        json!({
            "type": format!("https://tstr.dev/problems/{code}"), "title": "t", "status": status, "detail": detail,
            "code": code, "errors": errors, "retryable": false,
        }),
    )
}

/// A server on a free port; it lives as long as the test's process.
pub struct Fake {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    /// Starts a server; the handler is also told how many requests came before.
    pub fn start(handler: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (handler, seen) = (Arc::new(handler), Arc::clone(&requests));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
                std::thread::spawn(move || {
                    let mut connection = connection.unwrap();
                    let Some(request) = read(&mut connection) else { return };
                    let before = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(request.clone());
                        seen.len() - 1
                    };
                    answer(connection, handler(&request, before));
                });
            }
        });
        Self { url, requests }
    }

    /// Returns the requests that came so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn read(connection: &mut TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = (path.to_owned(), query.to_owned());
    Some(Request { method, path, query, headers, body: String::from_utf8(body).unwrap() })
}

fn answer(mut connection: TcpStream, reply: Reply) {
    // A client that has gone is no fault of the server.
    let _ = match reply {
        Reply::Json(status, body) => {
            let kind = if status < 400 { "application/json" } else { "application/problem+json" };
            whole(&mut connection, status, kind, "", body.to_string().as_bytes())
        }
        Reply::Busy => whole(&mut connection, 503, "text/plain", "Retry-After: 0\r\n", b"busy"),
        Reply::Stream(bytes) => chunked(&mut connection, &bytes).and_then(|()| connection.write_all(b"0\r\n\r\n")),
        Reply::Broken(bytes) => chunked(&mut connection, &bytes),
        Reply::Lost => Ok(()),
        Reply::Silence => loop {
            std::thread::park();
        },
    };
}

fn whole(connection: &mut TcpStream, status: u16, kind: &str, more: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} S\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{more}Connection: close\r\n\r\n"
    );
    connection.write_all(head.as_bytes())?;
    connection.write_all(body)
}

fn chunked(connection: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    connection.write_all(head.as_bytes())?;
    // Pieces that end anywhere, as they do on a real connection.
    for piece in bytes.chunks(37) {
        write!(connection, "{:x}\r\n", piece.len())?;
        connection.write_all(piece)?;
        connection.write_all(b"\r\n")?;
    }
    connection.flush()
}
