/* The pipeline contract on Tofino: the Tofino Native Architecture, of Tofino and Tofino 2.
 *
 * Parsers, deparsers, and what an architecture has its own words for. Look-ups are made in ingress; what goes out is rewritten in
 * egress, so a punt, which leaves egress out, is as received. README.md lists what differs from v1model, and why.
 */

#include <core.p4>
#include <tna.p4>

/* What a pass hands to the next: a resubmitted frame has eight bytes of it in front. */
header pass_on_t {
    bit<16> removed;
    bit<8> labels;
    bit<8> label_ttl;
    bit<16> ethertype;
    bit<16> vrf;
}

struct own_metadata_t {
    bool cut_short;           /* the parser came to the end of the frame */
    bit<32> hash;             /* of the 5-tuple */
}

/* What ingress hands to egress: the ethertype is that behind the tags, which ingress takes off. Of IPv6 egress reads no more than it
 * may change: its parser goes 160 bytes deep. */
#define OWN_TYPES header bridge_t { @flexible bit<16> ethertype; @flexible rewrite_t rewrite; }   \
    header ipv6_head_t { bit<32> version_to_flow_label; bit<16> payload_length; bit<8> next_header; bit<8> hop_limit; }
#define OWN_HEADERS                     \
    bridge_t bridge;                    \
    ipv6_head_t ipv6_head;              \
    pass_on_t pass_on;                  \
    mpls_t removed_label;               \
    ipv4_t removed_ipv4;                \
    ipv4_options_t removed_options;     \
    ipv6_t removed_ipv6;                \
    gre_t removed_gre;                  \
    gre_field_t removed_checksum;       \
    gre_field_t removed_key;            \
    gre_field_t removed_sequence;
#define CHOICE_KEYS meta.own.hash : selector;

#include "headers.p4"

/* Tofino counts the frame check sequence, the contract does not. */
#define FCS_BYTES 4

#define DIRECT_COUNTER DirectCounter<bit<64>>(CounterType_t.PACKETS_AND_BYTES)
#define INDEXED_COUNTER(size, bits) Counter<bit<64>, bit<bits>>(size, CounterType_t.PACKETS_AND_BYTES)
/* Tofino's own number for red is 3. */
#define DIRECT_METER DirectMeter(MeterType_t.BYTES, 2, 1, 0)
#define DIRECT_PACKET_METER DirectMeter(MeterType_t.PACKETS, 2, 1, 0)
#define COUNT_DIRECT(counter) counter.count(adjust_byte_count = FCS_BYTES);
#define COUNT_INDEXED(counter, at, bits) counter.count(index = (bit<bits>) at, adjust_byte_count = FCS_BYTES);
#define TABLE_COUNTER(counter) counters = counter;
#define TABLE_METER(meter) meters = meter;
#define IDLE_TIMEOUT idle_timeout = true;
/* Different hashes, so that what one chooses does not depend on what the other chose. */
#define tunnel_selector_HASH HashAlgorithm_t.CRC32
#define nexthop_selector_HASH HashAlgorithm_t.CRC16
#define MEMBERS_OF_A_GROUP 32
#define SELECTOR(size, name) ActionProfile(size) name##_members;                                                       \
    Hash<bit<32>>(name##_HASH) name##_hash;                                                                            \
    ActionSelector(name##_members, name##_hash, SelectorMode_t.FAIR, MEMBERS_OF_A_GROUP, size / MEMBERS_OF_A_GROUP) name;
#define LIMIT(value, most) value = min(value, most);
/* Ingress knows where a frame ends only by what the parser could not take. */
#define TOO_SHORT(bytes) (meta.own.cut_short && !hdr.ipv4.isValid() && !hdr.ipv6.isValid())
#define OPTIONS_CUT (false)
#define BEYOND_FRAME(length) (false)
/* A frame is resubmitted once. */
#define WAS_LAST_PASS (meta.pass.removed != 0)
/* The P4Info is made of one action that runs no meter, which is all that the controller sees. */
#ifdef P4INFO_ONLY
#define METER_COLOUR(meter, to)
#else
#define METER_COLOUR(meter, to) to = (bit<2>) meter.execute(adjust_byte_count = FCS_BYTES);
#define ONE_METER_AN_ACTION
#endif

/* The parser's own sum tells whether it is wrong. */
#define SUM_HEADER sum.add(hdr.ipv4);
#define SUM_OPTIONS sum.add({ hdr.ipv4_options.data });
#define SUM_END meta.ip_checksum_wrong = sum.verify();

#include "sizes/tofino.p4"

/* Four bytes for each word: looked up, since a shift would have four bits of the frame in a container of their own. */
control ReadHeaderLength(in headers_t hdr, inout metadata_t meta) {
    @hidden action is(bit<16> bytes) {
        meta.header_length = bytes;
    }
    @hidden table header_lengths {
        key = { hdr.ipv4.ihl : exact; }
        actions = { is; }
        const default_action = is(0);
        const entries = {
            1 : is(4);
            2 : is(8);
            3 : is(12);
            4 : is(16);
            5 : is(20);
            6 : is(24);
            7 : is(28);
            8 : is(32);
            9 : is(36);
            10 : is(40);
            11 : is(44);
            12 : is(48);
            13 : is(52);
            14 : is(56);
            15 : is(60);
        }
        size = 16;
    }
    apply {
        header_lengths.apply();
    }
}

/* What the architecture alone can say of a frame: as long as its labels and what its IP header says. */
control ReadFrame(in headers_t hdr, inout metadata_t meta) {
    Hash<bit<32>>(HashAlgorithm_t.CRC32) hash_v4;
    Hash<bit<32>>(HashAlgorithm_t.CRC32) hash_v6;
    apply {
        if (hdr.label3.isValid()) {
            meta.length_out = meta.ip_length + 4 * LABEL_BYTES;
        } else if (hdr.label2.isValid()) {
            meta.length_out = meta.ip_length + 3 * LABEL_BYTES;
        } else if (hdr.label1.isValid()) {
            meta.length_out = meta.ip_length + 2 * LABEL_BYTES;
        } else if (hdr.label0.isValid()) {
            meta.length_out = meta.ip_length + LABEL_BYTES;
        } else {
            meta.length_out = meta.ip_length;
        }
        if (hdr.ipv4.isValid()) {
            meta.own.hash = hash_v4.get({ hdr.ipv4.src, hdr.ipv4.dst, meta.proto, meta.sport, meta.dport });
        } else if (hdr.ipv6.isValid()) {
            meta.own.hash = hash_v6.get({ hdr.ipv6.src, hdr.ipv6.dst, meta.proto, meta.sport, meta.dport });
        }
    }
}

/* Nothing here: the checksum engine does it between egress parser and deparser. */
control KeepChecksum(inout headers_t hdr, in bit<8> ttl) {
    apply { }
}

#include "pipeline.p4"

#if __TARGET_TOFINO__ == 2
const bit<9> CPU_PORT = 0;
#else
const bit<9> CPU_PORT = 192;
#endif

@pa_auto_init_metadata
parser IngressParser(packet_in packet, out headers_t hdr, out metadata_t meta, out ingress_intrinsic_metadata_t intrinsic) {
    Checksum() sum;

    state start {
        packet.extract(intrinsic);
        meta.pass.ingress_port = intrinsic.ingress_port;
        transition select(intrinsic.resubmit_flag) {
            0: received;
            1: resubmitted;
        }
    }

    state received {
        packet.advance(PORT_METADATA_SIZE);
        transition select(intrinsic.ingress_port) {
            CPU_PORT: from_controller;
            default: ethernet;
        }
    }

    state resubmitted {
        packet.extract(hdr.pass_on);
        meta.pass.removed = hdr.pass_on.removed;
        meta.pass.labels = hdr.pass_on.labels;
        meta.pass.label_ttl = hdr.pass_on.label_ttl;
        meta.pass.vrf = hdr.pass_on.vrf;
        packet.advance(PORT_METADATA_SIZE - 64);
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.ethertype) {
            ETHERTYPE_VLAN: resubmitted_outer_tag;
            ETHERTYPE_QINQ: resubmitted_outer_tag;
            ETHERTYPE_MPLS: removed_label;
            ETHERTYPE_IPV4: removed_ipv4;
            default: removed_ipv6;
        }
    }

    state resubmitted_outer_tag {
        packet.extract(hdr.outer_tag);
        transition select(hdr.outer_tag.ethertype) {
            ETHERTYPE_VLAN: resubmitted_inner_tag;
            ETHERTYPE_QINQ: resubmitted_inner_tag;
            ETHERTYPE_MPLS: removed_label;
            ETHERTYPE_IPV4: removed_ipv4;
            default: removed_ipv6;
        }
    }

    state resubmitted_inner_tag {
        packet.extract(hdr.inner_tag);
        transition select(hdr.inner_tag.ethertype) {
            ETHERTYPE_MPLS: removed_label;
            ETHERTYPE_IPV4: removed_ipv4;
            default: removed_ipv6;
        }
    }

    /* What the first pass was done with is kept apart, for a punt to have. */
    state removed_label {
        packet.extract(hdr.removed_label);
        transition behind_removed;
    }

    state removed_ipv4 {
        packet.extract(hdr.removed_ipv4);
        transition select(hdr.removed_ipv4.ihl) {
            5: removed_gre;
            default: removed_options;
        }
    }

    state removed_options {
        packet.extract(hdr.removed_options, ((bit<32>) hdr.removed_ipv4.ihl - 5) << 5);
        transition removed_gre;
    }

    state removed_ipv6 {
        packet.extract(hdr.removed_ipv6);
        transition removed_gre;
    }

    state removed_gre {
        packet.extract(hdr.removed_gre);
        transition select(hdr.removed_gre.has_checksum, hdr.removed_gre.has_key, hdr.removed_gre.has_sequence) {
            (1, _, _): removed_checksum;
            (0, 1, _): removed_key;
            (0, 0, 1): removed_sequence;
            default: behind_removed;
        }
    }

    state removed_checksum {
        packet.extract(hdr.removed_checksum);
        transition select(hdr.removed_gre.has_key, hdr.removed_gre.has_sequence) {
            (1, _): removed_key;
            (0, 1): removed_sequence;
            default: behind_removed;
        }
    }

    state removed_key {
        packet.extract(hdr.removed_key);
        transition select(hdr.removed_gre.has_sequence) {
            1: removed_sequence;
            default: behind_removed;
        }
    }

    state removed_sequence {
        packet.extract(hdr.removed_sequence);
        transition behind_removed;
    }

    state behind_removed {
        transition select(hdr.pass_on.ethertype) {
            ETHERTYPE_MPLS: mpls_behind_tags;
            ETHERTYPE_IPV4: ipv4_behind_tags;
            ETHERTYPE_IPV6: ipv6_behind_tags;
            default: accept;
        }
    }

    state from_controller {
        packet.extract(hdr.packet_out);
        transition accept;
    }

    /* What is behind the tags is a constant of the state that the last ethertype leads to: a parser looks back at nothing. */
    state ethernet {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.ethertype) {
            ETHERTYPE_VLAN: outer_tag;
            ETHERTYPE_QINQ: outer_tag;
            ETHERTYPE_ARP: arp_behind_tags;
            ETHERTYPE_LLDP: lldp_behind_tags;
            ETHERTYPE_MPLS: mpls_behind_tags;
            ETHERTYPE_IPV4: ipv4_behind_tags;
            ETHERTYPE_IPV6: ipv6_behind_tags;
            default: accept;
        }
    }

    state outer_tag {
        packet.extract(hdr.outer_tag);
        meta.vlan = hdr.outer_tag.vid;
        transition select(hdr.outer_tag.ethertype) {
            ETHERTYPE_VLAN: inner_tag;
            ETHERTYPE_QINQ: inner_tag;
            ETHERTYPE_ARP: arp_behind_tags;
            ETHERTYPE_LLDP: lldp_behind_tags;
            ETHERTYPE_MPLS: mpls_behind_tags;
            ETHERTYPE_IPV4: ipv4_behind_tags;
            ETHERTYPE_IPV6: ipv6_behind_tags;
            default: accept;
        }
    }

    state inner_tag {
        packet.extract(hdr.inner_tag);
        meta.inner_vlan = hdr.inner_tag.vid;
        transition select(hdr.inner_tag.ethertype) {
            ETHERTYPE_ARP: arp_behind_tags;
            ETHERTYPE_LLDP: lldp_behind_tags;
            ETHERTYPE_MPLS: mpls_behind_tags;
            ETHERTYPE_IPV4: ipv4_behind_tags;
            ETHERTYPE_IPV6: ipv6_behind_tags;
            default: accept;
        }
    }

    state arp_behind_tags {
        meta.ethertype = ETHERTYPE_ARP;
        transition arp;
    }

    state lldp_behind_tags {
        meta.ethertype = ETHERTYPE_LLDP;
        transition accept;
    }

    state mpls_behind_tags {
        meta.ethertype = ETHERTYPE_MPLS;
        transition label0;
    }

    state ipv4_behind_tags {
        meta.ethertype = ETHERTYPE_IPV4;
        transition ipv4;
    }

    state ipv6_behind_tags {
        meta.ethertype = ETHERTYPE_IPV6;
        transition ipv6;
    }

    #include "parser.p4"
}

control Ingress(inout headers_t hdr, inout metadata_t meta, in ingress_intrinsic_metadata_t intrinsic,
                in ingress_intrinsic_metadata_from_parser_t parsed, inout ingress_intrinsic_metadata_for_deparser_t to_deparser,
                inout ingress_intrinsic_metadata_for_tm_t to_queues) {
    Lookup() lookup;

    apply {
        if (parsed.parser_err != 0) {
            meta.own.cut_short = true;
        }
        if (hdr.packet_out.isValid()) {
            to_queues.ucast_egress_port = hdr.packet_out.egress_port;
            to_queues.bypass_egress = 1;
            hdr.packet_out.setInvalid();
        } else {
            lookup.apply(hdr, meta);
            if (meta.reason == Reason.NONE && meta.next_pass) {
                to_deparser.resubmit_type = 1;
            } else if (meta.reason == Reason.NONE) {
                to_queues.ucast_egress_port = meta.egress_port;
                hdr.outer_tag.setInvalid();
                hdr.inner_tag.setInvalid();
                hdr.removed_label.setInvalid();
                hdr.removed_ipv4.setInvalid();
                hdr.removed_options.setInvalid();
                hdr.removed_ipv6.setInvalid();
                hdr.removed_gre.setInvalid();
                hdr.removed_checksum.setInvalid();
                hdr.removed_key.setInvalid();
                hdr.removed_sequence.setInvalid();
                hdr.bridge.setValid();
                hdr.bridge.ethertype = meta.ethertype;
                hdr.bridge.rewrite = meta.rewrite;
            } else if (meta.punt) {
                to_queues.ucast_egress_port = CPU_PORT;
                to_queues.bypass_egress = 1;
                hdr.packet_in.setValid();
                hdr.packet_in.ingress_port = intrinsic.ingress_port;
                hdr.packet_in.reason = meta.reason;
                hdr.packet_in.vrf = meta.vrf;
            } else {
                to_deparser.drop_ctl = 1;
            }
        }
    }
}

control IngressDeparser(packet_out packet, inout headers_t hdr, in metadata_t meta,
                        in ingress_intrinsic_metadata_for_deparser_t from_ingress) {
    Resubmit() resubmit;

    apply {
        if (from_ingress.resubmit_type == 1) {
            resubmit.emit<pass_on_t>({ meta.pass.removed, meta.pass.labels, meta.pass.label_ttl,
                                       meta.pass.ethertype, meta.pass.vrf });
        }
        packet.emit(hdr.bridge);
        packet.emit(hdr.packet_in);
        packet.emit(hdr.ethernet);
        packet.emit(hdr.outer_tag);
        packet.emit(hdr.inner_tag);
        packet.emit(hdr.arp);
        packet.emit(hdr.removed_label);
        packet.emit(hdr.removed_ipv4);
        packet.emit(hdr.removed_options);
        packet.emit(hdr.removed_ipv6);
        packet.emit(hdr.removed_gre);
        packet.emit(hdr.removed_checksum);
        packet.emit(hdr.removed_key);
        packet.emit(hdr.removed_sequence);
        packet.emit(hdr.label0);
        packet.emit(hdr.label1);
        packet.emit(hdr.label2);
        packet.emit(hdr.label3);
        packet.emit(hdr.ipv4);
        packet.emit(hdr.ipv4_options);
        packet.emit(hdr.ipv6);
        packet.emit(hdr.fragment);
        packet.emit(hdr.gre);
        packet.emit(hdr.gre_checksum);
        packet.emit(hdr.gre_key);
        packet.emit(hdr.ports);
        packet.emit(hdr.icmpv6);
    }
}

struct egress_metadata_t {
    bridge_t bridge;
    bit<16> residue;          /* the sum over what the IPv4 checksum covers besides TTL and protocol, as the header says it is */
}

/* Only what may be rewritten. */
parser EgressParser(packet_in packet, out headers_t hdr, out egress_metadata_t meta, out egress_intrinsic_metadata_t intrinsic) {
    Checksum() sum;

    state start {
        packet.extract(intrinsic);
        packet.extract(meta.bridge);
        packet.extract(hdr.ethernet);
        transition select(meta.bridge.ethertype) {
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
        transition accept;
    }

    state below_labels {
        transition select(packet.lookahead<bit<4>>()) {
            4: ipv4;
            6: ipv6;
            default: accept;
        }
    }

    state ipv4 {
        packet.extract(hdr.ipv4);
        sum.subtract({ hdr.ipv4.checksum, hdr.ipv4.ttl, hdr.ipv4.protocol });
        meta.residue = sum.get();
        transition accept;
    }

    state ipv6 {
        packet.extract(hdr.ipv6_head);
        transition accept;
    }
}

control Egress(inout headers_t hdr, inout egress_metadata_t meta, in egress_intrinsic_metadata_t intrinsic,
               in egress_intrinsic_metadata_from_parser_t parsed, inout egress_intrinsic_metadata_for_deparser_t to_deparser,
               inout egress_intrinsic_metadata_for_output_port_t to_port) {
    RewriteFrame() rewrite_frame;

    apply {
        rewrite_frame.apply(hdr, meta.bridge.rewrite);
        if (meta.bridge.rewrite.set_ip_ttl && hdr.ipv6_head.isValid()) {
            hdr.ipv6_head.hop_limit = meta.bridge.rewrite.exposed_ttl;
        }
    }
}

control EgressDeparser(packet_out packet, inout headers_t hdr, in egress_metadata_t meta,
                       in egress_intrinsic_metadata_for_deparser_t from_egress) {
    Checksum() delivery_sum;
    Checksum() sum;

    apply {
        /* RFC 1624: what was right stays right, what was wrong stays wrong. */
        hdr.ipv4.checksum = sum.update({ hdr.ipv4.ttl, hdr.ipv4.protocol, meta.residue });
        hdr.delivery_ipv4.checksum = delivery_sum.update({
            hdr.delivery_ipv4.version, hdr.delivery_ipv4.ihl, hdr.delivery_ipv4.dscp, hdr.delivery_ipv4.ecn,
            hdr.delivery_ipv4.total_length, hdr.delivery_ipv4.identification, hdr.delivery_ipv4.reserved,
            hdr.delivery_ipv4.dont_fragment, hdr.delivery_ipv4.more_fragments, hdr.delivery_ipv4.fragment_offset,
            hdr.delivery_ipv4.ttl, hdr.delivery_ipv4.protocol, hdr.delivery_ipv4.src, hdr.delivery_ipv4.dst });
        packet.emit(hdr.ethernet);
        packet.emit(hdr.outer_tag);
        packet.emit(hdr.inner_tag);
        packet.emit(hdr.arp);
        packet.emit(hdr.delivery_ipv4);
        packet.emit(hdr.delivery_ipv6);
        packet.emit(hdr.delivery_gre);
        packet.emit(hdr.delivery_key);
        packet.emit(hdr.pushed1);
        packet.emit(hdr.pushed2);
        packet.emit(hdr.pushed3);
        packet.emit(hdr.pushed_vpn);
        packet.emit(hdr.label0);
        packet.emit(hdr.label1);
        packet.emit(hdr.ipv4);
        packet.emit(hdr.ipv6_head);
    }
}

Pipeline(IngressParser(), Ingress(), IngressDeparser(), EgressParser(), Egress(), EgressDeparser()) pipe;

Switch(pipe) main;
