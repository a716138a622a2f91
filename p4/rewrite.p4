/* What is done to a frame once the look-ups have decided: tags, labels, GRE, TTL, addresses.
 *
 * Included by pipeline.p4. No table is here, and nothing depends on an architecture.
 */

#ifndef SVPN_REWRITE_P4
#define SVPN_REWRITE_P4

/* Tags as they are sent: PCP 0; one is 0x8100, two are 0x88a8 outside 0x8100. */
control SendTags(inout headers_t hdr, in bit<12> vlan, in bit<12> inner_vlan, in bit<16> ethertype) {
    apply {
        hdr.outer_tag.setInvalid();
        hdr.inner_tag.setInvalid();
        hdr.ethernet.ethertype = ethertype;
        if (vlan != 0) {
            hdr.outer_tag.setValid();
            hdr.outer_tag = { 0, 0, vlan, ethertype };
            hdr.ethernet.ethertype = ETHERTYPE_VLAN;
            if (inner_vlan != 0) {
                hdr.inner_tag.setValid();
                hdr.inner_tag = { 0, 0, inner_vlan, ethertype };
                hdr.outer_tag.ethertype = ETHERTYPE_VLAN;
                hdr.ethernet.ethertype = ETHERTYPE_QINQ;
            }
        } else if (inner_vlan != 0) {
            hdr.outer_tag.setValid();
            hdr.outer_tag = { 0, 0, inner_vlan, ethertype };
            hdr.ethernet.ethertype = ETHERTYPE_VLAN;
        }
    }
}

/* An ARP request turns into its answer (RFC 826) and goes back where it came from. */
control AnswerArp(inout headers_t hdr, inout metadata_t meta) {
    SendTags() send_tags;
    apply {
        bit<32> asked = hdr.arp.target_ip;
        hdr.ethernet.dst = hdr.arp.sender_mac;
        hdr.ethernet.src = meta.rewrite.src_mac;
        hdr.arp.operation = 2;
        hdr.arp.target_mac = hdr.arp.sender_mac;
        hdr.arp.target_ip = hdr.arp.sender_ip;
        hdr.arp.sender_mac = meta.rewrite.src_mac;
        hdr.arp.sender_ip = asked;
        meta.egress_port = meta.pass.ingress_port;
        send_tags.apply(hdr, meta.vlan, meta.inner_vlan, ETHERTYPE_ARP);
    }
}

/* RFC 1624 equation 3 for the byte of the IPv4 TTL: the header may come from a label stack, unverified. */
control SetIpTtl(inout headers_t hdr, in bit<8> ttl) {
    apply {
        if (hdr.ipv4.isValid()) {
            bit<32> sum = (bit<32>) (~hdr.ipv4.checksum);
            sum = sum + (bit<32>) (~(hdr.ipv4.ttl ++ hdr.ipv4.protocol)) + (bit<32>) (ttl ++ hdr.ipv4.protocol);
            sum = (sum & 0xffff) + (sum >> 16);
            sum = (sum & 0xffff) + (sum >> 16);
            if (hdr.ipv4.ttl != ttl) {
                hdr.ipv4.checksum = ~sum[15:0];
            }
            hdr.ipv4.ttl = ttl;
        } else {
            hdr.ipv6.hop_limit = ttl;
        }
    }
}

/* What a tunnel adds in front of a packet, and how long it makes it. */
control PlanTunnel(inout metadata_t meta) {
    apply {
        meta.rewrite.push_ttl = meta.rewrite.exposed_ttl;
        if (meta.ttl_mode != TTL_UNIFORM) {
            meta.rewrite.push_ttl = meta.ttl_mode;
        }
        meta.rewrite.delivered_type = meta.rewrite.ethertype;
        bit<32> added = (bit<32>) meta.rewrite.transport_labels << 2;
        meta.rewrite.vpn_label = meta.vpn_label;
        if (meta.vpn_label != IMPLICIT_NULL_LABEL) {
            meta.rewrite.push_vpn = true;
            meta.rewrite.delivered_type = ETHERTYPE_MPLS;
            added = added + LABEL_BYTES;
        }
        if (meta.rewrite.delivery != Delivery.NONE) {
            added = added + (bit<32>) GRE_BYTES;
            if (meta.rewrite.delivery_key != 0) {
                added = added + (bit<32>) GRE_BYTES;
            }
            meta.rewrite.delivered_length = (bit<16>) (meta.ip_length + added);
        }
        if (meta.rewrite.delivery == Delivery.GRE_V4) {
            added = added + IPV4_BYTES;
            meta.rewrite.ethertype = ETHERTYPE_IPV4;
        } else if (meta.rewrite.delivery == Delivery.GRE_V6) {
            added = added + IPV6_BYTES;
            meta.rewrite.ethertype = ETHERTYPE_IPV6;
        } else if (meta.rewrite.push_vpn || meta.rewrite.transport_labels != 0) {
            meta.rewrite.ethertype = ETHERTYPE_MPLS;
        }
        meta.length_out = meta.length_out + added;
    }
}

/* Labels in front of the packet; the innermost is the bottom of the stack. */
control PushLabels(inout headers_t hdr, in metadata_t meta) {
    apply {
        if (meta.rewrite.push_swapped && hdr.label0.isValid()) {
            hdr.pushed1.setValid();
            hdr.pushed1 = { meta.rewrite.l1, hdr.label0.tc, 0, hdr.label0.ttl };
        }
        bit<1> bottom = 1;
        if (meta.rewrite.push_vpn) {
            hdr.pushed_vpn.setValid();
            hdr.pushed_vpn = { meta.rewrite.vpn_label, meta.rewrite.tc, bottom, meta.rewrite.push_ttl };
            bottom = 0;
        }
        if (meta.rewrite.transport_labels > 2) {
            hdr.pushed3.setValid();
            hdr.pushed3 = { meta.rewrite.l3, meta.rewrite.tc, bottom, meta.rewrite.push_ttl };
            bottom = 0;
        }
        if (meta.rewrite.transport_labels > 1) {
            hdr.pushed2.setValid();
            hdr.pushed2 = { meta.rewrite.l2, meta.rewrite.tc, bottom, meta.rewrite.push_ttl };
            bottom = 0;
        }
        if (meta.rewrite.transport_labels > 0) {
            hdr.pushed1.setValid();
            hdr.pushed1 = { meta.rewrite.l1, meta.rewrite.tc, bottom, meta.rewrite.push_ttl };
        }
    }
}

/* GRE (RFC 2784, RFC 2890) in front of labels or the packet, without checksum and sequence number, and IPv4 or IPv6 before it. */
control Deliver(inout headers_t hdr, in metadata_t meta) {
    apply {
        hdr.delivery_gre.setValid();
        hdr.delivery_gre = { 0, 0, 0, 0, 0, 0, meta.rewrite.delivered_type };
        if (meta.rewrite.delivery_key != 0) {
            hdr.delivery_gre.has_key = 1;
            hdr.delivery_key.setValid();
            hdr.delivery_key.value = meta.rewrite.delivery_key;
        }
        if (meta.rewrite.delivery == Delivery.GRE_V6) {
            hdr.delivery_ipv6.setValid();
            hdr.delivery_ipv6 = { 6, meta.rewrite.dscp ++ 2w0, 0, meta.rewrite.delivered_length, PROTOCOL_GRE, meta.rewrite.push_ttl,
                                  meta.rewrite.delivery_src, meta.rewrite.delivery_dst };
        } else {
            bit<32> src = meta.rewrite.delivery_src[31:0];
            bit<32> dst = meta.rewrite.delivery_dst[31:0];
            bit<16> total_length = meta.rewrite.delivered_length + (bit<16>) IPV4_BYTES;
            /* RFC 1071, word by word: identification is 0, and of the flags only DF is set. */
            bit<32> sum = (bit<32>) (8w0x45 ++ meta.rewrite.dscp ++ 2w0) + (bit<32>) total_length + 0x4000;
            sum = sum + (bit<32>) (meta.rewrite.push_ttl ++ PROTOCOL_GRE);
            sum = sum + (bit<32>) src[31:16] + (bit<32>) src[15:0] + (bit<32>) dst[31:16] + (bit<32>) dst[15:0];
            sum = (sum & 0xffff) + (sum >> 16);
            sum = (sum & 0xffff) + (sum >> 16);
            hdr.delivery_ipv4.setValid();
            hdr.delivery_ipv4 = { 4, 5, meta.rewrite.dscp, 0, total_length, 0, 0, 1, 0, 0, meta.rewrite.push_ttl, PROTOCOL_GRE,
                                  ~sum[15:0], src, dst };
        }
    }
}

/* The frame is rewritten once, when everything has been decided. */
control RewriteFrame(inout headers_t hdr, inout metadata_t meta) {
    SendTags() send_tags;
    SetIpTtl() set_ip_ttl;
    PushLabels() push_labels;
    Deliver() deliver;
    apply {
        hdr.removed.setInvalid();
        if (meta.rewrite.swap) {
            hdr.label0.label = meta.rewrite.swap_label;
            hdr.label0.ttl = meta.label_ttl - 1;
        }
        if (meta.rewrite.pop) {
            hdr.label0.setInvalid();
        }
        if (meta.rewrite.set_label_ttl) {
            hdr.label1.ttl = meta.rewrite.exposed_ttl;
        }
        if (meta.rewrite.set_ip_ttl) {
            set_ip_ttl.apply(hdr, meta.rewrite.exposed_ttl);
        }
        push_labels.apply(hdr, meta);
        if (meta.rewrite.delivery != Delivery.NONE) {
            deliver.apply(hdr, meta);
        }
        hdr.ethernet.src = meta.rewrite.src_mac;
        hdr.ethernet.dst = meta.rewrite.dst_mac;
        send_tags.apply(hdr, meta.rewrite.vlan, meta.rewrite.inner_vlan, meta.rewrite.ethertype);
    }
}

#endif
