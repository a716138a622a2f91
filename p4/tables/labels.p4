/* What to do with an incoming label (RFC 3031). */

#define IS_EXPLICIT_NULL(label) ((label) == IPV4_EXPLICIT_NULL_LABEL || (label) == IPV6_EXPLICIT_NULL_LABEL)

control ActOnLabel(inout headers_t hdr, inout metadata_t meta) {
    @id(3) @name(".ilm_counter") DIRECT_COUNTER ilm_counter;

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

    apply {
        meta.label_ttl = hdr.label0.ttl;
        if (meta.pass.label_ttl != 0) {
            LIMIT(meta.label_ttl, meta.pass.label_ttl)
        }
        if (!hdr.label0.isValid()) {
            DROP(Reason.FRAME_TRUNCATED)
        } else if (hdr.label0.label == ROUTER_ALERT_LABEL || hdr.label0.label == GAL_LABEL || hdr.label0.label == OAM_ALERT_LABEL) {
            PUNT(Reason.MPLS_ALERT)
        } else if (IS_EXPLICIT_NULL(hdr.label0.label)) {
            /* Popped as pipe. */
            meta.ttl_mode = TTL_PIPE;
            if (hdr.label0.bos == 1) {
                meta.rewrite.pop = true;
                meta.exposes = Exposes.ROUTED;
            } else {
                meta.exposes = Exposes.LABEL;
            }
        } else if (hdr.label0.label < FIRST_UNRESERVED_LABEL) {
            DROP(Reason.RESERVED_LABEL)
        } else if (!ilm_table.apply().hit) {
            DROP(Reason.UNKNOWN_LABEL)
        }

        if (meta.reason != Reason.NONE) {
            /* It has been judged. */
        } else if (meta.exposes == Exposes.LABEL && WAS_LAST_PASS) {
            DROP(Reason.BAD_LABEL_STACK)
        } else if ((meta.exposes == Exposes.ROUTED || meta.exposes == Exposes.LOCAL) && hdr.label0.bos == 0) {
            DROP(Reason.BAD_LABEL_STACK)
        } else if (meta.exposes == Exposes.LABEL && !hdr.label1.isValid() && !IS_EXPLICIT_NULL(hdr.label0.label)) {
            DROP(Reason.BAD_LABEL_STACK)
        } else if (meta.label_ttl <= 1) {
            PUNT(Reason.TTL_EXPIRED)
        } else if (meta.exposes == Exposes.LABEL && !hdr.label1.isValid()) {
            DROP(Reason.BAD_LABEL_STACK)
        } else if (meta.exposes == Exposes.LABEL) {
            /* The label below is acted upon by the next pass. */
            meta.next_pass = true;
            meta.pass.removed = meta.pass.removed + LABEL_BYTES;
            meta.pass.ethertype = ETHERTYPE_MPLS;
            meta.pass.labels = meta.pass.labels + 1;
            if (meta.ttl_mode == TTL_UNIFORM) {
                meta.pass.label_ttl = meta.label_ttl - 1;
            } else {
                meta.pass.label_ttl = 0;
            }
        } else if (meta.exposes == Exposes.NOTHING) {
            meta.switched = true;
        } else {
            meta.routed = true;
            /* In the uniform model IP counts for no more than the label above it (RFC 3443). */
            if (meta.ttl_mode == TTL_UNIFORM) {
                LIMIT(meta.ip_ttl, meta.label_ttl)
            }
        }
    }
}

/* What leaves behind Ethernet and tags when the label has been acted upon; a pop may expose a TTL to set (RFC 3443). */
control SwitchLabel(in headers_t hdr, inout metadata_t meta) {
    apply {
        meta.label_ttl = meta.label_ttl - 1;
        if (!meta.rewrite.pop) {
            meta.rewrite.ethertype = ETHERTYPE_MPLS;
        } else if (hdr.label0.bos == 0 && !hdr.label1.isValid()) {
            DROP(Reason.BAD_LABEL_STACK)
        } else if (hdr.label0.bos == 0) {
            meta.rewrite.ethertype = ETHERTYPE_MPLS;
            if (meta.ttl_mode == TTL_UNIFORM) { meta.rewrite.set_label_ttl = true; }
        } else if (hdr.ipv4.isValid()) {
            meta.rewrite.ethertype = ETHERTYPE_IPV4;
            if (meta.ttl_mode == TTL_UNIFORM) { meta.rewrite.set_ip_ttl = true; }
        } else if (hdr.ipv6.isValid()) {
            meta.rewrite.ethertype = ETHERTYPE_IPV6;
            if (meta.ttl_mode == TTL_UNIFORM) { meta.rewrite.set_ip_ttl = true; }
        } else {
            DROP(Reason.UNKNOWN_PAYLOAD)
        }
        /* A step of its own: it takes what the first line set. */
        if (meta.rewrite.pop && hdr.label0.bos == 0) {
            LIMIT(meta.label_ttl, hdr.label1.ttl)
        } else if (meta.rewrite.pop) {
            LIMIT(meta.label_ttl, meta.ip_ttl)
        }
        meta.rewrite.exposed_ttl = meta.label_ttl;
    }
}
