//! The other side of every exchange here is `digest_auth`, somebody else's client.

use super::*;
use digest_auth::{AuthContext, HttpMethod};
use proptest::prelude::*;

const REALM: &str = "vpn-a.provider.example";

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn authenticator(now: Instant) -> Authenticator {
    Authenticator::new(DigestAlgorithm::BOTH.to_vec(), now)
}

fn sign(challenge: &str, user: &str, password: &str, count: u32) -> String {
    let mut prompt = digest_auth::parse(challenge).unwrap();
    prompt.nc = count - 1;
    let context = AuthContext::new_with_method(user, password, "sip:provider.example", None::<&[u8]>, HttpMethod::from("REGISTER"));
    prompt.respond(&context).unwrap().to_header_string()
}

fn check(authenticator: &mut Authenticator, value: &str, now: Instant) -> Result<(), DigestFault> {
    authenticator.check(&Credentials::parse(value).unwrap(), "REGISTER", Some("s3cret"), now)
}

#[test]
fn both_algorithms_let_the_right_password_in_and_the_wrong_one_not() {
    let now = Instant::now();
    let mut authenticator = authenticator(now);
    for index in 0..2 {
        let challenge = authenticator.challenges(REALM, HERE, None, now).swap_remove(index);
        let wrong = sign(&challenge, "storage", "guess", 1);
        assert_eq!(check(&mut authenticator, &wrong, now), Err(DigestFault::WrongResponse));
        let right = sign(&challenge, "storage", "s3cret", 1);
        assert_eq!(check(&mut authenticator, &right, now), Ok(()));
    }
}

#[test]
fn algorithms_are_offered_in_their_order_and_no_others_are_taken() {
    let now = Instant::now();
    let challenges = authenticator(now).challenges(REALM, HERE, None, now);
    assert!(challenges[0].contains("algorithm=SHA-256"));
    assert!(challenges[1].contains("algorithm=MD5"));
    let mut strict = Authenticator::new(vec![DigestAlgorithm::Sha256], now);
    let challenge = strict.challenges(REALM, HERE, None, now).swap_remove(0);
    assert_eq!(check(&mut strict, &sign(&challenge, "storage", "s3cret", 1), now), Ok(()));
    let weak = sign(&challenge.replace("SHA-256", "MD5"), "storage", "s3cret", 2);
    assert_eq!(check(&mut strict, &weak, now), Err(DigestFault::WrongResponse));
}

#[test]
fn a_nonce_is_known_where_it_was_given_to_and_while_it_is_fresh() {
    let now = Instant::now();
    let authenticator = authenticator(now);
    let challenge = authenticator.challenges(REALM, HERE, None, now).swap_remove(0);
    let credentials = Credentials::parse(&sign(&challenge, "storage", "any", 1)).unwrap();
    assert!(authenticator.knows(&credentials, HERE, now));
    assert!(!authenticator.knows(&credentials, [127, 0, 0, 2].into(), now));
    assert!(!authenticator.knows(&credentials, HERE, now + NONCE_LIFETIME));
}

#[test]
fn a_replay_is_stale_and_a_higher_count_is_not() {
    let now = Instant::now();
    let mut authenticator = authenticator(now);
    let challenge = authenticator.challenges(REALM, HERE, None, now).swap_remove(0);
    let first = sign(&challenge, "storage", "s3cret", 1);
    assert_eq!(check(&mut authenticator, &first, now), Ok(()));
    assert_eq!(check(&mut authenticator, &first, now), Err(DigestFault::Stale));
    let second = sign(&challenge, "storage", "s3cret", 2);
    assert_eq!(check(&mut authenticator, &second, now), Ok(()));
    assert_eq!(check(&mut authenticator, &first, now), Err(DigestFault::Stale));
}

#[test]
fn an_old_nonce_is_stale_and_forgotten() {
    let now = Instant::now();
    let mut authenticator = authenticator(now);
    let challenge = authenticator.challenges(REALM, HERE, None, now).swap_remove(0);
    let value = sign(&challenge, "storage", "s3cret", 1);
    assert_eq!(check(&mut authenticator, &value, now), Ok(()));
    let later = now + NONCE_LIFETIME;
    assert_eq!(check(&mut authenticator, &sign(&challenge, "storage", "s3cret", 2), later), Err(DigestFault::Stale));
    let fresh = authenticator.challenges(REALM, HERE, Some(DigestFault::Stale), later + NONCE_LIFETIME).swap_remove(0);
    assert!(fresh.ends_with("stale=true"));
    assert_eq!(check(&mut authenticator, &sign(&fresh, "storage", "s3cret", 1), later + NONCE_LIFETIME), Ok(()));
    assert_eq!(authenticator.used.len(), 1);
}

#[test]
fn a_nonce_of_another_realm_or_server_is_stale() {
    let now = Instant::now();
    let mut authenticator = authenticator(now);
    let other = authenticator.challenges("vpn-b.provider.example", HERE, None, now).swap_remove(0).replace("vpn-b", "vpn-a");
    assert_eq!(check(&mut authenticator, &sign(&other, "storage", "s3cret", 1), now), Err(DigestFault::Stale));
    let foreign = super::Authenticator::new(DigestAlgorithm::BOTH.to_vec(), now).challenges(REALM, HERE, None, now).swap_remove(0);
    assert_eq!(check(&mut authenticator, &sign(&foreign, "storage", "s3cret", 1), now), Err(DigestFault::Stale));
}

#[test]
fn a_user_that_does_not_exist_is_told_what_a_wrong_password_is_told() {
    let now = Instant::now();
    let mut authenticator = authenticator(now);
    let challenge = authenticator.challenges(REALM, HERE, None, now).swap_remove(0);
    let credentials = Credentials::parse(&sign(&challenge, "nobody", "", 1)).unwrap();
    assert_eq!(authenticator.check(&credentials, "REGISTER", None, now), Err(DigestFault::WrongResponse));
}

#[test]
fn what_is_missing_is_named() {
    let value = "Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"u\", qop=auth, nc=00000001, cnonce=\"c\"";
    assert_eq!(Credentials::parse(value), Err(CredentialsError::Missing("response")));
    assert_eq!(Credentials::parse("Basic abc"), Err(CredentialsError::Scheme));
    let unknown = "Digest algorithm=MD5-sess, username=\"a\"";
    assert_eq!(Credentials::parse(unknown), Err(CredentialsError::Algorithm));
}

proptest! {
    #[test]
    fn any_text_is_judged(text in "\\PC{0,120}") {
        let _ = Credentials::parse(&text);
        let _ = Credentials::parse(&format!("Digest {text}"));
    }

    #[test]
    fn no_password_but_the_right_one_gets_in(password in "[a-z0-9]{1,10}") {
        let now = Instant::now();
        let mut authenticator = authenticator(now);
        let challenge = authenticator.challenges(REALM, HERE, None, now).swap_remove(0);
        let value = sign(&challenge, "storage", &password, 1);
        prop_assert_eq!(check(&mut authenticator, &value, now).is_ok(), password == "s3cret");
    }
}
