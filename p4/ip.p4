/* What an IP header must be to be acted upon, and what a packet is about.
 *
 * Included by pipeline.p4. No table is here, and nothing depends on an architecture.
 */

#ifndef SVPN_IP_P4
#define SVPN_IP_P4

/* The 5-tuple. Every fragment, the first too, has ports 0, and so has what is too short to have any. */
control ReadTuple(in headers_t hdr, inout metadata_t meta) {
    apply {
        bool has_ports = hdr.ports.isValid();
        if (hdr.ipv4.isValid()) {
            meta.src = (bit<128>) hdr.ipv4.src;
            meta.dst = (bit<128>) hdr.ipv4.dst;
            meta.proto = hdr.ipv4.protocol;
            has_ports = has_ports && hdr.ipv4.total_length >= ((bit<16>) hdr.ipv4.ihl << 2) + PORTS_BYTES;
        } else if (hdr.ipv6.isValid()) {
            meta.src = hdr.ipv6.src;
            meta.dst = hdr.ipv6.dst;
            meta.proto = hdr.ipv6.next_header;
            has_ports = has_ports && hdr.ipv6.payload_length >= PORTS_BYTES;
            if (hdr.fragment.isValid() && hdr.ipv6.payload_length >= FRAGMENT_BYTES) {
                meta.proto = hdr.fragment.next_header;
            }
        }
        if (has_ports) {
            meta.sport = hdr.ports.src;
            meta.dport = hdr.ports.dst;
        }
    }
}

/* The order of the checks is part of the contract. What could not be parsed is too short, or of another version. */
control CheckIpv4(in headers_t hdr, inout metadata_t meta) {
    apply {
        if (meta.ip_available < IPV4_BYTES) {
            DROP(Reason.IP_TRUNCATED)
        } else if (!hdr.ipv4.isValid() || hdr.ipv4.version != 4) {
            DROP(Reason.IP_BAD_VERSION)
        } else if (hdr.ipv4.ihl < 5) {
            DROP(Reason.IP_BAD_HEADER_LENGTH)
        } else if (hdr.ipv4.ihl > 5 && !hdr.ipv4_options.isValid()) {
            DROP(Reason.IP_TRUNCATED)
        } else if (hdr.ipv4.total_length < ((bit<16>) hdr.ipv4.ihl << 2) || (bit<32>) hdr.ipv4.total_length > meta.ip_available) {
            DROP(Reason.IP_BAD_LENGTH)
        } else if (meta.ip_checksum_wrong) {
            DROP(Reason.IP_BAD_CHECKSUM)
        } else if (hdr.ipv4.ttl == 0) {
            DROP(Reason.IP_TTL_ZERO)
        }
        meta.ip_ttl = hdr.ipv4.ttl;
        meta.ip_length = (bit<32>) hdr.ipv4.total_length;
    }
}

control CheckIpv6(in headers_t hdr, inout metadata_t meta) {
    apply {
        if (meta.ip_available < IPV6_BYTES) {
            DROP(Reason.IP_TRUNCATED)
        } else if (!hdr.ipv6.isValid() || hdr.ipv6.version != 6) {
            DROP(Reason.IP_BAD_VERSION)
        } else if ((bit<32>) hdr.ipv6.payload_length + IPV6_BYTES > meta.ip_available) {
            DROP(Reason.IP_BAD_LENGTH)
        } else if (hdr.ipv6.hop_limit == 0) {
            DROP(Reason.IP_TTL_ZERO)
        }
        meta.ip_ttl = hdr.ipv6.hop_limit;
        meta.ip_length = (bit<32>) hdr.ipv6.payload_length + IPV6_BYTES;
    }
}

/* The IP header acted upon, and the TTL it counts for: in the uniform model no more than that of the label above it (RFC 3443). */
control CheckIp(in headers_t hdr, inout metadata_t meta) {
    CheckIpv4() check_ipv4;
    CheckIpv6() check_ipv6;
    apply {
        if (meta.is_v6) {
            check_ipv6.apply(hdr, meta);
            meta.rewrite.ethertype = ETHERTYPE_IPV6;
        } else {
            check_ipv4.apply(hdr, meta);
            meta.rewrite.ethertype = ETHERTYPE_IPV4;
        }
        if (meta.labelled && meta.ttl_mode == TTL_UNIFORM && meta.label_ttl < meta.ip_ttl) {
            meta.ip_ttl = meta.label_ttl;
        }
    }
}

#endif
