/* The pipeline contract on v1model: what BMv2's simple_switch_grpc runs.
 *
 * Parser, deparser, and what an architecture has its own words for. The CPU port is 510 (simple_switch_grpc --cpu-port 510).
 */

#include <core.p4>
#include <v1model.p4>

#include "headers.p4"

#define DIRECT_COUNTER direct_counter(CounterType.packets_and_bytes)
#define INDEXED_COUNTER(size) counter(size, CounterType.packets_and_bytes)
#define DIRECT_METER direct_meter<bit<2>>(MeterType.bytes)
#define DIRECT_PACKET_METER direct_meter<bit<2>>(MeterType.packets)
#define METER_COLOUR(meter, to) meter.read(to);
#define COUNT_DIRECT(counter) counter.count();
#define COUNT_INDEXED(counter, at) counter.count(at);
#define TABLE_COUNTER(counter) counters = counter;
#define TABLE_METER(meter) meters = meter;
#define SELECTOR(size) action_selector(HashAlgorithm.crc32, size, 32)
#define OTHER_SELECTOR(size) action_selector(HashAlgorithm.crc16, size, 16)

#define ATTACHMENTS 4096
#define STATIONS 1024
#define FLOWS_V4 1048576
#define FLOWS_V6 1048576
#define FLOW_ACLS_V4 16384
#define FLOW_ACLS_V6 16384
#define SESSIONS 1048576
#define ROUTES_V4 1048576
#define ROUTES_V6 262144
#define VRF_POLICERS 65536
#define TUNNELS 65536
#define TUNNEL_MEMBERS 65536
#define LABELS 1048576
#define NEXTHOPS 16384
#define NEXTHOP_MEMBERS 16384
#define GRE_INGRESSES_V4 65536
#define GRE_INGRESSES_V6 65536
#define PUNT_POLICERS 256

#include "pipeline.p4"

const bit<9> CPU_PORT = 510;
/* The instance type of a frame that has just come in; another pass over it has another. */
const bit<32> NEW_FRAME = 0;

parser FrameParser(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    state start {
        meta.l3_length = standard.packet_length - 14;
        transition select(standard.ingress_port) {
            CPU_PORT: from_controller;
            default: ethernet;
        }
    }

    state from_controller {
        packet.extract(hdr.packet_out);
        transition accept;
    }

    state ethernet {
        packet.extract(hdr.ethernet);
        meta.ethertype = hdr.ethernet.ethertype;
        transition select(hdr.ethernet.ethertype) {
            ETHERTYPE_VLAN: outer_tag;
            ETHERTYPE_QINQ: outer_tag;
            default: payload;
        }
    }

    state outer_tag {
        packet.extract(hdr.outer_tag);
        meta.vlan = hdr.outer_tag.vid;
        meta.ethertype = hdr.outer_tag.ethertype;
        meta.l3_length = meta.l3_length - 4;
        transition select(hdr.outer_tag.ethertype) {
            ETHERTYPE_VLAN: inner_tag;
            ETHERTYPE_QINQ: inner_tag;
            default: payload;
        }
    }

    state inner_tag {
        packet.extract(hdr.inner_tag);
        meta.inner_vlan = hdr.inner_tag.vid;
        meta.ethertype = hdr.inner_tag.ethertype;
        meta.l3_length = meta.l3_length - 4;
        transition payload;
    }

    /* What earlier passes are done with is left out. */
    state payload {
        transition select(meta.pass.removed) {
            0: first_payload;
            default: next_payload;
        }
    }

    state next_payload {
        packet.extract(hdr.removed, (bit<32>) meta.pass.removed << 3);
        meta.ethertype = meta.pass.ethertype;
        transition select(meta.pass.ethertype) {
            ETHERTYPE_MPLS: label0;
            ETHERTYPE_IPV4: ipv4;
            ETHERTYPE_IPV6: ipv6;
            default: accept;
        }
    }

    state first_payload {
        transition select(meta.ethertype) {
            ETHERTYPE_ARP: arp;
            ETHERTYPE_MPLS: label0;
            ETHERTYPE_IPV4: ipv4;
            ETHERTYPE_IPV6: ipv6;
            default: accept;
        }
    }

    state arp {
        packet.extract(hdr.arp);
        transition accept;
    }

    state label0 {
        packet.extract(hdr.label0);
        transition select(hdr.label0.bos) {
            0: label1;
            1: below_labels;
        }
    }

    state label1 {
        packet.extract(hdr.label1);
        transition select(hdr.label1.bos) {
            0: label2;
            1: below_labels;
        }
    }

    state label2 {
        packet.extract(hdr.label2);
        transition select(hdr.label2.bos) {
            0: label3;
            1: below_labels;
        }
    }

    state label3 {
        packet.extract(hdr.label3);
        transition select(hdr.label3.bos) {
            0: accept;
            1: below_labels;
        }
    }

    /* The first nibble tells what a label stack carries. */
    state below_labels {
        meta.nibble = packet.lookahead<bit<4>>();
        transition select(meta.nibble) {
            4: ipv4;
            6: ipv6;
            default: accept;
        }
    }

    state ipv4 {
        packet.extract(hdr.ipv4);
        transition select(hdr.ipv4.version, hdr.ipv4.ihl) {
            (4, 5): ports_or_not;
            (4, 6 .. 15): ipv4_options;
            default: accept;
        }
    }

    state ipv4_options {
        packet.extract(hdr.ipv4_options, ((bit<32>) hdr.ipv4.ihl - 5) << 5);
        transition ports_or_not;
    }

    /* Every fragment, the first too, has ports 0. */
    state ports_or_not {
        transition select(hdr.ipv4.more_fragments, hdr.ipv4.fragment_offset, hdr.ipv4.protocol) {
            (0, 0, PROTOCOL_TCP): ports;
            (0, 0, PROTOCOL_UDP): ports;
            (0, 0, PROTOCOL_SCTP): ports;
            (_, 0, PROTOCOL_GRE): gre;
            default: accept;
        }
    }

    state ports {
        packet.extract(hdr.ports);
        transition accept;
    }

    state ipv6 {
        packet.extract(hdr.ipv6);
        transition select(hdr.ipv6.next_header) {
            PROTOCOL_TCP: ports;
            PROTOCOL_UDP: ports;
            PROTOCOL_SCTP: ports;
            PROTOCOL_GRE: gre;
            PROTOCOL_ICMPV6: icmpv6;
            PROTOCOL_FRAGMENT: fragment;
            default: accept;
        }
    }

    state icmpv6 {
        packet.extract(hdr.icmpv6);
        transition accept;
    }

    state fragment {
        packet.extract(hdr.fragment);
        transition select(hdr.fragment.fragment_offset, hdr.fragment.next_header) {
            (0, PROTOCOL_GRE): gre;
            default: accept;
        }
    }

    state gre {
        packet.extract(hdr.gre);
        transition select(hdr.gre.has_checksum, hdr.gre.has_key) {
            (1, _): gre_checksum;
            (0, 1): gre_key;
            default: accept;
        }
    }

    state gre_checksum {
        packet.extract(hdr.gre_checksum);
        transition select(hdr.gre.has_key) {
            1: gre_key;
            default: accept;
        }
    }

    state gre_key {
        packet.extract(hdr.gre_key);
        transition accept;
    }
}

/* Over a right header, its checksum included, the checksum comes to 0 (RFC 1071), whichever form of zero was sent. */
control VerifyIpv4(inout headers_t hdr, inout metadata_t meta) {
    apply {
        verify_checksum(hdr.ipv4.isValid() && hdr.ipv4.version == 4 && hdr.ipv4.ihl == 5,
            { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.dscp, hdr.ipv4.ecn, hdr.ipv4.total_length, hdr.ipv4.identification,
              hdr.ipv4.reserved, hdr.ipv4.dont_fragment, hdr.ipv4.more_fragments, hdr.ipv4.fragment_offset, hdr.ipv4.ttl,
              hdr.ipv4.protocol, hdr.ipv4.checksum, hdr.ipv4.src, hdr.ipv4.dst },
            meta.right_checksum, HashAlgorithm.csum16);
        verify_checksum(hdr.ipv4.isValid() && hdr.ipv4_options.isValid(),
            { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.dscp, hdr.ipv4.ecn, hdr.ipv4.total_length, hdr.ipv4.identification,
              hdr.ipv4.reserved, hdr.ipv4.dont_fragment, hdr.ipv4.more_fragments, hdr.ipv4.fragment_offset, hdr.ipv4.ttl,
              hdr.ipv4.protocol, hdr.ipv4.checksum, hdr.ipv4.src, hdr.ipv4.dst, hdr.ipv4_options.data },
            meta.right_checksum, HashAlgorithm.csum16);
    }
}

control FrameIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    Lookup() lookup;

    apply {
        if (hdr.packet_out.isValid()) {
            standard.egress_spec = hdr.packet_out.egress_port;
            hdr.packet_out.setInvalid();
        } else {
            /* The next pass does not know it any more. */
            if (standard.instance_type == NEW_FRAME) {
                meta.pass.ingress_port = standard.ingress_port;
            }
            meta.ip_checksum_wrong = standard.checksum_error == 1;
            lookup.apply(hdr, meta);
            if (meta.reason == Reason.NONE && meta.next_pass) {
                resubmit_preserving_field_list(NEXT_PASS);
            } else if (meta.reason == Reason.NONE) {
                standard.egress_spec = meta.egress_port;
            } else if (meta.punt) {
                hdr.packet_in.setValid();
                hdr.packet_in.ingress_port = meta.pass.ingress_port;
                hdr.packet_in.padding = 0;
                hdr.packet_in.reason = meta.reason;
                hdr.packet_in.vrf = meta.vrf;
                standard.egress_spec = CPU_PORT;
            } else {
                mark_to_drop(standard);
            }
        }
    }
}

control FrameEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply { }
}

/* Nothing to do: a checksum is changed where its header is (RFC 1624). */
control NoChecksum(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control FrameDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}

V1Switch(FrameParser(), VerifyIpv4(), FrameIngress(), FrameEgress(), NoChecksum(), FrameDeparser()) main;
