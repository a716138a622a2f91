/* What to do with an incoming label (RFC 3031). */

/* At most so many labels of a frame are acted upon. */
const bit<8> MOST_LABELS = 4;

control ActOnLabel(inout headers_t hdr, inout metadata_t meta) {
    @id(0x13000003) @name(".ilm_counter") DIRECT_COUNTER ilm_counter;

    @id(0x0100000e) @name(".swap") action swap(@id(1) bit<20> label, @id(2) bit<32> nexthop) {
        meta.rewrite.swap = true;
        meta.rewrite.swap_label = label;
        meta.nexthop = nexthop;
        COUNT_DIRECT(ilm_counter)
    }

    @id(0x01000016) @name(".swap_push") action swap_push(@id(1) bit<20> label, @id(2) bit<20> l2, @id(3) bit<32> nexthop) {
        meta.rewrite.swap = true;
        meta.rewrite.swap_label = label;
        meta.rewrite.push_swapped = true;
        meta.rewrite.l1 = l2;
        meta.nexthop = nexthop;
        COUNT_DIRECT(ilm_counter)
    }

    @id(0x0100000f) @name(".php") action php(@id(1) bit<32> nexthop, @id(2) bit<8> ttl_mode) {
        meta.rewrite.pop = true;
        meta.nexthop = nexthop;
        meta.ttl_mode = ttl_mode;
        COUNT_DIRECT(ilm_counter)
    }

    @id(0x01000010) @name(".pop_vrf") action pop_vrf(@id(1) bit<16> vrf, @id(2) bit<8> ttl_mode) {
        meta.rewrite.pop = true;
        meta.exposes = Exposes.ROUTED;
        meta.vrf = vrf;
        meta.ttl_mode = ttl_mode;
        COUNT_DIRECT(ilm_counter)
    }

    @id(0x01000017) @name(".pop_local") action pop_local(@id(1) bit<32> nexthop, @id(2) bit<8> ttl_mode) {
        meta.rewrite.pop = true;
        meta.exposes = Exposes.LOCAL;
        meta.nexthop = nexthop;
        meta.ttl_mode = ttl_mode;
        COUNT_DIRECT(ilm_counter)
    }

    @id(0x01000018) @name(".pop_next") action pop_next(@id(1) bit<8> ttl_mode) {
        meta.exposes = Exposes.LABEL;
        meta.ttl_mode = ttl_mode;
        COUNT_DIRECT(ilm_counter)
    }

    @id(0x0200000a) @name(".ilm") table ilm_table {
        key = { hdr.label0.label : exact @id(1) @name("label"); }
        actions = { swap; swap_push; php; pop_vrf; pop_local; pop_next; @defaultonly NoAction; }
        const default_action = NoAction();
        size = LABELS;
        TABLE_COUNTER(ilm_counter)
    }

    /* The label below is acted upon by the next pass. */
    @hidden action go_below() {
        meta.pass.removed = meta.pass.removed + (bit<16>) LABEL_BYTES;
        meta.pass.ethertype = ETHERTYPE_MPLS;
        meta.pass.labels = meta.pass.labels + 1;
        meta.pass.label_ttl = 0;
        if (meta.ttl_mode == TTL_UNIFORM) {
            meta.pass.label_ttl = meta.label_ttl - 1;
        }
        meta.next_pass = true;
    }

    apply {
        meta.label_ttl = hdr.label0.ttl;
        if (meta.pass.label_ttl != 0 && meta.pass.label_ttl < hdr.label0.ttl) {
            meta.label_ttl = meta.pass.label_ttl;
        }
        bool explicit_null = hdr.label0.label == IPV4_EXPLICIT_NULL_LABEL || hdr.label0.label == IPV6_EXPLICIT_NULL_LABEL;
        /* An explicit null is popped as pipe. */
        meta.ttl_mode = TTL_PIPE;
        if (!hdr.label0.isValid()) {
            DROP(Reason.FRAME_TRUNCATED)
        } else if (hdr.label0.label == ROUTER_ALERT_LABEL || hdr.label0.label == GAL_LABEL || hdr.label0.label == OAM_ALERT_LABEL) {
            PUNT(Reason.MPLS_ALERT)
        } else if (explicit_null && hdr.label0.bos == 1) {
            meta.rewrite.pop = true;
            meta.exposes = Exposes.ROUTED;
        } else if (explicit_null) {
            meta.exposes = Exposes.LABEL;
        } else if (hdr.label0.label < FIRST_UNRESERVED_LABEL) {
            DROP(Reason.RESERVED_LABEL)
        } else if (!ilm_table.apply().hit) {
            DROP(Reason.UNKNOWN_LABEL)
        }

        bool too_deep = meta.exposes == Exposes.LABEL && meta.pass.labels + 1 >= MOST_LABELS;
        bool cut_short = meta.exposes == Exposes.LABEL && !hdr.label1.isValid();
        bool not_bottom = (meta.exposes == Exposes.ROUTED || meta.exposes == Exposes.LOCAL) && hdr.label0.bos == 0;
        if (meta.reason != Reason.NONE) {
            /* It has been judged. */
        } else if (too_deep || not_bottom || (cut_short && !explicit_null)) {
            DROP(Reason.BAD_LABEL_STACK)
        } else if (meta.label_ttl <= 1) {
            PUNT(Reason.TTL_EXPIRED)
        } else if (cut_short) {
            DROP(Reason.BAD_LABEL_STACK)
        } else if (meta.exposes == Exposes.LABEL) {
            go_below();
        } else if (meta.exposes == Exposes.NOTHING) {
            meta.switched = true;
        } else {
            meta.routed = true;
            meta.ip_available = meta.ip_available - LABEL_BYTES;
            meta.is_v6 = meta.nibble == 6;
            if (explicit_null) {
                meta.is_v6 = hdr.label0.label == IPV6_EXPLICIT_NULL_LABEL;
            }
        }
    }
}

/* What leaves behind Ethernet and tags when the label has been acted upon; a pop may expose a TTL to set (RFC 3443). */
control Switch(in headers_t hdr, inout metadata_t meta) {
    apply {
        meta.rewrite.ethertype = ETHERTYPE_MPLS;
        if (meta.rewrite.pop) {
            bit<8> below = 0;
            bool has_ip = hdr.label0.bos == 1;
            if (!has_ip && hdr.label1.isValid()) {
                below = hdr.label1.ttl;
            } else if (!has_ip) {
                DROP(Reason.BAD_LABEL_STACK)
            } else if (hdr.ipv4.isValid()) {
                below = hdr.ipv4.ttl;
                meta.rewrite.ethertype = ETHERTYPE_IPV4;
            } else if (hdr.ipv6.isValid()) {
                below = hdr.ipv6.hop_limit;
                meta.rewrite.ethertype = ETHERTYPE_IPV6;
            } else {
                DROP(Reason.UNKNOWN_PAYLOAD)
            }
            meta.rewrite.set_ip_ttl = has_ip && meta.ttl_mode == TTL_UNIFORM;
            meta.rewrite.set_label_ttl = !has_ip && meta.ttl_mode == TTL_UNIFORM;
            meta.rewrite.exposed_ttl = meta.label_ttl - 1;
            if (below < meta.rewrite.exposed_ttl) {
                meta.rewrite.exposed_ttl = below;
            }
        }
    }
}
