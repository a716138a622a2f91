/* The IP header, what a packet is about, and what its header must be to be acted upon.
 *
 * Included by pipeline.p4. No table is here, and nothing depends on an architecture.
 */

#ifndef SVPN_IP_P4
#define SVPN_IP_P4

/* The 5-tuple and the lengths, through the labels. Every fragment, the first too, has ports 0, and so has what is too short to have
 * any. */
control ReadIp(in headers_t hdr, inout metadata_t meta) {
    ReadHeaderLength() read_header_length;
    apply {
        if (hdr.ipv6.isValid() || (hdr.ipv4.isValid() && hdr.ipv4.version == 4 && hdr.ipv4.dont_fragment == 1)) {
            meta.unfragmentable = true;
        }
        if (meta.ethertype == ETHERTYPE_IPV6 || (meta.ethertype == ETHERTYPE_MPLS &&
            (hdr.label0.label == IPV6_EXPLICIT_NULL_LABEL || (hdr.label0.label != IPV4_EXPLICIT_NULL_LABEL && meta.below_is_v6)))) {
            meta.is_v6 = true;
        }
        if (hdr.ipv4.isValid()) {
            read_header_length.apply(hdr, meta);
        } else if (hdr.ipv6.isValid()) {
            meta.ip_length = meta.payload_length |+| IPV6_BYTES;
            meta.ports_missing = PORTS_BYTES |-| meta.payload_length;
        }
        if (hdr.fragment.isValid() && hdr.ipv6.payload_length >= FRAGMENT_BYTES) {
            meta.proto = hdr.fragment.next_header;
        }
        /* A step of its own: it takes what the lines above set. */
        if (hdr.ipv4.isValid()) {
            meta.payload_length = meta.ip_length |-| meta.header_length;
        }
        if (hdr.ports.isValid() && meta.ports_missing == 0) {
            meta.sport = hdr.ports.src;
            meta.dport = hdr.ports.dst;
        }
    }
}

/* The order of the checks is part of the contract. What could not be parsed is too short, or of another version. */
control JudgeIp(in headers_t hdr, inout metadata_t meta) {
    @hidden action wrong(Reason why) {
        meta.fault = why;
    }

    @hidden table judge_table {
        key = {
            meta.is_v6 : ternary;
            meta.cut_header : ternary;
            hdr.ipv4.isValid() : ternary;
            hdr.ipv6.isValid() : ternary;
            meta.version : ternary;
            hdr.ipv4.ihl : ternary;
            meta.cut_options : ternary;
            meta.missing : ternary;
            meta.cut_packet : ternary;
            meta.ip_checksum_wrong : ternary;
            meta.ip_ttl : ternary;
        }
        actions = { wrong; }
        const default_action = wrong(Reason.IP_BAD_VERSION);
        const entries = {
            (true, true, _, _, _, _, _, _, _, _, _) : wrong(Reason.IP_TRUNCATED);
            (true, _, _, true, 6, _, _, _, true, _, _) : wrong(Reason.IP_BAD_LENGTH);
            (true, _, _, true, 6, _, _, _, _, _, 0) : wrong(Reason.IP_TTL_ZERO);
            (true, _, _, true, 6, _, _, _, _, _, _) : wrong(Reason.NONE);
            (true, _, _, _, _, _, _, _, _, _, _) : wrong(Reason.IP_BAD_VERSION);
            (_, true, _, _, _, _, _, _, _, _, _) : wrong(Reason.IP_TRUNCATED);
            /* Below 5. */
            (_, _, true, _, 4, 0 &&& 12, _, _, _, _, _) : wrong(Reason.IP_BAD_HEADER_LENGTH);
            (_, _, true, _, 4, 4, _, _, _, _, _) : wrong(Reason.IP_BAD_HEADER_LENGTH);
            (_, _, true, _, 4, _, true, _, _, _, _) : wrong(Reason.IP_TRUNCATED);
            (_, _, true, _, 4, _, _, 0, false, false, 0) : wrong(Reason.IP_TTL_ZERO);
            (_, _, true, _, 4, _, _, 0, false, false, _) : wrong(Reason.NONE);
            (_, _, true, _, 4, _, _, 0, false, _, _) : wrong(Reason.IP_BAD_CHECKSUM);
            (_, _, true, _, 4, _, _, _, _, _, _) : wrong(Reason.IP_BAD_LENGTH);
        }
    }

    apply {
        judge_table.apply();
    }
}

#endif
