/* GRE that ends here (RFC 2784, RFC 2890, RFC 4023). */

/* The length of a GRE header, and whether the packet has all of it. */
control ReadGre(in headers_t hdr, inout metadata_t meta) {
    @hidden action is(bit<16> bytes) {
        meta.gre_length = bytes;
    }

    @hidden table lengths_table {
        key = {
            hdr.gre.has_checksum : exact;
            hdr.gre.has_key : exact;
            hdr.gre.has_sequence : exact;
        }
        actions = { is; }
        const default_action = is(GRE_BYTES);
        const entries = {
            (0, 0, 1) : is(8);
            (0, 1, 0) : is(8);
            (0, 1, 1) : is(12);
            (1, 0, 0) : is(8);
            (1, 0, 1) : is(12);
            (1, 1, 0) : is(12);
            (1, 1, 1) : is(16);
        }
    }

    /* A step of its own: it takes the length. */
    @hidden action take_length() {
        meta.gre_missing = meta.gre_length |-| meta.payload_length;
    }

    apply {
        if (hdr.gre.isValid()) {
            lengths_table.apply();
        }
        take_length();
        if (hdr.gre_key.isValid()) {
            meta.gre_key = hdr.gre_key.value;
        }
    }
}

/* What is in GRE that ends here goes through the next pass. */
control CheckGre(in headers_t hdr, inout metadata_t meta) {
    @hidden action bad() { DROP(Reason.BAD_GRE) }
    @hidden action unknown() { DROP(Reason.UNKNOWN_PAYLOAD) }

    @hidden action go_through() {
        meta.next_pass = true;
        meta.pass.removed = meta.header_length + meta.gre_length;
        meta.pass.ethertype = hdr.gre.protocol;
    }

    /* Whole, of version 0, without routing and not in a fragment. */
    @hidden table check_table {
        key = {
            hdr.gre.isValid() : ternary;
            hdr.gre.has_routing : ternary;
            hdr.gre.version : ternary;
            meta.gre_missing : ternary;
            hdr.fragment.isValid() : ternary;
            hdr.ipv4.isValid() : ternary;
            hdr.ipv4.more_fragments : ternary;
            hdr.ipv4.fragment_offset : ternary;
            meta.takes_labels : ternary;
            hdr.gre.protocol : ternary;
        }
        actions = { bad; unknown; go_through; }
        const default_action = bad();
        const entries = {
            (true, 0, 0, 0, false, true, 0, 0, true, ETHERTYPE_MPLS) : go_through();
            (true, 0, 0, 0, false, true, 0, 0, false, ETHERTYPE_IPV4) : go_through();
            (true, 0, 0, 0, false, true, 0, 0, false, ETHERTYPE_IPV6) : go_through();
            (true, 0, 0, 0, false, true, 0, 0, _, _) : unknown();
            (true, 0, 0, 0, false, false, _, _, true, ETHERTYPE_MPLS) : go_through();
            (true, 0, 0, 0, false, false, _, _, false, ETHERTYPE_IPV4) : go_through();
            (true, 0, 0, 0, false, false, _, _, false, ETHERTYPE_IPV6) : go_through();
            (true, 0, 0, 0, false, false, _, _, _, _) : unknown();
        }
    }

    apply {
        check_table.apply();
    }
}

control EndGre(inout headers_t hdr, inout metadata_t meta) {
    @id(0x01000019) @name(".decap_vrf") action decap_vrf(@id(1) bit<16> vrf) {
        meta.ends_here = true;
        meta.vrf = vrf;
    }

    @id(0x0100001a) @name(".decap_mpls") action decap_mpls() {
        meta.ends_here = true;
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

    CheckGre() check;

    apply {
        if (meta.is_v6) {
            gre_ingress_v6_table.apply();
        } else {
            gre_ingress_v4_table.apply();
        }
        if (meta.ends_here) {
            check.apply(hdr, meta);
        }
    }
}
