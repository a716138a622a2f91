/* How many entries each table has on Tofino: what fits the 12 stages of the first, and of the second too. */

#define ATTACHMENTS 4096
#define STATIONS 1024
#define FLOWS_V4 28672
#define FLOWS_V6 4096
#define FLOW_ACLS_V4 256
#define FLOW_ACLS_V6 128
#define SESSIONS 16384
#define SESSION_BITS 14
#define ROUTES_V4 3584
#define ROUTES_V6 1024
#define VRF_POLICERS 4096
#define TUNNELS 8192
#define TUNNEL_MEMBERS 8192
#define LABELS 16384
#define NEXTHOPS 4096
#define NEXTHOP_MEMBERS 4096
#define GRE_INGRESSES_V4 1024
#define GRE_INGRESSES_V6 1024
#define PUNT_POLICERS 256
