//! Keys: the pair that signs tokens, sealed under a key file.
//!
//! The private half lies in the database, sealed by AES-256-GCM under a key that only the servers' key file holds, so
//! that neither a dump of the database nor the key file alone can make a token (SECURITY.md S-8).

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// The key that seals private keys; read from a file that only the servers can read.
pub struct SealingKey([u8; 32]);

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey(…)")
    }
}

/// A pair that signs tokens.
#[derive(Debug)]
pub struct SigningPair {
    /// The key's name in the header of the tokens it signs.
    pub kid: String,
    /// The public half: 32 bytes of an Ed25519 key.
    pub public: Vec<u8>,
    /// The private half, PKCS#8.
    pub private: Vec<u8>,
}

impl SealingKey {
    /// Reads the key file: 32 bytes in base64. Fails when others than its owner can read it.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let mode =
            fs::metadata(path).with_context(|| format!("cannot read the key file {shown}"))?.permissions().mode();
        if mode & 0o077 != 0 {
            bail!("the key file {shown} can be read by others; make it private with chmod 600 {shown}");
        }
        let text = fs::read_to_string(path).with_context(|| format!("cannot read the key file {shown}"))?;
        let bytes = BASE64.decode(text.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.map(Self).ok_or_else(|| anyhow!("the key file {shown} does not hold 32 bytes in base64"))
    }

    /// Makes a key file with a new key, mode 0600. Fails when the file exists.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let mut key = [0u8; 32];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| anyhow!("the operating system gave no random bytes"))?;
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("cannot create the key file {}", path.display()))?;
        writeln!(file, "{}", BASE64.encode(key))?;
        file.sync_all()?;
        Ok(Self(key))
    }

    fn cipher(&self) -> anyhow::Result<RandomizedNonceKey> {
        RandomizedNonceKey::new(&AES_256_GCM, &self.0).map_err(|_| anyhow!("the sealing key has the wrong length"))
    }

    /// Seals a text so that only this key opens it; `name` is bound to it.
    pub fn seal(&self, name: &str, secret: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut text = secret.to_vec();
        let nonce = self
            .cipher()?
            .seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut text)
            .map_err(|_| anyhow!("sealing failed"))?;
        Ok([nonce.as_ref().as_slice(), &text].concat())
    }

    /// Opens what was sealed under this name; `None` when it was sealed under another key or changed since.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let cipher = self.cipher().ok()?;
        cipher.open_in_place(nonce, Aad::from(name.as_bytes()), &mut text).ok().map(|opened| opened.to_vec())
    }
}

impl SigningPair {
    /// Makes a new pair.
    pub fn generate() -> anyhow::Result<Self> {
        let pair = Ed25519KeyPair::generate().map_err(|_| anyhow!("cannot make a signing key"))?;
        let private = pair.to_pkcs8v1().map_err(|_| anyhow!("cannot write the signing key"))?.as_ref().to_vec();
        Ok(Self {
            kid: uuid::Uuid::now_v7().simple().to_string(),
            public: pair.public_key().as_ref().to_vec(),
            private,
        })
    }

    /// Returns the public half as DER (SubjectPublicKeyInfo), for those who need it in that form.
    pub fn public_der(&self) -> anyhow::Result<Vec<u8>> {
        let pair = Ed25519KeyPair::from_pkcs8(&self.private).map_err(|_| anyhow!("the signing key is broken"))?;
        let der: aws_lc_rs::encoding::PublicKeyX509Der<'_> =
            pair.public_key().as_der().map_err(|_| anyhow!("cannot write the public key"))?;
        Ok(der.as_ref().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_and_the_name_under_which_it_was_sealed_open_a_secret() {
        let (one, two) = (SealingKey([1; 32]), SealingKey([2; 32]));
        let mut sealed = one.seal("kid", b"secret").unwrap();
        assert_eq!(one.open("kid", &sealed).as_deref(), Some(&b"secret"[..]));
        assert_eq!(two.open("kid", &sealed), None);
        assert_eq!(one.open("other", &sealed), None);
        *sealed.last_mut().unwrap() ^= 1;
        assert_eq!(one.open("kid", &sealed), None);
        assert_eq!(one.open("kid", b"short"), None);
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let dir = std::env::temp_dir().join(format!("tstr-keys-{}", uuid::Uuid::now_v7()));
        fs::create_dir(&dir).unwrap();
        let path = dir.join("key");
        SealingKey::create(&path).unwrap();
        assert!(SealingKey::read(&path).is_ok());
        assert!(SealingKey::create(&path).is_err());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(SealingKey::read(&path).unwrap_err().to_string().contains("chmod 600"));
        fs::remove_dir_all(&dir).unwrap();
    }
}
