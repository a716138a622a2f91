/* The pipeline contract: every table, key and action, written once.
 *
 * The shell of an architecture includes headers.p4, defines the macros below, and then includes this file:
 *
 *   DIRECT_COUNTER              type and arguments of a direct counter of packets and bytes
 *   INDEXED_COUNTER(size)       the same, indexed by bit<32>
 *   DIRECT_METER                type and arguments of a direct trTCM meter of bytes (RFC 2698, colour-blind)
 *   METER_COLOUR(meter, to)     run `meter`, put GREEN, YELLOW or RED into `to`
 *   COUNT_DIRECT(counter)       count the packet in a direct counter, where the architecture wants that said
 *   COUNT_INDEXED(counter, at)  count the packet in a cell of an indexed counter
 *   TABLE_COUNTER(counter)      the table property that attaches a direct counter
 *   TABLE_METER(meter)          the table property that attaches a direct meter, where the architecture has one
 *   SELECTOR(size)              an action selector of `size` members
 *   *S, *_V4, …                 table sizes
 *
 * Every id is pinned: an id is the wire interface, and a new table takes the next free one. Widths and semantics are those of the
 * oracle in contract/, which is tested against this program's P4Info and against every engine.
 */

#ifndef SVPN_PIPELINE_P4
#define SVPN_PIPELINE_P4

#define IS_TAG(ethertype) ((ethertype) == ETHERTYPE_VLAN || (ethertype) == ETHERTYPE_QINQ)

#include "rewrite.p4"

/* Attachment, address resolution, labels, classification, routing, tunnels: look-ups write metadata only. */
control Lookup(inout headers_t hdr, inout metadata_t meta) {
    @id(0x13000001) @name(".session_counter") DIRECT_COUNTER session_counter;
    @id(0x13000002) @name(".tunnel_counter") DIRECT_COUNTER tunnel_counter;
    @id(0x13000003) @name(".ilm_counter") DIRECT_COUNTER ilm_counter;
    @id(0x15000001) @name(".session_meter") DIRECT_METER session_meter;
    @id(0x12000001) @name(".session_discards") INDEXED_COUNTER(SESSIONS) session_discards;
    @id(0x12000002) @name(".drops") INDEXED_COUNTER(256) drops;
    @id(0x11000001) @name(".tunnel_selector") SELECTOR(TUNNEL_MEMBERS) tunnel_selector;
    @id(0x11000002) @name(".nexthop_selector") SELECTOR(NEXTHOP_MEMBERS) nexthop_selector;

    AnswerArp() answer_arp;
    RewriteFrame() rewrite_frame;

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

    @id(0x01000004) @name(".reply") action reply(@id(1) bit<48> mac) {
        meta.rewrite.src_mac = mac;
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
        meta.rewrite.to_vrf = true;
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
        size = NEXTHOPS;
        implementation = nexthop_selector;
    }

    /* ---- the order of things ------------------------------------------------------------------------------------------------ */

    @hidden action drop_for(Reason reason) {
        meta.reason = reason;
        meta.punt = false;
    }

    @hidden action punt_for(Reason reason) {
        meta.reason = reason;
        meta.punt = true;
    }

    /* An ARP request for an IPv4 address on Ethernet (RFC 826). */
    @hidden action is_arp_request(out bool yes) {
        yes = hdr.arp.hardware_type == 1 && hdr.arp.protocol_type == ETHERTYPE_IPV4 && hdr.arp.hardware_length == 6 &&
            hdr.arp.protocol_length == 4 && hdr.arp.operation == 1;
    }

    apply {
        meta.reason = Reason.NONE;
        bool answered = false;
        bool switched = false;    /* goes on by its label */
        bool routed = false;      /* goes on by its IP header */
        bit<32> ip_length = meta.l3_length;

        /* Which frames are ours, and what is in them. */
        if (!hdr.ethernet.isValid()) {
            drop_for(Reason.FRAME_TRUNCATED);
        } else if (IS_TAG(hdr.ethernet.ethertype) && !hdr.outer_tag.isValid()) {
            drop_for(Reason.FRAME_TRUNCATED);
        } else if (hdr.outer_tag.isValid() && IS_TAG(hdr.outer_tag.ethertype) && !hdr.inner_tag.isValid()) {
            drop_for(Reason.FRAME_TRUNCATED);
        } else if (meta.ethertype == ETHERTYPE_LLDP) {
            punt_for(Reason.LLDP);
        } else if (!attachment_table.apply().hit) {
            drop_for(Reason.UNKNOWN_ATTACHMENT);
        } else if (meta.ethertype == ETHERTYPE_ARP) {
            bool request = false;
            is_arp_request(request);
            if (!hdr.arp.isValid()) {
                drop_for(Reason.FRAME_TRUNCATED);
            } else if (!request) {
                punt_for(Reason.ARP);
            } else if (arp_responder_table.apply().hit) {
                answered = true;
            } else {
                punt_for(Reason.ARP);
            }
        } else if (!station_table.apply().hit) {
            drop_for(Reason.UNKNOWN_STATION);
        } else if (meta.ethertype == ETHERTYPE_IPV4) {
            routed = true;
        } else if (meta.ethertype != ETHERTYPE_MPLS) {
            drop_for(Reason.UNKNOWN_ETHERTYPE);
        } else if (!meta.core) {
            drop_for(Reason.MPLS_ON_ATTACHMENT);
        } else if (!hdr.label0.isValid()) {
            drop_for(Reason.FRAME_TRUNCATED);
        } else if (hdr.label0.label == ROUTER_ALERT_LABEL || hdr.label0.label == GAL_LABEL || hdr.label0.label == OAM_ALERT_LABEL) {
            punt_for(Reason.MPLS_ALERT);
        } else if (hdr.label0.label < FIRST_UNRESERVED_LABEL) {
            drop_for(Reason.RESERVED_LABEL);
        } else if (!ilm_table.apply().hit) {
            drop_for(Reason.UNKNOWN_LABEL);
        } else if (meta.rewrite.to_vrf && hdr.label0.bos == 0) {
            drop_for(Reason.BAD_LABEL_STACK);
        } else if (hdr.label0.ttl <= 1) {
            punt_for(Reason.TTL_EXPIRED);
        } else if (meta.rewrite.to_vrf) {
            routed = true;
            ip_length = meta.l3_length - 4;
        } else {
            switched = true;
        }

        /* A label switched packet: what a penultimate hop exposes (RFC 3443). */
        if (switched && meta.rewrite.pop) {
            meta.rewrite.exposed_ttl = hdr.label0.ttl - 1;
            bit<8> below = 0;
            if (hdr.label0.bos == 0) {
                if (hdr.label1.isValid()) {
                    below = hdr.label1.ttl;
                    meta.rewrite.set_label_ttl = meta.ttl_mode == TTL_UNIFORM;
                    meta.rewrite.ethertype = ETHERTYPE_MPLS;
                } else {
                    drop_for(Reason.BAD_LABEL_STACK);
                }
            } else if (hdr.ipv4.isValid() && hdr.ipv4.version == 4) {
                below = hdr.ipv4.ttl;
                meta.rewrite.set_ip_ttl = meta.ttl_mode == TTL_UNIFORM;
                meta.rewrite.ethertype = ETHERTYPE_IPV4;
            } else if (hdr.ipv6.isValid()) {
                below = hdr.ipv6.hop_limit;
                meta.rewrite.set_ip_ttl = meta.ttl_mode == TTL_UNIFORM;
                meta.rewrite.ethertype = ETHERTYPE_IPV6;
            } else {
                drop_for(Reason.UNKNOWN_PAYLOAD);
            }
            if (below < meta.rewrite.exposed_ttl) {
                meta.rewrite.exposed_ttl = below;
            }
        } else if (switched) {
            meta.rewrite.ethertype = ETHERTYPE_MPLS;
        }

        /* The IP header acted upon. */
        if (routed) {
            if (!hdr.ipv4.isValid()) {
                if (ip_length < 20) {
                    drop_for(Reason.IP_TRUNCATED);
                } else {
                    drop_for(Reason.IP_BAD_VERSION);
                }
            } else if (hdr.ipv4.version != 4) {
                drop_for(Reason.IP_BAD_VERSION);
            } else if (hdr.ipv4.ihl < 5) {
                drop_for(Reason.IP_BAD_HEADER_LENGTH);
            } else if (hdr.ipv4.ihl > 5 && !hdr.ipv4_options.isValid()) {
                drop_for(Reason.IP_TRUNCATED);
            } else if (hdr.ipv4.total_length < ((bit<16>) hdr.ipv4.ihl << 2) || (bit<32>) hdr.ipv4.total_length > ip_length) {
                drop_for(Reason.IP_BAD_LENGTH);
            } else if (meta.ip_checksum_wrong) {
                drop_for(Reason.IP_BAD_CHECKSUM);
            } else if (hdr.ipv4.ttl == 0) {
                drop_for(Reason.IP_TTL_ZERO);
            }
            meta.ip_ttl = hdr.ipv4.ttl;
            if (meta.rewrite.pop && meta.ttl_mode == TTL_UNIFORM && hdr.label0.ttl < hdr.ipv4.ttl) {
                meta.ip_ttl = hdr.label0.ttl;
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
            } else if (!route_v4_table.apply().hit) {
                drop_for(Reason.NO_ROUTE);
            } else if (meta.received) {
                punt_for(Reason.RECEIVE);
            } else if (meta.discarded) {
                drop_for(Reason.ROUTE_DISCARD);
            } else if (meta.ip_ttl <= 1) {
                punt_for(Reason.TTL_EXPIRED);
            }
            meta.rewrite.set_ip_ttl = true;
            meta.rewrite.exposed_ttl = meta.ip_ttl - 1;
            meta.rewrite.ethertype = ETHERTYPE_IPV4;
        }

        /* Into a tunnel. */
        if (meta.has_tunnel && meta.reason == Reason.NONE) {
            meta.rewrite.tc = meta.class;
            if (!marking_table.apply().hit && meta.colour == RED) {
                drop_for(Reason.RED_DISCARD);
            } else if (meta.discarded) {
                drop_for(Reason.MARKING_DISCARD);
            } else if (!tunnel_table.apply().hit) {
                drop_for(Reason.NO_TUNNEL);
            } else {
                meta.rewrite.push_vpn = meta.vpn_label != IMPLICIT_NULL_LABEL;
                meta.rewrite.vpn_label = meta.vpn_label;
                meta.rewrite.push_ttl = meta.rewrite.exposed_ttl;
                if (meta.ttl_mode != TTL_UNIFORM) {
                    meta.rewrite.push_ttl = meta.ttl_mode;
                }
                if (meta.rewrite.push_vpn || meta.rewrite.push_transport) {
                    meta.rewrite.ethertype = ETHERTYPE_MPLS;
                }
            }
        }

        /* Out of a port. */
        if ((routed || switched) && meta.reason == Reason.NONE) {
            meta.length_out = meta.l3_length;
            if (meta.rewrite.pop) { meta.length_out = meta.length_out - 4; }
            if (meta.rewrite.push_vpn) { meta.length_out = meta.length_out + 4; }
            if (meta.rewrite.push_transport) { meta.length_out = meta.length_out + 4; }
            if (!nexthop_table.apply().hit) {
                drop_for(Reason.NO_NEXTHOP);
            } else if (meta.length_out > (bit<32>) meta.mtu) {
                if ((hdr.ipv4.isValid() && hdr.ipv4.version == 4 && hdr.ipv4.dont_fragment == 1) || hdr.ipv6.isValid()) {
                    punt_for(Reason.TOO_BIG);
                } else {
                    drop_for(Reason.TOO_BIG_DROP);
                }
            }
        }

        if (meta.reason == Reason.NONE) {
            if (answered) {
                answer_arp.apply(hdr, meta);
            } else {
                rewrite_frame.apply(hdr, meta);
            }
        } else {
            if (meta.carried) {
                COUNT_INDEXED(session_discards, meta.session)
            }
            if (!meta.punt) {
                COUNT_INDEXED(drops, (bit<32>) (bit<8>) meta.reason)
            }
        }
    }
}

#endif
