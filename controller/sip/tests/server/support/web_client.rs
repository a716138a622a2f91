//! A SIP client over WebSocket (RFC 7118), as a browser's would be: nobody can connect to it, and it says so in its Via and Contact.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use digest_auth::{AuthContext, HttpMethod};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// What a test waits for comes within this, or never.
const SOON: Duration = Duration::from_secs(20);

/// The offer of every call here.
const OFFER: &str = "v=0\r\no=alice 1 1 IN IP4 10.1.0.5\r\ns=-\r\nc=IN IP4 10.1.0.5\r\nt=0 0\r\na=svpn:class=5\r\nm=audio 4000 RTP/AVP 0\r\nb=TIAS:50000000\r\n\
                     a=maxprate:50\r\n";

/// The answer.
const ANSWER: &str = "v=0\r\no=bob 1 1 IN IP4 10.2.0.5\r\ns=-\r\nc=IN IP4 10.2.0.5\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0\r\n";

/// A client that is connected.
pub(crate) struct WebClient<S = TcpStream> {
    pub(crate) socket: WebSocketStream<S>,
    name: &'static str,
    ce: &'static str,
    /// The host of its contact, which is nobody's.
    host: String,
    transport: &'static str,
    /// What no other client has.
    number: usize,
    sent: u32,
}

/// A call, as its caller or callee has it.
pub(crate) struct WebCall {
    /// Where the other end is to be asked.
    pub(crate) target: String,
    local: String,
    remote: String,
    call_id: String,
}

/// A TCP connection from this address.
pub(crate) async fn connect_from(from: impl Into<IpAddr>, server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from.into(), 0).into()).unwrap();
    socket.connect(server).await.unwrap()
}

/// The handshake, offering these subprotocols.
pub(crate) async fn upgrade<S>(stream: S, subprotocols: Option<&'static str>) -> Result<WebSocketStream<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = "ws://provider.example/".into_client_request().unwrap();
    if let Some(subprotocols) = subprotocols {
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(subprotocols));
    }
    let (socket, response) = client_async(request, stream).await?;
    assert_eq!(response.headers().get("Sec-WebSocket-Protocol").map(HeaderValue::as_bytes), Some(b"sip".as_slice()));
    Ok(socket)
}

/// The first header field of this name.
pub(crate) fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let fields = message.lines().skip(1).take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(": "));
    fields
        .into_iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map_or_else(|| panic!("no {name} in {message}"), |(_, value)| value)
}

/// The address between `<` and `>`.
fn address(value: &str) -> String {
    value.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(value, |(address, _)| address).to_owned()
}

impl WebClient<TcpStream> {
    /// `name` at `ce`, connected from an address of its own, whose contact has this host.
    pub(crate) async fn connect(server: SocketAddr, [name, ce]: [&'static str; 2], host: &str) -> Self {
        let stream = connect_from(super::address(), server).await;
        Self::over(upgrade(stream, Some("sip")).await.unwrap(), [name, ce], host, "WS")
    }

    /// The same, which has registered.
    pub(crate) async fn registered(server: SocketAddr, [name, ce]: [&'static str; 2], host: &str) -> Self {
        let mut client = Self::connect(server, [name, ce], host).await;
        client.register().await;
        client
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebClient<S> {
    /// By a WebSocket that is there.
    pub(crate) fn over(socket: WebSocketStream<S>, [name, ce]: [&'static str; 2], host: &str, transport: &'static str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Self { socket, name, ce, host: host.to_owned(), transport, number: NEXT.fetch_add(1, Ordering::Relaxed), sent: 0 }
    }

    fn own(&self) -> String {
        format!("<sip:{}@vpn-a.provider.example>", self.name)
    }

    fn contact(&self) -> String {
        format!("<sip:random@{};transport=ws>", self.host)
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// What comes next; `None` if it is the end.
    pub(crate) async fn hear(&mut self) -> Option<Message> {
        timeout(SOON, self.socket.next()).await.expect("nothing comes").and_then(Result::ok)
    }

    /// The next SIP message.
    pub(crate) async fn receive(&mut self) -> String {
        loop {
            match self.hear().await {
                Some(Message::Text(text)) => return text.as_str().to_owned(),
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("{} has lost its connection: {other:?}", self.name),
            }
        }
    }

    /// The next request of this method.
    pub(crate) async fn request(&mut self, method: &str) -> String {
        loop {
            let message = self.receive().await;
            if message.starts_with(&format!("{method} ")) {
                return message;
            }
        }
    }

    /// The next final response.
    pub(crate) async fn response(&mut self) -> String {
        loop {
            let message = self.receive().await;
            if message.starts_with("SIP/2.0 ") && !message.starts_with("SIP/2.0 1") {
                return message;
            }
        }
    }

    fn via(&mut self) -> String {
        self.sent += 1;
        format!("Via: SIP/2.0/{} {};branch=z9hG4bK{}x{};rport\r\n", self.transport, self.host, self.number, self.sent)
    }

    /// Sends a request, and again with credentials when it is asked for them; the final response.
    async fn sign(&mut self, method: &str, uri: &str, fields: &str, body: &str) -> String {
        let own = self.own();
        let (call_id, tag) = (format!("{}x{}", self.number, self.sent), self.sent);
        let remote = if method == "REGISTER" { own.clone() } else { format!("<{uri}>") };
        let contact = self.contact();
        let mut credentials = String::new();
        for cseq in 1..=2 {
            let via = self.via();
            let end = format!("From: {own};tag={tag}\r\nTo: {remote}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}");
            let parameters = if method == "REGISTER" { format!(";svpn-ce={}", self.ce) } else { String::new() };
            self.send(&format!(
                "{method} {uri} SIP/2.0\r\n{via}Max-Forwards: 70\r\n{end} {method}\r\nContact: {contact}{parameters}\r\n{fields}{credentials}\r\n{body}"
            ))
            .await;
            let response = self.response().await;
            if method == "INVITE" && !response.starts_with("SIP/2.0 2") {
                // Of a refusal the same Via.
                let end = format!("From: {own};tag={tag}\r\nTo: {}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}", header(&response, "To"));
                self.send(&format!("ACK {uri} SIP/2.0\r\n{via}Max-Forwards: 70\r\n{end} ACK\r\n\r\n")).await;
            }
            let (asked, answer) = match response.split(' ').nth(1) {
                Some("401") => ("WWW-Authenticate", "Authorization"),
                Some("407") => ("Proxy-Authenticate", "Proxy-Authorization"),
                _ => return response,
            };
            let mut prompt = digest_auth::parse(header(&response, asked)).unwrap();
            let context =
                AuthContext::new_with_method(self.name, format!("{}-s3cret", self.name), uri, None::<&[u8]>, HttpMethod::from(method));
            credentials = format!("{answer}: {}\r\n", prompt.respond(&context).unwrap());
        }
        panic!("{} is asked for credentials again and again", self.name);
    }

    /// Registers its contact, which has to succeed.
    pub(crate) async fn register(&mut self) {
        let response = self.sign("REGISTER", "sip:vpn-a.provider.example", "Expires: 300\r\n", "").await;
        assert!(response.starts_with("SIP/2.0 200 "), "{response}");
        assert!(header(&response, "Contact").to_ascii_lowercase().starts_with(&self.contact()), "{response}");
    }

    /// Calls; the final response, which is acknowledged.
    pub(crate) async fn invite(&mut self, callee: &str) -> String {
        let uri = format!("sip:{callee}@vpn-a.provider.example");
        self.sign("INVITE", &uri, "Content-Type: application/sdp\r\n", OFFER).await
    }

    /// Calls, and is answered.
    pub(crate) async fn call(&mut self, callee: &str) -> WebCall {
        let answer = self.invite(callee).await;
        assert!(answer.starts_with("SIP/2.0 200 ") && answer.contains("a=svpn-session:"), "{answer}");
        let call = WebCall {
            target: address(header(&answer, "Contact")),
            local: header(&answer, "From").to_owned(),
            remote: header(&answer, "To").to_owned(),
            call_id: header(&answer, "Call-ID").to_owned(),
        };
        self.send_within(&call, "ACK", 2).await;
        call
    }

    /// Sends a request within a call.
    pub(crate) async fn send_within(&mut self, call: &WebCall, method: &str, cseq: u32) {
        let via = self.via();
        let WebCall { target, local, remote, call_id } = call;
        self.send(&format!(
            "{method} {target} SIP/2.0\r\n{via}Max-Forwards: 70\r\nFrom: {local}\r\nTo: {remote}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n\r\n"
        ))
        .await;
    }

    /// Hangs up, and is told that it has.
    pub(crate) async fn bye(&mut self, call: &WebCall) {
        self.send_within(call, "BYE", 9).await;
        let response = self.response().await;
        assert!(response.starts_with("SIP/2.0 200 "), "{response}");
    }

    /// Answers a request.
    pub(crate) async fn reply(&mut self, request: &str, status: &str, fields: &str, body: &str) {
        let vias: String = request.lines().filter(|line| line.starts_with("Via: ")).fold(String::new(), |all, via| all + via + "\r\n");
        let to = header(request, "To");
        let tag = if to.contains(";tag=") { String::new() } else { format!(";tag={}", self.name) };
        let [from, call_id, cseq] = ["From", "Call-ID", "CSeq"].map(|name| header(request, name));
        self.send(&format!(
            "SIP/2.0 {status}\r\n{vias}From: {from}\r\nTo: {to}{tag}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n{fields}\r\n{body}"
        ))
        .await;
    }

    /// Is called at its contact, and answers.
    pub(crate) async fn answer(&mut self) -> WebCall {
        let invite = self.request("INVITE").await;
        assert!(invite.starts_with(&format!("INVITE sip:random@{};transport=", self.host)), "{invite}");
        assert!(header(&invite, "Via").starts_with(&format!("SIP/2.0/{} 127.0.0.1:", self.transport)), "{invite}");
        assert!(header(&invite, "Contact").contains(";transport=ws"), "{invite}");
        self.reply(&invite, "180 Ringing", "", "").await;
        let fields = format!("Contact: {}\r\nContent-Type: application/sdp\r\n", self.contact());
        self.reply(&invite, "200 OK", &fields, ANSWER).await;
        self.request("ACK").await;
        WebCall {
            target: address(header(&invite, "Contact")),
            local: format!("{};tag={}", header(&invite, "To"), self.name),
            remote: header(&invite, "From").to_owned(),
            call_id: header(&invite, "Call-ID").to_owned(),
        }
    }

    /// Is hung up on.
    pub(crate) async fn hung_up_on(&mut self) {
        let bye = self.request("BYE").await;
        self.reply(&bye, "200 OK", "", "").await;
    }
}
