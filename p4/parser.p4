/* What is behind Ethernet and tags: states of the parser of a shell, which goes to `arp`, `label0`, `ipv4` or `ipv6`.
 *
 * The shell defines what is done about the checksum of IPv4 on the way: SUM_HEADER, SUM_OPTIONS, SUM_END.
 */

state arp {
    packet.extract(hdr.arp);
    transition accept;
}

state label0 {
    packet.extract(hdr.label0);
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
    transition select(hdr.ipv6.next_header) {
        PROTOCOL_TCP: ports;
        PROTOCOL_UDP: ports;
        PROTOCOL_SCTP: ports;
        PROTOCOL_GRE: gre;
        PROTOCOL_ICMPV6: icmpv6;
        PROTOCOL_FRAGMENT: fragment;
        default: accept;
    }
}

state icmpv6 {
    packet.extract(hdr.icmpv6);
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
