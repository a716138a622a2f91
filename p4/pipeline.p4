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
 *   OTHER_SELECTOR(size)        the same by another hash, so that what it chooses does not depend on what the first one chose
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

#include "ip.p4"
#include "rewrite.p4"
#include "tables/attachment.p4"
#include "tables/labels.p4"
#include "tables/gre.p4"
#include "tables/flows.p4"
#include "tables/routes.p4"
#include "tables/tunnels.p4"

control Lookup(inout headers_t hdr, inout metadata_t meta) {
    @id(0x12000001) @name(".session_discards") INDEXED_COUNTER(SESSIONS) session_discards;
    @id(0x12000002) @name(".drops") INDEXED_COUNTER(256) drops;

    /* In two places of the order of things, with one action between them. */
    #include "tables/policers.p4"

    ReadTuple() read_tuple;
    Admit() admit;
    ActOnLabel() act_on_label;
    Switch() switch_label;
    CheckIp() check_ip;
    EndGre() end_gre;
    FindSession() find_session;
    FindRoute() find_route;
    Carry() carry_session;
    IntoTunnel() into_tunnel;
    Leave() leave;
    AnswerArp() answer_arp;
    RewriteFrame() rewrite_frame;

    apply {
        meta.reason = Reason.NONE;
        meta.ip_available = meta.l3_length - (bit<32>) meta.pass.removed;
        meta.length_out = meta.ip_available;
        meta.is_v6 = meta.ethertype == ETHERTYPE_IPV6;
        read_tuple.apply(hdr, meta);

        /* Which frames are ours, and what is in them. */
        if (meta.pass.removed == 0) {
            admit.apply(hdr, meta);
        } else {
            meta.core = true;
            meta.vrf = meta.pass.vrf;
            meta.labelled = meta.ethertype == ETHERTYPE_MPLS;
            meta.routed = meta.ethertype != ETHERTYPE_MPLS;
        }

        if (meta.labelled) {
            act_on_label.apply(hdr, meta);
        }
        if (meta.switched) {
            switch_label.apply(hdr, meta);
        }
        if (meta.rewrite.pop) { meta.length_out = meta.length_out - LABEL_BYTES; }
        if (meta.rewrite.push_swapped) { meta.length_out = meta.length_out + LABEL_BYTES; }

        if (meta.routed) {
            check_ip.apply(hdr, meta);
            meta.rewrite.set_ip_ttl = true;
            meta.rewrite.exposed_ttl = meta.ip_ttl - 1;
            /* Only the outermost header of a frame from the core can be that of GRE that ends here. */
            if (meta.reason == Reason.NONE && meta.core && !meta.labelled && meta.pass.removed == 0 && meta.proto == PROTOCOL_GRE) {
                end_gre.apply(hdr, meta);
            }
        }

        /* Sessions, for what an attachment circuit brought; routes, for everything else. */
        if (meta.routed && meta.reason == Reason.NONE) {
            if (!meta.core) {
                find_session.apply(hdr, meta);
            }
            if (!meta.has_session && meta.exposes != Exposes.LOCAL) {
                find_route.apply(hdr, meta);
            }
            if (meta.reason == Reason.NONE && meta.ip_ttl <= 1) {
                PUNT(Reason.TTL_EXPIRED)
            } else if (meta.reason == Reason.NONE && meta.has_session) {
                carry_session.apply(meta);
            } else if (meta.reason == Reason.NONE && !meta.core) {
                vrf_policer_table.apply();
                if (!meta.has_tunnel && meta.colour == RED) {
                    DROP(Reason.RED_DISCARD)
                }
            }
        }

        if (meta.has_tunnel && meta.reason == Reason.NONE) {
            into_tunnel.apply(meta);
        }
        if ((meta.routed || meta.switched) && meta.reason == Reason.NONE) {
            leave.apply(hdr, meta);
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
        } else if (meta.answered) {
            answer_arp.apply(hdr, meta);
        } else if (meta.next_pass) {
            meta.pass.vrf = meta.vrf;
        } else {
            rewrite_frame.apply(hdr, meta);
        }
    }
}

#endif
