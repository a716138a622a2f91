//! The applications that are called: each INVITE is answered 200 at once, and the 200 again until its ACK (RFC 3261 section 13.3.1.4).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use super::message::{Message, Start};
use super::outbox::Outbox;
use super::tally::{Failure, Tally};
use super::timers::{Backoff, GIVE_UP, Timers};

/// What every call is answered with.
const DESCRIPTION: &str = "v=0\r\no=callee 1 1 IN IP4 10.2.0.5\r\ns=-\r\nc=IN IP4 10.2.0.5\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0\r\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The 200 waits for its ACK.
    Answered,
    /// In service.
    Talking,
    /// After BYE: what comes again is answered as before.
    Ended,
}

#[derive(Debug)]
struct Call {
    id: Box<str>,
    stage: Stage,
    answer: Box<str>,
    backoff: Backoff,
    /// When its timer is due, if one runs.
    due: Option<Instant>,
}

/// All called applications, behind one socket.
#[derive(Debug)]
pub(super) struct Callees {
    address: SocketAddr,
    calls: Vec<Option<Call>>,
    free: Vec<usize>,
    by_id: HashMap<Box<str>, usize>,
    timers: Timers,
}

impl Callees {
    /// Those at this address.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, calls: Vec::new(), free: Vec::new(), by_id: HashMap::new(), timers: Timers::default() }
    }

    /// When something is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// A datagram has come.
    pub(super) fn receive(&mut self, datagram: &[u8], now: Instant, tally: &mut Tally, out: &mut Outbox) {
        let Some(message) = Message::parse(datagram) else { return };
        let Start::Request { method } = message.start else { return };
        match method {
            "INVITE" => self.invited(message, now, tally, out),
            "ACK" => {
                if let Some((_, call)) = self.called(message)
                    && call.stage == Stage::Answered
                {
                    (call.stage, call.due, call.answer) = (Stage::Talking, None, Box::default());
                }
            }
            "BYE" => self.hung_up(message, now, tally, out),
            _ => _ = out.answer(message, "501 Not Implemented", "none", format_args!("Content-Length: 0\r\n\r\n")),
        }
    }

    /// The call whose tag of ours is in To.
    fn called(&mut self, message: Message<'_>) -> Option<(usize, &mut Call)> {
        let index: usize = message.to_tag()?.parse().ok()?;
        let call = self.calls.get_mut(index)?.as_mut()?;
        // Places are used again.
        (Some(&*call.id) == message.header("Call-ID")).then_some((index, call))
    }

    fn invited(&mut self, invite: Message<'_>, now: Instant, tally: &mut Tally, out: &mut Outbox) {
        let Some(id) = invite.header("Call-ID") else { return };
        if let Some(call) = self.by_id.get(id).and_then(|index| self.calls[*index].as_ref()) {
            tally.seen_again += 1;
            if call.stage == Stage::Answered {
                out.put(format_args!("{}", call.answer));
            }
            return;
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.calls.push(None);
            self.calls.len() - 1
        });
        let (address, length) = (self.address, DESCRIPTION.len());
        let rest = format_args!(
            "Contact: <sip:callee@{address}>\r\nContent-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{DESCRIPTION}"
        );
        let answer: Box<str> = out.answer(invite, "200 OK", &index.to_string(), rest).into();
        let backoff = Backoff::other(now);
        let due = Some(backoff.next(now));
        self.timers.set(backoff.next(now), index as u64);
        self.by_id.insert(id.into(), index);
        self.calls[index] = Some(Call { id: id.into(), stage: Stage::Answered, answer, backoff, due });
    }

    fn hung_up(&mut self, bye: Message<'_>, now: Instant, tally: &mut Tally, out: &mut Outbox) {
        let Some((index, call)) = self.called(bye) else {
            out.answer(bye, "481 No Such Call", "none", format_args!("Content-Length: 0\r\n\r\n"));
            return;
        };
        if call.stage == Stage::Ended {
            tally.seen_again += 1;
        } else {
            let end = now + GIVE_UP;
            (call.stage, call.due, call.answer) = (Stage::Ended, Some(end), Box::default());
            self.timers.set(end, index as u64);
        }
        out.answer(bye, "200 OK", "none", format_args!("Content-Length: 0\r\n\r\n"));
    }

    /// Does what is due.
    pub(super) fn do_what_is_due(&mut self, now: Instant, tally: &mut Tally, out: &mut Outbox) {
        while let Some((at, what)) = self.timers.due(now) {
            let index = usize::try_from(what).unwrap_or(usize::MAX);
            let Some(call) = self.calls.get_mut(index).and_then(Option::as_mut).filter(|call| call.due == Some(at)) else { continue };
            if call.stage == Stage::Answered && call.backoff.again(now) {
                tally.sent_again += 1;
                out.put(format_args!("{}", call.answer));
                let next = call.backoff.next(now);
                call.due = Some(next);
                self.timers.set(next, what);
                continue;
            }
            if call.stage == Stage::Answered {
                tally.failed(Failure::NoAck);
            }
            if let Some(call) = self.calls[index].take() {
                self.by_id.remove(&call.id);
            }
            self.free.push(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn request(method: &str, tag: &str) -> String {
        format!(
            "{method} sip:callee@127.0.0.1:9 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:8;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:c@d>{tag}\r\nCall-ID: x\r\nCSeq: 1 {method}\r\n\r\n"
        )
    }

    struct Scene {
        callees: Callees,
        tally: Tally,
        now: Instant,
    }

    impl Scene {
        fn new() -> Self {
            let callees = Callees::new("127.0.0.1:9".parse().unwrap());
            Self { callees, tally: Tally::new().unwrap(), now: Instant::now() }
        }

        /// The first lines of what is sent.
        fn told(&mut self, datagram: &str) -> Vec<String> {
            let mut out = Outbox::default();
            self.callees.receive(datagram.as_bytes(), self.now, &mut self.tally, &mut out);
            lines(&out)
        }

        fn after(&mut self, milliseconds: u64) -> Vec<String> {
            self.now += Duration::from_millis(milliseconds);
            let mut out = Outbox::default();
            self.callees.do_what_is_due(self.now, &mut self.tally, &mut out);
            lines(&out)
        }
    }

    fn lines(out: &Outbox) -> Vec<String> {
        out.datagrams().map(|datagram| std::str::from_utf8(datagram).unwrap().lines().next().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_call_is_answered_and_ended() {
        let mut scene = Scene::new();
        assert_eq!(scene.told(&request("INVITE", "")), ["SIP/2.0 200 OK"]);
        assert!(scene.told(&request("ACK", ";tag=0")).is_empty());
        assert!(scene.after(60_000).is_empty());
        assert_eq!(scene.told(&request("BYE", ";tag=0")), ["SIP/2.0 200 OK"]);
        assert_eq!((scene.tally.sent_again, scene.tally.seen_again, scene.tally.failed_in_all()), (0, 0, 0));
        assert_eq!(scene.told(&request("BYE", ";tag=0")), ["SIP/2.0 200 OK"]);
        assert_eq!(scene.tally.seen_again, 1);
        scene.after(40_000);
        assert_eq!(scene.told(&request("BYE", ";tag=0")), ["SIP/2.0 481 No Such Call"]);
        assert_eq!((scene.callees.free.len(), scene.callees.by_id.len()), (1, 0));
    }

    #[test]
    fn an_answer_is_repeated_until_its_ack() {
        let mut scene = Scene::new();
        scene.told(&request("INVITE", ""));
        assert!(scene.after(499).is_empty());
        assert_eq!(scene.after(1), ["SIP/2.0 200 OK"]);
        assert_eq!(scene.told(&request("INVITE", "")), ["SIP/2.0 200 OK"]);
        assert_eq!((scene.tally.sent_again, scene.tally.seen_again), (1, 1));
        scene.told(&request("ACK", ";tag=0"));
        assert!(scene.after(5_000).is_empty());
    }

    #[test]
    fn an_answer_that_nobody_acknowledges_is_a_failure() {
        let mut scene = Scene::new();
        scene.told(&request("INVITE", ""));
        let sent: usize = (0..400).map(|_| scene.after(100).len()).sum();
        assert_eq!(sent, 10);
        assert_eq!(scene.tally.failures.get(&Failure::NoAck), Some(&1));
    }
}
