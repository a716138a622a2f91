# The lab's network: three routers in a row, two customers with the same addresses, and the provider's own networks.
#
#   svpn-a-east ─┐1                                  1┌─ svpn-a-west
#                ├─ svpn-pe1 ─3──1─ svpn-p1 ─2──3─ svpn-pe2 ─┤
#   svpn-b-east ─┘2                                  2└─ svpn-b-west
#
# Every box is a network namespace, every line a veth pair; digits are port numbers. In a router, port N is the interface ethN
# and belongs to the forwarder; in a customer's namespace eth0 leads to its PE. Two bridges live in svpn-gw, where the gateway runs:
# 10.255.0.0/24 (mgmt0) reaches the routers' P4Runtime servers, 10.254.0.0/24 (sig0) carries the applications' SIP. Neither forwards,
# so that between two customer sites there is no way but through the routers.
# shellcheck shell=bash

GATEWAY_SPACE=svpn-gw
ROUTERS=(pe1 p1 pe2)
CUSTOMER_SITES=(a-east a-west b-east b-west)
ALL_SPACES=("$GATEWAY_SPACE" "${ROUTERS[@]/#/svpn-}" "${CUSTOMER_SITES[@]/#/svpn-}")

GATEWAY_SIGNALLING_ADDRESS=10.254.0.1
GATEWAY_MANAGEMENT_ADDRESS=10.255.0.1

# Both customers use these; that is the point.
EAST_ADDRESS=10.1.0.2
WEST_ADDRESS=10.2.0.2

declare -A MANAGEMENT_ADDRESS=([pe1]=10.255.0.11 [p1]=10.255.0.12 [pe2]=10.255.0.13)
declare -A SIGNALLING_ADDRESS=([a-east]=10.254.0.11 [a-west]=10.254.0.12 [b-east]=10.254.0.13 [b-west]=10.254.0.14)
declare -A SITE_ADDRESS=([a-east]=$EAST_ADDRESS [b-east]=$EAST_ADDRESS [a-west]=$WEST_ADDRESS [b-west]=$WEST_ADDRESS)
declare -A SITE_ROUTER=([a-east]=10.1.0.1 [b-east]=10.1.0.1 [a-west]=10.2.0.1 [b-west]=10.2.0.1)
declare -A SITE_MAC=([a-east]=02:0a:00:00:00:01 [a-west]=02:0a:00:00:00:02 [b-east]=02:0b:00:00:00:01 [b-west]=02:0b:00:00:00:02)

# inside SPACE COMMAND…
inside() {
    local space=$1
    shift
    ip netns exec "svpn-$space" "$@"
}

# Kills what runs in the lab's namespaces and removes them, whoever left them there. A veth goes with either of its ends.
remove_network() {
    local space process
    for space in "${ALL_SPACES[@]}"; do
        [ -e "/run/netns/$space" ] || continue
        for process in $(ip netns pids "$space"); do
            [ "$process" -eq $$ ] || kill -KILL "$process" 2>/dev/null || true
        done
        ip netns delete "$space"
    done
}

add_space() {
    ip netns add "svpn-$1"
    # Nothing but what the demo sends is to be seen or counted: no neighbour discovery, no router solicitation.
    inside "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 net.ipv4.ip_forward=0
    inside "$1" ip link set lo up
}

# plain_device SPACE DEVICE MAC: up, with every offload off, so that what DPDK and tshark see is what a wire would carry.
plain_device() {
    inside "$1" ip link set "$2" address "$3"
    # A veth that lacks one of these features says so; what counts is what is on afterwards.
    inside "$1" ethtool -K "$2" tx off sg off gso off tso off gro off rxvlan off txvlan off >/dev/null 2>&1 || true
    inside "$1" ethtool -k "$2" | grep -E '^(tx-checksumming|generic-segmentation-offload|tcp-segmentation-offload): on' &&
        die "cannot switch the offloads of $2 in svpn-$1 off"
    inside "$1" ip link set "$2" up
}

# connect MTU SPACE DEVICE MAC SPACE DEVICE MAC
connect() {
    local mtu=$1
    shift
    ip link add name "$2" mtu "$mtu" netns "svpn-$1" type veth peer name "$5" mtu "$mtu" netns "svpn-$4"
    plain_device "$1" "$2" "$3"
    plain_device "$4" "$5" "$6"
}

add_bridge() {
    inside gw ip link add name "$1" type bridge
    inside gw ip address add "$2/24" dev "$1"
    inside gw ip link set "$1" up
}

# join_bridge SPACE DEVICE ADDRESS BRIDGE
join_bridge() {
    ip link add name "$2" netns "svpn-$1" type veth peer name "$4-$1" netns svpn-gw
    inside gw ip link set "$4-$1" master "$4" up
    inside "$1" ip address add "$3/24" dev "$2"
    inside "$1" ip link set "$2" up
}

build_network() {
    local router site
    add_space gw
    add_bridge mgmt "$GATEWAY_MANAGEMENT_ADDRESS"
    add_bridge sig "$GATEWAY_SIGNALLING_ADDRESS"
    for router in "${ROUTERS[@]}"; do
        add_space "$router"
        join_bridge "$router" mgmt0 "${MANAGEMENT_ADDRESS[$router]}" mgmt
    done
    for site in "${CUSTOMER_SITES[@]}"; do
        add_space "$site"
        join_bridge "$site" sig0 "${SIGNALLING_ADDRESS[$site]}" sig
    done
    # A customer's 1500 bytes and their labels fit into the core's 1600.
    # A router's MAC is 02:00:00:00:<router>:<port>: gateway.toml says the same.
    connect 1500 pe1 eth1 02:00:00:00:01:01 a-east eth0 "${SITE_MAC[a-east]}"
    connect 1500 pe1 eth2 02:00:00:00:01:02 b-east eth0 "${SITE_MAC[b-east]}"
    connect 1600 pe1 eth3 02:00:00:00:01:03 p1 eth1 02:00:00:00:02:01
    connect 1600 p1 eth2 02:00:00:00:02:02 pe2 eth3 02:00:00:00:03:03
    connect 1500 pe2 eth1 02:00:00:00:03:01 a-west eth0 "${SITE_MAC[a-west]}"
    connect 1500 pe2 eth2 02:00:00:00:03:02 b-west eth0 "${SITE_MAC[b-west]}"
    for site in "${CUSTOMER_SITES[@]}"; do
        inside "$site" ip address add "${SITE_ADDRESS[$site]}/24" dev eth0
        inside "$site" ip route add default via "${SITE_ROUTER[$site]}"
    done
}
