/* What to do with an incoming label (RFC 3031). */

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
