/* The pipeline contract on v1model: what BMv2's simple_switch_grpc runs.
 *
 * Parser, deparser, and what an architecture has its own words for. The CPU port is 510 (simple_switch_grpc --cpu-port 510).
 */

#include <core.p4>
#include <v1model.p4>

struct own_metadata_t {
    bit<16> l3_length;        /* bytes behind Ethernet and tags, as received */
    bit<16> ip_available;     /* bytes from the IP header to the end of the frame */
    bit<16> right_checksum;   /* what the sum over a right header comes to: always 0 */
    bit<128> src;             /* an IPv4 address is in the low bits */
    bit<128> dst;
}

/* What earlier passes over the frame took off: an IP header with a GRE header (at most 60 and 16 bytes), and at most three labels. */
#define OWN_TYPES header removed_t { varbit<704> data; }
#define OWN_HEADERS removed_t removed;
#define CHOICE_KEYS meta.own.src : selector; meta.own.dst : selector; meta.proto : selector; meta.sport : selector; meta.dport : selector;

#include "headers.p4"

#define DIRECT_COUNTER direct_counter(CounterType.packets_and_bytes)
#define INDEXED_COUNTER(size, bits) counter(size, CounterType.packets_and_bytes)
#define DIRECT_METER direct_meter<bit<2>>(MeterType.bytes)
#define DIRECT_PACKET_METER direct_meter<bit<2>>(MeterType.packets)
#define METER_COLOUR(meter, to) meter.read(to);
#define COUNT_DIRECT(counter) counter.count();
#define COUNT_INDEXED(counter, at, bits) counter.count((bit<32>) at);
#define TABLE_COUNTER(counter) counters = counter;
#define TABLE_METER(meter) meters = meter;
#define EARLY
#define IDLE_TIMEOUT support_timeout = true;
/* Different hashes, so that what one chooses does not depend on what the other chose. */
#define tunnel_selector_HASH HashAlgorithm.crc32
#define tunnel_selector_BITS 32
#define nexthop_selector_HASH HashAlgorithm.crc16
#define nexthop_selector_BITS 16
#define SELECTOR(size, name) action_selector(name##_HASH, size, name##_BITS) name;
#define LIMIT(value, most) if (most < value) { value = most; }

/* The checksum is verified behind the parser. */
#define SUM_HEADER
#define SUM_OPTIONS
#define SUM_END

#include "sizes/bmv2.p4"

/* The length of an IPv4 header is in words of four bytes. */
control ReadHeaderLength(in headers_t hdr, inout metadata_t meta) {
    apply {
        meta.header_length = (bit<16>) hdr.ipv4.ihl << 2;
        meta.missing = meta.header_length |-| hdr.ipv4.total_length;
        meta.ports_missing = (meta.header_length + PORTS_BYTES) |-| hdr.ipv4.total_length;
    }
}

/* What the architecture alone can say of a frame. */
control ReadFrame(in headers_t hdr, inout metadata_t meta) {
    apply {
        meta.own.ip_available = meta.own.l3_length - meta.pass.removed;
        meta.last = meta.own.ip_available - 1;
        /* At most four labels of a frame are acted upon. */
        meta.last_pass = meta.pass.labels >= 3;
        /* IP is only looked at below the last of the labels. */
        if (meta.ethertype == ETHERTYPE_MPLS) {
            meta.own.ip_available = meta.own.ip_available - LABEL_BYTES;
        }
        if (meta.is_v6) {
            meta.cut_header = meta.own.ip_available < IPV6_BYTES;
        } else {
            meta.cut_header = meta.own.ip_available < IPV4_BYTES;
        }
        meta.cut_options = hdr.ipv4.ihl > 5 && !hdr.ipv4_options.isValid();
        meta.cut_packet = meta.ip_length > meta.own.ip_available;
        if (hdr.ipv4.isValid()) {
            meta.own.src = (bit<128>) hdr.ipv4.src;
            meta.own.dst = (bit<128>) hdr.ipv4.dst;
        } else if (hdr.ipv6.isValid()) {
            meta.own.src = hdr.ipv6.src;
            meta.own.dst = hdr.ipv6.dst;
        }
    }
}

/* RFC 1624 equation 3 for the byte of the IPv4 TTL, which gets no larger: the header may come from a label stack, unverified. In ones'
 * complement ~(~HC + ~m + m') is HC + (m - m'), with 0x0000 for zero. */
control KeepChecksum(inout headers_t hdr, in bit<8> ttl) {
    apply {
        bit<16> less = (hdr.ipv4.ttl - ttl) ++ 8w0;
        bit<16> sum = hdr.ipv4.checksum + less;
        if (less != 0) {
            if (hdr.ipv4.checksum |+| less == 0xffff) {
                hdr.ipv4.checksum = sum + 1;
            } else {
                hdr.ipv4.checksum = sum;
            }
        }
    }
}

#include "pipeline.p4"

const bit<9> CPU_PORT = 510;
/* The instance type of a frame that has just come in; another pass over it has another. */
const bit<32> NEW_FRAME = 0;

parser FrameParser(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    state start {
        meta.own.l3_length = (bit<16>) (standard.packet_length - 14);
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
        meta.own.l3_length = meta.own.l3_length - 4;
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
        meta.own.l3_length = meta.own.l3_length - 4;
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

    #include "parser.p4"
}

/* Over a right header, its checksum included, the checksum comes to 0 (RFC 1071), whichever form of zero was sent. */
control VerifyIpv4(inout headers_t hdr, inout metadata_t meta) {
    apply {
        verify_checksum(hdr.ipv4.isValid() && hdr.ipv4.version == 4 && hdr.ipv4.ihl == 5,
            { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.dscp, hdr.ipv4.ecn, hdr.ipv4.total_length, hdr.ipv4.identification,
              hdr.ipv4.reserved, hdr.ipv4.dont_fragment, hdr.ipv4.more_fragments, hdr.ipv4.fragment_offset, hdr.ipv4.ttl,
              hdr.ipv4.protocol, hdr.ipv4.checksum, hdr.ipv4.src, hdr.ipv4.dst },
            meta.own.right_checksum, HashAlgorithm.csum16);
        verify_checksum(hdr.ipv4.isValid() && hdr.ipv4_options.isValid(),
            { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.dscp, hdr.ipv4.ecn, hdr.ipv4.total_length, hdr.ipv4.identification,
              hdr.ipv4.reserved, hdr.ipv4.dont_fragment, hdr.ipv4.more_fragments, hdr.ipv4.fragment_offset, hdr.ipv4.ttl,
              hdr.ipv4.protocol, hdr.ipv4.checksum, hdr.ipv4.src, hdr.ipv4.dst, hdr.ipv4_options.data },
            meta.own.right_checksum, HashAlgorithm.csum16);
    }
}

control FrameIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    Lookup() lookup;
    RewriteFrame() rewrite_frame;

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
                hdr.removed.setInvalid();
                rewrite_frame.apply(hdr, meta.rewrite);
                standard.egress_spec = meta.egress_port;
            } else if (meta.punt && meta.punt_colour != RED) {
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

/* Of the header that GRE is sent in; that of a header received is changed where its TTL is (RFC 1624). */
control DeliveryChecksum(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum(hdr.delivery_ipv4.isValid(),
            { hdr.delivery_ipv4.version, hdr.delivery_ipv4.ihl, hdr.delivery_ipv4.dscp, hdr.delivery_ipv4.ecn,
              hdr.delivery_ipv4.total_length, hdr.delivery_ipv4.identification, hdr.delivery_ipv4.reserved,
              hdr.delivery_ipv4.dont_fragment, hdr.delivery_ipv4.more_fragments, hdr.delivery_ipv4.fragment_offset,
              hdr.delivery_ipv4.ttl, hdr.delivery_ipv4.protocol, hdr.delivery_ipv4.src, hdr.delivery_ipv4.dst },
            hdr.delivery_ipv4.checksum, HashAlgorithm.csum16);
    }
}

control FrameDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}

V1Switch(FrameParser(), VerifyIpv4(), FrameIngress(), FrameEgress(), DeliveryChecksum(), FrameDeparser()) main;
