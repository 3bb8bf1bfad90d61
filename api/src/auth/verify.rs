//! Tokens: how they are signed, and how a bearer becomes a [`Caller`].
//!
//! A token is `tstr_<kind>_<JWT>`: the prefix is for secret scanners, the JWT is signed with Ed25519 so that every
//! replica verifies it without a database read. Verification follows RFC 8725: the algorithm is fixed, the key is
//! looked up in a local set only, and a header or a set of claims with anything that we do not know is refused.
//! Revocation is a set of token ids that each replica refreshes every two seconds. Sessions of browsers: `session`.

mod session;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, RwLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tstr_shared::error::ErrorCode;
use tstr_shared::ids::TokenId;
use tstr_shared::namespace::NamespacePatterns;
use tstr_shared::permission::Scope;
use tstr_shared::token::Token;

use super::{Caller, Inner};
use crate::auth::keys::SigningPair;
use crate::error::{Error, Result};

const ISSUER: &str = "tstr";
const TYPE: &str = "tstr+jwt";
/// The longest token, in bytes.
const MAX_TOKEN: usize = 4096;
/// How many verified bearers are kept.
const MOST_KNOWN: usize = 10_000;
/// How far clocks may differ, in seconds.
const LEEWAY: u64 = 30;

/// The claims of a token, all of them and no others.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    jti: TokenId,
    scopes: Vec<Scope>,
    ns: Vec<String>,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// The header of a token, all of it and nothing else: no `jwk`, `jku`, `x5u` or `crit` gets past it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenHeader {
    alg: String,
    typ: String,
    kid: String,
}

/// What time it is, for those who judge tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// The time; by it tokens end.
    pub now: DateTime<Utc>,
    /// The highest time that the clock has shown; by it tokens have begun. A clock that was set back takes none of those
    /// away that were issued before.
    pub highest: DateTime<Utc>,
}

impl From<DateTime<Utc>> for Time {
    fn from(now: DateTime<Utc>) -> Self {
        Self { now, highest: now }
    }
}

/// Signs tokens, verifies them, and knows which are revoked. Cheap to clone.
#[derive(Clone)]
pub struct Tokens(Arc<Keys>);

struct Keys {
    signing: Option<(String, EncodingKey)>,
    verifying: HashMap<String, DecodingKey>,
    revoked: RwLock<HashSet<TokenId>>,
    known: RwLock<HashMap<Digest32, Known>>,
}

/// The SHA-256 of a bearer: tokens themselves are not kept.
type Digest32 = [u8; 32];

/// A bearer whose signature was found to be good, and whose patterns are compiled. Only what time and revocation change
/// is looked at again.
#[derive(Clone)]
struct Known {
    caller: Caller,
    /// The second from which on it holds.
    from: i64,
}

impl Tokens {
    /// Takes the pairs that sign and verify; the last one signs.
    pub fn new(pairs: &[SigningPair]) -> Self {
        let verifying = pairs
            .iter()
            .map(|pair| (pair.kid.clone(), DecodingKey::from_ed_der(&pair.public)))
            .collect::<HashMap<_, _>>();
        let signing = pairs.last().map(|pair| (pair.kid.clone(), EncodingKey::from_ed_der(&pair.private)));
        Self(Arc::new(Keys { signing, verifying, revoked: RwLock::default(), known: RwLock::default() }))
    }

    /// Signs the token of a record.
    pub fn sign(&self, record: &Token) -> Result<String> {
        let Some((kid, key)) = &self.0.signing else {
            return Err(Error::internal(anyhow::anyhow!("there is no signing key")));
        };
        let claims = Claims {
            iss: ISSUER.into(),
            aud: ISSUER.into(),
            sub: record.id.to_string(),
            jti: record.id,
            scopes: record.scopes.clone(),
            ns: record.namespaces.clone(),
            iat: record.created_at.timestamp(),
            nbf: record.created_at.timestamp(),
            exp: record.expires_at.timestamp(),
        };
        let header = Header { typ: Some(TYPE.into()), kid: Some(kid.clone()), ..Header::new(Algorithm::EdDSA) };
        let jwt = jsonwebtoken::encode(&header, &claims, key).map_err(Error::internal)?;
        Ok(format!("tstr_{}_{jwt}", kind(&record.scopes)))
    }

    /// Turns a bearer into a caller.
    pub fn verify(&self, bearer: &str, time: impl Into<Time>) -> Result<Caller> {
        let time = time.into();
        if bearer.len() > MAX_TOKEN {
            return Err(refused());
        }
        let digest: Digest32 = Sha256::digest(bearer).into();
        let known = self.0.known.read().ok().and_then(|known| known.get(&digest).cloned());
        if let Some(Known { caller, from }) = known {
            if from.saturating_sub(LEEWAY as i64) > time.highest.timestamp() {
                return Err(refused());
            }
            return self.still_holds(&caller, time).map(|()| caller);
        }
        let claims = self.claims(bearer, time).ok_or_else(refused)?;
        let namespaces = NamespacePatterns::parse(&claims.ns).map_err(|_| refused())?;
        let expires_at = DateTime::from_timestamp(claims.exp, 0).ok_or_else(refused)?;
        let from = claims.nbf.max(claims.iat);
        let (token_id, scopes) = (claims.jti, claims.scopes);
        let caller = Caller(Arc::new(Inner { token_id, scopes, namespaces, expires_at, session_ends_at: None }));
        self.remember(digest, Known { caller: caller.clone(), from });
        Ok(caller)
    }

    /// Keeps a verified bearer, so that those who call often are not verified anew each time.
    fn remember(&self, digest: Digest32, known: Known) {
        let Ok(mut all) = self.0.known.write() else { return };
        if all.len() >= MOST_KNOWN {
            // Those that are in use come back with their next calls.
            all.clear();
        }
        all.insert(digest, known);
    }

    fn claims(&self, bearer: &str, time: Time) -> Option<Claims> {
        let (kind_word, jwt) = bearer.strip_prefix("tstr_")?.split_once('_')?;
        let key = self.0.verifying.get(&header_of(jwt, TYPE)?.kid)?;
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[ISSUER]);
        rules.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Times are checked below against the clock that the caller gives.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        let claims = jsonwebtoken::decode::<Claims>(jwt, key, &rules).ok()?.claims;
        let (now, highest, leeway) = (time.now.timestamp(), time.highest.timestamp(), LEEWAY as i64);
        let in_time = claims.exp.saturating_add(leeway) > now
            && claims.nbf.saturating_sub(leeway) <= highest
            && claims.iat.saturating_sub(leeway) <= highest;
        let known = !self.0.revoked.read().ok()?.contains(&claims.jti);
        (in_time && known && kind_word == kind(&claims.scopes) && claims.sub == claims.jti.to_string())
            .then_some(claims)
    }

    /// Tells whether a caller's token still holds: a request that lasts asks again and again.
    pub fn still_holds(&self, caller: &Caller, time: Time) -> Result<()> {
        let revoked = self.0.revoked.read().map_or(true, |set| set.contains(&caller.token_id()));
        if revoked || caller.ends_at().timestamp().saturating_add(LEEWAY as i64) <= time.now.timestamp() {
            return Err(refused());
        }
        Ok(())
    }

    /// Adds the tokens that are revoked. What is revoked stays so: a list that was read a moment ago takes none back that
    /// was revoked since.
    pub fn add_revoked(&self, revoked: HashSet<TokenId>) {
        if let Ok(mut set) = self.0.revoked.write() {
            set.extend(revoked);
        }
    }

    /// Adds a token to the revoked ones, ahead of the next refresh.
    pub fn revoke(&self, id: TokenId) {
        if let Ok(mut set) = self.0.revoked.write() {
            set.insert(id);
        }
    }
}

/// Reads the header of a JWT, if it is of this type and says nothing that we do not know.
fn header_of(jwt: &str, kind: &str) -> Option<TokenHeader> {
    let header = URL_SAFE_NO_PAD.decode(jwt.split('.').next()?).ok()?;
    let header: TokenHeader = serde_json::from_slice(&header).ok()?;
    (header.alg == "EdDSA" && header.typ == kind).then_some(header)
}

/// Returns the word after `tstr_`: `run` for a runner's token, `pat` for all others.
fn kind(scopes: &[Scope]) -> &'static str {
    if scopes == [Scope::Runner] { "run" } else { "pat" }
}

/// The same answer for every fault, so that it tells a forger nothing.
fn refused() -> Error {
    Error::new(ErrorCode::Unauthenticated, "the token is missing, malformed, expired or revoked")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Makes a caller for tests of this crate.
    pub(crate) fn caller(scopes: &[Scope], namespaces: &[&str]) -> Caller {
        Caller(Arc::new(Inner {
            token_id: TokenId(uuid::Uuid::nil()),
            scopes: scopes.to_vec(),
            namespaces: NamespacePatterns::parse(namespaces).unwrap(),
            expires_at: DateTime::default(),
            session_ends_at: None,
        }))
    }

    pub(super) fn record() -> Token {
        Token {
            id: TokenId(uuid::Uuid::now_v7()),
            name: "t".into(),
            scopes: vec![Scope::Data],
            namespaces: vec!["prod".into()],
            issued_by: None,
            created_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            expires_at: "2026-02-01T00:00:00Z".parse().unwrap(),
            revoked_at: None,
            last_used_at: None,
        }
    }
    pub(super) fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }
    pub(super) fn now() -> DateTime<Utc> {
        at("2026-01-15T00:00:00Z")
    }
    fn forged(header: &str, token: &str) -> String {
        let (prefix, jwt) =
            token.rsplit_once('_').map(|_| ("tstr_pat_", token.trim_start_matches("tstr_pat_"))).unwrap();
        let rest = jwt.split_once('.').unwrap().1;
        format!("{prefix}{}.{rest}", URL_SAFE_NO_PAD.encode(header))
    }

    #[test]
    fn a_token_that_was_signed_is_verified_with_what_it_carries() {
        let tokens = Tokens::new(&[SigningPair::generate().unwrap()]);
        let record = record();
        let text = tokens.sign(&record).unwrap();
        assert!(text.starts_with("tstr_pat_ey"));
        let caller = tokens.verify(&text, now()).unwrap();
        assert_eq!((caller.token_id(), caller.scopes()), (record.id, &[Scope::Data][..]));
        assert!(caller.namespaces().matches("prod") && !caller.namespaces().matches("prod-evil"));
    }

    #[test]
    fn time_key_revocation_and_kind_are_checked() {
        let pair = SigningPair::generate().unwrap();
        let kid = pair.kid.clone();
        let tokens = Tokens::new(&[pair]);
        let text = tokens.sign(&record()).unwrap();
        assert!(tokens.verify(&text, at("2026-02-01T00:00:31Z")).is_err());
        assert!(tokens.verify(&text, at("2025-12-31T23:59:00Z")).is_err());
        // Another server's key, even under the same name.
        let other = Tokens::new(&[SigningPair { kid, ..SigningPair::generate().unwrap() }]);
        assert!(other.verify(&text, now()).is_err());
        assert!(tokens.verify(&text.replace("tstr_pat_", "tstr_run_"), now()).is_err());
        assert!(tokens.verify(&text.to_uppercase(), now()).is_err());
        let id = tokens.verify(&text, now()).unwrap().token_id();
        tokens.revoke(id);
        assert_eq!(tokens.verify(&text, now()).unwrap_err().code(), ErrorCode::Unauthenticated);
    }

    #[test]
    fn a_token_that_is_known_is_judged_anew_by_time_and_revocation() {
        let tokens = Tokens::new(&[SigningPair::generate().unwrap()]);
        let text = tokens.sign(&record()).unwrap();
        let first = tokens.verify(&text, now()).unwrap();
        let second = tokens.verify(&text, now()).unwrap();
        assert!(Arc::ptr_eq(&first.0, &second.0), "the second time it was known");
        for outside in ["2026-02-01T00:00:31Z", "2025-12-31T23:59:00Z"] {
            assert!(tokens.verify(&text, at(outside)).is_err(), "{outside}");
        }
        // The last character carries bits that are not part of the signature: another text is another token all the same.
        let (kept, last) = text.split_at(text.len() - 1);
        for other in ["A", "B", "Q", "g", "w"].iter().filter(|other| **other != last) {
            let changed = tokens.verify(&format!("{kept}{other}"), now());
            assert!(changed.is_err(), "{other} for {last}");
        }
        tokens.revoke(first.token_id());
        assert_eq!(tokens.verify(&text, now()).unwrap_err().code(), ErrorCode::Unauthenticated);
    }

    #[test]
    fn a_clock_that_was_set_back_takes_no_token_away_and_one_that_was_ahead_ends_none() {
        let tokens = Tokens::new(&[SigningPair::generate().unwrap()]);
        let text = tokens.sign(&record()).unwrap();
        let time = |now, highest| Time { now: at(now), highest: at(highest) };
        let back = time("2025-12-01T00:00:00Z", "2026-01-02T00:00:00Z");
        let was_ahead = time("2026-01-15T00:00:00Z", "2027-06-01T00:00:00Z");
        // Verified anew, and known.
        for _ in 0..2 {
            for good in [back, was_ahead] {
                let caller = tokens.verify(&text, good).unwrap();
                assert!(tokens.still_holds(&caller, good).is_ok());
            }
            assert!(tokens.verify(&text, time("2026-02-01T00:00:31Z", "2026-02-01T00:00:31Z")).is_err());
            assert!(tokens.verify(&text, time("2025-12-31T23:59:00Z", "2025-12-31T23:59:00Z")).is_err());
        }
    }

    #[test]
    fn the_tokens_that_are_known_are_bounded_and_what_is_refused_is_not_kept() {
        let tokens = Tokens::new(&[SigningPair::generate().unwrap()]);
        let caller = caller(&[Scope::Data], &["prod"]);
        for i in 0..=MOST_KNOWN {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&(i as u64).to_be_bytes());
            tokens.remember(digest, Known { caller: caller.clone(), from: 0 });
        }
        let count = || tokens.0.known.read().unwrap().len();
        assert_eq!(count(), 1);
        assert!(tokens.verify("tstr_pat_x.y.z", now()).is_err());
        assert_eq!(count(), 1);
    }

    #[test]
    fn forged_headers_and_broken_tokens_are_refused_alike() {
        let pair = SigningPair::generate().unwrap();
        let kid = pair.kid.clone();
        let tokens = Tokens::new(&[pair]);
        let text = tokens.sign(&record()).unwrap();
        let headers = [
            format!(r#"{{"alg":"none","typ":"tstr+jwt","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"HS256","typ":"tstr+jwt","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"EdDSA","typ":"tstr+jwt","kid":"{kid}","jku":"https://evil.example/keys"}}"#),
            format!(r#"{{"alg":"EdDSA","typ":"tstr+jwt","kid":"{kid}","crit":["b64"],"b64":false}}"#),
            format!(r#"{{"alg":"none","alg":"EdDSA","typ":"tstr+jwt","kid":"{kid}"}}"#),
            r#"{"alg":"EdDSA","typ":"tstr+jwt","kid":"unknown"}"#.to_owned(),
            r#"{"alg":"EdDSA","typ":"tstr+jwt"}"#.to_owned(),
        ];
        let mut bad: Vec<String> = headers.iter().map(|header| forged(header, &text)).collect();
        let flipped = format!("{}{}", &text[..text.len() - 4], if text.ends_with("AAAA") { "BBBB" } else { "AAAA" });
        bad.extend([String::new(), "tstr_pat_".into(), "Bearer x".into(), text[9..].to_owned(), flipped]);
        bad.push(format!("{text}{}", "x".repeat(MAX_TOKEN)));
        let answers: HashSet<String> = bad
            .iter()
            .map(|token| tokens.verify(token, now()).map(|_| token.clone()).unwrap_err().message().to_owned())
            .collect();
        assert_eq!(answers.len(), 1);
    }
}
