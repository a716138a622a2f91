/* What an entry says of the way into a tunnel: the VPN label is at the bottom of the stack, and marking may have other than the class. */
#define CARRY_IN(vpn_label, of_class)                           \
    meta.rewrite.label = vpn_label ++ 12w0x100;                 \
    meta.class = of_class;                                      \
    meta.rewrite.entry[11:9] = of_class;                        \
    meta.rewrite.traffic_class = of_class ++ 5w0;

/* Which session a packet belongs to, where a session's packets go, and at which rate. */

control FindSession(inout headers_t hdr, inout metadata_t meta) {
    @id(0x01000005) @name(".assign") action assign(@id(1) bit<32> session) {
        meta.has_session = true;
        meta.session = session;
    }

    @id(0x02000004) @name(".flow_v4") table flow_v4_table {
        key = {
            meta.vrf : exact @id(1) @name("vrf");
            hdr.ipv4.src : exact @id(2) @name("src");
            hdr.ipv4.dst : exact @id(3) @name("dst");
            meta.proto : exact @id(4) @name("proto");
            meta.sport : exact @id(5) @name("sport");
            meta.dport : exact @id(6) @name("dport");
        }
        actions = { assign; @defaultonly NoAction; }
        const default_action = NoAction();
        size = FLOWS_V4;
        IDLE_TIMEOUT
    }

    @id(0x0200000c) @name(".flow_v6") table flow_v6_table {
        key = {
            meta.vrf : exact @id(1) @name("vrf");
            hdr.ipv6.src : exact @id(2) @name("src");
            hdr.ipv6.dst : exact @id(3) @name("dst");
            meta.proto : exact @id(4) @name("proto");
            meta.sport : exact @id(5) @name("sport");
            meta.dport : exact @id(6) @name("dport");
        }
        actions = { assign; @defaultonly NoAction; }
        const default_action = NoAction();
        size = FLOWS_V6;
        IDLE_TIMEOUT
    }

    @id(0x02000005) @name(".flow_acl_v4") table flow_acl_v4_table {
        key = {
            meta.vrf : ternary @id(1) @name("vrf");
            hdr.ipv4.src : ternary @id(2) @name("src");
            hdr.ipv4.dst : ternary @id(3) @name("dst");
            meta.proto : ternary @id(4) @name("proto");
            meta.sport : range @id(5) @name("sport");
            meta.dport : range @id(6) @name("dport");
        }
        actions = { assign; @defaultonly NoAction; }
        const default_action = NoAction();
        size = FLOW_ACLS_V4;
    }

    @id(0x0200000d) @name(".flow_acl_v6") table flow_acl_v6_table {
        key = {
            meta.vrf : ternary @id(1) @name("vrf");
            hdr.ipv6.src : ternary @id(2) @name("src");
            hdr.ipv6.dst : ternary @id(3) @name("dst");
            meta.proto : ternary @id(4) @name("proto");
            meta.sport : range @id(5) @name("sport");
            meta.dport : range @id(6) @name("dport");
        }
        actions = { assign; @defaultonly NoAction; }
        const default_action = NoAction();
        size = FLOW_ACLS_V6;
    }

    apply {
        if (meta.is_v6) {
            if (!flow_v6_table.apply().hit) {
                flow_acl_v6_table.apply();
            }
        } else {
            if (!flow_v4_table.apply().hit) {
                flow_acl_v4_table.apply();
            }
        }
    }
}

control Carry(inout metadata_t meta) {
    @id(1) @name(".session_counter") DIRECT_COUNTER session_counter;
    @id(1) @name(".session_meter") DIRECT_METER session_meter;

    @id(0x01000006) @name(".carry") action carry(@id(1) bit<32> tunnel, @id(2) bit<20> vpn_label, @id(3) bit<3> class) {
        meta.carried = true;
        meta.has_tunnel = true;
        meta.tunnel = tunnel;
        CARRY_IN(vpn_label, class)
        meta.discarded = false;   /* by the route it would have had */
        METER_COLOUR(session_meter, meta.colour)
        COUNT_DIRECT(session_counter)
    }

    @id(0x02000006) @name(".session") table session_table {
        key = { meta.session : exact @id(1) @name("session"); }
        actions = { carry; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SESSIONS;
        TABLE_COUNTER(session_counter)
        TABLE_METER(session_meter)
    }

    apply {
        if (!session_table.apply().hit) {
            DROP(Reason.NO_SESSION)
        }
    }
}
