/* The parser of ingress: of a frame as received, or of what the first pass over it left. Included by tna.p4. */

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
        /* A frame is resubmitted once. */
        meta.last_pass = true;
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

    #include "../parser.p4"
}
