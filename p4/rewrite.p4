/* What is done to a frame once the look-ups have decided: tags, labels, GRE, TTL, addresses.
 *
 * Included by pipeline.p4, and done where the architecture does it best. No table is here, and nothing depends on an architecture.
 */

#ifndef SVPN_REWRITE_P4
#define SVPN_REWRITE_P4

/* Tags as they are sent: PCP 0; one is 0x8100, two are 0x88a8 outside 0x8100. */
control SendTags(inout headers_t hdr, in bit<12> vlan, in bit<12> inner_vlan, in bit<16> ethertype) {
    apply {
        hdr.outer_tag.setInvalid();
        hdr.inner_tag.setInvalid();
        if (vlan == 0 && inner_vlan == 0) {
            hdr.ethernet.ethertype = ethertype;
        } else {
            hdr.outer_tag.setValid();
            hdr.outer_tag.pcp = 0;
            hdr.outer_tag.dei = 0;
            if (vlan == 0) {
                hdr.ethernet.ethertype = ETHERTYPE_VLAN;
                hdr.outer_tag.vid = inner_vlan;
                hdr.outer_tag.ethertype = ethertype;
            } else if (inner_vlan == 0) {
                hdr.ethernet.ethertype = ETHERTYPE_VLAN;
                hdr.outer_tag.vid = vlan;
                hdr.outer_tag.ethertype = ethertype;
            } else {
                hdr.ethernet.ethertype = ETHERTYPE_QINQ;
                hdr.outer_tag.vid = vlan;
                hdr.outer_tag.ethertype = ETHERTYPE_VLAN;
                hdr.inner_tag.setValid();
                hdr.inner_tag.pcp = 0;
                hdr.inner_tag.dei = 0;
                hdr.inner_tag.vid = inner_vlan;
                hdr.inner_tag.ethertype = ethertype;
            }
        }
    }
}

/* An ARP request turns into its answer (RFC 826), and goes back where it came from. */
control AnswerArp(inout headers_t hdr, in rewrite_t rewrite) {
    apply {
        bit<32> asked = hdr.arp.target_ip;
        hdr.arp.operation = 2;
        hdr.arp.target_mac = hdr.arp.sender_mac;
        hdr.arp.target_ip = hdr.arp.sender_ip;
        hdr.arp.sender_mac = rewrite.src_mac;
        hdr.arp.sender_ip = asked;
    }
}

/* The TTL of IP that goes out; the shell keeps its checksum right, or as wrong as it was. */
control SetIpTtl(inout headers_t hdr, in bit<8> ttl) {
    KeepChecksum() keep_checksum;
    apply {
        if (hdr.ipv4.isValid()) {
            keep_checksum.apply(hdr, ttl);
            hdr.ipv4.ttl = ttl;
        } else {
            hdr.ipv6.hop_limit = ttl;
        }
    }
}

/* The VPN label in front of a packet, if it gets one. */
control PlanVpnLabel(inout metadata_t meta) {
    apply {
        meta.rewrite.vpn_label = meta.vpn_label;
        if (meta.vpn_label == IMPLICIT_NULL_LABEL) {
            meta.rewrite.delivered_type = meta.rewrite.ethertype;
            meta.rewrite.delivered_length = meta.ip_length;
        } else {
            meta.rewrite.push_vpn = true;
            meta.rewrite.delivered_type = ETHERTYPE_MPLS;
            meta.rewrite.delivered_length = meta.ip_length + LABEL_BYTES;
            meta.length_out = meta.length_out + LABEL_BYTES;
        }
    }
}

/* What a tunnel adds in front of that, and how long it makes the packet. */
control PlanTunnel(inout metadata_t meta) {
    apply {
        if (meta.ttl_mode == TTL_UNIFORM) {
            meta.rewrite.push_ttl = meta.rewrite.exposed_ttl;
        } else {
            meta.rewrite.push_ttl = meta.ttl_mode;
        }
        if (meta.rewrite.delivery != Delivery.NONE) {
            if (meta.rewrite.delivery_key != 0) {
                meta.tunnel_length = meta.tunnel_length + GRE_BYTES;
                meta.rewrite.delivered_length = meta.rewrite.delivered_length + GRE_BYTES + GRE_BYTES;
            } else {
                meta.rewrite.delivered_length = meta.rewrite.delivered_length + GRE_BYTES;
            }
        }
        if (meta.rewrite.delivery == Delivery.GRE_V4) {
            meta.rewrite.ethertype = ETHERTYPE_IPV4;
        } else if (meta.rewrite.delivery == Delivery.GRE_V6) {
            meta.rewrite.ethertype = ETHERTYPE_IPV6;
        } else if (meta.rewrite.push_vpn || meta.rewrite.transport_labels != 0) {
            meta.rewrite.ethertype = ETHERTYPE_MPLS;
        }
        meta.length_out = meta.length_out + meta.tunnel_length;
    }
}

/* Labels in front of the packet; the innermost is the bottom of the stack. */
control PushLabels(inout headers_t hdr, in rewrite_t rewrite) {
    apply {
        if (rewrite.push_swapped) {
            hdr.pushed1.setValid();
            hdr.pushed1.label = rewrite.l1;
            hdr.pushed1.tc = hdr.label0.tc;
            hdr.pushed1.bos = 0;
            hdr.pushed1.ttl = rewrite.exposed_ttl;
        }
        if (rewrite.push_vpn) {
            hdr.pushed_vpn.setValid();
            hdr.pushed_vpn.label = rewrite.vpn_label;
            hdr.pushed_vpn.bos = 1;
            hdr.pushed_vpn.ttl = rewrite.push_ttl;
            hdr.pushed_vpn.tc = rewrite.tc;
        }
        if (rewrite.transport_labels > 2) {
            hdr.pushed3.setValid();
            hdr.pushed3.label = rewrite.l3;
            hdr.pushed3.bos = 0;
            hdr.pushed3.ttl = rewrite.push_ttl;
            hdr.pushed3.tc = rewrite.tc;
        }
        if (rewrite.transport_labels > 1) {
            hdr.pushed2.setValid();
            hdr.pushed2.label = rewrite.l2;
            hdr.pushed2.bos = 0;
            hdr.pushed2.ttl = rewrite.push_ttl;
            hdr.pushed2.tc = rewrite.tc;
        }
        if (rewrite.transport_labels > 0) {
            hdr.pushed1.setValid();
            hdr.pushed1.label = rewrite.l1;
            hdr.pushed1.bos = 0;
            hdr.pushed1.ttl = rewrite.push_ttl;
            hdr.pushed1.tc = rewrite.tc;
        }
        if (!rewrite.push_vpn) {
            if (rewrite.transport_labels == 3) {
                hdr.pushed3.bos = 1;
            } else if (rewrite.transport_labels == 2) {
                hdr.pushed2.bos = 1;
            } else if (rewrite.transport_labels == 1) {
                hdr.pushed1.bos = 1;
            }
        }
    }
}

/* GRE (RFC 2784, RFC 2890) in front of labels or the packet, without checksum and sequence number, and IPv4 or IPv6 before it. The
 * shell has the checksum of the IPv4 header made. */
control Deliver(inout headers_t hdr, in rewrite_t rewrite) {
    apply {
        hdr.delivery_gre.setValid();
        hdr.delivery_gre.protocol = rewrite.delivered_type;
        hdr.delivery_gre.has_checksum = 0;
        hdr.delivery_gre.has_routing = 0;
        hdr.delivery_gre.has_sequence = 0;
        hdr.delivery_gre.reserved = 0;
        hdr.delivery_gre.version = 0;
        if (rewrite.delivery_key != 0) {
            hdr.delivery_gre.has_key = 1;
            hdr.delivery_key.setValid();
            hdr.delivery_key.value = rewrite.delivery_key;
        } else {
            hdr.delivery_gre.has_key = 0;
        }
        if (rewrite.delivery == Delivery.GRE_V6) {
            hdr.delivery_ipv6.setValid();
            hdr.delivery_ipv6.version = 6;
            hdr.delivery_ipv6.traffic_class = rewrite.dscp ++ 2w0;
            hdr.delivery_ipv6.flow_label = 0;
            hdr.delivery_ipv6.payload_length = rewrite.delivered_length;
            hdr.delivery_ipv6.next_header = PROTOCOL_GRE;
            hdr.delivery_ipv6.hop_limit = rewrite.push_ttl;
            hdr.delivery_ipv6.src = rewrite.delivery_src;
            hdr.delivery_ipv6.dst = rewrite.delivery_dst;
        } else {
            hdr.delivery_ipv4.setValid();
            hdr.delivery_ipv4.version = 4;
            hdr.delivery_ipv4.ihl = 5;
            hdr.delivery_ipv4.dscp = rewrite.dscp;
            hdr.delivery_ipv4.ecn = 0;
            hdr.delivery_ipv4.total_length = rewrite.delivered_length + IPV4_BYTES;
            hdr.delivery_ipv4.identification = 0;
            hdr.delivery_ipv4.reserved = 0;
            hdr.delivery_ipv4.dont_fragment = 1;
            hdr.delivery_ipv4.more_fragments = 0;
            hdr.delivery_ipv4.fragment_offset = 0;
            hdr.delivery_ipv4.ttl = rewrite.push_ttl;
            hdr.delivery_ipv4.protocol = PROTOCOL_GRE;
            hdr.delivery_ipv4.src = rewrite.delivery_src[31:0];
            hdr.delivery_ipv4.dst = rewrite.delivery_dst[31:0];
        }
    }
}

/* The frame is rewritten once, when everything has been decided. */
control RewriteFrame(inout headers_t hdr, in rewrite_t rewrite) {
    AnswerArp() answer_arp;
    SendTags() send_tags;
    SetIpTtl() set_ip_ttl;
    PushLabels() push_labels;
    Deliver() deliver;
    apply {
        if (hdr.arp.isValid()) {
            answer_arp.apply(hdr, rewrite);
        }
        push_labels.apply(hdr, rewrite);
        if (rewrite.swap) {
            hdr.label0.label = rewrite.swap_label;
            hdr.label0.ttl = rewrite.exposed_ttl;
        } else if (rewrite.pop) {
            hdr.label0.setInvalid();
        }
        if (rewrite.set_label_ttl) {
            hdr.label1.ttl = rewrite.exposed_ttl;
        }
        if (rewrite.set_ip_ttl) {
            set_ip_ttl.apply(hdr, rewrite.exposed_ttl);
        }
        if (rewrite.delivery != Delivery.NONE) {
            deliver.apply(hdr, rewrite);
        }
        hdr.ethernet.src = rewrite.src_mac;
        hdr.ethernet.dst = rewrite.dst_mac;
        send_tags.apply(hdr, rewrite.vlan, rewrite.inner_vlan, rewrite.ethertype);
    }
}

#endif
