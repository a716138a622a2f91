# A session of a customer that speaks IPv6 between its sites.
# shellcheck shell=bash

# As gateway.toml has it: B's hosts, and their PEs.
declare -A HOST_V6=([b-east]=2001:db8:b1::2 [b-west]=2001:db8:b2::2) ROUTER_V6=([b-east]=2001:db8:b1::1 [b-west]=2001:db8:b2::1)
# Ethernet, IPv6 and UDP.
FRAME_OVERHEAD_V6=62

# speak_ipv6 SITE: until be_quiet.
speak_ipv6() {
    # Without an address of the link nobody asks for routers, and each has the one address that is given.
    inside "$1" sysctl -qw net.ipv6.conf.eth0.addr_gen_mode=1 net.ipv6.conf.eth0.accept_ra=0 net.ipv6.conf.eth0.disable_ipv6=0
    inside "$1" ip address add "${HOST_V6[$1]}/64" dev eth0 nodad
    inside "$1" ip route add default via "${ROUTER_V6[$1]}" dev eth0
}

be_quiet() { inside "$1" sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1; }

learned_router_v6() { inside "$1" ip neighbour show "${ROUTER_V6[$1]}" dev eth0 | sed -n 's/.*lladdr \([0-9a-f:]*\).*/\1/p'; }

an_ipv6_session() {
    ipv6_between_its_sites
    # From here on its callee answers with IPv4 again.
    callee b-west answer
}

ipv6_between_its_sites() {
    step "storage@vpn-b asks for $(mbit "$B_RATE") between IPv6 addresses (c=IN IP6)"
    local vpn_label
    # For this scene: what calls and loads go by.
    # shellcheck disable=SC2034 # sip.sh and traffic.sh read them
    local -A SITE_ADDRESS=([b-east]=${HOST_V6[b-east]} [b-west]=${HOST_V6[b-west]})
    # shellcheck disable=SC2034 # likewise
    local FRAME_OVERHEAD=$FRAME_OVERHEAD_V6 ADDRESS_TYPE=IP6
    speak_ipv6 b-east
    speak_ipv6 b-west
    verify_equal "without a session B's east pings B's west, answered of 3" 0 "$(pings b-east "${HOST_V6[b-west]}" 3)"
    verify_equal "but the gateway answers B's neighbour solicitations for PE1, with" 02:00:00:00:01:02 "$(learned_router_v6 b-east)"
    pings b-west "${HOST_V6[b-east]}" 1 >/dev/null
    callee b-west answer
    call session-v6 b-east vpn-b "$B_RATE"
    verify_granted session-v6
    vpn_label=$(vpn_label session-v6)
    start_captures pe1-p1 p1-pe2 b-west
    verify_equal "B's east pings B's west, answered of 3" 3 "$(pings b-east "${HOST_V6[b-west]}" 3)"
    stop_captures pe1-p1 p1-pe2 b-west
    verify_match "PE1 to P1, transport label over VPN label, one hop gone of the hop limit" \
        "[0-9]+,$vpn_label 5,5 0,1 63,63 63" "$(wire_stacks_v6 pe1-p1)"
    verify_equal "P1 to PE2, VPN label alone, two hops gone" "$vpn_label 5 1 62 63" "$(wire_stacks_v6 p1-pe2)"
    verify_equal "PE2 to B's west, no label, three hops gone" 61 "$(wire_stacks_v6 b-west | tr -d ' ')"
    verify_near "UDP offered at $(mbit "$B_OFFERS") arrives at" "$RATE_TOLERANCE" "$B_RATE" "$(overload b-east b-west "$B_OFFERS")" bit/s
    verify "BYE is answered" hang_up session-v6
    verify_tables idle "every table reads back as before"
    be_quiet b-east
    be_quiet b-west
}
