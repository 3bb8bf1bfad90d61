//! The headers that every page of the UI carries.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// What a page may load and do: its own files and this server, and nothing that was written into it.
///
/// `base-uri` is `'self'` and not `'none'`: the page carries the path that it lies under in its `<base>`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      font-src 'self'; manifest-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; \
                      worker-src 'self'; require-trusted-types-for 'script'; trusted-types tstr-worker";

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Adds the headers to an answer of ours.
pub(super) fn of_page(response: impl IntoResponse, asked: &HeaderMap) -> Response {
    let mut response = response.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_encrypted(asked) {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}

/// Tells whether the proxy that is nearest to whoever asks speaks TLS with them; it stands first where there are several.
fn is_encrypted(asked: &HeaderMap) -> bool {
    let all = asked.get(X_FORWARDED_PROTO).and_then(|value| value.to_str().ok());
    let first = all.and_then(|all| all.split(',').next());
    first.is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_proxies_says_how_it_is_spoken_to() {
        let is_safe = |proto: &str| {
            let asked = HeaderMap::from_iter([(X_FORWARDED_PROTO, HeaderValue::from_str(proto).unwrap())]);
            of_page("", &asked).headers().contains_key(header::STRICT_TRANSPORT_SECURITY)
        };
        for encrypted in ["https", "HTTPS", "https, http", " https ,http"] {
            assert!(is_safe(encrypted), "{encrypted}");
        }
        for plain in ["http", "http, https", "", "https-ish"] {
            assert!(!is_safe(plain), "{plain}");
        }
        assert!(!of_page("", &HeaderMap::new()).headers().contains_key(header::STRICT_TRANSPORT_SECURITY));
    }
}
