/* How many entries each table has on Tofino: a large one has what 12 or 20 stages leave it. */

#define ATTACHMENTS 4096
#define STATIONS 1024
#define FLOWS_V4 65536
#define FLOWS_V6 8192
#define FLOW_ACLS_V4 1024
#define FLOW_ACLS_V6 512
#define SESSIONS 8192
#define SESSION_BITS 13
#define ROUTES_V4 8192
#define ROUTES_V6 2048
#define VRF_POLICERS 1024
#define TUNNELS 4096
#define TUNNEL_MEMBERS 4096
#define LABELS 8192
#define NEXTHOPS 1024
#define NEXTHOP_MEMBERS 1024
#define GRE_INGRESSES_V4 1024
#define GRE_INGRESSES_V6 1024
#define PUNT_POLICERS 256
