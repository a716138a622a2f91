//! Which pipeline a router has in service.

use std::hash::Hasher;

use fnv::FnvHasher;
use p4runtime_proto::p4::v1::ForwardingPipelineConfig;
use p4runtime_proto::p4::v1::forwarding_pipeline_config::Cookie;
use tonic::Status;

use crate::client::Client;

/// What was found, and done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pipeline {
    /// It was ours; packets went on.
    Kept,
    /// It was none, or another; the tables are empty now.
    Replaced,
}

/// Makes sure that the contract's pipeline is in service. It is left alone if it is already, so that a gateway's restart costs no
/// packet.
pub(crate) async fn ensure(client: &Client, device_config: &[u8]) -> Result<Pipeline, Status> {
    let cookie = cookie(svpn_contract::P4INFO_BYTES, device_config);
    if client.pipeline_cookie().await? == Some(cookie) {
        return Ok(Pipeline::Kept);
    }
    let config = ForwardingPipelineConfig {
        p4info: Some(svpn_contract::p4info()),
        p4_device_config: device_config.to_vec(),
        cookie: Some(Cookie { cookie }),
    };
    client.commit_pipeline(config).await?;
    Ok(Pipeline::Replaced)
}

/// A pipeline's name: equal in every build and on every machine for equal pipelines.
fn cookie(p4info: &[u8], device_config: &[u8]) -> u64 {
    let mut hasher = FnvHasher::default();
    // The length keeps the two apart.
    hasher.write(&(p4info.len() as u64).to_be_bytes());
    hasher.write(p4info);
    hasher.write(device_config);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::cookie;

    #[test]
    fn cookie_names_both_parts_and_where_they_meet() {
        let cookies = [cookie(b"ab", b"c"), cookie(b"a", b"bc"), cookie(b"ab", b"d"), cookie(b"ab", b"")];
        for (index, one) in cookies.iter().enumerate() {
            assert!(!cookies[index + 1..].contains(one), "{cookies:?}");
        }
    }

    /// A router keeps the cookie over a gateway's upgrade, so its value must not change by itself.
    #[test]
    fn cookie_stays_what_it_was() {
        assert_eq!(cookie(b"", b""), 0xa8c7_f832_281a_39c5);
    }
}
