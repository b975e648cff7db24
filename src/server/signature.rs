//! Whether a webhook was sent by somebody who knows the token. Compares in constant time; must never see a parsed body.

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Headers with the hex HMAC-SHA-256 of the body; GitHub's has a prefix.
const SIGNATURES: [&str; 4] = [
    "x-hub-signature-256",
    "x-gitea-signature",
    "x-gogs-signature",
    "x-signature-256",
];
/// The header with the token itself.
const TOKEN: &str = "x-gitlab-token";

/// The check of one request, fed with its body as it comes.
pub struct Check {
    mac: Hmac<Sha256>,
    signatures: Vec<[u8; 32]>,
    token_matches: Choice,
}

impl Check {
    /// Reads what the headers claim. Any one of the claims suffices: all are made with the same token.
    pub fn new(token: &[u8], headers: &HeaderMap) -> Self {
        let mac = Hmac::<Sha256>::new_from_slice(token).expect("an HMAC takes a key of any length");
        let signatures = SIGNATURES
            .iter()
            .filter_map(|name| headers.get(*name))
            .filter_map(|value| digest(value.to_str().ok()?))
            .collect();
        // By their hashes, so that the time does not tell the length either.
        let token_matches = headers.get(TOKEN).map_or(Choice::from(0), |given| {
            Sha256::digest(given.as_bytes()).ct_eq(&Sha256::digest(token))
        });
        Self {
            mac,
            signatures,
            token_matches,
        }
    }

    pub fn update(&mut self, chunk: &[u8]) {
        self.mac.update(chunk);
    }

    /// Whether the whole body, as it was fed, was signed with the token.
    pub fn passes(self) -> bool {
        let expected = self.mac.finalize().into_bytes();
        let mut passes = self.token_matches;
        for signature in &self.signatures {
            passes |= expected.as_slice().ct_eq(signature);
        }
        passes.into()
    }
}

/// 64 hex digits, with or without `sha256=`.
fn digest(text: &str) -> Option<[u8; 32]> {
    let hex = text.strip_prefix("sha256=").unwrap_or(text).as_bytes();
    let mut digest = [0; 32];
    if hex.len() != 64 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(digest)
}
