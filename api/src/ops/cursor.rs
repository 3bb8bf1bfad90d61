//! Page tokens: where a list goes on, bound to what was asked for, and signed so that nobody else makes them.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tstr_shared::page::{Page, PageRequest};

use crate::error::{Error, Result};

/// The key that signs page tokens; the same on all replicas.
#[derive(Clone)]
pub struct CursorKey(Arc<hmac::Key>);

/// The longest page token, in bytes.
const MAX_TOKEN: usize = 512;
const MAC: usize = 16;

impl CursorKey {
    /// Derives the key from a secret that all replicas have.
    pub fn new(secret: &[u8]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, b"page token").as_ref())))
    }

    /// Reads where the list goes on; `None` for the first page. `asked` is everything that the list depends on.
    pub fn read<K: DeserializeOwned>(&self, page: &PageRequest, asked: &impl Serialize) -> Result<Option<K>> {
        if page.token.is_empty() {
            return Ok(None);
        }
        let bad =
            || Error::malformed("page_token is not one that this list gave, or the list's parameters were changed");
        if page.token.len() > MAX_TOKEN {
            return Err(bad());
        }
        let bytes = URL_SAFE_NO_PAD.decode(&page.token).map_err(|_| bad())?;
        let (mac, place) = bytes.split_at_checked(MAC).ok_or_else(bad)?;
        let expected = self.mac(place, asked)?;
        // Page tokens grant nothing, so comparing in constant time buys nothing.
        if mac != expected.as_slice() {
            return Err(bad());
        }
        serde_json::from_slice(place).map(Some).map_err(|_| bad())
    }

    /// Cuts what was read, which is up to one more than the page holds, into a page.
    pub fn page<T, K: Serialize>(
        &self,
        mut items: Vec<T>,
        limit: u32,
        asked: &impl Serialize,
        place: impl Fn(&T) -> K,
    ) -> Result<Page<T>> {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let last = items.last().filter(|_| more).map(place);
        let next_page_token = last.map(|place| self.write(&place, asked)).transpose()?;
        Ok(Page { items, next_page_token })
    }

    /// Writes where a list goes on.
    pub fn write(&self, place: &impl Serialize, asked: &impl Serialize) -> Result<String> {
        let place = serde_json::to_vec(place).map_err(Error::internal)?;
        let mac = self.mac(&place, asked)?;
        Ok(URL_SAFE_NO_PAD.encode([mac, place].concat()))
    }

    fn mac(&self, place: &[u8], asked: &impl Serialize) -> Result<Vec<u8>> {
        let asked = serde_json::to_vec(asked).map_err(Error::internal)?;
        let tag = hmac::sign(&self.0, &[asked.as_slice(), b"\0", place].concat());
        Ok(tag.as_ref()[..MAC].to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(token: &str) -> PageRequest {
        PageRequest { size: 0, token: token.to_owned() }
    }

    #[test]
    fn a_page_token_goes_on_where_the_page_ended() {
        let key = CursorKey::new(b"secret");
        let page = key.page(vec![1, 2, 3], 2, &"runs", |n| *n).unwrap();
        assert_eq!(page.items, [1, 2]);
        let token = page.next_page_token.unwrap();
        assert_eq!(key.read::<i32>(&request(&token), &"runs").unwrap(), Some(2));
        assert!(key.page(vec![1, 2], 2, &"runs", |n| *n).unwrap().next_page_token.is_none());
    }

    #[test]
    fn changed_parameters_and_forged_tokens_are_refused() {
        let key = CursorKey::new(b"secret");
        let token = key.write(&7, &("runs", "state=queued")).unwrap();
        assert!(key.read::<i32>(&request(&token), &("runs", "state=running")).is_err());
        assert!(CursorKey::new(b"other").read::<i32>(&request(&token), &("runs", "state=queued")).is_err());
        for bad in ["x", "!!!!", &"A".repeat(513)] {
            assert!(key.read::<i32>(&request(bad), &"runs").is_err());
        }
    }
}
