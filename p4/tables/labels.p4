/* What to do with an incoming label (RFC 3031). */

control ActOnLabel(inout headers_t hdr, inout metadata_t meta) {
    @id(3) @name(".ilm_counter") DIRECT_COUNTER ilm_counter;

    @id(0x0100000e) @name(".swap") action swap(@id(1) bit<20> label, @id(2) bit<32> nexthop) {
        meta.rewrite.swap = true;
        meta.rewrite.label = label ++ 12w0;
        meta.nexthop = nexthop;
        COUNT_DIRECT(ilm_counter)
    }

    @id(0x01000016) @name(".swap_push") action swap_push(@id(1) bit<20> label, @id(2) bit<20> l2, @id(3) bit<32> nexthop) {
        meta.rewrite.swap = true;
        meta.rewrite.label = label ++ 12w0;
        meta.rewrite.push_swapped = true;
        meta.rewrite.transport_labels = 1;
        meta.growth = LABEL_BYTES;
        meta.rewrite.l1 = l2 ++ 12w0;
        meta.nexthop = nexthop;
        COUNT_DIRECT(ilm_counter)
    }

    @id(0x0100000f) @name(".php") action php(@id(1) bit<32> nexthop, @id(2) bit<8> ttl_mode) {
        meta.rewrite.pop = true;
        meta.growth = 0 - LABEL_BYTES;
        meta.nexthop = nexthop;
        meta.ttl_mode = ttl_mode;
        COUNT_DIRECT(ilm_counter)
    }

    @id(0x01000010) @name(".pop_vrf") action pop_vrf(@id(1) bit<16> vrf, @id(2) bit<8> ttl_mode) {
        meta.rewrite.pop = true;
        meta.growth = 0 - LABEL_BYTES;
        meta.exposes = Exposes.ROUTED;
        meta.vrf = vrf;
        meta.ttl_mode = ttl_mode;
        COUNT_DIRECT(ilm_counter)
    }

    @id(0x01000017) @name(".pop_local") action pop_local(@id(1) bit<32> nexthop, @id(2) bit<8> ttl_mode) {
        meta.rewrite.pop = true;
        meta.growth = 0 - LABEL_BYTES;
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

    EARLY @id(0x0200000a) @name(".ilm") table ilm_table {
        key = { hdr.label0.label : exact @id(1) @name("label"); }
        actions = { swap; swap_push; php; pop_vrf; pop_local; pop_next; @defaultonly NoAction; }
        const default_action = NoAction();
        size = LABELS;
        TABLE_COUNTER(ilm_counter)
    }

    @hidden action is_cut() { DROP(Reason.FRAME_TRUNCATED) }
    @hidden action is_reserved() { DROP(Reason.RESERVED_LABEL) }
    @hidden action is_alert() { PUNT(Reason.MPLS_ALERT) }

    /* Popped as pipe. */
    @hidden action pop_explicit_null(Exposes exposes) {
        meta.explicit_null = true;
        meta.ttl_mode = TTL_PIPE;
        meta.exposes = exposes;
        meta.rewrite.pop = true;
        meta.growth = 0 - LABEL_BYTES;
    }

    /* The labels that no entry says anything of: 0 to 15. */
    EARLY @hidden table reserved_table {
        key = {
            hdr.label0.isValid() : ternary;
            hdr.label0.label : ternary;
            hdr.label0.bos : ternary;
        }
        actions = { is_cut; is_reserved; is_alert; pop_explicit_null; @defaultonly NoAction; }
        const default_action = NoAction();
        const entries = {
            (false, _, _) : is_cut();
            (_, ROUTER_ALERT_LABEL, _) : is_alert();
            (_, GAL_LABEL, _) : is_alert();
            (_, OAM_ALERT_LABEL, _) : is_alert();
            (_, IPV4_EXPLICIT_NULL_LABEL, 1) : pop_explicit_null(Exposes.ROUTED);
            (_, IPV6_EXPLICIT_NULL_LABEL, 1) : pop_explicit_null(Exposes.ROUTED);
            (_, IPV4_EXPLICIT_NULL_LABEL, _) : pop_explicit_null(Exposes.LABEL);
            (_, IPV6_EXPLICIT_NULL_LABEL, _) : pop_explicit_null(Exposes.LABEL);
            (_, 0 &&& UNRESERVED_LABEL_BITS, _) : is_reserved();
        }
    }

    apply {
        if (meta.pass.label_ttl != 0) {
            LIMIT(meta.label_ttl, meta.pass.label_ttl)
        }
        if (reserved_table.apply().hit) {
            /* No entry is asked. */
        } else if (!ilm_table.apply().hit) {
            DROP(Reason.UNKNOWN_LABEL)
        }
    }
}

/* What the label exposes: the label below is acted upon by the next pass, IP is routed. */
control JudgeLabel(in headers_t hdr, inout metadata_t meta) {
    @hidden action bad_stack() { DROP(Reason.BAD_LABEL_STACK) }
    @hidden action expired() { PUNT(Reason.TTL_EXPIRED) }

    @hidden action go_below() {
        meta.next_pass = true;
        meta.pass.removed = meta.pass.removed + LABEL_BYTES;
        meta.pass.ethertype = ETHERTYPE_MPLS;
        meta.pass.labels = meta.pass.labels + 1;
        meta.pass.label_ttl = 0;
    }

    @hidden action go_below_uniform() {
        go_below();
        meta.pass.label_ttl = meta.label_ttl - 1;
    }

    @hidden action go_on() {
        meta.switched = true;
        meta.label_ttl = meta.label_ttl - 1;
    }

    @hidden action route() {
        meta.routed = true;
    }

    /* The order of the checks is part of the contract. */
    @hidden table judge_table {
        key = {
            meta.exposes : ternary;
            meta.last_pass : ternary;
            hdr.label0.bos : ternary;
            hdr.label1.isValid() : ternary;
            meta.explicit_null : ternary;
            meta.label_ttl : ternary;
            meta.ttl_mode : ternary;
        }
        actions = { bad_stack; expired; go_below; go_below_uniform; go_on; route; }
        const default_action = route();
        const entries = {
            (Exposes.LABEL, true, _, _, _, _, _) : bad_stack();
            (Exposes.ROUTED, _, 0, _, _, _, _) : bad_stack();
            (Exposes.LOCAL, _, 0, _, _, _, _) : bad_stack();
            (Exposes.LABEL, _, _, false, false, _, _) : bad_stack();
            (_, _, _, _, _, 0 &&& 0xfe, _) : expired();
            (Exposes.LABEL, _, _, false, _, _, _) : bad_stack();
            (Exposes.LABEL, _, _, _, _, _, TTL_UNIFORM) : go_below_uniform();
            (Exposes.LABEL, _, _, _, _, _, _) : go_below();
            (Exposes.NOTHING, _, _, _, _, _, _) : go_on();
        }
    }

    apply {
        /* In the uniform model IP counts for no more than the label above it (RFC 3443). */
        if ((meta.exposes == Exposes.ROUTED || meta.exposes == Exposes.LOCAL) && meta.ttl_mode == TTL_UNIFORM) {
            LIMIT(meta.ip_ttl, meta.label_ttl)
        }
        judge_table.apply();
    }
}

/* What leaves behind Ethernet and tags when the label has been acted upon; a pop may expose a TTL to set (RFC 3443). */
control SwitchLabel(in headers_t hdr, inout metadata_t meta) {
    @hidden action bad_stack() { DROP(Reason.BAD_LABEL_STACK) }
    @hidden action unknown() { DROP(Reason.UNKNOWN_PAYLOAD) }

    @hidden action leave_as(bit<16> ethertype) {
        meta.rewrite.ethertype = ethertype;
    }

    @hidden action leave_with_label_ttl() {
        meta.rewrite.ethertype = ETHERTYPE_MPLS;
        meta.rewrite.set_label_ttl = true;
    }

    @hidden action leave_with_ip_ttl(bit<16> ethertype) {
        meta.rewrite.ethertype = ethertype;
        meta.rewrite.set_ip_ttl = true;
    }

    @hidden table exposed_table {
        key = {
            meta.rewrite.pop : ternary;
            hdr.label0.bos : ternary;
            hdr.label1.isValid() : ternary;
            hdr.ipv4.isValid() : ternary;
            hdr.ipv6.isValid() : ternary;
            meta.ttl_mode : ternary;
        }
        actions = { bad_stack; unknown; leave_as; leave_with_label_ttl; leave_with_ip_ttl; }
        const default_action = unknown();
        const entries = {
            (false, _, _, _, _, _) : leave_as(ETHERTYPE_MPLS);
            (_, 0, false, _, _, _) : bad_stack();
            (_, 0, _, _, _, TTL_UNIFORM) : leave_with_label_ttl();
            (_, 0, _, _, _, _) : leave_as(ETHERTYPE_MPLS);
            (_, _, _, true, _, TTL_UNIFORM) : leave_with_ip_ttl(ETHERTYPE_IPV4);
            (_, _, _, true, _, _) : leave_as(ETHERTYPE_IPV4);
            (_, _, _, _, true, TTL_UNIFORM) : leave_with_ip_ttl(ETHERTYPE_IPV6);
            (_, _, _, _, true, _) : leave_as(ETHERTYPE_IPV6);
        }
    }

    apply {
        exposed_table.apply();
        if (meta.rewrite.pop && hdr.label0.bos == 0) {
            LIMIT(meta.label_ttl, hdr.label1.ttl)
        } else if (meta.rewrite.pop) {
            LIMIT(meta.label_ttl, meta.ip_ttl)
        }
        meta.rewrite.exposed_ttl = meta.label_ttl;
        meta.rewrite.entry[7:0] = meta.label_ttl;
    }
}
