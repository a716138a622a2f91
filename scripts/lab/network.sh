# The lab's network, which is what the gateway's configuration describes (plan.py): routers, customers' sites, and where the gateway is.
#
#   svpn-a-east ─┐1           ┌─3──1─ svpn-p1 ─2──3─┐           1┌─ svpn-a-west
#                ├─ svpn-pe1 ─┤                     ├─ svpn-pe2 ─┤
#   svpn-b-east ─┘2           └─4──1─ svpn-p2 ─2──4─┘           2└─ svpn-b-west
#
# A's third site is at P2, port 3: svpn-p2 ─3── svpn-a-south
#
# and for scripts/demo at PE2, port 5, the link to another provider (abroad.toml): svpn-pe2 ─5──2─ svpn-pe3 ─1── svpn-a-north
#
# Every box is a network namespace, every line a veth pair; digits are port numbers. In a router, port N is the interface ethN
# and belongs to its engine; in a customer's namespace eth0 leads to its PE. Two bridges are in svpn-gw, where the gateway runs:
# 10.255.0.0/24 (mgmt0) reaches the routers' P4Runtime servers, 10.254.0.0/24 (sig0) carries the applications' SIP. Neither forwards,
# so that between two customer sites there is no way but through the routers.
#
# Who makes namespaces and pairs and starts the routers' programs is the backend's business: namespaces.sh, or ../mininet/backend.sh. It has
#
#   make_network     every box of the plan, named svpn-NAME, and every cable; of the bridges' cables the end in svpn-gw is BRIDGE-NAME
#   start_programs   the engine in every router
#   close_network    ends what those two have started; remove_network follows
# shellcheck shell=bash disable=SC2034 # other parts use what is unused here

GATEWAY_SPACE=gw
# Of the two networks of the bridges, as plan.py has them.
NETWORK_LENGTH=24
ROUTERS=()
CUSTOMER_SITES=()
CABLES=()
declare -A DEVICE_ID=() ROUTER_PORTS=() MANAGEMENT_ADDRESS=() P4RUNTIME_PORT=() SIGNALLING_ADDRESS=() SITE_ADDRESS=() SITE_LENGTH=() SITE_ROUTER=()

# read_plan CONFIGURATION…: fills the variables above.
read_plan() {
    local kind name first second rest
    python3 "$LAB/plan.py" "$@" >"$STATE/plan"
    while read -r kind name first second rest; do
        case "$kind" in
            gateway) GATEWAY_MANAGEMENT_ADDRESS=$name GATEWAY_SIGNALLING_ADDRESS=$first ABROAD_SIGNALLING_ADDRESS=$second ;;
            router)
                ROUTERS+=("$name")
                DEVICE_ID[$name]=$first
                MANAGEMENT_ADDRESS[$name]=$second
                P4RUNTIME_PORT[$name]=${rest%% *}
                ROUTER_PORTS[$name]=${rest#* }
                ;;
            site)
                CUSTOMER_SITES+=("$name")
                SIGNALLING_ADDRESS[$name]=$first
                SITE_ADDRESS[$name]=$second
                SITE_LENGTH[$name]=${rest% *}
                SITE_ROUTER[$name]=${rest#* }
                ;;
            cable) CABLES+=("$name $first $second $rest") ;;
        esac
    done <"$STATE/plan"
}

# inside SPACE COMMAND…
inside() {
    local space=$1
    shift
    ip netns exec "svpn-$space" "$@"
}

# Kills what runs in the lab's namespaces and removes them, whoever left them there. A veth goes with either of its ends.
remove_network() {
    local space process
    [ -e "$STATE/spaces" ] || return 0
    while read -r space; do
        [ -e "/run/netns/svpn-$space" ] || continue
        for process in $(ip netns pids "svpn-$space"); do
            [ "$process" -eq $$ ] || kill -KILL "$process" 2>/dev/null || true
        done
        ip netns delete "svpn-$space"
    done <"$STATE/spaces"
    rm "$STATE/spaces"
}

# plain_device SPACE DEVICE MTU MAC: up, with every offload off, so that what an engine and tshark see is what a wire would carry.
plain_device() {
    inside "$1" ip link set "$2" mtu "$3" address "$4"
    # A veth that lacks one of these features says so; what counts is what is on afterwards.
    inside "$1" ethtool -K "$2" tx off sg off gso off tso off gro off rxvlan off txvlan off >/dev/null 2>&1 || true
    inside "$1" ethtool -k "$2" | grep -E '^(tx-checksumming|generic-segmentation-offload|tcp-segmentation-offload): on' &&
        die "cannot switch the offloads of $2 in svpn-$1 off"
    inside "$1" ip link set "$2" up
}

# add_bridge BRIDGE ADDRESS
add_bridge() {
    inside "$GATEWAY_SPACE" ip link add name "$1" type bridge
    inside "$GATEWAY_SPACE" ip address add "$2/$NETWORK_LENGTH" dev "$1"
    inside "$GATEWAY_SPACE" ip link set "$1" up
}

# join_bridge BRIDGE SPACE ADDRESS
join_bridge() {
    inside "$GATEWAY_SPACE" ip link set "$1-$2" master "$1" up
    inside "$2" ip address add "$3/$NETWORK_LENGTH" dev "${1}0"
    inside "$2" ip link set "${1}0" up
}

build_network() {
    local space router site cable
    printf '%s\n' "$GATEWAY_SPACE" "${ROUTERS[@]}" "${CUSTOMER_SITES[@]}" >"$STATE/spaces"
    make_network
    for space in "$GATEWAY_SPACE" "${ROUTERS[@]}" "${CUSTOMER_SITES[@]}"; do
        # Nothing but what the lab sends is to be seen or counted: no neighbour discovery, no router solicitation.
        inside "$space" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 net.ipv4.ip_forward=0
        inside "$space" ip link set lo up
    done
    add_bridge mgmt "$GATEWAY_MANAGEMENT_ADDRESS"
    add_bridge sig "$GATEWAY_SIGNALLING_ADDRESS"
    [ -z "$ABROAD_SIGNALLING_ADDRESS" ] || inside "$GATEWAY_SPACE" ip address add "$ABROAD_SIGNALLING_ADDRESS/$NETWORK_LENGTH" dev sig
    for router in "${ROUTERS[@]}"; do join_bridge mgmt "$router" "${MANAGEMENT_ADDRESS[$router]}"; done
    for site in "${CUSTOMER_SITES[@]}"; do join_bridge sig "$site" "${SIGNALLING_ADDRESS[$site]}"; done
    for cable in "${CABLES[@]}"; do
        read -r -a cable <<<"$cable"
        plain_device "${cable[1]}" "${cable[2]}" "${cable[0]}" "${cable[3]}"
        plain_device "${cable[4]}" "${cable[5]}" "${cable[0]}" "${cable[6]}"
    done
    for site in "${CUSTOMER_SITES[@]}"; do
        inside "$site" ip address add "${SITE_ADDRESS[$site]}/${SITE_LENGTH[$site]}" dev eth0
        inside "$site" ip route add default via "${SITE_ROUTER[$site]}"
    done
}
