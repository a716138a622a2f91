/* Headers on the wire and the metadata that goes with a packet.
 *
 * Included by each architecture's shell before pipeline.p4. Nothing here depends on an architecture.
 */

#ifndef SVPN_HEADERS_P4
#define SVPN_HEADERS_P4

const bit<16> ETHERTYPE_IPV4 = 0x0800;
const bit<16> ETHERTYPE_IPV6 = 0x86dd;
const bit<16> ETHERTYPE_ARP = 0x0806;
const bit<16> ETHERTYPE_VLAN = 0x8100;
const bit<16> ETHERTYPE_QINQ = 0x88a8;
const bit<16> ETHERTYPE_MPLS = 0x8847;
const bit<16> ETHERTYPE_LLDP = 0x88cc;

const bit<8> PROTOCOL_TCP = 6;
const bit<8> PROTOCOL_UDP = 17;
const bit<8> PROTOCOL_SCTP = 132;

/* RFC 3032, RFC 7274: labels 0 to 15 are reserved. */
const bit<20> FIRST_UNRESERVED_LABEL = 16;
/* RFC 3032: a VPN label of 3 stands for "no label". */
const bit<20> IMPLICIT_NULL_LABEL = 3;
const bit<20> ROUTER_ALERT_LABEL = 1;
const bit<20> GAL_LABEL = 13;
const bit<20> OAM_ALERT_LABEL = 14;

/* RFC 2698 colours: 0 green, 1 yellow, 2 red. */
const bit<2> RED = 2;

/* RFC 3443: a ttl_mode of 0 is the uniform model; any other value is the pipe model with that TTL. */
const bit<8> TTL_UNIFORM = 0;

/* Why a packet went to the controller or nowhere: the type of packet-in's `reason` and the index of counter `drops`.
 * Punts are below 32, drops are not. */
enum bit<8> Reason {
    NONE = 0,
    /* Punts. */
    LLDP = 1,
    ARP = 2,
    RECEIVE = 3,
    TTL_EXPIRED = 4,
    TOO_BIG = 5,
    MPLS_ALERT = 6,
    /* Drops: the frame. */
    FRAME_TRUNCATED = 32,
    UNKNOWN_ETHERTYPE = 33,
    UNKNOWN_ATTACHMENT = 34,
    UNKNOWN_STATION = 35,
    /* Drops: labels. */
    MPLS_ON_ATTACHMENT = 40,
    RESERVED_LABEL = 41,
    UNKNOWN_LABEL = 42,
    BAD_LABEL_STACK = 43,
    UNKNOWN_PAYLOAD = 44,
    /* Drops: the IP header. */
    IP_TRUNCATED = 48,
    IP_BAD_VERSION = 49,
    IP_BAD_HEADER_LENGTH = 50,
    IP_BAD_LENGTH = 51,
    IP_BAD_CHECKSUM = 52,
    IP_TTL_ZERO = 53,
    /* Drops: look-ups and policing. */
    NO_SESSION = 64,
    NO_ROUTE = 65,
    ROUTE_DISCARD = 66,
    NO_TUNNEL = 67,
    NO_NEXTHOP = 68,
    RED_DISCARD = 69,
    MARKING_DISCARD = 70,
    /* Drops: on the way out. */
    TOO_BIG_DROP = 80,
    PORT_UNAVAILABLE = 81,
    TRANSMIT_QUEUE_FULL = 82,
    /* Drops: on the way to the controller. */
    PUNT_QUEUE_FULL = 96
}

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> ethertype;
}

/* IEEE 802.1Q tag control information and the ethertype behind it. */
header vlan_t {
    bit<3> pcp;
    bit<1> dei;
    bit<12> vid;
    bit<16> ethertype;
}

/* RFC 826 over Ethernet and IPv4. */
header arp_t {
    bit<16> hardware_type;
    bit<16> protocol_type;
    bit<8> hardware_length;
    bit<8> protocol_length;
    bit<16> operation;
    bit<48> sender_mac;
    bit<32> sender_ip;
    bit<48> target_mac;
    bit<32> target_ip;
}

/* RFC 3032 label stack entry, RFC 5462 names. */
header mpls_t {
    bit<20> label;
    bit<3> tc;
    bit<1> bos;
    bit<8> ttl;
}

/* RFC 791 without options. */
header ipv4_t {
    bit<4> version;
    bit<4> ihl;
    bit<6> dscp;
    bit<2> ecn;
    bit<16> total_length;
    bit<16> identification;
    bit<1> reserved;
    bit<1> dont_fragment;
    bit<1> more_fragments;
    bit<13> fragment_offset;
    bit<8> ttl;
    bit<8> protocol;
    bit<16> checksum;
    bit<32> src;
    bit<32> dst;
}

header ipv4_options_t {
    varbit<320> data;
}

/* RFC 8200. */
header ipv6_t {
    bit<4> version;
    bit<8> traffic_class;
    bit<20> flow_label;
    bit<16> payload_length;
    bit<8> next_header;
    bit<8> hop_limit;
    bit<128> src;
    bit<128> dst;
}

/* The first four bytes of TCP, UDP and SCTP. */
header ports_t {
    bit<16> src;
    bit<16> dst;
}

@controller_header("packet_in")
header packet_in_t {
    @id(1) bit<9> ingress_port;
    @id(2) @padding bit<7> padding;
    @id(3) Reason reason;
    @id(4) bit<16> vrf;
}

@controller_header("packet_out")
header packet_out_t {
    @id(1) bit<9> egress_port;
    @id(2) @padding bit<7> padding;
}

struct headers_t {
    packet_in_t packet_in;
    packet_out_t packet_out;
    ethernet_t ethernet;
    vlan_t outer_tag;
    vlan_t inner_tag;
    arp_t arp;
    mpls_t pushed_transport;
    mpls_t pushed_vpn;
    mpls_t label0;
    mpls_t label1;
    mpls_t label2;
    mpls_t label3;
    ipv4_t ipv4;
    ipv4_options_t ipv4_options;
    ipv6_t ipv6;
    ports_t ports;
}

/* What is left to do to the frame, decided by the look-ups and done once at the end, so that a punt carries the frame as received. */
struct rewrite_t {
    bool pop;                 /* remove the top label */
    bool to_vrf;              /* what the pop exposes is routed */
    bool swap;                /* replace the top label */
    bool push_vpn;
    bool push_transport;
    bool set_ip_ttl;          /* the IP header leaves with exposed_ttl */
    bool set_label_ttl;       /* the label a pop exposes leaves with exposed_ttl */
    bit<20> swap_label;
    bit<20> vpn_label;
    bit<20> transport_label;
    bit<3> tc;
    bit<8> push_ttl;          /* TTL of the labels pushed */
    bit<8> exposed_ttl;
    bit<16> ethertype;        /* behind the tags sent */
    bit<48> src_mac;
    bit<48> dst_mac;
    bit<12> vlan;
    bit<12> inner_vlan;
}

struct metadata_t {
    /* Parsing. */
    bit<9> ingress_port;
    bit<32> l3_length;        /* bytes behind Ethernet and tags, as received */
    bit<16> ethertype;        /* behind the tags, as received */
    bit<12> vlan;
    bit<12> inner_vlan;
    bool ip_checksum_wrong;
    bit<16> right_checksum;   /* what the sum over a right header comes to: always 0 */
    bit<16> sport;
    bit<16> dport;
    /* Look-ups. */
    bool core;
    bit<16> vrf;
    Reason reason;
    bool punt;
    bool has_session;
    bit<32> session;
    bool carried;             /* counted by its session */
    bool has_tunnel;
    bit<32> tunnel;
    bit<32> nexthop;
    bit<20> vpn_label;
    bit<3> class;
    bit<2> colour;
    bit<6> dscp;
    bool discarded;           /* by a route or by marking */
    bool received;
    bit<8> ttl_mode;
    bit<8> ip_ttl;            /* of the IP header acted upon, after RFC 3443 */
    bit<9> egress_port;
    bit<16> mtu;
    bit<32> length_out;       /* bytes behind Ethernet and tags, on the way out */
    rewrite_t rewrite;
}

#endif
