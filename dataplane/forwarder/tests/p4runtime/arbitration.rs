//! Who may write.

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use p4runtime_proto::p4::v1::stream_message_request::Update as Request;
use p4runtime_proto::p4::v1::write_request::Atomicity;
use tonic::Code;

use crate::support::{DEVICE, Server};

#[tokio::test]
async fn the_higher_bid_is_primary_and_both_are_told() {
    let server = Server::start().await;
    let mut first = server.silent(5).await;
    first.bid(Some(5)).await;
    assert_eq!(first.notice().await, (Code::Ok, Some(5)));
    let mut second = server.silent(4).await;
    second.bid(Some(4)).await;
    assert_eq!(second.notice().await, (Code::AlreadyExists, Some(5)));
    assert_eq!(second.set_pipeline(Action::Verify).await.unwrap_err().code(), Code::PermissionDenied);
    first.set_pipeline(Action::VerifyAndCommit).await.unwrap();
    assert_eq!(second.write(Atomicity::ContinueOnError, vec![]).await.unwrap_err().code(), Code::PermissionDenied);
    // The backup takes over.
    second.election = 6;
    second.bid(Some(6)).await;
    assert_eq!(first.notice().await, (Code::AlreadyExists, Some(6)));
    assert_eq!(second.notice().await, (Code::Ok, Some(6)));
    assert_eq!(first.write(Atomicity::ContinueOnError, vec![]).await.unwrap_err().code(), Code::PermissionDenied);
    second.write(Atomicity::ContinueOnError, vec![]).await.unwrap();
    // It leaves; nobody is primary until somebody bids as high.
    drop(second);
    assert_eq!(first.notice().await, (Code::NotFound, Some(6)));
    assert_eq!(first.write(Atomicity::ContinueOnError, vec![]).await.unwrap_err().code(), Code::PermissionDenied);
    first.election = 6;
    first.bid(Some(6)).await;
    assert_eq!(first.notice().await, (Code::Ok, Some(6)));
    first.write(Atomicity::ContinueOnError, vec![]).await.unwrap();
}

#[tokio::test]
async fn a_primary_steps_down_by_a_lower_bid() {
    let server = Server::start().await;
    let (mut first, mut standby) = (server.controller(5).await, server.silent(0).await);
    standby.bid(None).await;
    assert_eq!(standby.notice().await, (Code::AlreadyExists, Some(5)));
    first.bid(Some(2)).await;
    assert_eq!(first.notice().await, (Code::NotFound, Some(5)));
    assert_eq!(standby.notice().await, (Code::NotFound, Some(5)));
}

#[tokio::test]
async fn bids_that_cannot_be_end_the_stream() {
    let server = Server::start().await;
    let mut first = server.controller(5).await;
    let mut twin = server.silent(5).await;
    twin.bid(Some(5)).await;
    assert_eq!(twin.ending().await.code(), Code::InvalidArgument);
    let mut lost = server.silent(9).await;
    lost.say(Request::Arbitration(proto::MasterArbitrationUpdate { device_id: 99, ..Default::default() })).await;
    assert_eq!(lost.ending().await.code(), Code::NotFound);
    let mut configured = server.silent(9).await;
    let role = Some(proto::Role { config: Some(prost_types::Any::default()), ..Default::default() });
    configured.say(Request::Arbitration(proto::MasterArbitrationUpdate { device_id: DEVICE, role, ..Default::default() })).await;
    assert_eq!(configured.ending().await.code(), Code::InvalidArgument);
    // None of them disturbed the primary, until it changes its mind about who it is.
    first.set_pipeline(Action::Verify).await.unwrap();
    first.say(Request::Arbitration(proto::MasterArbitrationUpdate { device_id: 99, ..Default::default() })).await;
    assert_eq!(first.ending().await.code(), Code::FailedPrecondition);
    let mut changing = server.controller(5).await;
    changing.role = "other".into();
    changing.bid(Some(5)).await;
    assert_eq!(changing.ending().await.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn every_role_has_its_primary() {
    let server = Server::start().await;
    let mut first = server.primary().await;
    let mut tester = server.silent(1).await;
    tester.role = "tester".into();
    assert_eq!(tester.write(Atomicity::ContinueOnError, vec![]).await.unwrap_err().code(), Code::NotFound, "nobody bid for it yet");
    tester.bid(Some(1)).await;
    assert_eq!(tester.notice().await, (Code::Ok, Some(1)));
    tester.write(Atomicity::ContinueOnError, vec![]).await.unwrap();
    first.write(Atomicity::ContinueOnError, vec![]).await.unwrap();
}

#[tokio::test]
async fn other_devices_are_not_found() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    let mut write = primary.request(Atomicity::ContinueOnError, vec![]);
    write.device_id = 99;
    assert_eq!(primary.client.write(write).await.unwrap_err().code(), Code::NotFound);
    let read = proto::ReadRequest { device_id: 99, ..Default::default() };
    assert_eq!(primary.client.read(read).await.unwrap_err().code(), Code::NotFound);
    let get = proto::GetForwardingPipelineConfigRequest { device_id: 99, ..Default::default() };
    assert_eq!(primary.client.get_forwarding_pipeline_config(get).await.unwrap_err().code(), Code::NotFound);
    let capabilities = |device_id| proto::CapabilitiesRequest { device_id };
    assert_eq!(primary.client.capabilities(capabilities(99)).await.unwrap_err().code(), Code::NotFound);
    for device in [0, DEVICE] {
        let answer = primary.client.capabilities(capabilities(device)).await.unwrap().into_inner();
        assert_eq!(answer.p4runtime_api_version, "1.6.0");
    }
}

#[tokio::test]
async fn stopping_ends_streams_and_returns() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    server.stop.send(()).unwrap();
    assert_eq!(primary.ending().await.code(), Code::Unavailable);
    drop(primary);
    server.served.await.unwrap().unwrap();
}
