/* Where packets of no session go, and packets the core brought. */

/* Of marking, too. */
@id(0x0100000a) @name(".discard") action discard(inout metadata_t meta) {
    meta.discarded = true;
}

control FindRoute(inout headers_t hdr, inout metadata_t meta) {
    @id(0x01000007) @name(".via_tunnel") action via_tunnel(@id(1) bit<32> tunnel, @id(2) bit<20> vpn_label, @id(3) bit<3> class) {
        meta.has_route = true;
        meta.has_tunnel = true;
        meta.tunnel = tunnel;
        CARRY_IN(vpn_label, class)
    }

    @id(0x01000008) @name(".local") action local(@id(1) bit<32> nexthop) {
        meta.has_route = true;
        meta.nexthop = nexthop;
    }

    @id(0x01000009) @name(".receive") action receive() {
        meta.has_route = true;
        meta.received = true;
    }

    @id(0x02000007) @name(".route_v4") table route_v4_table {
        key = {
            meta.vrf : exact @id(1) @name("vrf");
            hdr.ipv4.dst : lpm @id(2) @name("dst");
        }
        actions = { via_tunnel; local; receive; discard(meta); @defaultonly NoAction; }
        const default_action = NoAction();
        size = ROUTES_V4;
    }

    @id(0x0200000e) @name(".route_v6") table route_v6_table {
        key = {
            meta.vrf : exact @id(1) @name("vrf");
            hdr.ipv6.dst : lpm @id(2) @name("dst");
        }
        actions = { via_tunnel; local; receive; discard(meta); @defaultonly NoAction; }
        const default_action = NoAction();
        size = ROUTES_V6;
    }

    apply {
        if (meta.is_v6) {
            route_v6_table.apply();
        } else {
            route_v4_table.apply();
        }
    }
}
