/* The pipeline contract: every table, key and action, written once.
 *
 * The shell of an architecture includes headers.p4, defines the macros below, and then includes this file:
 *
 *   DIRECT_COUNTER              type and arguments of a direct counter of packets and bytes
 *   INDEXED_COUNTER(size)       the same, indexed by bit<32>
 *   DIRECT_METER                type and arguments of a direct trTCM meter of bytes (RFC 2698, colour-blind)
 *   DIRECT_PACKET_METER         the same of packets
 *   METER_COLOUR(meter, to)     run `meter`, put GREEN, YELLOW or RED into `to`
 *   COUNT_DIRECT(counter)       count the packet in a direct counter, where the architecture wants that said
 *   COUNT_INDEXED(counter, at)  count the packet in a cell of an indexed counter
 *   TABLE_COUNTER(counter)      the table property that attaches a direct counter
 *   TABLE_METER(meter)          the table property that attaches a direct meter, where the architecture has one
 *   SELECTOR(size)              an action selector of `size` members
 *   *S, *_V4, *_V6, …           table sizes
 *
 * The tables are in tables/, by what they are about. Every id is pinned: an id is the wire interface, and a new table takes the next
 * free one. Widths and semantics are those of the oracle in contract/, which is tested against this program's P4Info and against every
 * engine.
 *
 * Look-ups write metadata only, and the frame is rewritten once, when everything has been decided. What a label or GRE that ends here
 * leaves to be looked at goes through all of it again: the shell parses the frame as received once more when `next_pass` is set, and
 * leaves out what `pass` says is done with.
 */

#ifndef SVPN_PIPELINE_P4
#define SVPN_PIPELINE_P4

#define IS_TAG(ethertype) ((ethertype) == ETHERTYPE_VLAN || (ethertype) == ETHERTYPE_QINQ)
#define DROP(why) { meta.reason = why; meta.punt = false; }
#define PUNT(why) { meta.reason = why; meta.punt = true; }

/* At most so many labels of a frame are acted upon. */
const bit<8> MOST_LABELS = 4;

#include "ip.p4"
#include "rewrite.p4"

control Lookup(inout headers_t hdr, inout metadata_t meta) {
    @id(0x12000001) @name(".session_discards") INDEXED_COUNTER(SESSIONS) session_discards;
    @id(0x12000002) @name(".drops") INDEXED_COUNTER(256) drops;

    #include "tables/attachment.p4"
    #include "tables/labels.p4"
    #include "tables/gre.p4"
    #include "tables/flows.p4"
    #include "tables/routes.p4"
    #include "tables/policers.p4"
    #include "tables/tunnels.p4"

    ReadTuple() read_tuple;
    CheckIpv4() check_ipv4;
    CheckIpv6() check_ipv6;
    CheckGre() check_gre;
    AnswerArp() answer_arp;
    RewriteFrame() rewrite_frame;

    /* An ARP request for an IPv4 address on Ethernet (RFC 826). */
    @hidden action is_arp_request(out bool yes) {
        yes = hdr.arp.hardware_type == 1 && hdr.arp.protocol_type == ETHERTYPE_IPV4 && hdr.arp.hardware_length == 6 &&
            hdr.arp.protocol_length == 4 && hdr.arp.operation == 1;
    }

    /* Neighbour discovery (RFC 4861), as far as its first bytes tell. */
    @hidden action is_nd(out bool yes) {
        yes = meta.ethertype == ETHERTYPE_IPV6 && hdr.ipv6.isValid() && hdr.ipv6.version == 6 &&
            hdr.ipv6.next_header == PROTOCOL_ICMPV6 && hdr.ipv6.hop_limit == ND_HOP_LIMIT && hdr.icmpv6.isValid() &&
            hdr.icmpv6.kind >= ND_FIRST && hdr.icmpv6.kind <= ND_LAST;
    }

    apply {
        meta.reason = Reason.NONE;
        bool answered = false;
        bool labelled = false;    /* a label is to be acted upon */
        bool switched = false;    /* goes on by its label */
        bool routed = false;      /* goes on by its IP header */
        bit<32> length = meta.l3_length - (bit<32>) meta.pass.removed;
        meta.ip_available = length;
        read_tuple.apply(hdr, meta);

        /* Which frames are ours, and what is in them. */
        if (meta.pass.removed != 0) {
            meta.core = true;
            meta.vrf = meta.pass.vrf;
            labelled = meta.ethertype == ETHERTYPE_MPLS;
            routed = !labelled;
        } else if (!hdr.ethernet.isValid()) {
            DROP(Reason.FRAME_TRUNCATED)
        } else if (IS_TAG(hdr.ethernet.ethertype) && !hdr.outer_tag.isValid()) {
            DROP(Reason.FRAME_TRUNCATED)
        } else if (hdr.outer_tag.isValid() && IS_TAG(hdr.outer_tag.ethertype) && !hdr.inner_tag.isValid()) {
            DROP(Reason.FRAME_TRUNCATED)
        } else if (meta.ethertype == ETHERTYPE_LLDP) {
            PUNT(Reason.LLDP)
        } else if (!attachment_table.apply().hit) {
            DROP(Reason.UNKNOWN_ATTACHMENT)
        } else {
            bool arp_request = false;
            is_arp_request(arp_request);
            bool nd = false;
            is_nd(nd);
            if (meta.ethertype == ETHERTYPE_ARP && !hdr.arp.isValid()) {
                DROP(Reason.FRAME_TRUNCATED)
            } else if (meta.ethertype == ETHERTYPE_ARP && !arp_request) {
                PUNT(Reason.ARP)
            } else if (meta.ethertype == ETHERTYPE_ARP) {
                if (arp_responder_table.apply().hit) {
                    answered = true;
                } else {
                    PUNT(Reason.ARP)
                }
            } else if (nd) {
                PUNT(Reason.ND)
            } else if (!station_table.apply().hit) {
                DROP(Reason.UNKNOWN_STATION)
            } else if (meta.ethertype == ETHERTYPE_IPV4 || meta.ethertype == ETHERTYPE_IPV6) {
                routed = true;
            } else if (meta.ethertype != ETHERTYPE_MPLS) {
                DROP(Reason.UNKNOWN_ETHERTYPE)
            } else if (!meta.core) {
                DROP(Reason.MPLS_ON_ATTACHMENT)
            } else {
                labelled = true;
            }
        }
        meta.is_v6 = meta.ethertype == ETHERTYPE_IPV6;

        /* The label acted upon. */
        if (labelled) {
            meta.label_ttl = hdr.label0.ttl;
            if (meta.pass.label_ttl != 0 && meta.pass.label_ttl < hdr.label0.ttl) {
                meta.label_ttl = meta.pass.label_ttl;
            }
            bool explicit_null = hdr.label0.label == IPV4_EXPLICIT_NULL_LABEL || hdr.label0.label == IPV6_EXPLICIT_NULL_LABEL;
            meta.ttl_mode = 255;
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
                labelled = false;
            } else if (too_deep || not_bottom || (cut_short && !explicit_null)) {
                DROP(Reason.BAD_LABEL_STACK)
            } else if (meta.label_ttl <= 1) {
                PUNT(Reason.TTL_EXPIRED)
            } else if (cut_short) {
                DROP(Reason.BAD_LABEL_STACK)
            } else if (meta.exposes == Exposes.LABEL) {
                meta.pass.removed = meta.pass.removed + (bit<16>) LABEL_BYTES;
                meta.pass.ethertype = ETHERTYPE_MPLS;
                meta.pass.labels = meta.pass.labels + 1;
                meta.pass.label_ttl = 0;
                if (meta.ttl_mode == TTL_UNIFORM) {
                    meta.pass.label_ttl = meta.label_ttl - 1;
                }
                meta.next_pass = true;
            } else if (meta.exposes == Exposes.NOTHING) {
                switched = true;
            } else {
                routed = true;
                meta.ip_available = length - LABEL_BYTES;
                meta.is_v6 = meta.nibble == 6;
                if (explicit_null) {
                    meta.is_v6 = hdr.label0.label == IPV6_EXPLICIT_NULL_LABEL;
                }
            }
        }

        /* A label switched packet: what a penultimate hop exposes (RFC 3443). */
        if (switched && meta.rewrite.pop) {
            meta.rewrite.exposed_ttl = meta.label_ttl - 1;
            bit<8> below = 0;
            if (hdr.label0.bos == 0) {
                if (hdr.label1.isValid()) {
                    below = hdr.label1.ttl;
                    meta.rewrite.set_label_ttl = meta.ttl_mode == TTL_UNIFORM;
                    meta.rewrite.ethertype = ETHERTYPE_MPLS;
                } else {
                    DROP(Reason.BAD_LABEL_STACK)
                }
            } else if (hdr.ipv4.isValid()) {
                below = hdr.ipv4.ttl;
                meta.rewrite.set_ip_ttl = meta.ttl_mode == TTL_UNIFORM;
                meta.rewrite.ethertype = ETHERTYPE_IPV4;
            } else if (hdr.ipv6.isValid()) {
                below = hdr.ipv6.hop_limit;
                meta.rewrite.set_ip_ttl = meta.ttl_mode == TTL_UNIFORM;
                meta.rewrite.ethertype = ETHERTYPE_IPV6;
            } else {
                DROP(Reason.UNKNOWN_PAYLOAD)
            }
            if (below < meta.rewrite.exposed_ttl) {
                meta.rewrite.exposed_ttl = below;
            }
        } else if (switched) {
            meta.rewrite.ethertype = ETHERTYPE_MPLS;
        }

        /* The IP header acted upon. */
        if (routed) {
            if (meta.is_v6) {
                check_ipv6.apply(hdr, meta);
                meta.rewrite.ethertype = ETHERTYPE_IPV6;
            } else {
                check_ipv4.apply(hdr, meta);
                meta.rewrite.ethertype = ETHERTYPE_IPV4;
            }
            if (labelled && meta.ttl_mode == TTL_UNIFORM && meta.label_ttl < meta.ip_ttl) {
                meta.ip_ttl = meta.label_ttl;
            }
        }

        /* GRE that ends here: nothing but the outermost header of a frame from the core. */
        if (routed && meta.reason == Reason.NONE && meta.core && !labelled && meta.pass.removed == 0 && meta.proto == PROTOCOL_GRE) {
            if (hdr.gre_key.isValid()) {
                meta.gre_key = hdr.gre_key.value;
            }
            bool ends_here = false;
            if (meta.is_v6) {
                ends_here = gre_ingress_v6_table.apply().hit;
            } else {
                ends_here = gre_ingress_v4_table.apply().hit;
            }
            if (ends_here) {
                check_gre.apply(hdr, meta);
                routed = false;
            }
        }

        /* Sessions, for what an attachment circuit brought; routes, for everything else. */
        if (routed && meta.reason == Reason.NONE) {
            if (!meta.core && meta.is_v6) {
                if (!flow_v6_table.apply().hit) {
                    flow_acl_v6_table.apply();
                }
            } else if (!meta.core) {
                if (!flow_v4_table.apply().hit) {
                    flow_acl_v4_table.apply();
                }
            }
            bool has_route = true;
            if (!meta.has_session && meta.exposes != Exposes.LOCAL) {
                if (meta.is_v6) {
                    has_route = route_v6_table.apply().hit;
                } else {
                    has_route = route_v4_table.apply().hit;
                }
            }
            if (!has_route) {
                DROP(Reason.NO_ROUTE)
            } else if (meta.received) {
                PUNT(Reason.RECEIVE)
            } else if (meta.discarded) {
                DROP(Reason.ROUTE_DISCARD)
            } else if (meta.ip_ttl <= 1) {
                PUNT(Reason.TTL_EXPIRED)
            } else if (meta.has_session) {
                if (session_table.apply().hit) {
                    meta.carried = true;
                } else {
                    DROP(Reason.NO_SESSION)
                }
            } else if (!meta.core) {
                vrf_policer_table.apply();
                if (!meta.has_tunnel && meta.colour == RED) {
                    DROP(Reason.RED_DISCARD)
                }
            }
            meta.rewrite.set_ip_ttl = true;
            meta.rewrite.exposed_ttl = meta.ip_ttl - 1;
        }

        meta.length_out = length;
        if (meta.rewrite.pop) { meta.length_out = meta.length_out - LABEL_BYTES; }
        if (meta.rewrite.push_swapped) { meta.length_out = meta.length_out + LABEL_BYTES; }

        /* Into a tunnel. */
        if (meta.has_tunnel && meta.reason == Reason.NONE) {
            meta.rewrite.tc = meta.class;
            meta.rewrite.dscp = meta.class ++ 3w0;
            if (!marking_table.apply().hit && meta.colour == RED) {
                DROP(Reason.RED_DISCARD)
            } else if (meta.discarded) {
                DROP(Reason.MARKING_DISCARD)
            } else if (!tunnel_table.apply().hit) {
                DROP(Reason.NO_TUNNEL)
            } else {
                PlanTunnel.apply(meta);
            }
        }

        /* Out of a port. */
        if ((routed || switched) && meta.reason == Reason.NONE) {
            if (!nexthop_table.apply().hit) {
                DROP(Reason.NO_NEXTHOP)
            } else if (meta.length_out > (bit<32>) meta.mtu) {
                if ((hdr.ipv4.isValid() && hdr.ipv4.version == 4 && hdr.ipv4.dont_fragment == 1) || hdr.ipv6.isValid()) {
                    PUNT(Reason.TOO_BIG)
                } else {
                    DROP(Reason.TOO_BIG_DROP)
                }
            }
        }

        if (meta.reason != Reason.NONE) {
            if (meta.carried) {
                COUNT_INDEXED(session_discards, meta.session)
            }
            if (meta.punt) {
                punt_policer_table.apply();
                if (meta.punt_colour == RED) {
                    DROP(Reason.PUNT_POLICED)
                }
            }
            if (!meta.punt) {
                COUNT_INDEXED(drops, (bit<32>) (bit<8>) meta.reason)
            }
        } else if (answered) {
            answer_arp.apply(hdr, meta);
        } else if (meta.next_pass) {
            meta.pass.vrf = meta.vrf;
        } else {
            rewrite_frame.apply(hdr, meta);
        }
    }
}

#endif
