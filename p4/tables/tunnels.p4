/* Class and colour to TC and DSCP; the tunnels to other PEs; how a frame leaves. */

control IntoTunnel(inout metadata_t meta) {
    @id(2) @name(".tunnel_counter") DIRECT_COUNTER tunnel_counter;
    @id(1) @name(".tunnel_selector") SELECTOR(TUNNEL_MEMBERS, tunnel_selector)

    @id(0x0100000b) @name(".mark") action mark(@id(1) bit<3> tc, @id(2) bit<6> dscp) {
        meta.marked = true;
        meta.rewrite.entry[11:9] = tc;
        meta.rewrite.traffic_class = dscp ++ 2w0;
    }

    @id(0x02000008) @name(".marking") table marking_table {
        key = {
            meta.class : exact @id(1) @name("class");
            meta.colour : exact @id(2) @name("colour");
        }
        actions = { mark; discard(meta); @defaultonly NoAction; }
        const default_action = NoAction();
        size = 24;
    }

    /* Unidirectional, from this PE to another, shared by many sessions. */

    @id(0x0100000c) @name(".lsp_0") action lsp_0(@id(1) bit<32> nexthop, @id(2) bit<8> ttl_mode) {
        meta.nexthop = nexthop;
        meta.ttl_mode = ttl_mode;
        meta.rewrite.entry[7:0] = ttl_mode;
        COUNT_DIRECT(tunnel_counter)
    }

    @id(0x0100000d) @name(".lsp_1") action lsp_1(@id(1) bit<20> l1, @id(2) bit<32> nexthop, @id(3) bit<8> ttl_mode) {
        meta.rewrite.transport_labels = 1;
        meta.rewrite.ethertype = ETHERTYPE_MPLS;
        meta.last = meta.last + LABEL_BYTES;
        meta.rewrite.l1 = l1 ++ 12w0;
        meta.nexthop = nexthop;
        meta.ttl_mode = ttl_mode;
        meta.rewrite.entry[7:0] = ttl_mode;
        COUNT_DIRECT(tunnel_counter)
    }

    @id(0x01000012) @name(".lsp_2") action lsp_2(@id(1) bit<20> l1, @id(2) bit<20> l2, @id(3) bit<32> nexthop, @id(4) bit<8> ttl_mode) {
        meta.rewrite.transport_labels = 2;
        meta.rewrite.ethertype = ETHERTYPE_MPLS;
        meta.last = meta.last + 2 * LABEL_BYTES;
        meta.rewrite.l1 = l1 ++ 12w0;
        meta.rewrite.l2 = l2 ++ 12w0;
        meta.nexthop = nexthop;
        meta.ttl_mode = ttl_mode;
        meta.rewrite.entry[7:0] = ttl_mode;
        COUNT_DIRECT(tunnel_counter)
    }

    @id(0x01000013) @name(".lsp_3") action lsp_3(@id(1) bit<20> l1, @id(2) bit<20> l2, @id(3) bit<20> l3, @id(4) bit<32> nexthop,
                                                 @id(5) bit<8> ttl_mode) {
        meta.rewrite.transport_labels = 3;
        meta.rewrite.ethertype = ETHERTYPE_MPLS;
        meta.last = meta.last + 3 * LABEL_BYTES;
        meta.rewrite.l1 = l1 ++ 12w0;
        meta.rewrite.l2 = l2 ++ 12w0;
        meta.rewrite.l3 = l3 ++ 12w0;
        meta.nexthop = nexthop;
        meta.ttl_mode = ttl_mode;
        meta.rewrite.entry[7:0] = ttl_mode;
        COUNT_DIRECT(tunnel_counter)
    }

    @id(0x01000014) @name(".gre_v4") action gre_v4(@id(1) bit<32> src, @id(2) bit<32> dst, @id(3) bit<32> key, @id(4) bit<32> nexthop,
                                                   @id(5) bit<8> ttl_mode) {
        meta.rewrite.delivery = Delivery.GRE_V4;
        meta.rewrite.ethertype = ETHERTYPE_IPV4;
        meta.rewrite.delivered_length = meta.rewrite.delivered_length + GRE_BYTES;
        meta.last = meta.last + (IPV4_BYTES + GRE_BYTES);
        meta.rewrite.delivery_src = (bit<128>) src;
        meta.rewrite.delivery_dst = (bit<128>) dst;
        meta.rewrite.delivery_key = key;
        meta.nexthop = nexthop;
        meta.ttl_mode = ttl_mode;
        meta.rewrite.entry[7:0] = ttl_mode;
        COUNT_DIRECT(tunnel_counter)
    }

    @id(0x01000015) @name(".gre_v6") action gre_v6(@id(1) bit<128> src, @id(2) bit<128> dst, @id(3) bit<32> key, @id(4) bit<32> nexthop,
                                                   @id(5) bit<8> ttl_mode) {
        meta.rewrite.delivery = Delivery.GRE_V6;
        meta.rewrite.ethertype = ETHERTYPE_IPV6;
        meta.rewrite.delivered_length = meta.rewrite.delivered_length + GRE_BYTES;
        meta.last = meta.last + (IPV6_BYTES + GRE_BYTES);
        meta.rewrite.delivery_src = src;
        meta.rewrite.delivery_dst = dst;
        meta.rewrite.delivery_key = key;
        meta.nexthop = nexthop;
        meta.ttl_mode = ttl_mode;
        meta.rewrite.entry[7:0] = ttl_mode;
        COUNT_DIRECT(tunnel_counter)
    }

    @id(0x02000009) @name(".tunnel") table tunnel_table {
        key = {
            meta.tunnel : exact @id(1) @name("tunnel");
            CHOICE_KEYS
        }
        actions = { lsp_0; lsp_1; lsp_2; lsp_3; gre_v4; gre_v6; @defaultonly NoAction; }
        size = TUNNELS;
        implementation = tunnel_selector;
        TABLE_COUNTER(tunnel_counter)
    }

    PlanVpnLabel() plan_label;
    PlanTunnel() plan;

    apply {
        plan_label.apply(meta);
        marking_table.apply();
        if (meta.discarded) {
            DROP(Reason.MARKING_DISCARD)
        } else if (meta.colour == RED && !meta.marked) {
            DROP(Reason.RED_DISCARD)
        } else if (!tunnel_table.apply().hit) {
            DROP(Reason.NO_TUNNEL)
        } else {
            plan.apply(meta);
        }
    }
}

control Leave(inout headers_t hdr, inout metadata_t meta) {
    @id(2) @name(".nexthop_selector") SELECTOR(NEXTHOP_MEMBERS, nexthop_selector)

    @id(0x01000011) @name(".rewrite") action rewrite(@id(1) bit<9> port, @id(2) bit<48> src_mac, @id(3) bit<48> dst_mac, @id(4) bit<12> vlan,
                                                     @id(5) bit<12> inner_vlan, @id(6) bit<16> mtu) {
        meta.egress_port = port;
        meta.rewrite.src_mac = src_mac;
        meta.rewrite.dst_mac = dst_mac;
        meta.rewrite.vlan = (bit<16>) vlan;
        meta.rewrite.inner_vlan = (bit<16>) inner_vlan;
        meta.room = mtu |-| meta.last;
    }

    @id(0x0200000b) @name(".nexthop") table nexthop_table {
        key = {
            meta.nexthop : exact @id(1) @name("nexthop");
            CHOICE_KEYS
        }
        actions = { rewrite; @defaultonly NoAction; }
        size = NEXTHOPS;
        implementation = nexthop_selector;
    }

    apply {
        if (!nexthop_table.apply().hit) {
            DROP(Reason.NO_NEXTHOP)
        } else {
            if (meta.room == 0 || (meta.keyed && (meta.room[15:2] == 0 || meta.room == GRE_BYTES))) {
                if (meta.unfragmentable) {
                    PUNT(Reason.TOO_BIG)
                } else {
                    DROP(Reason.TOO_BIG_DROP)
                }
            }
        }
    }
}
