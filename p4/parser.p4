/* What is behind Ethernet and tags: states of the parser of a shell, which goes to `arp`, `label0`, `ipv4` or `ipv6`.
 *
 * The shell defines what is done about the checksum of IPv4 on the way: SUM_HEADER, SUM_OPTIONS, SUM_END.
 */

state arp {
    packet.extract(hdr.arp);
    transition select(hdr.arp.hardware_type, hdr.arp.protocol_type) {
        (1, ETHERTYPE_IPV4): arp_of_ipv4;
        default: accept;
    }
}

state arp_of_ipv4 {
    transition select(hdr.arp.hardware_length, hdr.arp.protocol_length, hdr.arp.operation) {
        (6, 4, 1): arp_request;
        default: accept;
    }
}

state arp_request {
    meta.arp_request = true;
    transition accept;
}

state label0 {
    packet.extract(hdr.label0);
    meta.label_ttl = hdr.label0.ttl;
    transition select(hdr.label0.bos) {
        0: label1;
        1: below_labels;
    }
}

state label1 {
    packet.extract(hdr.label1);
    transition select(hdr.label1.bos) {
        0: label2;
        1: below_labels;
    }
}

state label2 {
    packet.extract(hdr.label2);
    transition select(hdr.label2.bos) {
        0: label3;
        1: below_labels;
    }
}

state label3 {
    packet.extract(hdr.label3);
    transition select(hdr.label3.bos) {
        0: accept;
        1: below_labels;
    }
}

/* The first nibble tells what a label stack carries. */
state below_labels {
    transition select(packet.lookahead<bit<4>>()) {
        4: ipv4;
        6: ipv6_below;
        default: accept;
    }
}

state ipv6_below {
    meta.below_is_v6 = true;
    transition ipv6;
}

state ipv4 {
    packet.extract(hdr.ipv4);
    meta.version = hdr.ipv4.version;
    meta.proto = hdr.ipv4.protocol;
    meta.ip_ttl = hdr.ipv4.ttl;
    meta.ip_length = hdr.ipv4.total_length;
    SUM_HEADER
    transition select(hdr.ipv4.version, hdr.ipv4.ihl) {
        (4, 5): ipv4_sum;
        (4, 6 .. 15): ipv4_options;
        default: accept;
    }
}

state ipv4_options {
    packet.extract(hdr.ipv4_options, ((bit<32>) hdr.ipv4.ihl - 5) << 5);
    SUM_OPTIONS
    transition ipv4_sum;
}

state ipv4_sum {
    SUM_END
    transition ports_or_not;
}

/* Every fragment, the first too, has ports 0. */
state ports_or_not {
    transition select(hdr.ipv4.more_fragments, hdr.ipv4.fragment_offset, hdr.ipv4.protocol) {
        (0, 0, PROTOCOL_TCP): ports;
        (0, 0, PROTOCOL_UDP): ports;
        (0, 0, PROTOCOL_SCTP): ports;
        (_, 0, PROTOCOL_GRE): gre;
        default: accept;
    }
}

state ports {
    packet.extract(hdr.ports);
    transition accept;
}

state ipv6 {
    packet.extract(hdr.ipv6);
    meta.version = hdr.ipv6.version;
    meta.proto = hdr.ipv6.next_header;
    meta.ip_ttl = hdr.ipv6.hop_limit;
    meta.header_length = IPV6_BYTES;
    meta.payload_length = hdr.ipv6.payload_length;
    transition select(hdr.ipv6.next_header, hdr.ipv6.hop_limit) {
        (PROTOCOL_TCP, _): ports;
        (PROTOCOL_UDP, _): ports;
        (PROTOCOL_SCTP, _): ports;
        (PROTOCOL_GRE, _): gre;
        (PROTOCOL_ICMPV6, ND_HOP_LIMIT): icmpv6;
        (PROTOCOL_FRAGMENT, _): fragment;
        default: accept;
    }
}

state icmpv6 {
    packet.extract(hdr.icmpv6);
    transition select(hdr.icmpv6.kind) {
        ND_FIRST .. ND_LAST: neighbour_discovery;
        default: accept;
    }
}

state neighbour_discovery {
    meta.neighbour_discovery = true;
    transition accept;
}

state fragment {
    packet.extract(hdr.fragment);
    transition select(hdr.fragment.fragment_offset, hdr.fragment.next_header) {
        (0, PROTOCOL_GRE): gre;
        default: accept;
    }
}

state gre {
    packet.extract(hdr.gre);
    transition select(hdr.gre.has_checksum, hdr.gre.has_key) {
        (1, _): gre_checksum;
        (0, 1): gre_key;
        default: accept;
    }
}

state gre_checksum {
    packet.extract(hdr.gre_checksum);
    transition select(hdr.gre.has_key) {
        1: gre_key;
        default: accept;
    }
}

state gre_key {
    packet.extract(hdr.gre_key);
    transition accept;
}
