use std::net::SocketAddr;
use std::time::Duration;

use rsipstack::sip::Transport;
use rsipstack::transport::channel::ChannelConnection;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc::unbounded_channel;

use super::*;
use crate::stack::sip_address;
use crate::stack::sources::Sources;

const SOUND: &str = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n\
                     Call-ID: x\r\nCSeq: 1 OPTIONS\r\n\r\n";

const LONG: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_millis(100);
const PATIENT: Patience = Patience { stalled: LONG, silent: LONG, idle: LONG };

/// A reader and its writer, the other end's bytes, and what reaches the library.
async fn reader(patience: Patience) -> (Reader<DuplexStream>, Writer<DuplexStream>, DuplexStream, TransportReceiver) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let peer = SocketAddr::from(([127, 0, 0, 1], 9));
    let (library, received) = unbounded_channel();
    let address = sip_address(Transport::Ws, peer);
    let channel = ChannelConnection::create_connection(unbounded_channel().1, unbounded_channel().0, address, None).await.unwrap();
    let intake = Intake::new(library, channel.into(), Arc::new(Sources::new(1000)), peer, Transport::Ws);
    let (reader, writer) = split(near, Vec::new(), intake, patience).await;
    (reader, writer, far, received)
}

/// The same, whose other end speaks WebSocket too.
async fn pair(patience: Patience) -> (Reader<DuplexStream>, Writer<DuplexStream>, WebSocketStream<DuplexStream>, TransportReceiver) {
    let (reader, writer, far, received) = reader(patience).await;
    (reader, writer, WebSocketStream::from_raw_socket(far, Role::Client, None).await, received)
}

/// How the reader ends; the test's harness ends it if it does not.
async fn ends(reader: Reader<DuplexStream>) -> End {
    timeout(LONG / 2, reader.run()).await.expect("it is still waited for")
}

/// How many messages have reached the library when the reader has ended.
fn count(mut received: TransportReceiver) -> usize {
    std::iter::from_fn(|| received.try_recv().ok()).count()
}

/// A frame of a client with this first byte, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[first, 0xfe], length.as_slice(), &[0; 4], payload].concat()
}

#[tokio::test]
async fn a_message_is_text_or_binary_and_may_come_in_fragments() {
    let (reader, _writer, mut far, received) = reader(PATIENT).await;
    let (head, tail) = SOUND.as_bytes().split_at(50);
    for frame in [frame(0x81, SOUND.as_bytes()), frame(0x82, SOUND.as_bytes()), frame(0x01, head), frame(0x89, b"ping"), frame(0x80, tail)]
    {
        far.write_all(&frame).await.unwrap();
    }
    // RFC 6455 has a status in a closing frame.
    far.write_all(&frame(0x88, &1000u16.to_be_bytes())).await.unwrap();
    assert_eq!(ends(reader).await, None, "the other end has closed");
    assert_eq!(count(received), 3);
}

#[tokio::test]
async fn keep_alives_are_answered_and_what_is_malformed_too() {
    let (reader, writer, mut far, received) = pair(PATIENT).await;
    for text in [
        "\r\n\r\n",
        "\r\n",
        "",
        "garbage",
        &SOUND.replace("OPTIONS sip", "OPTIONS  sip"),
        &SOUND.replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\nX"),
    ] {
        far.send(Message::text(text)).await.unwrap();
    }
    far.send(Message::Ping("p".into())).await.unwrap();
    far.send(Message::text(SOUND)).await.unwrap();
    far.send(Message::Close(None)).await.unwrap();
    assert_eq!(ends(reader).await, None);
    writer.close(None).await;
    drop(writer);
    let heard: Vec<Message> = far.filter_map(|message| std::future::ready(message.ok())).collect().await;
    let texts: Vec<&str> = heard.iter().filter(|message| message.is_text()).filter_map(|message| message.to_text().ok()).collect();
    assert_eq!(texts[0], "\r\n", "{heard:?}");
    assert!(
        texts[1].starts_with("SIP/2.0 400 ") && texts[2].starts_with("SIP/2.0 400 ") && texts[2].contains("Content-Length says less"),
        "{texts:?}"
    );
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(heard.contains(&Message::Pong("p".into())), "{heard:?}");
    assert_eq!(count(received), 1);
}

#[tokio::test]
async fn what_is_too_long_or_no_web_socket_ends_it_with_a_status() {
    let too_long = [[0x81, 0xff].as_slice(), &(MAX_MESSAGE as u64 + 1).to_be_bytes(), &[0; 4]].concat();
    let fragments = [frame(0x01, &b"x".repeat(60_000)), frame(0x00, &b"x".repeat(60_000))].concat();
    let (not_text, unmasked) = (frame(0x81, b"\xff"), [0x81, 1, b'x'].to_vec());
    for (bytes, code) in
        [(too_long, CloseCode::Size), (fragments, CloseCode::Size), (not_text, CloseCode::Invalid), (unmasked, CloseCode::Protocol)]
    {
        let (reader, writer, mut far, received) = reader(PATIENT).await;
        far.write_all(&bytes).await.unwrap();
        let end = ends(reader).await;
        assert_eq!(end, Some(code));
        writer.close(end).await;
        let mut far = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
        let Some(Ok(Message::Close(Some(told)))) = far.next().await else { panic!("nothing is told of {code}") };
        assert_eq!(told.code, code);
        assert_eq!(count(received), 0);
    }
}

#[tokio::test]
async fn half_a_message_is_not_waited_for_though_it_comes_byte_by_byte() {
    let (reader, _writer, mut far, received) = reader(Patience { stalled: SHORT, ..PATIENT }).await;
    far.write_all(&frame(0x81, SOUND.as_bytes())).await.unwrap();
    let trickle = tokio::spawn(async move {
        for byte in frame(0x81, SOUND.as_bytes()).into_iter().take(200) {
            tokio::time::sleep(SHORT / 5).await;
            if far.write_all(&[byte]).await.is_err() {
                return;
            }
        }
    });
    assert_eq!(ends(reader).await, GOING_AWAY);
    trickle.abort();
    assert_eq!(count(received), 1, "the whole message before it");
}

#[tokio::test]
async fn who_says_nothing_sound_is_not_waited_for_however_often() {
    let (reader, _writer, mut far, received) = pair(Patience { silent: SHORT, ..PATIENT }).await;
    let noise = tokio::spawn(async move {
        while far.send(Message::text("\r\n\r\n")).await.is_ok() && far.send(Message::text("noise")).await.is_ok() {
            tokio::time::sleep(SHORT / 5).await;
        }
    });
    assert_eq!(ends(reader).await, GOING_AWAY);
    noise.abort();
    assert_eq!(count(received), 0);
}

#[tokio::test]
async fn a_connection_that_is_used_is_closed_when_it_is_used_no_more() {
    let (reader, _writer, mut far, received) = pair(Patience { idle: SHORT, ..PATIENT }).await;
    far.send(Message::text(SOUND)).await.unwrap();
    assert_eq!(ends(reader).await, GOING_AWAY);
    assert_eq!(count(received), 1);
}
