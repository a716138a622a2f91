/* The pipeline contract: every table, key and action, written once.
 *
 * The shell of an architecture includes headers.p4, defines the macros below, and then includes this file:
 *
 *   DIRECT_COUNTER              type and arguments of a direct counter of packets and bytes
 *   INDEXED_COUNTER(size, bits) the same, indexed by bit<bits>
 *   DIRECT_METER                type and arguments of a direct trTCM meter of bytes (RFC 2698, colour-blind)
 *   DIRECT_PACKET_METER         the same of packets
 *   METER_COLOUR(meter, to)     run `meter`, put GREEN, YELLOW or RED into `to`
 *   ONE_METER_AN_ACTION         defined where an action cannot run the direct meters of two tables
 *   COUNT_DIRECT(counter)       count the packet in a direct counter, where the architecture wants that said
 *   COUNT_INDEXED(counter, at, bits)  count the packet in a cell of an indexed counter
 *   TABLE_COUNTER(counter)      the table property that attaches a direct counter
 *   TABLE_METER(meter)          the table property that attaches a direct meter, where the architecture has one
 *   IDLE_TIMEOUT                the table property of entries with an idle timeout
 *   SELECTOR(size, name)        the action selector `name` of `size` members, by a hash of its own
 *   CHOICE_KEYS                 what selectors hash, as keys of their tables
 *   LIMIT(value, most)          `value` becomes `most` if it is more
 *   EARLY                       an annotation of tables that the longest chain of steps begins with
 *   ReadHeaderLength(hdr, meta) a control: the length of the IPv4 header, and what of it and of four bytes behind it is beyond the packet
 *   ReadFrame(hdr, meta)        a control: `last`, `last_pass`, what the frame ends before (`cut_*`), and what selectors hash
 *   KeepChecksum(hdr, ttl)      a control: what the IPv4 checksum becomes when the TTL becomes `ttl` (RFC 1624), unless that is done elsewhere
 *   *S, *_V4, *_V6, *_BITS …    table sizes
 *
 * The tables are in tables/, by what they are about. Every id is pinned: an id is the wire interface, and a new table takes the next
 * free one. Widths and semantics are those of the oracle in contract/, which is tested against this program's P4Info and against every
 * engine.
 *
 * Look-ups write metadata only, and the frame is rewritten once, when everything has been decided: the shell applies Lookup, then
 * RewriteFrame to what goes out. What a label or GRE that ends here leaves to be looked at goes through all of it again: the shell
 * parses the frame as received once more when `next_pass` is set, and leaves out what `pass` says is done with.
 *
 * The order of things is that of a chain of match stages: what depends on the frame alone comes first and side by side, look-ups that
 * do not need each other's results do not wait for each other, and a number is compared with a constant only. A judgement of many
 * cases is a hidden table of constant entries, which is one table where a chain of conditions is one for each.
 */

#ifndef SVPN_PIPELINE_P4
#define SVPN_PIPELINE_P4

#define DROP(why) { meta.reason = why; meta.dropped_for = why; meta.punt = false; }
#define PUNT(why) { meta.reason = why; meta.dropped_for = Reason.PUNT_POLICED; meta.punt = true; }

#include "ip.p4"
#include "rewrite.p4"
#include "tables/attachment.p4"
#include "tables/labels.p4"
#include "tables/gre.p4"
#include "tables/flows.p4"
#include "tables/routes.p4"
#include "tables/tunnels.p4"

control Lookup(inout headers_t hdr, inout metadata_t meta) {
    @id(1) @name(".session_discards") INDEXED_COUNTER(SESSIONS, SESSION_BITS) session_discards;
    @id(2) @name(".drops") INDEXED_COUNTER(256, 8) drops;

    /* In two places of the order of things, with one action between them. */
    #include "tables/policers.p4"

    ReadIp() read_ip;
    ReadFrame() read_frame;
    ReadGre() read_gre;
    JudgeIp() judge_ip;
    Admit() admit;
    ActOnLabel() act_on_label;
    JudgeLabel() judge_label;
    SwitchLabel() switch_label;
    EndGre() end_gre;
    FindSession() find_session;
    FindRoute() find_route;
    Carry() carry_session;
    IntoTunnel() into_tunnel;
    Leave() leave;

    apply {
        /* What the frame says of itself. */
        read_ip.apply(hdr, meta);
        read_frame.apply(hdr, meta);
        read_gre.apply(hdr, meta);
        judge_ip.apply(hdr, meta);

        /* Which frames are ours, and what is acted upon. */
        if (meta.pass.removed == 0) {
            admit.apply(hdr, meta);
        } else {
            meta.core = true;
            meta.vrf = meta.pass.vrf;
        }
        if (meta.reason == Reason.NONE && !meta.answered) {
            if (meta.ethertype == ETHERTYPE_MPLS) {
                if (!meta.core) {
                    DROP(Reason.MPLS_ON_ATTACHMENT)
                } else {
                    act_on_label.apply(hdr, meta);
                    if (meta.reason == Reason.NONE) {
                        judge_label.apply(hdr, meta);
                    }
                }
            } else if (meta.ethertype == ETHERTYPE_IPV4 || meta.ethertype == ETHERTYPE_IPV6) {
                meta.routed = true;
            } else {
                DROP(Reason.UNKNOWN_ETHERTYPE)
            }
        }

        meta.last = meta.last + meta.growth;

        /* Sessions, for what an attachment circuit brought; routes, for everything else. Only the outermost header of a frame from the
         * core can be that of GRE that ends here. */
        if (meta.switched) {
            switch_label.apply(hdr, meta);
        } else if (meta.routed) {
            meta.rewrite.set_ip_ttl = true;
            meta.rewrite.exposed_ttl = meta.ip_ttl - 1;
            if (meta.is_v6) {
                meta.rewrite.ethertype = ETHERTYPE_IPV6;
            } else {
                meta.rewrite.ethertype = ETHERTYPE_IPV4;
            }
            if (meta.fault != Reason.NONE) {
                DROP(meta.fault)
            } else {
                if (!meta.core) {
                    find_session.apply(hdr, meta);
                } else if (meta.proto == PROTOCOL_GRE && !hdr.label0.isValid() && meta.pass.removed == 0) {
                    end_gre.apply(hdr, meta);
                }
                if (meta.exposes != Exposes.LOCAL) {
                    find_route.apply(hdr, meta);
                }
                if (meta.ends_here) {
                    /* By another pass. */
                } else if (!meta.has_session && meta.exposes != Exposes.LOCAL && !meta.has_route && !meta.discarded) {
                    DROP(Reason.NO_ROUTE)
                } else if (!meta.has_session && meta.received) {
                    PUNT(Reason.RECEIVE)
                } else if (!meta.has_session && meta.discarded) {
                    DROP(Reason.ROUTE_DISCARD)
                } else if (meta.ip_ttl <= 1) {
                    PUNT(Reason.TTL_EXPIRED)
                } else if (meta.has_session) {
                    carry_session.apply(meta);
                } else if (!meta.core) {
                    vrf_policer_table.apply();
                }
            }
        }

        if (meta.reason == Reason.NONE && !meta.next_pass && !meta.answered) {
            if (meta.has_tunnel) {
                into_tunnel.apply(meta);
            } else if (meta.colour == RED) {
                DROP(Reason.RED_DISCARD)
            }
            if (meta.reason == Reason.NONE) {
                leave.apply(hdr, meta);
            }
        }

        /* What goes no further. A punt of more than the policer lets pass is counted for that. */
        if (meta.reason != Reason.NONE) {
            if (meta.carried) {
                COUNT_INDEXED(session_discards, meta.session, SESSION_BITS)
            }
            if (meta.punt) {
                punt_policer_table.apply();
            }
            if (!meta.punt || meta.punt_colour == RED) {
                COUNT_INDEXED(drops, (bit<8>) meta.dropped_for, 8)
            }
        } else if (meta.next_pass) {
            meta.pass.vrf = meta.vrf;
        }
    }
}

#endif
