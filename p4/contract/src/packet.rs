//! Packet-in and packet-out: frames between a router and its controller.

use p4runtime_proto::p4::v1 as proto;

use crate::error::ValueError;
use crate::tables::{Reason, packet_in, packet_out};
use crate::value::Value;
use crate::wire::{PortId, VrfId};

/// A frame a router hands to its controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketIn {
    /// Where it came in.
    pub ingress_port: PortId,
    /// Why it is handed over.
    pub reason: Reason,
    /// The VRF known by then, 0 if none.
    pub vrf: VrfId,
    /// The frame as received.
    pub frame: Vec<u8>,
}

/// A frame a controller sends out of a router's port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketOut {
    /// Where it goes.
    pub egress_port: PortId,
    /// The frame.
    pub frame: Vec<u8>,
}

/// Why a message is no packet of the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// A metadata field is missing.
    #[error("packet metadata {0} is missing")]
    Missing(&'static str),
    /// A metadata field's value is bad.
    #[error("packet metadata {field} {source}")]
    Bad {
        /// The field.
        field: &'static str,
        /// Why.
        source: ValueError,
    },
}

fn put(metadata_id: u32, value: Vec<u8>) -> proto::PacketMetadata {
    proto::PacketMetadata { metadata_id, value }
}

fn take<V: Value>(metadata: &[proto::PacketMetadata], id: u32, field: &'static str) -> Result<V, PacketError> {
    let found = metadata.iter().find(|found| found.metadata_id == id).ok_or(PacketError::Missing(field))?;
    V::from_bytes(&found.value).map_err(|source| PacketError::Bad { field, source })
}

impl PacketIn {
    /// As a P4Runtime message.
    pub fn encode(self) -> proto::PacketIn {
        let metadata = vec![
            put(packet_in::INGRESS_PORT, self.ingress_port.to_bytes()),
            put(packet_in::PADDING, vec![0]),
            put(packet_in::REASON, vec![self.reason as u8]),
            put(packet_in::VRF, self.vrf.to_bytes()),
        ];
        proto::PacketIn { payload: self.frame, metadata }
    }

    /// From a P4Runtime message.
    ///
    /// # Errors
    /// [`PacketError`] names the metadata field.
    pub fn decode(packet: proto::PacketIn) -> Result<Self, PacketError> {
        Ok(Self {
            ingress_port: take(&packet.metadata, packet_in::INGRESS_PORT, "ingress_port")?,
            reason: take(&packet.metadata, packet_in::REASON, "reason")?,
            vrf: take(&packet.metadata, packet_in::VRF, "vrf")?,
            frame: packet.payload,
        })
    }
}

impl PacketOut {
    /// As a P4Runtime message.
    pub fn encode(self) -> proto::PacketOut {
        let metadata = vec![put(packet_out::EGRESS_PORT, self.egress_port.to_bytes()), put(packet_out::PADDING, vec![0])];
        proto::PacketOut { payload: self.frame, metadata }
    }

    /// From a P4Runtime message.
    ///
    /// # Errors
    /// [`PacketError`] names the metadata field.
    pub fn decode(packet: proto::PacketOut) -> Result<Self, PacketError> {
        let egress_port = take(&packet.metadata, packet_out::EGRESS_PORT, "egress_port")?;
        Ok(Self { egress_port, frame: packet.payload })
    }
}
