//! Idempotency keys: the same key and request give the same answer and no second effect, for 24 hours.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tstr_shared::error::ErrorCode;

use super::Ops;
use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::{Error, Result};
use crate::store::{self, Conn};

/// A key that a client chose for one request and its repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Reads a key: 1 to 255 visible ASCII characters.
    pub fn parse(text: &str) -> Result<Self> {
        let fits = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::malformed("an idempotency key has 1 to 255 visible ASCII characters"))
        }
    }
}

/// A request that may have been answered before.
pub(super) struct Once<'a> {
    caller: &'a Caller,
    key: Option<IdempotencyKey>,
    hash: Vec<u8>,
}

impl Ops {
    /// Names a request: what is asked, and with which key.
    pub(super) fn once<'a>(
        &self,
        caller: &'a Caller,
        key: Option<IdempotencyKey>,
        request: &impl Serialize,
    ) -> Result<Once<'a>> {
        let request = serde_json::to_vec(request).map_err(Error::internal)?;
        Ok(Once { caller, key, hash: Sha256::digest(&request).to_vec() })
    }
}

impl Once<'_> {
    /// Takes the key, or returns the answer that was given before. First thing in the transaction.
    pub(super) async fn replay<T: DeserializeOwned, P>(
        &self,
        conn: &mut Conn,
        access: &Access<P>,
    ) -> Result<Option<T>> {
        let Some(key) = &self.key else { return Ok(None) };
        match store::idempotency::take(conn, access, self.caller.token_id(), &key.0, &self.hash).await? {
            store::idempotency::Seen::New => Ok(None),
            store::idempotency::Seen::Before { request_hash, .. } if request_hash != self.hash => {
                Err(Error::new(ErrorCode::IdempotencyMismatch, "this idempotency key was used for another request"))
            }
            store::idempotency::Seen::Before { response, .. } => {
                let response = response.ok_or_else(|| Error::internal(anyhow::anyhow!("an answer was not stored")))?;
                serde_json::from_value(response).map(Some).map_err(Error::internal)
            }
        }
    }

    /// Stores the answer. Last thing in the transaction.
    pub(super) async fn remember<P>(&self, conn: &mut Conn, access: &Access<P>, answer: &impl Serialize) -> Result<()> {
        let Some(key) = &self.key else { return Ok(()) };
        let answer = serde_json::to_value(answer).map_err(Error::internal)?;
        store::idempotency::answer(conn, access, self.caller.token_id(), &key.0, &answer).await
    }
}
