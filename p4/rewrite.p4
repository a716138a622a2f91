/* What is done to a frame once the look-ups have decided: tags, labels, GRE, TTL, addresses.
 *
 * Included by pipeline.p4, and done where the architecture does it best. No table is here, and nothing depends on an architecture.
 *
 * An action called by its name is a step of its own. A word of a header is put together in such steps: each writes constants, or one field,
 * since Tofino writes a container from one other at a time.
 */

#ifndef SVPN_REWRITE_P4
#define SVPN_REWRITE_P4

/* A header of words that are ready. */
#define TAG(tag, control_information, type)        \
    tag.setValid();                                \
    tag.pcp = control_information[15:13];          \
    tag.dei = control_information[12:12];          \
    tag.vid = control_information[11:0];           \
    tag.ethertype = type;
#define PUSH(label_entry, word)                    \
    label_entry.setValid();                        \
    label_entry.label = word[31:12];               \
    label_entry.tc = word[11:9];                   \
    label_entry.bos = word[8:8];                   \
    label_entry.ttl = word[7:0];

/* Tags as they are sent: PCP 0; one is 0x8100, two are 0x88a8 outside 0x8100. */
control SendTags(inout headers_t hdr, in bit<16> vlan, in bit<16> inner_vlan, in bit<16> ethertype) {
    @hidden action send_none() {
        hdr.ethernet.ethertype = ethertype;
        hdr.outer_tag.setInvalid();
        hdr.inner_tag.setInvalid();
    }

    @hidden action send_outer() {
        hdr.ethernet.ethertype = ETHERTYPE_VLAN;
        TAG(hdr.outer_tag, vlan, ethertype)
        hdr.inner_tag.setInvalid();
    }

    @hidden action send_inner() {
        hdr.ethernet.ethertype = ETHERTYPE_VLAN;
        TAG(hdr.outer_tag, inner_vlan, ethertype)
        hdr.inner_tag.setInvalid();
    }

    @hidden action send_both() {
        hdr.ethernet.ethertype = ETHERTYPE_QINQ;
        TAG(hdr.outer_tag, vlan, ETHERTYPE_VLAN)
        TAG(hdr.inner_tag, inner_vlan, ethertype)
    }

    @hidden table tags_table {
        key = {
            vlan : ternary;
            inner_vlan : ternary;
        }
        actions = { send_none; send_outer; send_inner; send_both; }
        const default_action = send_both();
        const entries = {
            (0, 0) : send_none();
            (_, 0) : send_outer();
            (0, _) : send_inner();
        }
    }

    apply {
        tags_table.apply();
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
        if (meta.rewrite.label[31:12] == IMPLICIT_NULL_LABEL) {
            meta.rewrite.delivered_type = meta.rewrite.ethertype;
            meta.rewrite.delivered_length = meta.ip_length;
        } else {
            meta.rewrite.push_vpn = true;
            meta.rewrite.ethertype = ETHERTYPE_MPLS;
            meta.rewrite.delivered_type = ETHERTYPE_MPLS;
            meta.rewrite.delivered_length = meta.ip_length + LABEL_BYTES;
            meta.last = meta.last + LABEL_BYTES;
        }
    }
}

/* What the tunnel's entry leaves open. */
control PlanTunnel(inout metadata_t meta) {
    apply {
        if (meta.ttl_mode == TTL_UNIFORM) {
            meta.rewrite.entry[7:0] = meta.rewrite.exposed_ttl;
        }
        if (meta.rewrite.delivery_key != 0) {
            meta.keyed = true;
            meta.rewrite.delivered_length = meta.rewrite.delivered_length + GRE_BYTES;
        }
    }
}

/* Labels in front of the packet; the innermost is the bottom of the stack, unless it is above the label that was there. */
control PushLabels(inout headers_t hdr, inout rewrite_t rewrite) {
    @hidden action take_tc() {
        rewrite.entry[11:9] = hdr.label0.tc;
    }

    @hidden action fill_in() {
        rewrite.l1 = rewrite.l1 | rewrite.entry;
        rewrite.l2 = rewrite.l2 | rewrite.entry;
        rewrite.l3 = rewrite.l3 | rewrite.entry;
        rewrite.label = rewrite.label | rewrite.entry;
    }

    @hidden action push_1() {
        PUSH(hdr.pushed1, rewrite.l1)
    }

    @hidden action push_2() {
        PUSH(hdr.pushed1, rewrite.l1)
        PUSH(hdr.pushed2, rewrite.l2)
    }

    @hidden action push_3() {
        PUSH(hdr.pushed1, rewrite.l1)
        PUSH(hdr.pushed2, rewrite.l2)
        PUSH(hdr.pushed3, rewrite.l3)
    }

    @hidden action push_vpn() {
        PUSH(hdr.pushed_vpn, rewrite.label)
    }

    @hidden table labels_table {
        key = { rewrite.transport_labels : exact; }
        actions = { push_1; push_2; push_3; @defaultonly NoAction; }
        const default_action = NoAction();
        const entries = {
            1 : push_1();
            2 : push_2();
            3 : push_3();
        }
    }

    @hidden action end_1() { hdr.pushed1.bos = 1; }
    @hidden action end_2() { hdr.pushed2.bos = 1; }
    @hidden action end_3() { hdr.pushed3.bos = 1; }

    @hidden table bottom_table {
        key = {
            rewrite.transport_labels : exact;
            rewrite.push_vpn : exact;
            rewrite.push_swapped : exact;
        }
        actions = { end_1; end_2; end_3; @defaultonly NoAction; }
        const default_action = NoAction();
        const entries = {
            (1, false, false) : end_1();
            (2, false, false) : end_2();
            (3, false, false) : end_3();
        }
    }

    apply {
        if (rewrite.push_swapped) {
            take_tc();
        }
        fill_in();
        labels_table.apply();
        if (rewrite.push_vpn) {
            push_vpn();
        }
        bottom_table.apply();
    }
}

/* GRE (RFC 2784, RFC 2890) in front of labels or the packet, without checksum and sequence number. */
control SendGre(inout headers_t hdr, in rewrite_t rewrite) {
    @hidden action send() {
        hdr.delivery_gre.setValid();
        hdr.delivery_gre.has_checksum = 0;
        hdr.delivery_gre.has_routing = 0;
        hdr.delivery_gre.has_key = 0;
        hdr.delivery_gre.has_sequence = 0;
        hdr.delivery_gre.reserved = 0;
        hdr.delivery_gre.version = 0;
    }

    @hidden action set_protocol() {
        hdr.delivery_gre.protocol = rewrite.delivered_type;
    }

    @hidden action set_key() {
        hdr.delivery_gre.has_key = 1;
        hdr.delivery_key.setValid();
        hdr.delivery_key.value = rewrite.delivery_key;
    }

    apply {
        send();
        set_protocol();
        if (rewrite.delivery_key != 0) {
            set_key();
        }
    }
}

/* The IPv4 header in front of GRE; the shell has its checksum made. */
control SendIpv4(inout headers_t hdr, in rewrite_t rewrite) {
    @hidden action send() {
        hdr.delivery_ipv4.setValid();
        hdr.delivery_ipv4.version = 4;
        hdr.delivery_ipv4.ihl = 5;
        hdr.delivery_ipv4.ecn = 0;
        hdr.delivery_ipv4.identification = 0;
        hdr.delivery_ipv4.reserved = 0;
        hdr.delivery_ipv4.dont_fragment = 1;
        hdr.delivery_ipv4.more_fragments = 0;
        hdr.delivery_ipv4.fragment_offset = 0;
        hdr.delivery_ipv4.protocol = PROTOCOL_GRE;
    }

    @hidden action fill_in() {
        hdr.delivery_ipv4.dscp = rewrite.traffic_class[7:2];
        hdr.delivery_ipv4.total_length = rewrite.delivered_length + IPV4_BYTES;
        hdr.delivery_ipv4.ttl = rewrite.entry[7:0];
        hdr.delivery_ipv4.src = rewrite.delivery_src[31:0];
        hdr.delivery_ipv4.dst = rewrite.delivery_dst[31:0];
    }

    apply {
        send();
        fill_in();
    }
}

/* The IPv6 header in front of GRE. */
control SendIpv6(inout headers_t hdr, in rewrite_t rewrite) {
    @hidden action send() {
        hdr.delivery_ipv6.setValid();
        hdr.delivery_ipv6.version = 6;
        hdr.delivery_ipv6.flow_label = 0;
        hdr.delivery_ipv6.next_header = PROTOCOL_GRE;
    }

    @hidden action fill_in() {
        hdr.delivery_ipv6.traffic_class = rewrite.traffic_class;
        hdr.delivery_ipv6.payload_length = rewrite.delivered_length;
        hdr.delivery_ipv6.hop_limit = rewrite.entry[7:0];
        hdr.delivery_ipv6.src = rewrite.delivery_src;
        hdr.delivery_ipv6.dst = rewrite.delivery_dst;
    }

    apply {
        send();
        fill_in();
    }
}

/* The frame is rewritten once, when everything has been decided. */
control RewriteFrame(inout headers_t hdr, inout rewrite_t rewrite) {
    AnswerArp() answer_arp;
    SendTags() send_tags;
    SetIpTtl() set_ip_ttl;
    PushLabels() push_labels;
    SendGre() send_gre;
    SendIpv4() send_ipv4;
    SendIpv6() send_ipv6;

    @hidden action swap() {
        hdr.label0.label = rewrite.label[31:12];
    }

    @hidden action set_swapped_ttl() {
        hdr.label0.ttl = rewrite.exposed_ttl;
    }

    apply {
        if (hdr.arp.isValid()) {
            answer_arp.apply(hdr, rewrite);
        }
        push_labels.apply(hdr, rewrite);
        if (rewrite.swap) {
            swap();
            set_swapped_ttl();
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
            send_gre.apply(hdr, rewrite);
            if (rewrite.delivery == Delivery.GRE_V6) {
                send_ipv6.apply(hdr, rewrite);
            } else {
                send_ipv4.apply(hdr, rewrite);
            }
        }
        hdr.ethernet.src = rewrite.src_mac;
        hdr.ethernet.dst = rewrite.dst_mac;
        send_tags.apply(hdr, rewrite.vlan, rewrite.inner_vlan, rewrite.ethertype);
    }
}

#endif
