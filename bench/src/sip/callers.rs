//! The applications that register and call: one state machine for every REGISTER and every call, without a socket and without a clock.

use std::time::{Duration, Instant};

use super::load::Pace;
use super::message::{Message, Start};
use super::outbox::Outbox;
use super::tally::{Failure, Tally};
use super::timers::{Backoff, Timers};
use super::write::{Application, Name, Nonce, Writer, read_name};
use super::{Signing, digest};

/// After so many challenges a request is not signed again.
const CHALLENGES: u32 = 3;

/// What is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    /// An application registers.
    Register(Application),
    /// A caller places a call for media of this rate in bit/s, and hangs up so long after it is answered; `None` = when it is told to.
    Call { caller: u32, rate: u64, hold: Option<Duration> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No answer yet: REGISTER, INVITE or BYE is sent again.
    Calling,
    /// INVITE has been answered provisionally.
    Proceeding,
    /// In service.
    Talking,
    /// BYE has been sent.
    Leaving,
}

#[derive(Debug)]
struct Call {
    job: Job,
    name: Name,
    stage: Stage,
    /// When the first request, or BYE, was sent.
    asked: Instant,
    request: String,
    backoff: Backoff,
    /// When its timer is due, if one runs.
    due: Option<Instant>,
    challenges: u32,
    /// To with the gateway's tag, and its Contact.
    peer: Option<(String, String)>,
}

/// All callers, behind one socket.
#[derive(Debug)]
pub(super) struct Callers {
    writer: Writer,
    signing: Signing,
    calls: Vec<Option<Call>>,
    free: Vec<usize>,
    serial: u64,
    timers: Timers,
    /// Those of the callers that sign ahead.
    nonces: Vec<Option<Nonce>>,
    /// Calls in service that nobody hangs up by himself.
    held: Vec<(usize, u64)>,
}

impl Callers {
    /// So many callers.
    pub(super) fn new(writer: Writer, signing: Signing, callers: u32) -> Self {
        let nonces = (0..callers).map(|_| None).collect();
        Self { writer, signing, calls: Vec::new(), free: Vec::new(), serial: 0, timers: Timers::default(), nonces, held: Vec::new() }
    }

    /// How many jobs are under way, calls that are held in service not among them.
    pub(super) fn under_way(&self) -> usize {
        self.calls.len() - self.free.len() - self.held.len()
    }

    /// Whether it is time for the next thing, where so many were begun in this time.
    pub(super) fn may_begin(&self, pace: Pace, begun: u32, since: Duration) -> bool {
        match pace {
            Pace::Rate(rate) => f64::from(begun) <= since.as_secs_f64() * rate,
            Pace::AtOnce(most) => self.under_way() < most,
        }
    }

    /// How many calls stay in service until [`Callers::hang_up`].
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// When something is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Begins.
    pub(super) fn begin(&mut self, job: Job, now: Instant, out: &mut Outbox) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.calls.push(None);
            self.calls.len() - 1
        });
        self.serial += 1;
        let (from, backoff) = match job {
            Job::Register(application) => (application, Backoff::other(now)),
            Job::Call { caller, .. } => (Application::Caller(caller), Backoff::invite(now)),
        };
        let name = Name { from, place, serial: self.serial, sequence: 0 };
        self.calls[place] = Some(Call {
            job,
            name,
            stage: Stage::Calling,
            asked: now,
            request: String::new(),
            backoff,
            due: None,
            challenges: 0,
            peer: None,
        });
        let nonce = match job {
            Job::Call { caller, .. } => self.nonce_ahead(caller),
            Job::Register(_) => None,
        };
        self.ask(place, nonce.as_ref(), now, out);
    }

    /// Hangs up one of the calls that are held; tells whether there was one.
    pub(super) fn hang_up(&mut self, now: Instant, out: &mut Outbox) -> bool {
        while let Some((place, serial)) = self.held.pop() {
            if self.calls[place].as_ref().is_some_and(|call| call.name.serial == serial && call.stage == Stage::Talking) {
                self.leave(place, now, out);
                return true;
            }
        }
        false
    }

    fn nonce_ahead(&mut self, caller: u32) -> Option<Nonce> {
        let nonce = self.nonces.get_mut(caller as usize)?.as_mut()?;
        nonce.count += 1;
        Some(nonce.clone())
    }

    /// Sends REGISTER or INVITE, with the next number.
    fn ask(&mut self, place: usize, nonce: Option<&Nonce>, now: Instant, out: &mut Outbox) {
        let Some(call) = self.calls[place].as_mut() else { return };
        call.name.sequence += 1;
        let request = match call.job {
            Job::Register(_) => self.writer.register(out, call.name, nonce),
            Job::Call { rate, .. } => self.writer.invite(out, call.name, nonce, rate),
        };
        call.request.clear();
        call.request.push_str(request);
        call.stage = Stage::Calling;
        self.wait(place, now);
    }

    fn wait(&mut self, place: usize, now: Instant) {
        let Some(call) = self.calls[place].as_mut() else { return };
        let next = call.backoff.next(now);
        call.due = Some(next);
        self.timers.set(next, place as u64);
    }

    fn leave(&mut self, place: usize, now: Instant, out: &mut Outbox) {
        let Some(call) = self.calls[place].as_mut() else { return };
        let Some((to, target)) = &call.peer else { return };
        call.name.sequence += 1;
        let request = self.writer.bare(out, "BYE", target, call.name, to);
        call.request.clear();
        call.request.push_str(request);
        (call.stage, call.asked, call.backoff) = (Stage::Leaving, now, Backoff::other(now));
        self.wait(place, now);
    }

    fn end(&mut self, place: usize) {
        self.calls[place] = None;
        self.free.push(place);
    }

    /// A datagram has come.
    pub(super) fn receive(&mut self, datagram: &[u8], now: Instant, tally: &mut Tally, out: &mut Outbox) {
        let Some(message) = Message::parse(datagram) else { return };
        let Start::Response { status } = message.start else {
            // Nobody is told of calls that end by themselves: none do here.
            out.answer(message, "481 No Such Call", "none", format_args!("Content-Length: 0\r\n\r\n"));
            return;
        };
        let place = message.header("Call-ID").and_then(read_name);
        let (Some((place, serial)), Some((sequence, method))) = (place, message.sequence()) else { return };
        let Some(call) = self.calls.get_mut(place).and_then(Option::as_mut).filter(|call| call.name.serial == serial) else { return };
        if sequence != call.name.sequence || call.stage == Stage::Talking {
            // Of an earlier request: its answer, again. Every one is acknowledged.
            if method == "INVITE" && status >= 200 {
                tally.seen_again += 1;
                acknowledge(self.writer, call, message, status, sequence, out);
            }
            return;
        }
        match (method, status) {
            ("INVITE", 100..200) if call.stage == Stage::Calling => {
                // What rings may ring, but not for ever.
                call.stage = Stage::Proceeding;
            }
            (_, 100..200) => {}
            (_, 401 | 407) => self.challenged(place, message, now, tally, out),
            ("INVITE", 200..300) => self.answered(place, message, now, tally, out),
            (_, 200..300) => {
                let times = if method == "BYE" { &mut tally.tear_downs } else { &mut tally.registrations };
                times.add(call.asked, now);
                self.end(place);
            }
            _ => {
                if method == "INVITE" {
                    acknowledge(self.writer, call, message, status, sequence, out);
                }
                tally.failed(Failure::Refused(status));
                tally.warning = message.header("Warning").map(str::to_owned).or(tally.warning.take());
                self.end(place);
            }
        }
    }

    fn challenged(&mut self, place: usize, message: Message<'_>, now: Instant, tally: &mut Tally, out: &mut Outbox) {
        let Some(call) = self.calls[place].as_mut() else { return };
        let Start::Response { status } = message.start else { return };
        if matches!(call.job, Job::Call { .. }) {
            acknowledge(self.writer, call, message, status, call.name.sequence, out);
        }
        call.challenges += 1;
        let challenge = if status == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
        let nonce = message.all(challenge).find_map(digest::nonce);
        let (Some(nonce), true) = (nonce, call.challenges <= CHALLENGES) else {
            tally.failed(Failure::Refused(status));
            self.end(place);
            return;
        };
        let nonce = Nonce { text: nonce.to_owned(), count: 1 };
        call.backoff = if matches!(call.job, Job::Call { .. }) { Backoff::invite(now) } else { Backoff::other(now) };
        if let (Signing::Ahead, Job::Call { caller, .. }) = (self.signing, call.job) {
            self.nonces[caller as usize] = Some(nonce.clone());
        }
        self.ask(place, Some(&nonce), now, out);
    }

    fn answered(&mut self, place: usize, message: Message<'_>, now: Instant, tally: &mut Tally, out: &mut Outbox) {
        let Some(call) = self.calls[place].as_mut() else { return };
        let (Some(to), Some(contact)) = (message.header("To"), message.contact()) else { return };
        tally.set_ups.add(call.asked, now);
        call.peer = Some((to.to_owned(), contact.to_owned()));
        acknowledge(self.writer, call, message, 200, call.name.sequence, out);
        (call.stage, call.due, call.request) = (Stage::Talking, None, String::new());
        let Job::Call { hold, .. } = call.job else { return };
        match hold {
            Some(hold) if hold.is_zero() => self.leave(place, now, out),
            Some(hold) => {
                call.due = Some(now + hold);
                self.timers.set(now + hold, place as u64);
            }
            None => self.held.push((place, call.name.serial)),
        }
    }

    /// Does what is due.
    pub(super) fn do_what_is_due(&mut self, now: Instant, tally: &mut Tally, out: &mut Outbox) {
        while let Some((at, what)) = self.timers.due(now) {
            let place = usize::try_from(what).unwrap_or(usize::MAX);
            let Some(call) = self.calls.get_mut(place).and_then(Option::as_mut).filter(|call| call.due == Some(at)) else { continue };
            if call.stage == Stage::Talking {
                self.leave(place, now, out);
                continue;
            }
            if !call.backoff.again(now) {
                tally.failed(Failure::Silence);
                self.end(place);
                continue;
            }
            if call.stage != Stage::Proceeding {
                tally.sent_again += 1;
                out.put(format_args!("{}", call.request));
            }
            self.wait(place, now);
        }
    }
}

fn acknowledge(writer: Writer, call: &Call, answer: Message<'_>, status: u16, sequence: u32, out: &mut Outbox) {
    let to = answer.header("To").unwrap_or_default();
    let name = Name { sequence, ..call.name };
    let (Application::Caller(number) | Application::Callee(number)) = name.from;
    let target = match answer.contact() {
        Some(contact) if status < 300 => contact.to_owned(),
        _ => format!("sip:{}@{}", Application::Callee(number), super::write::HOST),
    };
    writer.bare(out, "ACK", &target, name, to);
}

#[cfg(test)]
mod tests;
