//! Sessions: signing in with a token or a code, and codes for links.
//!
//! The server keeps nothing of a session. What it keeps is the hash of a code until it is used or over.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use tstr_shared::error::ErrorCode;
use tstr_shared::permission::SessionsOpen;
use tstr_shared::session::{CODE, MOST_CODES, Proof, SessionCode, SignIn};
use tstr_shared::token::{Identity, Token};

use super::Ops;
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::store;

/// What a code begins with, so that scanners find it.
const PREFIX: &str = "tstr_code_";

/// A session that was opened.
pub struct Session {
    /// Who signed in.
    pub identity: Identity,
    /// What the browser keeps.
    pub value: String,
    /// How long it holds.
    pub lasts: Duration,
}

impl Ops {
    /// Turns what a browser keeps into a caller.
    pub async fn authenticate_session(&self, value: &str) -> Result<Caller> {
        let caller = self.0.tokens.verify_session(value, self.0.clock.now())?;
        self.note_used(&caller);
        Ok(caller)
    }

    /// Opens a session for a token, or for the token of a code, which is used up by that.
    pub async fn sign_in(&self, sign_in: &SignIn) -> Result<Session> {
        let caller = match sign_in.proof()? {
            Proof::Token(token) => self.authenticate(token).await?,
            Proof::Code(code) => {
                let mut conn = self.db().acquire().await?;
                let used = store::sessions::use_code(&mut conn, &hash(code)).await?;
                self.caller_of(used)?
            }
        };
        let _granted = caller.may_globally::<SessionsOpen>()?;
        let identity = self.identity(&caller).await?;
        let now = self.0.clock.now();
        let (value, ends_at) = self.0.tokens.open_session(&identity.token, now)?;
        Ok(Session { identity, value, lasts: (ends_at - now.now).to_std().unwrap_or_default() })
    }

    /// Says whose session a token or a code opens. Nothing is used up, and no session is opened.
    pub async fn preview_session(&self, sign_in: &SignIn) -> Result<Identity> {
        let caller = match sign_in.proof()? {
            Proof::Token(token) => self.authenticate(token).await?,
            Proof::Code(code) => {
                let mut conn = self.db().acquire().await?;
                let found = store::sessions::look_at_code(&mut conn, &hash(code)).await?;
                self.caller_of(found)?
            }
        };
        let _granted = caller.may_globally::<SessionsOpen>()?;
        self.identity(&caller).await
    }

    /// Turns the token of a code into its caller.
    fn caller_of(&self, record: Option<Token>) -> Result<Caller> {
        let record = record.ok_or_else(|| {
            let sentence = "the code is unknown, was used already, or is over; ask for another";
            Error::new(ErrorCode::Unauthenticated, sentence)
        })?;
        self.0.tokens.verify(&self.0.tokens.sign(&record)?, self.0.clock.now())
    }

    /// Makes a code that signs somebody in as the caller's token.
    pub async fn create_session_code(&self, caller: &Caller) -> Result<SessionCode> {
        let access = caller.may_globally::<SessionsOpen>()?;
        if caller.is_session() {
            let sentence = "a session cannot make another; ask with the token itself (`tstr ctl sign-in`)";
            return Err(Error::new(ErrorCode::Forbidden, sentence));
        }
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random)
            .map_err(|_| Error::internal(anyhow::anyhow!("the operating system gave no random bytes")))?;
        let code = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
        let mut conn = self.db().acquire().await?;
        let (token, most) = (caller.token_id(), i64::from(MOST_CODES));
        let made = store::sessions::insert_code(&mut conn, &access, &hash(&code), token, CODE, most).await?;
        let expires_at = made.ok_or_else(|| {
            let sentence = format!("{MOST_CODES} codes of this token wait to be used already");
            Error::new(ErrorCode::QuotaExceeded, sentence).with_retry_after(Duration::from_secs(60))
        })?;
        let link = self.0.ui_url.get().map(|ui| SessionCode::link_of(ui, &code));
        Ok(SessionCode { code, expires_at, link })
    }

    /// Notes where the web UI is, for links; what was noted first stays.
    pub fn show_ui_at(&self, url: String) {
        let _ = self.0.ui_url.set(url);
    }
}

fn hash(code: &str) -> [u8; 32] {
    Sha256::digest(code).into()
}
