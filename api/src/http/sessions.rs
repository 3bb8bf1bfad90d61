//! Sessions of browsers: sign in, sign out, and which requests with a cookie are believed.
//!
//! The cookie is read by nobody but this server: HttpOnly, and sent to pages of other sites only with a navigation
//! (SameSite=Lax). What changes something is believed only from this server's own pages, as `Sec-Fetch-Site` and `Origin`
//! say, which no page can forge; a bearer needs no such proof, for no browser sends one by itself.

use std::time::Duration;

use aide::OperationOutput;
use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, post_with};
use aide::generate::GenContext;
use aide::openapi::{Operation, ReferenceOr, Response as ResponseDoc, StatusCode as Code};
use axum::extract::State;
use axum::http::header::{COOKIE, HOST, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tstr_shared::error::ErrorCode;
use tstr_shared::permission::SessionsOpen;
use tstr_shared::session::{SessionCode, SignIn};
use tstr_shared::token::Identity;

use super::App;
use super::body::Json;
use super::openapi::{answering, header, op, public, response};
use crate::auth::Caller;
use crate::error::{Error, Result};

/// Where sessions begin and end, without the prefix.
pub(super) const ROUTE: &str = "/session";

/// The cookie where it can belong to this server alone: a browser takes it over https only, for the whole host only.
const HOST_COOKIE: &str = "__Host-tstr";
/// The cookie elsewhere.
const PLAIN_COOKIE: &str = "tstr_session";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let sign_in = public(
        "create_session",
        "Signs a browser in, with a token or with a code that works once.\nThe answer sets a cookie that every operation takes \
         where it takes a bearer, for 12 hours or until the token ends or is revoked. Over https at the root of a host it is \
         called `__Host-tstr`, elsewhere `tstr_session`.",
    );
    let preview = public(
        "preview_session",
        "Says whose session a code or a token opens, without opening it.\nA code stays good. A page that was opened by a link asks \
         this, and lets its reader decide: a link that signed in by itself would let anybody have others work in his name.",
    );
    let sign_out = public("delete_session", "Signs the browser out: the answer takes the cookie away.");
    let gone = response("The cookie is taken away.", &[]);
    let code = op::<SessionsOpen>(
        "create_session_code",
        "Makes a code that signs somebody in once as this token, within 10 minutes.\nA session cannot make one: it would \
         outlast itself.",
    );
    let session =
        post_with(create_session, sign_in).merge(delete_with(delete_session, |o| answering(sign_out(o), 204, gone)));
    ApiRouter::new()
        .api_route(ROUTE, session)
        .api_route("/session/preview", post_with(preview_session, preview))
        .api_route("/session/codes", post_with(create_session_code, code))
        .with_path_items(|item| item.tag("identity"))
}

async fn create_session(State(app): State<App>, headers: HeaderMap, Json(sign_in): Json<SignIn>) -> Result<SignedIn> {
    not_from_elsewhere(&headers)?;
    let session = app.ops.sign_in(&sign_in).await?;
    let cookie = Place::of(&headers).cookie(&session.value, session.lasts);
    Ok(SignedIn { identity: session.identity, cookie })
}

async fn preview_session(
    State(app): State<App>,
    headers: HeaderMap,
    Json(sign_in): Json<SignIn>,
) -> Result<Json<Identity>> {
    not_from_elsewhere(&headers)?;
    Ok(Json(app.ops.preview_session(&sign_in).await?))
}

async fn delete_session(headers: HeaderMap) -> Result<Response> {
    not_from_elsewhere(&headers)?;
    let cookie = Place::of(&headers).cookie("", Duration::ZERO);
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response())
}

async fn create_session_code(State(app): State<App>, caller: Caller) -> Result<Json<SessionCode>> {
    Ok(Json(app.ops.create_session_code(&caller).await?))
}

/// 200 with who signed in, and the cookie.
struct SignedIn {
    identity: Identity,
    cookie: String,
}

impl IntoResponse for SignedIn {
    fn into_response(self) -> Response {
        ([(SET_COOKIE, self.cookie)], Json(self.identity)).into_response()
    }
}

impl OperationOutput for SignedIn {
    type Inner = Identity;
    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<ResponseDoc> {
        Json::<Identity>::operation_response(ctx, operation)
    }
    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<Code>, ResponseDoc)> {
        let mut answers = Json::<Identity>::inferred_responses(ctx, operation);
        for (_, answer) in &mut answers {
            let text = header("The session's cookie: HttpOnly, SameSite=Lax, over https Secure.");
            answer.headers.insert("Set-Cookie".to_owned(), ReferenceOr::Item(text));
        }
        answers
    }
}

/// Where a browser sees this server.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    is_encrypted: bool,
    /// The path below which it is found; empty at the root.
    base: &'a str,
}

impl<'a> Place<'a> {
    /// Reads it from what proxies say. Nobody but the browser's own server could say otherwise, and only of itself.
    fn of(headers: &'a HeaderMap) -> Self {
        let is_encrypted = first(headers, &X_FORWARDED_PROTO).is_some_and(|proto| proto.eq_ignore_ascii_case("https"));
        let base = first(headers, &X_FORWARDED_PREFIX).unwrap_or_default().trim_end_matches('/');
        let is_plain = base.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._~-".contains(&b));
        Self { is_encrypted, base: if is_plain && base.starts_with('/') { base } else { "" } }
    }

    fn cookie_name(&self) -> &'static str {
        if self.is_encrypted && self.base.is_empty() { HOST_COOKIE } else { PLAIN_COOKIE }
    }

    fn cookie(&self, value: &str, lasts: Duration) -> String {
        let path = if self.base.is_empty() { "/" } else { self.base };
        let secure = if self.is_encrypted { "; Secure" } else { "" };
        let (name, age) = (self.cookie_name(), lasts.as_secs());
        format!("{name}={value}; Path={path}; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")
    }
}

/// Reads the session of a request, if its browser keeps one.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let name = Place::of(headers).cookie_name();
    let lists = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lists.flat_map(|list| list.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, value)| *known == name && !value.is_empty()).map(|(_, value)| value)
}

/// Who made a browser send a request, as far as it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    OwnPage,
    Elsewhere,
    Unknown,
}

/// Refuses a request with a cookie that changes something, unless one of our own pages made it.
pub(super) fn from_own_page(headers: &HeaderMap, uri: &Uri) -> Result<()> {
    match asker(headers, uri.authority().map(|authority| authority.as_str())) {
        Asker::OwnPage => Ok(()),
        Asker::Elsewhere | Asker::Unknown => Err(foreign()),
    }
}

/// Refuses a request that a page of another site made; programs need not say who they are.
fn not_from_elsewhere(headers: &HeaderMap) -> Result<()> {
    match asker(headers, None) {
        Asker::OwnPage | Asker::Unknown => Ok(()),
        Asker::Elsewhere => Err(foreign()),
    }
}

fn foreign() -> Error {
    let sentence = "a request with a session's cookie that changes something must come from a page of this server, and its \
                    headers Sec-Fetch-Site and Origin do not say so; programs send a bearer";
    Error::new(ErrorCode::Forbidden, sentence)
}

fn asker(headers: &HeaderMap, authority: Option<&str>) -> Asker {
    let site = headers.get(SEC_FETCH_SITE).map(|site| site == "same-origin");
    let own = first(headers, &X_FORWARDED_HOST).or(first(headers, &HOST)).or(authority);
    let origin = headers.get(ORIGIN).map(|origin| {
        let host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
        // The scheme is not compared: a proxy that ends TLS need not say so, and a browser takes http and https for two sites.
        host.is_some() && host.map(without_usual_port) == own.map(without_usual_port)
    });
    match (site, origin) {
        (None, None) => Asker::Unknown,
        (Some(false), _) | (_, Some(false)) => Asker::Elsewhere,
        (Some(true), None | Some(true)) | (None, Some(true)) => Asker::OwnPage,
    }
}

fn without_usual_port(host: &str) -> String {
    let host = host.strip_suffix(":443").or(host.strip_suffix(":80")).unwrap_or(host);
    host.to_ascii_lowercase()
}

/// Returns the first of what stands in a header, which is the proxy's that is nearest to the browser.
fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value: Option<&HeaderValue> = headers.get(name);
    value?.to_str().ok()?.split(',').next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_cookie_is_as_safe_as_the_place_allows() {
        let set = |pairs: &[(&'static str, &str)]| Place::of(&headers(pairs)).cookie("v", Duration::from_secs(60));
        assert_eq!(set(&[]), "tstr_session=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
        assert_eq!(
            set(&[("x-forwarded-proto", "https")]),
            "__Host-tstr=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            set(&[("x-forwarded-proto", "https"), ("x-forwarded-prefix", "/tools/tstr/")]),
            "tstr_session=v; Path=/tools/tstr; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        for bad in ["/a; Domain=evil.example", "nowhere", "/a b"] {
            assert!(set(&[("x-forwarded-prefix", bad)]).contains("Path=/;"), "{bad}");
        }
    }

    #[test]
    fn only_the_cookie_of_the_place_is_read() {
        let both = ("cookie", "a=b; tstr_session=plain; __Host-tstr=host");
        assert_eq!(cookie(&headers(&[both])), Some("plain"));
        assert_eq!(cookie(&headers(&[both, ("x-forwarded-proto", "https")])), Some("host"));
        for none in ["a=b", "tstr_session=", "xtstr_session=x", ""] {
            assert_eq!(cookie(&headers(&[("cookie", none)])), None, "{none}");
        }
    }

    #[test]
    fn who_asks_is_told_by_what_no_page_can_forge() {
        let host = ("host", "tstr.example:8000");
        let is = |pairs: &[(&'static str, &str)]| asker(&headers(&[&[host], pairs].concat()), None);
        for own in [
            &[("sec-fetch-site", "same-origin")][..],
            &[("origin", "http://tstr.example:8000")],
            &[("origin", "https://TSTR.example:8000"), ("sec-fetch-site", "same-origin")],
            &[("origin", "https://public.example"), ("x-forwarded-host", "public.example:443, inner")],
        ] {
            assert_eq!(is(own), Asker::OwnPage, "{own:?}");
        }
        for elsewhere in [
            &[("sec-fetch-site", "same-site")][..],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "none")],
            &[("origin", "null")],
            &[("origin", "http://tstr.example:9000")],
            &[("origin", "http://evil.example")],
            &[("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")],
            &[("origin", "http://tstr.example:8000"), ("sec-fetch-site", "cross-site")],
        ] {
            assert_eq!(is(elsewhere), Asker::Elsewhere, "{elsewhere:?}");
        }
        assert_eq!(is(&[]), Asker::Unknown);
    }
}
