/* GRE that ends here (RFC 2784, RFC 2890, RFC 4023). */

/* The length of a GRE header, and whether the packet has all of it. */
control ReadGre(in headers_t hdr, inout metadata_t meta) {
    apply {
        if (hdr.gre.has_checksum == 1 && hdr.gre.has_key == 1 && hdr.gre.has_sequence == 1) {
            meta.gre_length = 16;
        } else if ((hdr.gre.has_checksum == 1 && hdr.gre.has_key == 1) || (hdr.gre.has_checksum == 1 && hdr.gre.has_sequence == 1) ||
                   (hdr.gre.has_key == 1 && hdr.gre.has_sequence == 1)) {
            meta.gre_length = 12;
        } else if (hdr.gre.has_checksum == 1 || hdr.gre.has_key == 1 || hdr.gre.has_sequence == 1) {
            meta.gre_length = 8;
        } else {
            meta.gre_length = GRE_BYTES;
        }
        meta.gre_missing = meta.gre_length |-| meta.payload_length;
        if (hdr.gre_key.isValid()) {
            meta.gre_key = hdr.gre_key.value;
        }
    }
}

/* What is in GRE that ends here goes through the next pass. */
control CheckGre(in headers_t hdr, inout metadata_t meta) {
    apply {
        if (!hdr.gre.isValid() || hdr.gre.has_routing == 1 || hdr.gre.version != 0 || meta.gre_missing != 0) {
            DROP(Reason.BAD_GRE)
        } else if (hdr.fragment.isValid() || hdr.ipv4.isValid() && (hdr.ipv4.more_fragments == 1 || hdr.ipv4.fragment_offset != 0)) {
            DROP(Reason.BAD_GRE)
        } else if (meta.takes_labels && hdr.gre.protocol != ETHERTYPE_MPLS) {
            DROP(Reason.UNKNOWN_PAYLOAD)
        } else if (!meta.takes_labels && hdr.gre.protocol != ETHERTYPE_IPV4 && hdr.gre.protocol != ETHERTYPE_IPV6) {
            DROP(Reason.UNKNOWN_PAYLOAD)
        } else {
            meta.next_pass = true;
            meta.pass.removed = meta.header_length + meta.gre_length;
            meta.pass.ethertype = hdr.gre.protocol;
        }
    }
}

control EndGre(inout headers_t hdr, inout metadata_t meta) {
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

    CheckGre() check;

    apply {
        if (meta.is_v6) {
            if (gre_ingress_v6_table.apply().hit) { meta.ends_here = true; }
        } else {
            if (gre_ingress_v4_table.apply().hit) { meta.ends_here = true; }
        }
        if (meta.ends_here) {
            check.apply(hdr, meta);
        }
    }
}
