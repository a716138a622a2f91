/* Which circuit a frame came in on, whether it is for this router, and what is answered for a CE's neighbour. */

control Admit(inout headers_t hdr, inout metadata_t meta) {
    @id(0x01000001) @name(".to_vrf") action to_vrf(@id(1) bit<16> vrf) {
        meta.vrf = vrf;
        meta.core = false;
    }

    @id(0x01000002) @name(".to_core") action to_core() {
        meta.vrf = 0;
        meta.core = true;
    }

    EARLY @id(0x02000001) @name(".attachment") table attachment_table {
        key = {
            meta.pass.ingress_port : exact @id(1) @name("port");
            meta.vlan : exact @id(2) @name("vlan");
            meta.inner_vlan : exact @id(3) @name("inner_vlan");
        }
        actions = { to_vrf; to_core; @defaultonly NoAction; }
        const default_action = NoAction();
        size = ATTACHMENTS;
    }

    @id(0x01000003) @name(".accept") action accept() { }

    EARLY @id(0x02000002) @name(".station") table station_table {
        key = {
            meta.pass.ingress_port : exact @id(1) @name("port");
            hdr.ethernet.dst : exact @id(2) @name("dst_mac");
        }
        actions = { accept; @defaultonly NoAction; }
        const default_action = NoAction();
        size = STATIONS;
    }

    /* Answered here, so that a CE keeps its neighbour while the gateway is away. */
    @id(0x01000004) @name(".reply") action reply(@id(1) bit<48> mac) {
        meta.answered = true;
        meta.egress_port = meta.pass.ingress_port;
        meta.rewrite.src_mac = mac;
        meta.rewrite.dst_mac = hdr.arp.sender_mac;
        meta.rewrite.vlan = (bit<16>) meta.vlan;
        meta.rewrite.inner_vlan = (bit<16>) meta.inner_vlan;
        meta.rewrite.ethertype = ETHERTYPE_ARP;
    }

    EARLY @id(0x02000003) @name(".arp_responder") table arp_responder_table {
        key = {
            meta.pass.ingress_port : exact @id(1) @name("port");
            meta.vlan : exact @id(2) @name("vlan");
            hdr.arp.target_ip : exact @id(3) @name("target");
        }
        actions = { reply; @defaultonly NoAction; }
        const default_action = NoAction();
        size = ATTACHMENTS;
    }

    @hidden action frame_truncated() { DROP(Reason.FRAME_TRUNCATED) }
    @hidden action is_lldp() { PUNT(Reason.LLDP) }

    /* What is judged whichever circuit it came in on. */
    EARLY @hidden table frame_table {
        key = {
            hdr.ethernet.isValid() : ternary;
            hdr.ethernet.ethertype : ternary;
            hdr.outer_tag.isValid() : ternary;
            hdr.outer_tag.ethertype : ternary;
            hdr.inner_tag.isValid() : ternary;
            meta.ethertype : ternary;
        }
        actions = { frame_truncated; is_lldp; @defaultonly NoAction; }
        const default_action = NoAction();
        const entries = {
            (false, _, _, _, _, _) : frame_truncated();
            (_, ETHERTYPE_VLAN, false, _, _, _) : frame_truncated();
            (_, ETHERTYPE_QINQ, false, _, _, _) : frame_truncated();
            (_, _, true, ETHERTYPE_VLAN, false, _) : frame_truncated();
            (_, _, true, ETHERTYPE_QINQ, false, _) : frame_truncated();
            (_, _, _, _, _, ETHERTYPE_LLDP) : is_lldp();
        }
    }

    @hidden action is_cut() { DROP(Reason.FRAME_TRUNCATED) }
    @hidden action is_arp() { PUNT(Reason.ARP) }
    @hidden action is_neighbour() { PUNT(Reason.ND) }
    @hidden action is_request() { }

    /* Neighbour discovery (RFC 4861) is known by its first bytes. */
    EARLY @hidden table neighbour_table {
        key = {
            meta.ethertype : ternary;
            hdr.arp.isValid() : ternary;
            meta.arp_request : ternary;
            meta.neighbour_discovery : ternary;
            hdr.label0.isValid() : ternary;
            hdr.ipv6.version : ternary;
        }
        actions = { is_cut; is_request; is_arp; is_neighbour; @defaultonly NoAction; }
        const default_action = NoAction();
        const entries = {
            (ETHERTYPE_ARP, false, _, _, _, _) : is_cut();
            (ETHERTYPE_ARP, _, true, _, _, _) : is_request();
            (ETHERTYPE_ARP, _, _, _, _, _) : is_arp();
            (_, _, _, true, false, 6) : is_neighbour();
        }
    }

    apply {
        if (frame_table.apply().hit) {
            /* It has been judged. */
        } else if (!attachment_table.apply().hit) {
            DROP(Reason.UNKNOWN_ATTACHMENT)
        } else {
            switch (neighbour_table.apply().action_run) {
                is_request: {
                    /* RFC 826 */
                    if (!arp_responder_table.apply().hit) {
                        PUNT(Reason.ARP)
                    }
                }
                NoAction: {
                    if (!station_table.apply().hit) {
                        DROP(Reason.UNKNOWN_STATION)
                    }
                }
                default: { }
            }
        }
    }
}
