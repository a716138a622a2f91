//! Setting and getting the pipeline.

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::get_forwarding_pipeline_config_request::ResponseType;
use p4runtime_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use p4runtime_proto::p4::v1::write_request::Atomicity;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use svpn_contract::{Entry, Update};
use tonic::Code;

use crate::support::{Controller, DEVICE, Server, our_config};

/// A router's worth of entries; the same each time.
pub(crate) fn network() -> Vec<Entry> {
    let mut runner = TestRunner::deterministic();
    svpn_contract::generators::network().new_tree(&mut runner).expect("a network can be made").current()
}

async fn config(controller: &mut Controller) -> Option<proto::ForwardingPipelineConfig> {
    let request = proto::GetForwardingPipelineConfigRequest { device_id: DEVICE, response_type: ResponseType::All.into() };
    controller.client.get_forwarding_pipeline_config(request).await.unwrap().into_inner().config
}

#[tokio::test]
async fn nothing_is_written_or_read_without_a_pipeline() {
    let server = Server::start().await;
    let mut primary = server.controller(1).await;
    assert_eq!(config(&mut primary).await, None);
    assert_eq!(primary.write(Atomicity::ContinueOnError, vec![]).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(primary.read(vec![]).await.unwrap_err().code(), Code::FailedPrecondition);
    primary.set_pipeline(Action::VerifyAndSave).await.unwrap();
    assert_eq!(primary.write(Atomicity::ContinueOnError, vec![]).await.unwrap_err().code(), Code::FailedPrecondition);
    primary.set_pipeline(Action::Commit).await.unwrap();
    primary.write(Atomicity::ContinueOnError, vec![]).await.unwrap();
    assert_eq!(config(&mut primary).await, Some(our_config(1)), "device configuration and cookie come back");
}

#[tokio::test]
async fn another_pipeline_is_refused_with_the_difference() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    primary.insert(&network()).await;
    let mut foreign = our_config(2);
    let tables = &mut foreign.p4info.as_mut().unwrap().tables;
    let station = tables.iter_mut().find(|table| table.preamble.as_ref().is_some_and(|preamble| preamble.name == "station"));
    station.unwrap().match_fields[0].bitwidth = 32;
    for action in [Action::Verify, Action::VerifyAndSave, Action::VerifyAndCommit, Action::ReconcileAndCommit] {
        let refused = primary.set_config(action, Some(foreign.clone())).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains("\"port\" is match field 1 of 32 bits"), "{}", refused.message());
        assert_eq!(primary.set_config(action, None).await.unwrap_err().code(), Code::InvalidArgument);
    }
    assert_eq!(primary.set_pipeline(Action::Commit).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(config(&mut primary).await, Some(our_config(1)));
    assert_eq!(primary.all().await.len(), network().len(), "no entry is touched");
}

#[tokio::test]
async fn reconciling_keeps_entries_and_committing_clears_them() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    let network = network();
    primary.insert(&network).await;
    primary.set_config(Action::ReconcileAndCommit, Some(our_config(2))).await.unwrap();
    assert_eq!(primary.all().await.len(), network.len());
    assert_eq!(config(&mut primary).await, Some(our_config(2)));
    // What was written since the pipeline was saved is written to the saved one.
    primary.set_config(Action::VerifyAndSave, Some(our_config(3))).await.unwrap();
    primary.write(Atomicity::ContinueOnError, vec![Update::Modify(network[0].clone()).encode()]).await.unwrap();
    assert_eq!(config(&mut primary).await, Some(our_config(2)), "saved is not in service");
    primary.set_pipeline(Action::Commit).await.unwrap();
    assert_eq!(primary.all().await, [network[0].clone()]);
    assert_eq!(config(&mut primary).await, Some(our_config(3)));
    primary.insert(&network[1..]).await;
    primary.set_pipeline(Action::VerifyAndCommit).await.unwrap();
    assert_eq!(primary.all().await, []);
    primary.insert(&network).await;
}
