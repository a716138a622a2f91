/* What is done to a frame once the look-ups have decided: tags, labels, TTL, addresses.
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
        meta.egress_port = meta.ingress_port;
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

/* The frame is rewritten once, when everything has been decided. */
control RewriteFrame(inout headers_t hdr, inout metadata_t meta) {
    SendTags() send_tags;
    SetIpTtl() set_ip_ttl;
    apply {
        if (meta.rewrite.swap) {
            hdr.label0.label = meta.rewrite.swap_label;
            hdr.label0.ttl = hdr.label0.ttl - 1;
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
        if (meta.rewrite.push_vpn) {
            hdr.pushed_vpn.setValid();
            hdr.pushed_vpn = { meta.rewrite.vpn_label, meta.rewrite.tc, 1, meta.rewrite.push_ttl };
        }
        if (meta.rewrite.push_transport) {
            hdr.pushed_transport.setValid();
            hdr.pushed_transport = { meta.rewrite.transport_label, meta.rewrite.tc, 1, meta.rewrite.push_ttl };
            if (meta.rewrite.push_vpn) {
                hdr.pushed_transport.bos = 0;
            }
        }
        hdr.ethernet.src = meta.rewrite.src_mac;
        hdr.ethernet.dst = meta.rewrite.dst_mac;
        send_tags.apply(hdr, meta.rewrite.vlan, meta.rewrite.inner_vlan, meta.rewrite.ethertype);
    }
}

#endif
