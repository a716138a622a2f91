# How everything begins: the network, its programs, and the applications that sign in.
# shellcheck shell=bash disable=SC2034 # other scenes use it


# In words: mbit BIT_RATE
mbit() { printf '%d Mbit/s' $(($1 / 1000000)); }

# set_rates LINK_CAPACITY: bit/s; all of it is less for an engine that is slow.
set_rates() {
    LINK_CAPACITY=$(($1 / RATE_DIVISOR))
    # What the sessions are granted, bit/s above UDP, and what the customers offer instead.
    A_RATE=$((50000000 / RATE_DIVISOR)) A_OFFERS=$((80000000 / RATE_DIVISOR))
    B_RATE=$((20000000 / RATE_DIVISOR)) B_OFFERS=$((40000000 / RATE_DIVISOR))
    # What is asked for where there is no room for it, and where there is room for it.
    TOO_MUCH=$((110000000 / RATE_DIVISOR)) A_LITTLE=$((10000000 / RATE_DIVISOR))
}

# Links with room for the sessions of both customers.
start_with_wide_links() { start_everything 100000000; }

# The same, and a link to another provider.
start_with_a_peer() { start_everything 100000000 abroad; }

# A's session leaves no room for B's on a link.
start_with_narrow_links() { start_everything 60000000; }

# start_everything LINK_CAPACITY [PEER]: bit/s, and a word if there is to be another provider.
start_everything() {
    set_rates "$1"
    write_configuration "${@:2}"
    # Both customers' hosts in the west have this one.
    WEST_ADDRESS=${SITE_ADDRESS[a-west]}
    step "${#ROUTERS[@]} routers, a gateway, two customers with the same addresses"
    [ "$RATE_DIVISOR" -eq 1 ] || note "$ENGINE_PROGRAM is slow: links, sessions and load are divided by $RATE_DIVISOR"
    build_network
    verify "the gateway finds no fault in its configuration" "$GATEWAY" check --config "$STATE/gateway.toml"
    start_routers
    start_gateway
    local names=${ROUTERS[*]^^}
    passed "$ENGINE_PROGRAM runs as ${names// /, }, and svpn-gateway controls them"
    read_tables "$STATE/idle.tables"
    [ $# -eq 1 ] || start_abroad
}

# Neighbours are resolved by the routers while nothing else works; then they are pinned, so that only sessions are counted below.
without_a_session() {
    step "Without a session there is no way"
    local site
    verify_equal "A's east pings A's west, answered of 3" 0 "$(pings a-east "$WEST_ADDRESS" 3)"
    for site in "${CUSTOMER_SITES[@]:1}"; do pings "$site" "${SITE_ROUTER[$site]}" 1 >/dev/null; done
    verify_equal "but PE1 itself answers the ARP requests of A's east, with" 02:00:00:00:01:01 "$(learned_router a-east)"
    for site in "${CUSTOMER_SITES[@]}"; do keep_router "$site"; done
}

register_all() {
    local vpn
    for vpn in a b; do
        verify_equal "storage@vpn-$vpn registers at the CE $vpn-east, the answer" 200 \
            "$(register "$vpn-east" storage "vpn-$vpn" "$(secret_of storage "vpn-$vpn")")"
        verify_equal "backup@vpn-$vpn registers at the CE $vpn-west, the answer" 200 \
            "$(register "$vpn-west" backup "vpn-$vpn" "$(secret_of backup "vpn-$vpn")")"
    done
}

sign_in() {
    step "Applications sign in, by SIP with digest authentication"
    verify_equal "storage@vpn-a with a wrong password, the answer" 401 "$(register a-east storage vpn-a "not the secret")"
    register_all
    callee a-west answer
    callee b-west answer
}
