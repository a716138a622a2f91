/* GRE that ends here (RFC 2784, RFC 2890, RFC 4023). */

@id(0x01000019) @name(".decap_vrf") action decap_vrf(@id(1) bit<16> vrf) {
    meta.vrf = vrf;
}

@id(0x0100001a) @name(".decap_mpls") action decap_mpls() {
    meta.takes_labels = true;
}

@id(0x02000010) @name(".gre_ingress_v4") table gre_ingress_v4_table {
    key = {
        hdr.ipv4.src : exact @id(1) @name("src");
        hdr.ipv4.dst : exact @id(2) @name("dst");
        meta.gre_key : exact @id(3) @name("key");
    }
    actions = { decap_vrf; decap_mpls; @defaultonly NoAction; }
    const default_action = NoAction();
    size = GRE_INGRESSES_V4;
}

@id(0x02000011) @name(".gre_ingress_v6") table gre_ingress_v6_table {
    key = {
        hdr.ipv6.src : exact @id(1) @name("src");
        hdr.ipv6.dst : exact @id(2) @name("dst");
        meta.gre_key : exact @id(3) @name("key");
    }
    actions = { decap_vrf; decap_mpls; @defaultonly NoAction; }
    const default_action = NoAction();
    size = GRE_INGRESSES_V6;
}
