/* Egress: what the look-ups of ingress have decided is done to the frame. Included by tna.p4. */

struct egress_metadata_t {
    bridge_t bridge;
    bit<16> residue;          /* the sum over what the IPv4 checksum covers besides TTL and protocol, as the header says it is */
}

/* Only what may be rewritten. An address of ARP that is written goes with no part of another. */
@pa_container_size("egress", "hdr.outer_tag.ethertype", 16)
@pa_container_size("egress", "hdr.inner_tag.ethertype", 16)
@pa_container_size("egress", "hdr.arp.sender_mac", 16)
@pa_container_size("egress", "hdr.arp.sender_ip", 16)
@pa_container_size("egress", "hdr.arp.target_mac", 16)
@pa_container_size("egress", "hdr.arp.target_ip", 16)
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
