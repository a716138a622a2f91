/* Which circuit a frame came in on, whether it is for this router, and what is answered for a CE's neighbour. */

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
