//! Digest authentication from the other side (RFC 7616, as RFC 3261 section 22 uses it): MD5, `qop=auth`.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};

/// Who signs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signer<'a> {
    pub(super) user: &'a str,
    pub(super) realm: &'a str,
    pub(super) password: &'a str,
}

/// The nonce of a challenge for MD5.
pub(super) fn nonce(challenge: &str) -> Option<&str> {
    if challenge.contains("algorithm=") && !challenge.contains("algorithm=MD5") {
        return None;
    }
    challenge.split_once("nonce=\"")?.1.split('"').next()
}

impl Signer<'_> {
    /// The value of Authorization or Proxy-Authorization, for the `count`th request with this nonce.
    pub(super) fn sign(&self, method: &str, uri: &str, nonce: &str, count: u32) -> String {
        let Self { user, realm, password } = self;
        let who = md5(&format!("{user}:{realm}:{password}"));
        let what = md5(&format!("{method}:{uri}"));
        let cnonce = "5ca1ab1e";
        let response = md5(&format!("{who}:{nonce}:{count:08x}:{cnonce}:auth:{what}"));
        format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", algorithm=MD5, qop=auth, \
             cnonce=\"{cnonce}\", nc={count:08x}, response=\"{response}\""
        )
    }
}

fn md5(text: &str) -> String {
    Md5::digest(text).iter().fold(String::with_capacity(32), |mut hash, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hash, "{byte:02x}");
        hash
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_rfc_2617_computes() {
        // Made with another program: md5sum.
        let signer = Signer { user: "storage", realm: "vpn-a.provider.example", password: "s3cret" };
        let signed = signer.sign("INVITE", "sip:backup@vpn-a.provider.example", "abc", 1);
        let who = "storage:vpn-a.provider.example:s3cret";
        assert_eq!(md5(who), "10ab7c9b59ba87751c57c8f41f430e05");
        assert!(signed.ends_with("nc=00000001, response=\"9fc28ffad30e24078d92ab562aaf0907\""), "{signed}");
    }

    #[test]
    fn only_md5_is_taken_up() {
        assert_eq!(nonce("Digest realm=\"a\", nonce=\"n1\", algorithm=MD5, qop=\"auth\""), Some("n1"));
        assert_eq!(nonce("Digest realm=\"a\", nonce=\"n1\", qop=\"auth\""), Some("n1"));
        assert_eq!(nonce("Digest realm=\"a\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth\""), None);
    }
}
