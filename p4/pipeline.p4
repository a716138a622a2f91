/* The pipeline contract: every table, key and action, written once.
 *
 * The shell of an architecture includes headers.p4, defines the macros below, and then includes this file:
 *
 *   DIRECT_COUNTER              type and arguments of a direct counter of packets and bytes
 *   INDEXED_COUNTER(size)       the same, indexed by bit<32>
 *   DIRECT_METER                type and arguments of a direct trTCM meter of bytes (RFC 2698, colour-blind)
 *   METER_COLOUR(meter, to)     run `meter`, put GREEN, YELLOW or RED into `to`
 *   COUNT(counter, index)       count the packet in a direct counter (index unused) or an indexed one
 *   SELECTOR(size, groups)      an action selector
 *
 * Every id is pinned: an id is the wire interface, and a new table takes the next free one. Widths and semantics are those of the
 * oracle in contract/, which is tested against this program's P4Info and against every engine.
 */

#ifndef SVPN_PIPELINE_P4
#define SVPN_PIPELINE_P4

/* Attachment, address resolution, labels, classification, routing, tunnels: look-ups write metadata only. */
control Lookup(inout headers_t hdr, inout metadata_t meta) {
    @id(0x13000001) @name(".session_counter") DIRECT_COUNTER session_counter;
    @id(0x13000002) @name(".tunnel_counter") DIRECT_COUNTER tunnel_counter;
    @id(0x13000003) @name(".ilm_counter") DIRECT_COUNTER ilm_counter;
    @id(0x15000001) @name(".session_meter") DIRECT_METER session_meter;
    @id(0x12000001) @name(".session_discards") INDEXED_COUNTER(SESSIONS) session_discards;
    @id(0x12000002) @name(".drops") INDEXED_COUNTER(256) drops;
    @id(0x11000001) @name(".tunnel_selector") SELECTOR(TUNNEL_MEMBERS, TUNNELS) tunnel_selector;
    @id(0x11000002) @name(".nexthop_selector") SELECTOR(NEXTHOP_MEMBERS, NEXTHOPS) nexthop_selector;

    action drop_for(Reason reason) {
        meta.reason = reason;
        meta.punt = false;
    }

    action punt_for(Reason reason) {
        meta.reason = reason;
        meta.punt = true;
    }

    /* ---- attachment: which circuit a frame came in on --------------------------------------------------------------------- */

    @id(0x01000001) @name(".to_vrf") action to_vrf(@id(1) bit<16> vrf) {
        meta.vrf = vrf;
        meta.core = false;
    }

    @id(0x01000002) @name(".to_core") action to_core() {
        meta.vrf = 0;
        meta.core = true;
    }

    @id(0x02000001) @name(".attachment") table attachment_table {
        key = {
            meta.ingress_port : exact @id(1) @name("port");
            meta.vlan : exact @id(2) @name("vlan");
            meta.inner_vlan : exact @id(3) @name("inner_vlan");
        }
        actions = { to_vrf; to_core; @defaultonly NoAction; }
        const default_action = NoAction();
        size = ATTACHMENTS;
    }

    /* ---- station: is the frame for this router ------------------------------------------------------------------------------ */

    @id(0x01000003) @name(".accept") action accept() { }

    @id(0x02000002) @name(".station") table station_table {
        key = {
            meta.ingress_port : exact @id(1) @name("port");
            hdr.ethernet.dst : exact @id(2) @name("dst_mac");
        }
        actions = { accept; @defaultonly NoAction; }
        const default_action = NoAction();
        size = STATIONS;
    }

    /* ---- arp_responder: answered here, so that a CE keeps its neighbour while the gateway is away --------------------------- */

    /* The frame turns into its own answer. Nothing but this is changed before the end of the pipeline, and nothing punts it after. */
    @id(0x01000004) @name(".reply") action reply(@id(1) bit<48> mac) {
        hdr.ethernet.dst = hdr.arp.sender_mac;
        hdr.ethernet.src = mac;
        hdr.arp.operation = 2;
        hdr.arp.target_mac = hdr.arp.sender_mac;
        bit<32> asked = hdr.arp.target_ip;
        hdr.arp.target_ip = hdr.arp.sender_ip;
        hdr.arp.sender_mac = mac;
        hdr.arp.sender_ip = asked;
        meta.egress_port = meta.ingress_port;
    }

    @id(0x02000003) @name(".arp_responder") table arp_responder_table {
        key = {
            meta.ingress_port : exact @id(1) @name("port");
            meta.vlan : exact @id(2) @name("vlan");
            hdr.arp.target_ip : exact @id(3) @name("target");
        }
        actions = { reply; @defaultonly NoAction; }
        const default_action = NoAction();
        size = ATTACHMENTS;
    }

    /* ---- flow_v4, flow_acl_v4: which session a packet belongs to ------------------------------------------------------------ */

    @id(0x01000005) @name(".assign") action assign(@id(1) bit<32> session) {
        meta.has_session = true;
        meta.session = session;
    }

    @id(0x02000004) @name(".flow_v4") table flow_v4_table {
        key = {
            meta.vrf : exact @id(1) @name("vrf");
            hdr.ipv4.src : exact @id(2) @name("src");
            hdr.ipv4.dst : exact @id(3) @name("dst");
            hdr.ipv4.protocol : exact @id(4) @name("proto");
            meta.sport : exact @id(5) @name("sport");
            meta.dport : exact @id(6) @name("dport");
        }
        actions = { assign; @defaultonly NoAction; }
        const default_action = NoAction();
        size = FLOWS_V4;
        support_timeout = true;
    }

    @id(0x02000005) @name(".flow_acl_v4") table flow_acl_v4_table {
        key = {
            meta.vrf : ternary @id(1) @name("vrf");
            hdr.ipv4.src : ternary @id(2) @name("src");
            hdr.ipv4.dst : ternary @id(3) @name("dst");
            hdr.ipv4.protocol : ternary @id(4) @name("proto");
            meta.sport : range @id(5) @name("sport");
            meta.dport : range @id(6) @name("dport");
        }
        actions = { assign; @defaultonly NoAction; }
        const default_action = NoAction();
        size = FLOW_ACLS_V4;
    }

    /* ---- session: where a session's packets go, at which rate --------------------------------------------------------------- */

    @id(0x01000006) @name(".carry") action carry(@id(1) bit<32> tunnel, @id(2) bit<20> vpn_label, @id(3) bit<3> class) {
        meta.has_tunnel = true;
        meta.tunnel = tunnel;
        meta.vpn_label = vpn_label;
        meta.class = class;
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

    /* ---- route_v4: packets of no session, and packets the core brought ------------------------------------------------------ */

    @id(0x01000007) @name(".via_tunnel") action via_tunnel(@id(1) bit<32> tunnel, @id(2) bit<20> vpn_label, @id(3) bit<3> class) {
        meta.has_tunnel = true;
        meta.tunnel = tunnel;
        meta.vpn_label = vpn_label;
        meta.class = class;
    }

    @id(0x01000008) @name(".local") action local(@id(1) bit<32> nexthop) {
        meta.nexthop = nexthop;
    }

    @id(0x01000009) @name(".receive") action receive() {
        meta.received = true;
    }

    @id(0x0100000a) @name(".discard") action discard() {
        meta.discarded = true;
    }

    @id(0x02000007) @name(".route_v4") table route_v4_table {
        key = {
            meta.vrf : exact @id(1) @name("vrf");
            hdr.ipv4.dst : lpm @id(2) @name("dst");
        }
        actions = { via_tunnel; local; receive; discard; @defaultonly NoAction; }
        const default_action = NoAction();
        size = ROUTES_V4;
    }

    /* ---- marking: class and colour to TC and DSCP --------------------------------------------------------------------------- */

    @id(0x0100000b) @name(".mark") action mark(@id(1) bit<3> tc, @id(2) bit<6> dscp) {
        meta.rewrite.tc = tc;
        meta.dscp = dscp;
    }

    @id(0x02000008) @name(".marking") table marking_table {
        key = {
            meta.class : exact @id(1) @name("class");
            meta.colour : exact @id(2) @name("colour");
        }
        actions = { mark; discard; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 24;
    }

    /* ---- tunnel: a unidirectional LSP from this PE to another, shared by many sessions -------------------------------------- */

    @id(0x0100000c) @name(".lsp_0") action lsp_0(@id(1) bit<32> nexthop, @id(2) bit<8> ttl_mode) {
        meta.nexthop = nexthop;
        meta.ttl_mode = ttl_mode;
        COUNT_DIRECT(tunnel_counter)
    }

    @id(0x0100000d) @name(".lsp_1") action lsp_1(@id(1) bit<20> l1, @id(2) bit<32> nexthop, @id(3) bit<8> ttl_mode) {
        meta.rewrite.push_transport = true;
        meta.rewrite.transport_label = l1;
        meta.nexthop = nexthop;
        meta.ttl_mode = ttl_mode;
        COUNT_DIRECT(tunnel_counter)
    }

    @id(0x02000009) @name(".tunnel") table tunnel_table {
        key = {
            meta.tunnel : exact @id(1) @name("tunnel");
            hdr.ipv4.src : selector;
            hdr.ipv4.dst : selector;
            hdr.ipv4.protocol : selector;
            meta.sport : selector;
            meta.dport : selector;
        }
        actions = { lsp_0; lsp_1; @defaultonly NoAction; }
        const default_action = NoAction();
        size = TUNNELS;
        implementation = tunnel_selector;
        TABLE_COUNTER(tunnel_counter)
    }

    /* ---- ilm: what to do with an incoming label (RFC 3031) ------------------------------------------------------------------ */

    @id(0x0100000e) @name(".swap") action swap(@id(1) bit<20> label, @id(2) bit<32> nexthop) {
        meta.rewrite.swap = true;
        meta.rewrite.swap_label = label;
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
        meta.rewrite.route_ip = true;
        meta.vrf = vrf;
        meta.ttl_mode = ttl_mode;
        COUNT_DIRECT(ilm_counter)
    }

    @id(0x0200000a) @name(".ilm") table ilm_table {
        key = { hdr.label0.label : exact @id(1) @name("label"); }
        actions = { swap; php; pop_vrf; @defaultonly NoAction; }
        const default_action = NoAction();
        size = LABELS;
        TABLE_COUNTER(ilm_counter)
    }

    /* ---- nexthop: how a frame leaves ---------------------------------------------------------------------------------------- */

    @id(0x01000011) @name(".rewrite") action rewrite(@id(1) bit<9> port, @id(2) bit<48> src_mac, @id(3) bit<48> dst_mac, @id(4) bit<12> vlan,
                                   @id(5) bit<12> inner_vlan, @id(6) bit<16> mtu) {
        meta.egress_port = port;
        meta.rewrite.src_mac = src_mac;
        meta.rewrite.dst_mac = dst_mac;
        meta.rewrite.vlan = vlan;
        meta.rewrite.inner_vlan = inner_vlan;
        meta.mtu = mtu;
    }

    @id(0x0200000b) @name(".nexthop") table nexthop_table {
        key = {
            meta.nexthop : exact @id(1) @name("nexthop");
            hdr.ipv4.src : selector;
            hdr.ipv4.dst : selector;
            hdr.ipv4.protocol : selector;
            meta.sport : selector;
            meta.dport : selector;
        }
        actions = { rewrite; @defaultonly NoAction; }
        const default_action = NoAction();
        size = NEXTHOPS;
        implementation = nexthop_selector;
    }

    /* ---- the order of things ------------------------------------------------------------------------------------------------ */

    action drop_for(Reason reason) {
        meta.reason = reason;
        meta.punt = false;
    }

    action punt_for(Reason reason) {
        meta.reason = reason;
        meta.punt = true;
    }

    apply {
        meta.reason = Reason.NONE;
        bool answered = false;
        bool routed = false;
        bool forward = false;

        /* Which frames are ours. */
        if (meta.parse_failed && !hdr.ethernet.isValid()) {
            drop_for(Reason.FRAME_TRUNCATED);
        } else if (meta.ethertype == ETHERTYPE_LLDP) {
            punt_for(Reason.LLDP);
        } else if (meta.tags_truncated) {
            drop_for(Reason.FRAME_TRUNCATED);
        } else if (!attachment_table.apply().hit) {
            drop_for(Reason.UNKNOWN_ATTACHMENT);
        } else if (meta.ethertype == ETHERTYPE_ARP) {
            if (!hdr.arp.isValid()) {
                drop_for(Reason.FRAME_TRUNCATED);
            } else if (meta.arp_request && arp_responder_table.apply().hit) {
                answered = true;
            } else {
                punt_for(Reason.ARP);
            }
        } else if (!station_table.apply().hit) {
            drop_for(Reason.UNKNOWN_STATION);
        } else if (meta.ethertype == ETHERTYPE_MPLS) {
            if (!meta.core) {
                drop_for(Reason.MPLS_ON_ATTACHMENT);
            } else if (!hdr.label0.isValid()) {
                drop_for(Reason.FRAME_TRUNCATED);
            } else if (hdr.label0.label == ROUTER_ALERT_LABEL || hdr.label0.label == GAL_LABEL || hdr.label0.label == OAM_ALERT_LABEL) {
                punt_for(Reason.MPLS_ALERT);
            } else if (hdr.label0.label < FIRST_UNRESERVED_LABEL) {
                drop_for(Reason.RESERVED_LABEL);
            } else {
                switch (ilm_table.apply().action_run) {
                    swap: { forward = true; }
                    php: { forward = true; }
                    pop_vrf: { routed = true; }
                    default: { drop_for(Reason.UNKNOWN_LABEL); }
                }
                if (meta.reason == Reason.NONE && routed && hdr.label0.bos == 0) {
                    drop_for(Reason.BAD_LABEL_STACK);
                } else if (meta.reason == Reason.NONE && hdr.label0.ttl <= 1) {
                    punt_for(Reason.TTL_EXPIRED);
                }
            }
        } else if (meta.ethertype == ETHERTYPE_IPV4) {
            routed = true;
        } else {
            drop_for(Reason.UNKNOWN_ETHERTYPE);
        }

        /* The IP header acted upon. */
        if (routed && meta.reason == Reason.NONE) {
            if (!hdr.ipv4.isValid()) {
                drop_for(Reason.IP_TRUNCATED);
            } else if (hdr.ipv4.version != 4) {
                drop_for(Reason.IP_BAD_VERSION);
            } else if (hdr.ipv4.ihl < 5) {
                drop_for(Reason.IP_BAD_HEADER_LENGTH);
            } else if (meta.options_truncated) {
                drop_for(Reason.IP_TRUNCATED);
            } else if (hdr.ipv4.total_length < ((bit<16>) hdr.ipv4.ihl << 2) || (bit<32>) hdr.ipv4.total_length > meta.l3_length) {
                drop_for(Reason.IP_BAD_LENGTH);
            } else if (meta.ip_checksum_wrong) {
                drop_for(Reason.IP_BAD_CHECKSUM);
            } else if (hdr.ipv4.ttl == 0) {
                drop_for(Reason.IP_TTL_ZERO);
            }
        }

        /* RFC 3443: what a pop exposes. */
        meta.ip_ttl = hdr.ipv4.ttl;
        if (hdr.label0.isValid()) {
            meta.rewrite.label_ttl = hdr.label0.ttl - 1;
            if (meta.rewrite.pop && meta.ttl_mode == TTL_UNIFORM && meta.rewrite.label_ttl < meta.ip_ttl) {
                meta.ip_ttl = meta.rewrite.label_ttl;
            }
        }

        /* Sessions, for what an attachment circuit brought; routes, for everything else. */
        if (routed && meta.reason == Reason.NONE) {
            if (!meta.core) {
                if (!flow_v4_table.apply().hit) {
                    flow_acl_v4_table.apply();
                }
            }
            if (meta.has_session) {
                if (meta.ip_ttl <= 1) {
                    punt_for(Reason.TTL_EXPIRED);
                } else if (session_table.apply().hit) {
                    meta.carried = true;
                } else {
                    drop_for(Reason.NO_SESSION);
                }
            } else {
                if (!route_v4_table.apply().hit) {
                    drop_for(Reason.NO_ROUTE);
                } else if (meta.received) {
                    punt_for(Reason.RECEIVE);
                } else if (meta.discarded) {
                    drop_for(Reason.ROUTE_DISCARD);
                } else if (meta.ip_ttl <= 1) {
                    punt_for(Reason.TTL_EXPIRED);
                }
            }
            meta.rewrite.route_ip = true;
            meta.rewrite.exposed_ttl = meta.ip_ttl - 1;
            forward = true;
        }

        /* Into a tunnel. */
        if (meta.reason == Reason.NONE && meta.has_tunnel) {
            meta.rewrite.tc = meta.class;
            if (!marking_table.apply().hit && meta.colour == RED) {
                drop_for(Reason.RED_DISCARD);
            } else if (meta.discarded) {
                drop_for(Reason.MARKING_DISCARD);
            } else if (!tunnel_table.apply().hit) {
                drop_for(Reason.NO_TUNNEL);
            } else {
                meta.rewrite.push_vpn = true;
                meta.rewrite.vpn_label = meta.vpn_label;
                meta.rewrite.push_ttl = meta.rewrite.exposed_ttl;
                if (meta.ttl_mode != TTL_UNIFORM) {
                    meta.rewrite.push_ttl = meta.ttl_mode;
                }
            }
        }

        /* Out of a port. */
        if (meta.reason == Reason.NONE && forward) {
            if (!nexthop_table.apply().hit) {
                drop_for(Reason.NO_NEXTHOP);
            } else {
                meta.length_out = meta.l3_length;
                if (routed) { meta.length_out = (bit<32>) hdr.ipv4.total_length; }
                if (meta.rewrite.pop && !routed) { meta.length_out = meta.length_out - 4; }
                if (meta.rewrite.push_vpn) { meta.length_out = meta.length_out + 4; }
                if (meta.rewrite.push_transport) { meta.length_out = meta.length_out + 4; }
                if (meta.length_out > (bit<32>) meta.mtu) {
                    if (hdr.ipv4.isValid() && hdr.ipv4.dont_fragment == 1) {
                        punt_for(Reason.TOO_BIG);
                    } else {
                        drop_for(Reason.TOO_BIG_DROP);
                    }
                }
            }
        }

        if (meta.carried && meta.reason != Reason.NONE) {
            COUNT(session_discards, meta.session)
        }
        if (meta.reason != Reason.NONE && !meta.punt) {
            COUNT(drops, (bit<32>) (bit<8>) meta.reason)
        }
    }
}
