//! Tests of the gRPC floor that need no database.

use super::*;

fn headers(values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    values.iter().for_each(|value| _ = headers.append(AUTHORIZATION, value.parse().unwrap()));
    headers
}

#[test]
fn a_token_is_read_from_one_bearer() {
    for good in ["Bearer abc", "bearer abc", "BEARER  abc "] {
        assert_eq!(bearer(&headers(&[good])).unwrap(), "abc", "{good}");
    }
    for bad in [&["", "abc"][..], &["abc"], &["Bearer"], &["Bearer "], &["Basic abc"], &["Bearer a", "Bearer b"], &[]] {
        assert_eq!(bearer(&headers(bad)).unwrap_err().code(), ErrorCode::Unauthenticated, "{bad:?}");
    }
}

#[test]
fn only_whole_names_are_public() {
    assert!(is_public("/grpc.health.v1.Health/Check") && is_public("/grpc.reflection.v1.ServerReflection/x"));
    for path in [
        "/tstr.v1.DataService/GetRun",
        "/grpc.health.v1.Health",
        "/grpc.health.v1.HealthX/Check",
        "/tstr.v1.DataService/grpc.health.v1.Health/Check",
        "//grpc.health.v1.Health/Check",
        "/grpc.health.v1.health/Check",
        "",
        "/",
    ] {
        assert!(!is_public(path), "{path}");
    }
}

#[test]
fn a_status_says_what_the_problem_document_says() {
    let trace_id = TraceId("t-1".into());
    for code in ErrorCode::ALL {
        let status = status(&Error::new(code, "so it is"), &trace_id);
        let problem = tstr_proto::status::decode(&status).unwrap();
        assert_eq!((status.code(), status.message()), (row(code).grpc, "so it is"));
        assert_eq!((problem.code, problem.retryable), (code, row(code).retryable));
        assert_eq!(problem.trace_id.as_deref(), Some("t-1"));
    }
    let error = Error::from(Invalid::one("/run_config/network", "9 has no meaning here"));
    let faults = tstr_proto::status::decode(&status(&error, &trace_id)).unwrap().errors;
    assert_eq!(faults, error.errors());
    let later = Error::new(ErrorCode::QuotaExceeded, "x").with_retry_after(Duration::from_millis(1500));
    assert_eq!(status(&later, &trace_id).metadata().get("grpc-retry-pushback-ms").unwrap(), "1500");
}

#[test]
fn an_internal_error_tells_nothing_of_its_source() {
    let status = status(&Error::internal(anyhow::anyhow!("password is hunter2")), &TraceId("t-1".into()));
    let told = format!("{:?}{}", status.metadata(), status.message());
    assert!(!told.contains("hunter2") && !String::from_utf8_lossy(status.details()).contains("hunter2"));
}

#[test]
fn a_wait_is_lowered_to_the_longest() {
    assert_eq!((wait(0), wait(1500)), (Duration::ZERO, Duration::from_millis(1500)));
    assert_eq!(wait(u32::MAX), Duration::from_secs(30));
}

#[test]
fn what_tonic_refuses_by_itself_has_our_words_too() {
    let trace_id = TraceId("t-1".into());
    let completed =
        |status: Status| Status::from_header_map(complete(status.into_http(), &trace_id).headers()).unwrap();
    for (tonic, code) in [
        (Status::out_of_range("too large"), ErrorCode::TooLarge),
        (Status::resource_exhausted("too large when unpacked"), ErrorCode::TooLarge),
        (Status::internal("failed to decode"), ErrorCode::Malformed),
    ] {
        let status = completed(tonic);
        assert_eq!((status.code(), tstr_proto::status::error_code(&status)), (Code::InvalidArgument, Some(code)));
    }
    assert_eq!(completed(Status::not_found("unknown service")).message(), "unknown service");
    let ours = status(&Error::new(ErrorCode::QuotaExceeded, "used up"), &trace_id);
    assert_eq!(completed(ours).message(), "used up");
    let fine = complete(HttpResponse::default(), &trace_id);
    assert!(Status::from_header_map(fine.headers()).is_none());
}

#[test]
fn a_name_that_nothing_could_have_is_answered_like_one_that_nothing_has() {
    let codes = |name: &str| {
        let errors = [namespace(name).err(), test(name).err(), run(name).err(), runner(name).err(), token(name).err()];
        errors.map(|error| error.map(|error| error.code()))
    };
    assert_eq!(codes("A B\0"), [Some(ErrorCode::NotFound); 5]);
    assert_eq!(codes(""), [Some(ErrorCode::Invalid); 5]);
    assert_eq!(codes("0198f7a0-0000-7000-8000-000000000000"), [None; 5]);
    assert_eq!(namespace("Default").unwrap_err().message(), Error::not_found("namespace").message());
}
