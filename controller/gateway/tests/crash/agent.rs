//! The customers' applications: they register, call, answer, change and hang up, and know what they were told.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use digest_auth::{AuthContext, HttpMethod};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::message::{Message, description, ending};

/// How long one who asks waits for a final answer; a gateway that is killed meanwhile gives none.
const PATIENCE: Duration = Duration::from_secs(30);
/// T1 of RFC 3261.
const AGAIN: Duration = Duration::from_millis(500);
/// Who calls.
pub(crate) const CALLER: &str = "storage";
/// The callee's port is so far above the caller's.
pub(crate) const CALLEE_PORTS: u16 = 1000;

/// What a callee does with a new call, and with a change of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Answers,
    Rings,
    Declines,
}

/// One end of a dialog.
#[derive(Debug, Clone)]
pub(crate) struct Dialog {
    pub(crate) call_id: String,
    /// From and To of its own requests.
    local: String,
    remote: String,
    target: String,
    sequence: u32,
    /// The media port of the caller, which names the call.
    pub(crate) port: u16,
    version: u32,
    /// It was told that the session is there: the caller by the 200, the callee by the ACK of its own.
    pub(crate) agreed: bool,
    pub(crate) end: End,
}

/// How a dialog ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Not yet.
    Open,
    /// It has begun to hang up.
    Leaving,
    /// Its own BYE was answered with 200.
    Left,
    /// The other end has hung up.
    Ended,
}

impl Dialog {
    pub(crate) fn is_open(&self) -> bool {
        self.agreed && matches!(self.end, End::Open | End::Leaving)
    }
}

#[derive(Debug, Default)]
struct State {
    dialogs: HashMap<u16, Dialog>,
    waiting: HashMap<String, mpsc::UnboundedSender<Message>>,
    /// What was answered to a request, by its branch and method.
    answered: HashMap<String, String>,
    manner: Option<Manner>,
    /// Its REGISTER where it is now was answered with 200.
    registered: bool,
    /// An INVITE that rings.
    ringing: HashMap<String, Message>,
}

/// An application.
pub(crate) struct Agent {
    name: &'static str,
    /// The CE it is at, and its host behind that.
    place: Mutex<(&'static str, &'static str)>,
    socket: UdpSocket,
    gateway: SocketAddr,
    state: Mutex<State>,
    numbers: AtomicU32,
}

/// Hears as long as it is kept.
pub(crate) struct Hearing(JoinHandle<()>);

impl Drop for Hearing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Agent {
    pub(crate) async fn new(
        name: &'static str,
        place: (&'static str, &'static str),
        address: Ipv4Addr,
        gateway: SocketAddr,
    ) -> (Arc<Self>, Hearing) {
        let socket = UdpSocket::bind((address, 5060)).await.unwrap();
        let agent = Arc::new(Self { name, place: Mutex::new(place), socket, gateway, state: Mutex::default(), numbers: AtomicU32::new(1) });
        let hearing = tokio::spawn(Arc::clone(&agent).hear());
        (agent, Hearing(hearing))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Its host.
    pub(crate) fn host(&self) -> &'static str {
        self.place.lock().unwrap().1
    }

    /// It goes to another CE, of which nobody knows before it registers there.
    pub(crate) fn go(&self, place: (&'static str, &'static str)) {
        *self.place.lock().unwrap() = place;
        self.state().registered = false;
    }

    pub(crate) fn set_manner(&self, manner: Manner) {
        self.state().manner = Some(manner);
    }

    /// The dialog of the call with this media port of the caller.
    pub(crate) fn dialog(&self, port: u16) -> Option<Dialog> {
        self.state().dialogs.get(&port).cloned()
    }

    fn change(&self, port: u16, change: impl FnOnce(&mut Dialog)) {
        if let Some(dialog) = self.state().dialogs.get_mut(&port) {
            change(dialog);
        }
    }

    fn me(&self) -> String {
        format!("sip:{}@{}", self.name, self.socket.local_addr().unwrap())
    }

    fn number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    async fn hear(self: Arc<Self>) {
        let mut buffer = vec![0; 65535];
        loop {
            // A gateway that is dead makes errors of what was sent to it.
            let Ok(length) = self.socket.recv(&mut buffer).await else { continue };
            let message = Message::parse(std::str::from_utf8(&buffer[..length]).unwrap());
            if message.status().is_some() {
                let waiting = self.state().waiting.get(message.branch()).cloned();
                if let Some(waiting) = waiting {
                    let _ = waiting.send(message);
                }
            } else {
                self.serve(&message).await;
            }
        }
    }

    async fn send(&self, text: &str) {
        let _ = self.socket.send_to(text.as_bytes(), self.gateway).await;
    }

    /// Serves a request of the gateway's.
    async fn serve(&self, request: &Message) {
        let key = format!("{}{}", request.branch(), request.method());
        let before = self.state().answered.get(&key).cloned();
        let answer = match before {
            Some(answer) => Some(answer),
            None => self.answer(request),
        };
        if let Some(answer) = answer {
            self.state().answered.insert(key, answer.clone());
            self.send(&answer).await;
        }
    }

    fn answer(&self, request: &Message) -> Option<String> {
        let tag = format!("{}-callee", self.name);
        let contact = format!("Contact: <{}>\r\n", self.me());
        let call_id = request.header("Call-ID");
        match request.method() {
            "INVITE" => return Some(self.invited(request, &tag, &contact)),
            "ACK" => {
                let mut state = self.state();
                if let Some(dialog) = state.dialogs.values_mut().find(|dialog| dialog.call_id == call_id) {
                    dialog.agreed = true;
                }
                return None;
            }
            "BYE" => {
                let mut state = self.state();
                if let Some(dialog) = state.dialogs.values_mut().find(|dialog| dialog.call_id == call_id) {
                    dialog.end = End::Ended;
                }
            }
            "CANCEL" => self.state().ringing.retain(|known, _| known != call_id),
            _ => {}
        }
        Some(request.response(200, &tag, "", ""))
    }

    fn invited(&self, request: &Message, tag: &str, contact: &str) -> String {
        let mut state = self.state();
        let call_id = request.header("Call-ID").to_owned();
        let anew = request.header("To").contains(";tag=");
        if let Some(own) = state.dialogs.values().find(|dialog| dialog.call_id == call_id && self.name == CALLER) {
            // The gateway asks whether it is still there.
            return request.response(200, tag, contact, &description(self.host(), own.port, own.version, (0, 0), 1_000_000));
        }
        let port = request.media_port();
        match state.manner.unwrap_or(Manner::Answers) {
            Manner::Declines => return request.response(if anew { 488 } else { 486 }, tag, "", ""),
            Manner::Rings if !anew => {
                state.ringing.insert(call_id, request.clone());
                return request.response(180, tag, contact, "");
            }
            Manner::Answers | Manner::Rings => {}
        }
        let dialog = state.dialogs.entry(port).or_insert_with(|| Dialog {
            call_id: call_id.clone(),
            local: format!("{};tag={tag}", request.header("To")),
            remote: request.header("From").to_owned(),
            target: request.contact().to_owned(),
            sequence: 0,
            port,
            version: 0,
            agreed: false,
            end: End::Open,
        });
        if dialog.call_id != call_id {
            // The port is a new call's.
            *dialog = Dialog { call_id, agreed: false, end: End::Open, sequence: 0, ..dialog.clone() };
            dialog.local = format!("{};tag={tag}", request.header("To"));
            request.header("From").clone_into(&mut dialog.remote);
        }
        request.contact().clone_into(&mut dialog.target);
        dialog.version += 1;
        request.response(200, tag, contact, &description(self.host(), port + CALLEE_PORTS, dialog.version, (0, 0), 1_000_000))
    }

    /// Sends a request until it has a final response, which is returned; nothing if none comes.
    async fn ask(&self, text: String) -> Option<Message> {
        let request = Message::parse(&text);
        let (sender, mut responses) = mpsc::unbounded_channel();
        self.state().waiting.insert(request.branch().to_owned(), sender);
        let mut heard = false;
        let asked = tokio::time::Instant::now();
        while asked.elapsed() < PATIENCE {
            // Who heard something of an INVITE does not repeat it.
            if !(heard && request.method() == "INVITE") {
                self.send(&text).await;
            }
            match tokio::time::timeout(AGAIN, responses.recv()).await {
                Ok(Some(response)) if response.status() >= Some(200) => return Some(response),
                Ok(_) => heard = true,
                Err(_) => {}
            }
        }
        None
    }

    fn request(&self, method: &str, uri: &str, [from, to, call_id]: [&str; 3], sequence: u32, ends: &str) -> String {
        let via = self.socket.local_addr().unwrap();
        let branch = self.number();
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK{branch};rport\r\nMax-Forwards: 70\r\nFrom: {from}\r\n\
             To: {to}\r\nCall-ID: {call_id}\r\nCSeq: {sequence} {method}\r\nContact: <{}>{}\r\n{ends}",
            self.me(),
            if method == "REGISTER" { format!(";svpn-ce={}", self.place.lock().unwrap().0) } else { String::new() },
        )
    }

    /// A request outside of a dialog, signed when it is asked to be.
    async fn ask_signed(&self, method: &str, uri: &str, to: &str, call_id: &str, body: &str) -> Option<(Message, String)> {
        let from = format!("<sip:{}@vpn-a.provider.example>;tag={}", self.name, self.number());
        let response = self.ask(self.request(method, uri, [&from, to, call_id], 1, &ending("", body))).await?;
        let (asks, signs) = match response.status() {
            Some(401) => ("WWW-Authenticate", "Authorization"),
            Some(407) => ("Proxy-Authenticate", "Proxy-Authorization"),
            _ => return Some((response, from)),
        };
        if method == "INVITE" {
            self.acknowledge(&response, uri, &from, 1).await;
        }
        let secret = format!("{}-s3cret", self.name);
        let context = AuthContext::new_with_method(self.name, secret, uri, None::<&[u8]>, HttpMethod::from(method.to_owned()));
        let signature = digest_auth::parse(response.header(asks)).unwrap().respond(&context).unwrap();
        let signed = format!("{signs}: {signature}\r\n");
        let response = self.ask(self.request(method, uri, [&from, to, call_id], 2, &ending(&signed, body))).await?;
        Some((response, from))
    }

    async fn acknowledge(&self, response: &Message, uri: &str, from: &str, sequence: u32) {
        let to = response.header("To");
        let mut ack = self.request("ACK", uri, [from, to, response.header("Call-ID")], sequence, &ending("", ""));
        if response.status() != Some(200) {
            // RFC 3261 section 17.1.1.3: it is the INVITE's transaction's.
            let own = Message::parse(&ack).branch().to_owned();
            ack = ack.replace(&own, response.branch());
        }
        self.send(&ack).await;
    }

    pub(crate) async fn register(&self) -> Option<u16> {
        let uri = "sip:vpn-a.provider.example";
        let to = format!("<sip:{}@vpn-a.provider.example>", self.name);
        let call_id = format!("{}-r{}", self.name, self.number());
        let status = self.ask_signed("REGISTER", uri, &to, &call_id, "").await?.0.status().unwrap();
        self.state().registered |= status == 200;
        Some(status)
    }

    /// Whether it was told that it is registered where it is.
    pub(crate) fn is_registered(&self) -> bool {
        self.state().registered
    }

    /// Calls somebody for a session of this rate and time (NTP); the final status.
    pub(crate) async fn call(&self, callee: &str, port: u16, rate: u64, time: (u64, u64)) -> Option<u16> {
        let uri = format!("sip:{callee}@vpn-a.provider.example");
        let call_id = format!("{}-{port}-{}", self.name, self.number());
        let body = description(self.host(), port, 1, time, rate);
        let (response, from) = self.ask_signed("INVITE", &uri, &format!("<{uri}>"), &call_id, &body).await?;
        let status = response.status().unwrap();
        if status != 200 {
            self.acknowledge(&response, &uri, &from, 2).await;
            return Some(status);
        }
        let target = response.contact().to_owned();
        let remote = response.header("To").to_owned();
        let dialog = Dialog {
            call_id,
            local: from.clone(),
            remote,
            target: target.clone(),
            sequence: 2,
            port,
            version: 1,
            agreed: true,
            end: End::Open,
        };
        self.state().dialogs.insert(port, dialog);
        self.acknowledge(&response, &target, &from, 2).await;
        Some(status)
    }

    /// A request within a dialog; its response, and what it was sent to.
    async fn ask_within(&self, port: u16, method: &str, ends: &str) -> Option<(Message, Dialog)> {
        self.change(port, |dialog| dialog.sequence += 1);
        let dialog = self.dialog(port).expect("there is a dialog");
        let Dialog { local, remote, target, call_id, sequence, .. } = &dialog;
        let response = self.ask(self.request(method, target, [local, remote, call_id], *sequence, ends)).await?;
        Some((response, dialog))
    }

    /// Asks for another rate, and time; the final status.
    pub(crate) async fn modify(&self, port: u16, rate: u64, time: (u64, u64)) -> Option<u16> {
        self.change(port, |dialog| dialog.version += 1);
        let version = self.dialog(port).expect("there is a dialog").version;
        let body = description(self.host(), port, version, time, rate);
        let (response, dialog) = self.ask_within(port, "INVITE", &ending("", &body)).await?;
        self.acknowledge(&response, &dialog.target, &dialog.local, dialog.sequence).await;
        response.status()
    }

    /// Hangs up; the final status.
    pub(crate) async fn hang_up(&self, port: u16) -> Option<u16> {
        self.change(port, |dialog| dialog.end = End::Leaving);
        let (response, _) = self.ask_within(port, "BYE", &ending("", "")).await?;
        if response.status() == Some(200) {
            self.change(port, |dialog| dialog.end = End::Left);
        }
        response.status()
    }

    /// Whether a call rings here.
    pub(crate) fn rings(&self) -> bool {
        !self.state().ringing.is_empty()
    }

    /// The callee who rang goes on: what rings is declined.
    pub(crate) async fn decline(&self) {
        let ringing: Vec<_> = self.state().ringing.drain().map(|(_, invite)| invite).collect();
        for invite in ringing {
            self.send(&invite.response(486, &format!("{}-callee", self.name), "", "")).await;
        }
    }
}
