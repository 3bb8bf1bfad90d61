//! Clients that mean it: slow headers, floods of requests that are taken back, headers and bodies without measure.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tstr_tests::arena::{Arena, Plan};
use tstr_tests::factory;

use crate::load;

const SLOW: usize = 500;
/// By how much the memory of a replica may grow, in KiB.
const GROWTH_KIB: u64 = 96 << 10;

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// How connections begin that come to nothing: a header that goes on for ever, silence, and half of a greeting of HTTP/2.
const BEGINNINGS: [&[u8]; 3] = [b"GET /livez HTTP/1.1\r\nHost: x\r\n", b"", b"PRI * HT"];

/// Begins a request and never ends it; returns how long that was borne.
async fn slow_header(to: SocketAddr, beginning: &[u8]) -> Duration {
    let began = Instant::now();
    let mut stream = TcpStream::connect(to).await.unwrap();
    if stream.write_all(beginning).await.is_err() {
        return began.elapsed();
    }
    for _ in 0..90 {
        let mut answer = [0; 256];
        match timeout(Duration::from_secs(1), stream.read(&mut answer)).await {
            Ok(Ok(0) | Err(_)) => return began.elapsed(),
            Ok(Ok(_)) => {}
            Err(_) => {
                let more: &[u8] = if beginning.ends_with(b"\r\n") { b"X-A: b\r\n" } else { b"" };
                if stream.write_all(more).await.is_err() {
                    return began.elapsed();
                }
            }
        }
    }
    panic!("a header that never ends was borne for {:?}", began.elapsed());
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head, payload.to_vec()].concat()
}

/// Makes requests and takes each back at once; returns how many were borne before the server went away.
async fn rapid_reset(to: SocketAddr) -> u32 {
    const MOST: u32 = 20_000;
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    let (mut answers, mut requests) = stream.into_split();
    let gone = tokio::spawn(async move {
        // A frame GOAWAY, or the end.
        let mut head = [0; 9];
        while answers.read_exact(&mut head).await.is_ok() && head[3] != 7 {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            if answers.read_exact(&mut vec![0; length]).await.is_err() {
                return;
            }
        }
    });
    // GET http://x/livez, by the static table.
    let header = [&[0x82, 0x86, 0x04, 6][..], b"/livez", &[0x41, 1], b"x"].concat();
    for number in 0..MOST {
        let id = number * 2 + 1;
        let both = [frame(1, 5, id, &header), frame(3, 0, id, &8u32.to_be_bytes())].concat();
        if gone.is_finished() || requests.write_all(&both).await.is_err() {
            return number;
        }
    }
    timeout(Duration::from_secs(5), gone).await.expect("the server goes away").unwrap();
    MOST
}

async fn status_of(to: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let _ = stream.write_all(request).await;
    let mut answer = vec![0; 64];
    let read = timeout(Duration::from_secs(45), stream.read(&mut answer)).await.expect("an answer");
    let read = read.unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_43_hostile_clients_are_sent_away_and_cost_no_memory() {
    let arena = Arena::start(Plan::short(1, 2)).await;
    let victim = arena.replicas[0].as_ref().unwrap();
    let (pid, json, grpc) = (victim.process.pid(), victim.json, victim.grpc);
    arena.driver.register(&factory::witness("t", "sleep 0.2")).await;
    let (memory, files) = (resident(pid), descriptors(pid));

    let post = |more: &str| {
        let token = arena.token();
        format!(
            "POST /api/v1/namespaces/default/tests HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\n{more}\r\n\r\n"
        )
    };
    // A body that is announced and does not come.
    let silent = tokio::spawn({
        let request = post("Content-Length: 10");
        async move { status_of(json, request.as_bytes()).await }
    });
    // While hundreds of headers come slowly, the others are served.
    let slow: Vec<_> = (0..SLOW).map(|n| tokio::spawn(slow_header(json, BEGINNINGS[n % 3]))).collect();
    load::trigger(&arena.driver, "t", 20, Duration::from_millis(100)).await.unwrap();
    let http = reqwest::Client::builder().tls_certs_only([]).pool_max_idle_per_host(0).build().unwrap();
    for _ in 0..50 {
        let began = Instant::now();
        let answer = http.get(format!("http://{json}/readyz")).send().await.unwrap();
        assert!(answer.status().is_success() && began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
    let mut longest = Duration::ZERO;
    for one in slow {
        longest = longest.max(one.await.unwrap());
    }
    assert!(longest < Duration::from_secs(45), "a header was waited for for {longest:?}");

    assert_eq!(silent.await.unwrap(), "400", "a body that does not come");

    // Requests that are taken back at once, at both doors.
    let borne = [rapid_reset(json).await, rapid_reset(grpc).await];
    assert!(borne.iter().all(|count| *count < 20_000), "{borne:?} requests were taken back");

    // A million headers; a body beyond the limit; one that would be big if somebody unpacked it.
    let headers =
        [b"GET /livez HTTP/1.1\r\nHost: x\r\n".to_vec(), b"A: b\r\n".repeat(1_000_000), b"\r\n".to_vec()].concat();
    let refused = status_of(json, &headers).await;
    assert!(["431", ""].contains(&refused.as_str()), "a million headers were answered with {refused}");
    let chunks =
        [post("Transfer-Encoding: chunked").into_bytes(), format!("100010\r\n{}", " ".repeat(0x10_0010)).into_bytes()];
    assert_eq!(status_of(json, &chunks.concat()).await, "413");
    // Zeros, packed a thousandfold: nobody unpacks them, and as JSON they are none.
    let bomb = [post("Content-Encoding: gzip\r\nContent-Length: 1024").into_bytes(), vec![0x1f; 1024]].concat();
    let refused = status_of(json, &bomb).await;
    assert!(["400", "415", "422"].contains(&refused.as_str()), "a packed body was answered with {refused}");

    let (grown, open) = (resident(pid).saturating_sub(memory), descriptors(pid));
    eprintln!(
        "headers waited for {longest:.1?}; {borne:?} resets borne; {grown} KiB more, {files} then {open} descriptors"
    );
    assert!(grown < GROWTH_KIB, "{grown} KiB more than before");
    assert!(open < files + 50, "{files} descriptors before, {open} after");
    arena.settle(Duration::from_secs(20)).await;
    assert_eq!(arena.count("run_end WHERE result <> 'pass'").await, 0);
    arena.finish(Duration::from_secs(10)).await;
}
