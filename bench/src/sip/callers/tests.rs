use std::net::SocketAddr;

use super::super::write::HOST;
use super::*;

struct Scene {
    callers: Callers,
    tally: Tally,
    now: Instant,
}

fn writer() -> Writer {
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    Writer { callers: address(7), callees: address(8) }
}

fn texts(out: &Outbox) -> Vec<String> {
    out.datagrams().map(|datagram| String::from_utf8(datagram.to_vec()).unwrap()).collect()
}

impl Scene {
    fn new(signing: Signing) -> Self {
        Self { callers: Callers::new(writer(), signing, 2), tally: Tally::new().unwrap(), now: Instant::now() }
    }

    fn begin(&mut self, job: Job) -> Vec<String> {
        let mut out = Outbox::default();
        self.callers.begin(job, self.now, &mut out);
        texts(&out)
    }

    fn told(&mut self, datagram: &str) -> Vec<String> {
        let mut out = Outbox::default();
        self.callers.receive(datagram.as_bytes(), self.now, &mut self.tally, &mut out);
        texts(&out)
    }

    fn after(&mut self, milliseconds: u64) -> Vec<String> {
        self.now += Duration::from_millis(milliseconds);
        let mut out = Outbox::default();
        self.callers.do_what_is_due(self.now, &mut self.tally, &mut out);
        texts(&out)
    }
}

/// The gateway's answer to a request of ours.
fn answer(request: &str, status: &str, more: &str) -> String {
    let request = Message::parse(request.as_bytes()).unwrap();
    let mut out = Outbox::default();
    out.answer(request, status, "gw", format_args!("{more}Content-Length: 0\r\n\r\n")).to_owned()
}

fn challenge(nonce: &str) -> String {
    format!(
        "Proxy-Authenticate: Digest realm=\"{HOST}\", nonce=\"x{nonce}\", algorithm=SHA-256, qop=\"auth\"\r\n\
         Proxy-Authenticate: Digest realm=\"{HOST}\", nonce=\"{nonce}\", algorithm=MD5, qop=\"auth\"\r\n"
    )
}

const CONTACT: &str = "Contact: <sip:callee-0@127.0.0.1:5060>\r\n";
const CALL: Job = Job::Call { caller: 0, rate: 64_000, hold: None };

fn line(datagram: &str) -> &str {
    datagram.lines().next().unwrap()
}

#[test]
fn a_challenged_call_is_signed_answered_and_hung_up() {
    let mut scene = Scene::new(Signing::Challenged);
    let invite = scene.begin(CALL).remove(0);
    assert!(!invite.contains("Authorization"));
    let told = scene.told(&answer(&invite, "407 Proxy Authentication Required", &challenge("n1")));
    assert_eq!(told.len(), 2);
    assert_eq!(line(&told[0]), format!("ACK sip:callee-0@{HOST} SIP/2.0"));
    assert!(told[0].contains("CSeq: 1 ACK\r\n") && told[0].contains(";tag=gw\r\n"));
    assert!(told[1].contains("CSeq: 2 INVITE\r\n") && told[1].contains("nonce=\"n1\"") && told[1].contains("nc=00000001"));
    assert!(scene.told(&answer(&told[1], "100 Trying", "")).is_empty());
    assert!(scene.after(20_000).is_empty(), "what is being served is not sent again");
    let ok = answer(&told[1], "200 OK", CONTACT);
    let ack = scene.told(&ok);
    assert_eq!((ack.len(), line(&ack[0])), (1, "ACK sip:callee-0@127.0.0.1:5060 SIP/2.0"));
    assert_eq!((scene.callers.under_way(), scene.callers.held()), (0, 1));
    // The 200 again: the ACK was lost.
    assert_eq!(scene.told(&ok), ack);
    assert_eq!(scene.tally.seen_again, 1);
    let mut out = Outbox::default();
    assert!(scene.callers.hang_up(scene.now, &mut out));
    let bye = texts(&out).remove(0);
    assert_eq!(line(&bye), "BYE sip:callee-0@127.0.0.1:5060 SIP/2.0");
    assert!(bye.contains("CSeq: 3 BYE\r\n") && bye.contains(";tag=gw\r\n"));
    assert_eq!(scene.after(500), [bye.as_str()]);
    scene.told(&answer(&bye, "200 OK", ""));
    assert_eq!((scene.tally.set_ups.count(), scene.tally.tear_downs.count(), scene.tally.sent_again), (1, 1, 1));
    assert_eq!((scene.callers.under_way(), scene.callers.held(), scene.tally.failed_in_all()), (0, 0, 0));
    assert!(!scene.callers.hang_up(scene.now, &mut out));
}

#[test]
fn who_signs_ahead_counts() {
    let mut scene = Scene::new(Signing::Ahead);
    let invite = scene.begin(CALL).remove(0);
    scene.told(&answer(&invite, "407 Proxy Authentication Required", &challenge("n1")));
    let second = scene.begin(CALL).remove(0);
    assert!(second.contains("nonce=\"n1\"") && second.contains("nc=00000002"), "{second}");
    let again = scene.told(&answer(&second, "407 Proxy Authentication Required", &challenge("n2")));
    assert!(again[1].contains("nonce=\"n2\"") && again[1].contains("nc=00000001"));
}

#[test]
fn a_refused_call_is_acknowledged_and_counted() {
    let mut scene = Scene::new(Signing::Challenged);
    let invite = scene.begin(CALL).remove(0);
    let told = scene.told(&answer(&invite, "580 Precondition Failure", "Warning: 370 svpn-gateway \"full\"\r\n"));
    assert_eq!(line(&told[0]), format!("ACK sip:callee-0@{HOST} SIP/2.0"));
    assert_eq!(scene.tally.failures.get(&Failure::Refused(580)), Some(&1));
    assert_eq!(scene.tally.warning.as_deref(), Some("370 svpn-gateway \"full\""));
    assert_eq!(scene.callers.under_way(), 0);
}

#[test]
fn an_invite_that_nobody_answers_is_sent_seven_times() {
    let mut scene = Scene::new(Signing::Challenged);
    let invite = scene.begin(CALL).remove(0);
    let sent: Vec<String> = (0..400).flat_map(|_| scene.after(100)).collect();
    assert_eq!(sent, vec![invite; 6]);
    assert_eq!((scene.tally.sent_again, scene.tally.failures.get(&Failure::Silence)), (6, Some(&1)));
}

#[test]
fn who_is_challenged_for_ever_gives_up() {
    let mut scene = Scene::new(Signing::Challenged);
    let mut register = scene.begin(Job::Register(Application::Callee(1))).remove(0);
    assert!(register.contains("svpn-ce=west") && register.contains("Contact: <sip:callee-1@127.0.0.1:8>"));
    for _ in 0..CHALLENGES {
        let challenge = format!("WWW-Authenticate: Digest realm=\"{HOST}\", nonce=\"n\", algorithm=MD5, qop=\"auth\"\r\n");
        let told = scene.told(&answer(&register, "401 Unauthorized", &challenge));
        assert_eq!(told.len(), 1);
        register = told.into_iter().next().unwrap();
    }
    scene.told(&answer(&register, "401 Unauthorized", "WWW-Authenticate: Digest realm=\"x\", nonce=\"n\"\r\n"));
    assert_eq!(scene.tally.failures.get(&Failure::Refused(401)), Some(&1));
    assert_eq!(scene.callers.under_way(), 0);
}

#[test]
fn a_call_with_a_hold_ends_by_itself() {
    let mut scene = Scene::new(Signing::Challenged);
    let invite = scene.begin(Job::Call { caller: 1, rate: 64_000, hold: Some(Duration::from_secs(3)) }).remove(0);
    assert!(line(&invite).starts_with("INVITE sip:callee-1@"));
    scene.told(&answer(&invite, "200 OK", CONTACT));
    assert!(scene.after(2_999).is_empty());
    let bye = scene.after(1);
    assert!(line(&bye[0]).starts_with("BYE "));
    assert_eq!(scene.callers.under_way(), 1);
}
