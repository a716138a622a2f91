//! Digest authentication (RFC 3261 section 22, RFC 7616, RFC 8760): MD5 and SHA-256 are offered, with `qop="auth"`.
//!
//! in the order that the configuration gives: RFC 8760 section 2.3 would have the stronger one on top, but sipp 3.6, which Debian has, reads only
//! the topmost challenge and gives up on anything but MD5.
//!
//! The user name is the application's name as in the user part of its address, `storage`; the realm is the host part of that address:
//! `vpn-a.provider.example`, or `provider.example` where the VPN is left out. The `uri` of the credentials enters the hash but is not compared
//! with the Request-URI: SIP programs put anything there.
//!
//! A nonce is `<seconds><random><who><HMAC>`, so that unanswered challenges cost no memory, and so that who comes with one has proved to receive
//! at the address it was sent to; of a nonce that somebody signed with, the highest `nc`
//! is remembered until it expires, and a request with that or a lower one is a replay.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::{Digest, Sha256};

use crate::config::DigestAlgorithm;

/// How long a nonce may be used.
pub(crate) const NONCE_LIFETIME: Duration = Duration::from_mins(5);

/// No header field of credentials is longer than this.
const MAX_CREDENTIALS: usize = 2048;

/// Seconds (8 bytes), random (4), whom it was given to (4), truncated HMAC (16), in hexadecimal.
const NONCE_LENGTH: usize = 64;

fn hash(algorithm: DigestAlgorithm, text: &str) -> String {
    match algorithm {
        DigestAlgorithm::Sha256 => hexadecimal(&Sha256::digest(text)),
        DigestAlgorithm::Md5 => hexadecimal(&Md5::digest(text)),
    }
}

/// What an Authorization or Proxy-Authorization header field says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) username: String,
    pub(crate) realm: String,
    nonce: String,
    uri: String,
    response: String,
    algorithm: DigestAlgorithm,
    cnonce: String,
    nonce_count: String,
}

/// Why credentials are no credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CredentialsError {
    #[error("credentials are not those of Digest")]
    Scheme,
    #[error("credentials are not `Digest name=\"value\", ...`")]
    Syntax,
    #[error("credentials lack {0}")]
    Missing(&'static str),
    #[error("credentials use an algorithm that was not offered; SHA-256 and MD5 are")]
    Algorithm,
    #[error("credentials use a qop that was not offered; auth is")]
    Qop,
}

/// Why credentials were not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DigestFault {
    /// The nonce is too old, was not ours, or was used before: sign again with the new one.
    #[error("the nonce has expired or was used already")]
    Stale,
    /// Wrong name or password.
    #[error("wrong user name or password")]
    WrongResponse,
}

impl Credentials {
    /// Reads the value of the header field.
    pub(crate) fn parse(value: &str) -> Result<Self, CredentialsError> {
        let value = value.trim();
        let (scheme, rest) = value.split_once(char::is_whitespace).ok_or(CredentialsError::Syntax)?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return Err(CredentialsError::Scheme);
        }
        if value.len() > MAX_CREDENTIALS {
            return Err(CredentialsError::Syntax);
        }
        let mut fields = parameters(rest).ok_or(CredentialsError::Syntax)?;
        let mut take = |name: &'static str| fields.remove(name).ok_or(CredentialsError::Missing(name));
        let algorithm = match take("algorithm") {
            Err(_) => DigestAlgorithm::Md5,
            Ok(name) => name.parse().map_err(|_| CredentialsError::Algorithm)?,
        };
        if take("qop")? != "auth" {
            return Err(CredentialsError::Qop);
        }
        let nonce_count = take("nc")?;
        if nonce_count.len() != 8 || u32::from_str_radix(&nonce_count, 16).is_err() {
            return Err(CredentialsError::Syntax);
        }
        Ok(Self {
            username: take("username")?,
            realm: take("realm")?,
            nonce: take("nonce")?,
            uri: take("uri")?,
            response: take("response")?.to_ascii_lowercase(),
            algorithm,
            cnonce: take("cnonce")?,
            nonce_count,
        })
    }

    fn expected(&self, method: &str, secret: &str) -> String {
        let hash = |text: &str| hash(self.algorithm, text);
        let who = hash(&format!("{}:{}:{secret}", self.username, self.realm));
        let what = hash(&format!("{method}:{}", self.uri));
        hash(&format!("{who}:{}:{}:{}:auth:{what}", self.nonce, self.nonce_count, self.cnonce))
    }
}

/// `name=value` and `name="value"`, separated by commas; names in lower case.
fn parameters(text: &str) -> Option<HashMap<String, String>> {
    let mut fields = HashMap::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
            unquote(quoted)?
        } else {
            let end = after.find(',').unwrap_or(after.len());
            (after[..end].trim_end().to_owned(), &after[end..])
        };
        if fields.insert(name.trim().to_ascii_lowercase(), value).is_some() {
            return None;
        }
        rest = after.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start();
        }
    }
    Some(fields)
}

/// What is before the closing quote, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// Issues challenges and checks what comes back.
pub(crate) struct Authenticator {
    key: [u8; 32],
    started: Instant,
    offered: Vec<DigestAlgorithm>,
    /// The highest `nc` of every nonce signed with; they sort by age.
    used: BTreeMap<String, u32>,
}

impl Authenticator {
    /// With a key of its own: nonces of another run are stale.
    pub(crate) fn new(offered: Vec<DigestAlgorithm>, now: Instant) -> Self {
        Self { key: rand::random(), started: now, offered, used: BTreeMap::new() }
    }

    /// The values of WWW-Authenticate or Proxy-Authenticate, one header field each (RFC 8760 section 2.3).
    pub(crate) fn challenges(&self, realm: &str, who: IpAddr, fault: Option<DigestFault>, now: Instant) -> Vec<String> {
        let nonce = self.nonce(realm, who, now);
        let stale = if fault == Some(DigestFault::Stale) { ", stale=true" } else { "" };
        self.offered
            .iter()
            .map(|algorithm| format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}"))
            .collect()
    }

    /// Whether the credentials are made with a nonce that is fresh and was given to this address: then whoever sent them receives there.
    pub(crate) fn knows(&self, credentials: &Credentials, who: IpAddr, now: Instant) -> bool {
        self.is_fresh(credentials, now) && credentials.nonce.get(24..32) == Some(self.receiver(who).as_str())
    }

    /// Checks credentials against the password; `None` if there is no such user, which takes as long and says as much as a wrong password.
    pub(crate) fn check(&mut self, credentials: &Credentials, method: &str, secret: Option<&str>, now: Instant) -> Result<(), DigestFault> {
        let expected = credentials.expected(method, secret.unwrap_or_default());
        let offered = self.offered.contains(&credentials.algorithm);
        let right = offered && same(expected.as_bytes(), credentials.response.as_bytes()) && secret.is_some();
        if !self.is_fresh(credentials, now) {
            return Err(DigestFault::Stale);
        }
        if !right {
            return Err(DigestFault::WrongResponse);
        }
        self.forget_expired(now);
        let count = u32::from_str_radix(&credentials.nonce_count, 16).map_err(|_| DigestFault::Stale)?;
        let highest = self.used.entry(credentials.nonce.clone()).or_insert(0);
        if count <= *highest {
            return Err(DigestFault::Stale);
        }
        *highest = count;
        Ok(())
    }

    fn nonce(&self, realm: &str, who: IpAddr, now: Instant) -> String {
        let seconds = now.saturating_duration_since(self.started).as_secs();
        let head = format!("{seconds:016x}{:08x}{}", rand::random::<u32>(), self.receiver(who));
        let seal = self.seal(&head, realm);
        head + &seal
    }

    /// Whom a nonce was given to, in eight digits that tell nobody else.
    fn receiver(&self, who: IpAddr) -> String {
        self.seal("receiver", &who.to_canonical().to_string()).get(..8).unwrap_or_default().to_owned()
    }

    fn seal(&self, head: &str, realm: &str) -> String {
        // A key of any length is fine for HMAC; without it no nonce is valid.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else {
            return String::new();
        };
        mac.update(head.as_bytes());
        mac.update(realm.as_bytes());
        hexadecimal(&mac.finalize().into_bytes()[..16])
    }

    fn is_fresh(&self, credentials: &Credentials, now: Instant) -> bool {
        let nonce = &credentials.nonce;
        if nonce.len() != NONCE_LENGTH || !nonce.is_ascii() {
            return false;
        }
        let (head, seal) = nonce.split_at(32);
        if !same(self.seal(head, &credentials.realm).as_bytes(), seal.as_bytes()) {
            return false;
        }
        let Ok(issued) = u64::from_str_radix(&head[..16], 16) else {
            return false;
        };
        let age = now.saturating_duration_since(self.started).as_secs().saturating_sub(issued);
        age < NONCE_LIFETIME.as_secs()
    }

    fn forget_expired(&mut self, now: Instant) {
        let now = now.saturating_duration_since(self.started).as_secs();
        let oldest = now.saturating_sub(NONCE_LIFETIME.as_secs());
        self.used = self.used.split_off(&format!("{oldest:016x}"));
    }
}

/// Equal, in a time that does not say where they differ.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
