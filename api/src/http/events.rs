//! Events as they happen, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use aide::generate::in_context;
use axum::Extension;
use axum::extract::{FromRequestParts, State};
use axum::http::header::{CACHE_CONTROL, HeaderName};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use tstr_shared::event::{Event, EventKind, Topic};
use tstr_shared::namespace::Namespace;
use tstr_shared::permission::RunsRead;
use uuid::Uuid;

use super::App;
use super::extract::{Query, only};
use super::layers::Live;
use super::openapi::{answering, header_parameter, op, response};
use super::serve::Patience;
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::ops::events::Subscription;

/// How often a stream says that it is there while nothing happens.
const PING: Duration = Duration::from_secs(15);
/// After how long a browser comes back when a stream has ended: each after another time, so that not all come at once.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_SPREAD: Duration = Duration::from_secs(3);
/// How long a reader may take nothing of what is sent.
const STALLED: Duration = Duration::from_secs(45);

const EVENT_STREAM: &str = "text/event-stream";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Returns the routes.
pub(super) fn routes() -> ApiRouter<App> {
    let watch = op::<RunsRead>(
        "watch_events",
        "Tells what changes in a namespace, as it happens.\nServer-sent events; `event:` is the kind, `data:` one JSON object that \
         names what changed and does not say what it is now. `run.…` come each once and in order, and have an id: with \
         `Last-Event-ID` a stream goes on from there, for 24 hours, on any server. `ready` stands at the beginning; `reset` says \
         that something was missed and everything is to be read again; `run.many` that more runs changed than are told one by \
         one. `test.state_changed`, `test.flaky_changed`, `runner.state_changed`, `runner.lost` and `queue.changed` say «look again» and have no id. Where \
         nothing is told, a bare `id:` says now and then how far the stream has come. The stream ends with the token; a token has \
         at most 200 open on a server.",
    );
    ApiRouter::new()
        .api_route("/events", get_with(watch_events, |o| documented(watch(o))))
        .with_path_items(|item| item.tag("runs"))
}

/// What is wanted to be told.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    /// The namespace.
    namespace: Namespace,
    /// About what, with commas between: `runs`, `tests`, `runners`, `queue`; everything unless said.
    topics: Option<String>,
}

/// The id of the last event that was heard.
struct LastEventId(Option<String>);

impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Ok(Self(only(&parts.headers, &LAST_EVENT_ID)?.map(str::to_owned)))
    }
}

impl aide::OperationInput for LastEventId {
    fn operation_input(ctx: &mut aide::generate::GenContext, operation: &mut aide::openapi::Operation) {
        let text = "The `id` of the last event that was heard: the stream goes on behind it.";
        header_parameter(ctx, operation, "Last-Event-ID", text, "7421-118-1767225600");
    }
}

async fn watch_events(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<EventsQuery>,
    LastEventId(last): LastEventId,
    patience: Option<Extension<Patience>>,
) -> Result<Response> {
    let topics = topics(query.topics.as_deref().unwrap_or_default())?;
    let wanted = Subscription { namespace: query.namespace, topics, last };
    let events = app.ops.subscribe(&caller, wanted).await?;
    let again = RETRY + RETRY_SPREAD.mul_f64(share(Uuid::new_v4()));
    let retry = stream::iter([Ok::<_, Infallible>(Sent::default().retry(again))]);
    let sent = retry.chain(events.map(|event| Ok(written(&event))));
    let answer = Sse::new(sent).keep_alive(KeepAlive::new().interval(PING)).into_response();
    let mut answer = match patience {
        Some(Extension(patience)) => patience.watch(answer, STALLED),
        None => answer,
    };
    answer.extensions_mut().insert(Live);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.headers_mut().insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok((StatusCode::OK, answer).into_response())
}

fn topics(text: &str) -> Result<Vec<Topic>> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let read = |word: &str| word.parse::<Topic>();
    words.map(read).collect::<Result<_, _>>().map_err(|fault| tstr_shared::error::Invalid::one("topics", fault).into())
}

/// Makes a number from 0 to 1 of a random one.
fn share(random: Uuid) -> f64 {
    f64::from(random.as_fields().0) / f64::from(u32::MAX)
}

fn written(event: &Event) -> Sent {
    if event.event == EventKind::Here {
        return Sent::default().id(event.id.as_deref().unwrap_or_default());
    }
    let sent = Sent::default().event(event.event.word());
    // What is written are words, ids and names, which have no line breaks.
    let sent = sent.data(serde_json::to_string(event).unwrap_or_default());
    match &event.id {
        Some(id) => sent.id(id),
        None => sent,
    }
}

fn documented(operation: aide::transform::TransformOperation<'_>) -> aide::transform::TransformOperation<'_> {
    let event = in_context(|ctx| ctx.schema.subschema_for::<Event>());
    answering(operation, 200, response("The events. The schema is that of the data of one.", &[(EVENT_STREAM, event)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_stand_in_one_parameter() {
        assert_eq!(topics("runs, queue").unwrap(), [Topic::Runs, Topic::Queue]);
        assert_eq!(topics("").unwrap(), []);
        assert_eq!(topics("runs,logs").unwrap_err().errors()[0].pointer, "topics");
    }
}
