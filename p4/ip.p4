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
        if (meta.ethertype == ETHERTYPE_IPV6) {
            meta.is_v6 = true;
        } else if (meta.ethertype == ETHERTYPE_MPLS && hdr.label0.label == IPV6_EXPLICIT_NULL_LABEL) {
            meta.is_v6 = true;
        } else if (meta.ethertype == ETHERTYPE_MPLS && hdr.label0.label != IPV4_EXPLICIT_NULL_LABEL && meta.below_is_v6) {
            meta.is_v6 = true;
        }
        if (hdr.ipv4.isValid()) {
            meta.proto = hdr.ipv4.protocol;
            meta.ip_ttl = hdr.ipv4.ttl;
            read_header_length.apply(hdr, meta);
            meta.ip_length = hdr.ipv4.total_length;
        } else if (hdr.ipv6.isValid()) {
            meta.proto = hdr.ipv6.next_header;
            meta.ip_ttl = hdr.ipv6.hop_limit;
            meta.header_length = IPV6_BYTES;
            meta.ip_length = hdr.ipv6.payload_length |+| IPV6_BYTES;
            meta.payload_length = hdr.ipv6.payload_length;
            if (hdr.fragment.isValid() && hdr.ipv6.payload_length >= FRAGMENT_BYTES) {
                meta.proto = hdr.fragment.next_header;
            }
        }
        /* A step of its own: it takes what the lines above set. */
        if (hdr.ipv4.isValid()) {
            meta.payload_length = meta.ip_length |-| meta.header_length;
            meta.missing = meta.header_length |-| meta.ip_length;
        }
        if (hdr.ports.isValid() && meta.payload_length >= PORTS_BYTES) {
            meta.sport = hdr.ports.src;
            meta.dport = hdr.ports.dst;
        }
    }
}

/* The order of the checks is part of the contract. What could not be parsed is too short, or of another version. */
control JudgeIp(in headers_t hdr, inout metadata_t meta) {
    apply {
        if (meta.is_v6) {
            if (TOO_SHORT(IPV6_BYTES)) {
                meta.fault = Reason.IP_TRUNCATED;
            } else if (!hdr.ipv6.isValid() || hdr.ipv6.version != 6) {
                meta.fault = Reason.IP_BAD_VERSION;
            } else if (BEYOND_FRAME(meta.ip_length)) {
                meta.fault = Reason.IP_BAD_LENGTH;
            } else if (hdr.ipv6.hop_limit == 0) {
                meta.fault = Reason.IP_TTL_ZERO;
            }
        } else {
            if (TOO_SHORT(IPV4_BYTES)) {
                meta.fault = Reason.IP_TRUNCATED;
            } else if (!hdr.ipv4.isValid() || hdr.ipv4.version != 4) {
                meta.fault = Reason.IP_BAD_VERSION;
            } else if (hdr.ipv4.ihl < 5) {
                meta.fault = Reason.IP_BAD_HEADER_LENGTH;
            } else if (OPTIONS_CUT) {
                meta.fault = Reason.IP_TRUNCATED;
            } else if (meta.missing != 0) {
                meta.fault = Reason.IP_BAD_LENGTH;
            } else if (BEYOND_FRAME(meta.ip_length)) {
                meta.fault = Reason.IP_BAD_LENGTH;
            } else if (meta.ip_checksum_wrong) {
                meta.fault = Reason.IP_BAD_CHECKSUM;
            } else if (hdr.ipv4.ttl == 0) {
                meta.fault = Reason.IP_TTL_ZERO;
            }
        }
    }
}

#endif
