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
/* The P4Info is made of one action that runs no meter, and of tables that say nothing of where they are, which is all that the controller sees. */
#ifdef P4INFO_ONLY
#define EARLY
#define METER_COLOUR(meter, to)
#else
#define EARLY @placement_priority(1)
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
    @hidden action is(bit<16> bytes, bit<16> with_ports) {
        meta.header_length = bytes;
        meta.missing = bytes |-| hdr.ipv4.total_length;
        meta.ports_missing = with_ports |-| hdr.ipv4.total_length;
    }
    @hidden table header_lengths {
        key = { hdr.ipv4.ihl : exact; }
        actions = { is; }
        const default_action = is(0, 4);
        const entries = {
            1 : is(4, 8);
            2 : is(8, 12);
            3 : is(12, 16);
            4 : is(16, 20);
            5 : is(20, 24);
            6 : is(24, 28);
            7 : is(28, 32);
            8 : is(32, 36);
            9 : is(36, 40);
            10 : is(40, 44);
            11 : is(44, 48);
            12 : is(48, 52);
            13 : is(52, 56);
            14 : is(56, 60);
            15 : is(60, 64);
        }
    }
    apply {
        header_lengths.apply();
    }
}

/* What the architecture alone can say of a frame: as long as its labels and what its IP header says. */
control ReadFrame(in headers_t hdr, inout metadata_t meta) {
    Hash<bit<32>>(HashAlgorithm_t.CRC32) hash_v4;
    Hash<bit<32>>(HashAlgorithm_t.CRC32) hash_v6;

    @hidden action ends_behind(bit<16> labels) {
        meta.last = meta.ip_length + labels;
    }

    @hidden table labels_table {
        key = {
            hdr.label0.isValid() : ternary;
            hdr.label1.isValid() : ternary;
            hdr.label2.isValid() : ternary;
            hdr.label3.isValid() : ternary;
        }
        actions = { ends_behind; }
        const default_action = ends_behind(0xffff);
        const entries = {
            (_, _, _, true) : ends_behind(4 * LABEL_BYTES - 1);
            (_, _, true, _) : ends_behind(3 * LABEL_BYTES - 1);
            (_, true, _, _) : ends_behind(2 * LABEL_BYTES - 1);
            (true, _, _, _) : ends_behind(LABEL_BYTES - 1);
        }
    }

    apply {
        labels_table.apply();
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

#include "tna/ingress_parser.p4"

control Ingress(inout headers_t hdr, inout metadata_t meta, in ingress_intrinsic_metadata_t intrinsic,
                in ingress_intrinsic_metadata_from_parser_t parsed, inout ingress_intrinsic_metadata_for_deparser_t to_deparser,
                inout ingress_intrinsic_metadata_for_tm_t to_queues) {
    Lookup() lookup;

    apply {
        /* Ingress knows where a frame ends only by what the parser could not take. */
        if (parsed.parser_err != 0 && !hdr.ipv4.isValid() && !hdr.ipv6.isValid()) {
            meta.cut_header = true;
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
            } else if (meta.punt && meta.punt_colour != RED) {
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

#include "tna/egress.p4"

Pipeline(IngressParser(), Ingress(), IngressDeparser(), EgressParser(), Egress(), EgressDeparser()) pipe;

Switch(pipe) main;
