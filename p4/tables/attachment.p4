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

    @id(0x02000001) @name(".attachment") table attachment_table {
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

    @id(0x02000002) @name(".station") table station_table {
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
        meta.rewrite.src_mac = mac;
    }

    @id(0x02000003) @name(".arp_responder") table arp_responder_table {
        key = {
            meta.pass.ingress_port : exact @id(1) @name("port");
            meta.vlan : exact @id(2) @name("vlan");
            hdr.arp.target_ip : exact @id(3) @name("target");
        }
        actions = { reply; @defaultonly NoAction; }
        const default_action = NoAction();
        size = ATTACHMENTS;
    }

    apply {
        if (!hdr.ethernet.isValid()) {
            DROP(Reason.FRAME_TRUNCATED)
        } else if (IS_TAG(hdr.ethernet.ethertype) && !hdr.outer_tag.isValid()) {
            DROP(Reason.FRAME_TRUNCATED)
        } else if (hdr.outer_tag.isValid() && IS_TAG(hdr.outer_tag.ethertype) && !hdr.inner_tag.isValid()) {
            DROP(Reason.FRAME_TRUNCATED)
        } else if (meta.ethertype == ETHERTYPE_LLDP) {
            PUNT(Reason.LLDP)
        } else if (!attachment_table.apply().hit) {
            DROP(Reason.UNKNOWN_ATTACHMENT)
        } else if (meta.ethertype == ETHERTYPE_ARP) {
            /* RFC 826: a request for an IPv4 address on Ethernet. */
            if (!hdr.arp.isValid()) {
                DROP(Reason.FRAME_TRUNCATED)
            } else if (hdr.arp.hardware_type != 1 || hdr.arp.protocol_type != ETHERTYPE_IPV4) {
                PUNT(Reason.ARP)
            } else if (hdr.arp.hardware_length != 6 || hdr.arp.protocol_length != 4 || hdr.arp.operation != 1) {
                PUNT(Reason.ARP)
            } else if (arp_responder_table.apply().hit) {
                meta.answered = true;
            } else {
                PUNT(Reason.ARP)
            }
        } else if (hdr.icmpv6.isValid() && !hdr.label0.isValid() && hdr.ipv6.version == 6 && hdr.ipv6.hop_limit == ND_HOP_LIMIT &&
                   hdr.icmpv6.kind >= ND_FIRST && hdr.icmpv6.kind <= ND_LAST) {
            /* Neighbour discovery (RFC 4861), as far as its first bytes tell. */
            PUNT(Reason.ND)
        } else if (!station_table.apply().hit) {
            DROP(Reason.UNKNOWN_STATION)
        } else if (meta.ethertype == ETHERTYPE_IPV4 || meta.ethertype == ETHERTYPE_IPV6) {
            meta.routed = true;
        } else if (meta.ethertype != ETHERTYPE_MPLS) {
            DROP(Reason.UNKNOWN_ETHERTYPE)
        } else if (!meta.core) {
            DROP(Reason.MPLS_ON_ATTACHMENT)
        } else {
            meta.labelled = true;
        }
    }
}
