//! Codes that sign in.

use proptest::option;
use proptest::prelude::*;
use tstr_shared::session::SessionCode;

use super::instant;

pub fn session_code() -> impl Strategy<Value = SessionCode> {
    ("\\PC{0,9}", instant(), option::of("\\PC{1,9}")).prop_map(|(code, expires_at, link)| SessionCode {
        code,
        expires_at,
        link,
    })
}
