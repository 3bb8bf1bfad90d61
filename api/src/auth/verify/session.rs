//! Sessions: what a browser keeps in its cookie, and how it becomes a [`Caller`].
//!
//! It is a JWT like a token, signed by the same keys, so that every replica knows it without a database; of another type,
//! for another audience and with another prefix, so that neither passes for the other. It names its token, and ends with it:
//! revocation is looked at each time, by the id of the token.

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tstr_shared::ids::TokenId;
use tstr_shared::namespace::NamespacePatterns;
use tstr_shared::permission::Scope;
use tstr_shared::session::SESSION;
use tstr_shared::token::Token;

use super::{Digest32, ISSUER, Inner, Known, LEEWAY, MAX_TOKEN, Time, Tokens, header_of, refused};
use crate::auth::Caller;
use crate::error::{Error, Result};

const PREFIX: &str = "tstr_ses_";
const TYPE: &str = "tstr-session+jwt";
const AUDIENCE: &str = "tstr-session";

/// The claims of a session, all of them and no others.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    sub: TokenId,
    scopes: Vec<Scope>,
    ns: Vec<String>,
    iat: i64,
    exp: i64,
    /// When the token ends: what it may hand on is measured by that.
    token_exp: i64,
}

impl Tokens {
    /// Opens a session for a token; returns what the browser keeps, and until when it holds.
    pub fn open_session(&self, record: &Token, time: impl Into<Time>) -> Result<(String, DateTime<Utc>)> {
        let Some((kid, key)) = &self.0.signing else {
            return Err(Error::internal(anyhow::anyhow!("there is no signing key")));
        };
        let now = time.into().now;
        let ends_at = record.expires_at.min(now + SESSION.duration());
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: record.id,
            scopes: record.scopes.clone(),
            ns: record.namespaces.clone(),
            iat: now.timestamp(),
            exp: ends_at.timestamp(),
            token_exp: record.expires_at.timestamp(),
        };
        let header = Header { typ: Some(TYPE.into()), kid: Some(kid.clone()), ..Header::new(Algorithm::EdDSA) };
        let jwt = jsonwebtoken::encode(&header, &claims, key).map_err(Error::internal)?;
        Ok((format!("{PREFIX}{jwt}"), ends_at))
    }

    /// Verifies a session.
    pub fn verify_session(&self, value: &str, time: impl Into<Time>) -> Result<Caller> {
        let time = time.into();
        if value.len() > MAX_TOKEN {
            return Err(refused());
        }
        // Apart from what is known of bearers: what was found good as the one is not known as the other.
        let digest: Digest32 = Sha256::digest([b"session ", value.as_bytes()].concat()).into();
        let known = self.0.known.read().ok().and_then(|known| known.get(&digest).cloned());
        let Known { caller, from } = match known {
            Some(known) => known,
            None => {
                let known = self.read_session(value).ok_or_else(refused)?;
                self.remember(digest, known.clone());
                known
            }
        };
        if from.saturating_sub(LEEWAY as i64) > time.highest.timestamp() {
            return Err(refused());
        }
        self.still_holds(&caller, time).map(|()| caller)
    }

    fn read_session(&self, value: &str) -> Option<Known> {
        let jwt = value.strip_prefix(PREFIX)?;
        let key = self.0.verifying.get(&header_of(jwt, TYPE)?.kid)?;
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Times are judged by the clock that the caller gives.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        let claims = jsonwebtoken::decode::<Claims>(jwt, key, &rules).ok()?.claims;
        let caller = Caller(std::sync::Arc::new(Inner {
            token_id: claims.sub,
            scopes: claims.scopes,
            namespaces: NamespacePatterns::parse(&claims.ns).ok()?,
            expires_at: DateTime::from_timestamp(claims.token_exp, 0)?,
            session_ends_at: Some(DateTime::from_timestamp(claims.exp, 0)?),
        }));
        Some(Known { caller, from: claims.iat })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, now, record};
    use super::*;
    use crate::auth::keys::SigningPair;

    fn tokens() -> Tokens {
        Tokens::new(&[SigningPair::generate().unwrap()])
    }

    #[test]
    fn a_session_is_its_token_for_twelve_hours() {
        let (tokens, record) = (tokens(), record());
        let (value, ends_at) = tokens.open_session(&record, now()).unwrap();
        assert_eq!(ends_at, at("2026-01-15T12:00:00Z"));
        let caller = tokens.verify_session(&value, now()).unwrap();
        assert_eq!((caller.token_id(), caller.expires_at()), (record.id, record.expires_at));
        assert!(caller.is_session() && caller.namespaces().matches("prod") && !caller.namespaces().matches("other"));
        // Verified anew, and known.
        for _ in 0..2 {
            assert!(tokens.verify_session(&value, at("2026-01-15T12:00:31Z")).is_err());
            assert!(tokens.verify_session(&value, at("2026-01-14T23:00:00Z")).is_err());
        }
    }

    #[test]
    fn a_session_ends_with_its_token() {
        let (tokens, record) = (tokens(), record());
        let (value, ends_at) = tokens.open_session(&record, at("2026-01-31T23:00:00Z")).unwrap();
        assert_eq!(ends_at, record.expires_at);
        let (other, _) = tokens.open_session(&record, now()).unwrap();
        assert!(tokens.verify_session(&other, now()).is_ok());
        tokens.revoke(record.id);
        assert!(tokens.verify_session(&other, now()).is_err() && tokens.verify_session(&value, now()).is_err());
    }

    #[test]
    fn neither_passes_for_the_other() {
        let (tokens, record) = (tokens(), record());
        let token = tokens.sign(&record).unwrap();
        let (session, _) = tokens.open_session(&record, now()).unwrap();
        let (bare_token, bare_session) = (&token["tstr_pat_".len()..], &session[PREFIX.len()..]);
        // Also once they are known as what they are.
        assert!(tokens.verify(&token, now()).is_ok() && tokens.verify_session(&session, now()).is_ok());
        for bearer in [&session, &format!("tstr_pat_{bare_session}"), bare_session] {
            assert!(tokens.verify(bearer, now()).is_err(), "{bearer}");
        }
        for value in [&token, &format!("{PREFIX}{bare_token}"), bare_token, ""] {
            assert!(tokens.verify_session(value, now()).is_err(), "{value}");
        }
        assert!(super::tests::tokens().verify_session(&session, now()).is_err(), "another server's");
    }
}
