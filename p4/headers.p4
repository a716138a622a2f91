/* Headers on the wire and the metadata that goes with a packet.
 *
 * Included by each architecture's shell, which has defined before:
 *
 *   OWN_TYPES         types of its own, of which OWN_HEADERS are
 *   OWN_HEADERS       members of headers_t of its own: what earlier passes over a frame took off, so that a punt has it still, and more
 *   own_metadata_t    its own metadata: what it alone knows of a frame, and what its action selectors hash
 */

#ifndef SVPN_HEADERS_P4
#define SVPN_HEADERS_P4

/* The list of metadata fields that one pass over a frame leaves to the next. */
#define NEXT_PASS 1

const bit<16> ETHERTYPE_IPV4 = 0x0800;
const bit<16> ETHERTYPE_IPV6 = 0x86dd;
const bit<16> ETHERTYPE_ARP = 0x0806;
const bit<16> ETHERTYPE_VLAN = 0x8100;
const bit<16> ETHERTYPE_QINQ = 0x88a8;
const bit<16> ETHERTYPE_MPLS = 0x8847;
const bit<16> ETHERTYPE_LLDP = 0x88cc;

const bit<8> PROTOCOL_TCP = 6;
const bit<8> PROTOCOL_UDP = 17;
const bit<8> PROTOCOL_FRAGMENT = 44;
const bit<8> PROTOCOL_GRE = 47;
const bit<8> PROTOCOL_ICMPV6 = 58;
const bit<8> PROTOCOL_SCTP = 132;

/* Lengths in bytes. */
const bit<16> LABEL_BYTES = 4;
const bit<16> IPV4_BYTES = 20;
const bit<16> IPV6_BYTES = 40;
const bit<16> FRAGMENT_BYTES = 8;
const bit<16> GRE_BYTES = 4;         /* and as many for each optional field */
const bit<16> PORTS_BYTES = 4;

/* RFC 4861: the first and the last ICMPv6 type of neighbour discovery, and the hop limit that only a neighbour can send. */
const bit<8> ND_FIRST = 133;
const bit<8> ND_LAST = 137;
const bit<8> ND_HOP_LIMIT = 255;

/* RFC 3032, RFC 7274: labels 0 to 15 are reserved. */
const bit<20> UNRESERVED_LABEL_BITS = 0xffff0;
/* RFC 3032: a VPN label of 3 stands for "no label". */
const bit<20> IMPLICIT_NULL_LABEL = 3;
const bit<20> IPV4_EXPLICIT_NULL_LABEL = 0;
const bit<20> ROUTER_ALERT_LABEL = 1;
const bit<20> IPV6_EXPLICIT_NULL_LABEL = 2;
const bit<20> GAL_LABEL = 13;
const bit<20> OAM_ALERT_LABEL = 14;

/* RFC 2698 colours: 0 green, 1 yellow, 2 red. */
const bit<2> RED = 2;

/* RFC 3443: a ttl_mode of 0 is the uniform model; any other value is the pipe model with that TTL. */
const bit<8> TTL_UNIFORM = 0;
const bit<8> TTL_PIPE = 255;

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
    ND = 7,
    /* Drops: the frame. */
    FRAME_TRUNCATED = 32,
    UNKNOWN_ETHERTYPE = 33,
    UNKNOWN_ATTACHMENT = 34,
    UNKNOWN_STATION = 35,
    /* The worker that a flow belongs to did not take it in time. */
    WORKER_QUEUE_FULL = 36,
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
    /* Drops: GRE that ends here. */
    BAD_GRE = 56,
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
    PUNT_QUEUE_FULL = 96,
    PUNT_POLICED = 97
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

/* RFC 8200 section 4.5. */
header fragment_t {
    bit<8> next_header;
    bit<8> reserved;
    bit<13> fragment_offset;
    bit<2> more_reserved;
    bit<1> more_fragments;
    bit<32> identification;
}

/* RFC 2784 and RFC 2890: a checksum (with an offset), a key and a sequence number follow where the bits say so. */
header gre_t {
    bit<1> has_checksum;
    bit<1> has_routing;
    bit<1> has_key;
    bit<1> has_sequence;
    bit<9> reserved;
    bit<3> version;
    bit<16> protocol;
}

header gre_field_t {
    bit<32> value;
}

/* The first four bytes of TCP, UDP and SCTP. */
header ports_t {
    bit<16> src;
    bit<16> dst;
}

/* The first byte of ICMPv6. */
header icmpv6_t {
    bit<8> kind;
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

/* What a packet is put into, besides labels. */
enum bit<2> Delivery {
    NONE = 0,
    GRE_V4 = 1,
    GRE_V6 = 2
}

/* What is left to do to the frame, decided by the look-ups and done once at the end, so that a punt carries the frame as received. */
struct rewrite_t {
    bool pop;                 /* remove the top label */
    bool swap;                /* replace the top label, which leaves with exposed_ttl */
    bool push_swapped;        /* l1 goes above it, with its TC */
    bool push_vpn;
    bool set_ip_ttl;          /* the IP header leaves with exposed_ttl */
    bool set_label_ttl;       /* the label a pop exposes leaves with exposed_ttl */
    bit<2> transport_labels;
    bit<32> label;            /* the VPN label, at the bottom of the stack, or what the top label is swapped for; a whole entry, as are the next */
    bit<32> l1;               /* outermost */
    bit<32> l2;
    bit<32> l3;
    bit<32> entry;            /* an entry with the TC and TTL of what is pushed; TTL of the delivery header */
    bit<8> exposed_ttl;
    Delivery delivery;
    bit<128> delivery_src;    /* an IPv4 address in the low bits */
    bit<128> delivery_dst;
    bit<32> delivery_key;     /* 0 = none */
    bit<16> delivered_length; /* what follows the delivery header, in bytes */
    bit<16> delivered_type;   /* the ethertype in GRE */
    bit<8> traffic_class;     /* of the delivery header: DSCP and two bits of 0 */
    bit<16> ethertype;        /* behind the tags sent */
    bit<48> src_mac;
    bit<48> dst_mac;
    bit<16> vlan;             /* tag control information: 0 = no tag */
    bit<16> inner_vlan;
}

OWN_TYPES

struct headers_t {
    packet_in_t packet_in;
    packet_out_t packet_out;
    ethernet_t ethernet;
    vlan_t outer_tag;
    vlan_t inner_tag;
    arp_t arp;
    /* Added on the way out. */
    ipv4_t delivery_ipv4;
    ipv6_t delivery_ipv6;
    gre_t delivery_gre;
    gre_field_t delivery_key;
    mpls_t pushed1;           /* outermost */
    mpls_t pushed2;
    mpls_t pushed3;
    mpls_t pushed_vpn;
    /* As received. */
    OWN_HEADERS
    mpls_t label0;
    mpls_t label1;
    mpls_t label2;
    mpls_t label3;
    ipv4_t ipv4;
    ipv4_options_t ipv4_options;
    ipv6_t ipv6;
    fragment_t fragment;
    gre_t gre;
    gre_field_t gre_checksum;
    gre_field_t gre_key;
    ports_t ports;
    icmpv6_t icmpv6;
}

/* How a packet goes on when its label has been looked up. */
enum bit<2> Exposes {
    NOTHING = 0,              /* by the label */
    ROUTED = 1,               /* IP below the label is routed */
    LOCAL = 2,                /* IP below the label goes to a next hop */
    LABEL = 3                 /* the label below is acted upon */
}

/* Passes over a frame: what a label or GRE that ends here leaves is parsed from the beginning, by another pass over the frame as
 * received. These fields are what a pass hands to the next. */
struct pass_t {
    @field_list(NEXT_PASS) bit<9> ingress_port;
    @field_list(NEXT_PASS) bit<16> removed;      /* bytes behind Ethernet and tags that are done with; 0 in the first pass */
    @field_list(NEXT_PASS) bit<16> ethertype;    /* of what follows them */
    @field_list(NEXT_PASS) bit<8> labels;        /* labels among them */
    @field_list(NEXT_PASS) bit<8> label_ttl;     /* most that the next label's TTL counts for (RFC 3443, uniform); 0 = its own */
    @field_list(NEXT_PASS) bit<16> vrf;
}

struct metadata_t {
    pass_t pass;
    bool next_pass;
    bool last_pass;           /* this one */
    own_metadata_t own;
    /* Parsing. */
    bit<16> ethertype;        /* behind the tags and what is removed */
    bit<12> vlan;
    bit<12> inner_vlan;
    bool below_is_v6;         /* below the labels, by its first nibble */
    bool arp_request;         /* for an IPv4 address on Ethernet */
    bool neighbour_discovery; /* by the first bytes of ICMPv6 */
    bool ip_checksum_wrong;
    bit<32> gre_key;
    /* What the packet is about, through its labels: the 5-tuple, with the addresses of its IP header. */
    bit<8> proto;
    bit<16> sport;
    bit<16> dport;
    /* The IP header, through the labels. */
    bool is_v6;
    bit<4> version;
    bit<16> header_length;    /* as it says */
    bit<16> ip_length;        /* of the packet, as it says */
    bit<16> payload_length;   /* bytes behind it, as it says */
    bit<16> missing;          /* bytes of the header that are beyond the packet */
    bit<16> ports_missing;    /* the same with four bytes behind it */
    bool cut_header;          /* the frame ends before the header does, */
    bool cut_options;         /* before its options, */
    bool cut_packet;          /* before the packet */
    Reason fault;             /* what is wrong with it, should it be acted upon */
    bool unfragmentable;      /* by routers */
    bit<8> ip_ttl;            /* after RFC 3443 */
    bit<16> gre_length;
    bit<16> gre_missing;      /* bytes of the GRE header that are beyond the packet */
    /* Look-ups. */
    bool core;
    bit<16> vrf;
    Reason reason;
    Reason dropped_for;       /* the reason, but for a punt: should it come to more than the policer lets pass */
    bool punt;
    bool takes_labels;        /* GRE that ends here carries labels */
    bool answered;            /* ARP, here */
    bool explicit_null;       /* is the label acted upon */
    bool switched;            /* goes on by its label */
    bool routed;              /* an IP header is acted upon */
    bool ends_here;           /* GRE */
    Exposes exposes;
    bool has_session;
    bit<32> session;
    bool carried;             /* counted by its session */
    bool keyed;               /* the tunnel's GRE has a key, which `last` leaves out */
    bool has_route;
    bool has_tunnel;
    bit<32> tunnel;
    bit<32> nexthop;
    bit<3> class;
    bit<2> colour;
    bit<2> punt_colour;
    bool marked;
    bool discarded;           /* by a route or by marking */
    bool received;
    bit<8> ttl_mode;
    bit<8> label_ttl;         /* of the label acted upon, after RFC 3443 */
    bit<9> egress_port;
    bit<16> growth;           /* bytes by which what is done about a label makes the frame longer, modulo 2^16 */
    bit<16> last;             /* offset of the last byte behind Ethernet and tags, on the way out */
    bit<16> room;             /* the next hop's MTU, less that: 0 if the frame is longer */
    rewrite_t rewrite;
}

#endif
