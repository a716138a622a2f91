# A backend of network.sh: boxes are namespaces that ip(8) makes, and this shell starts the routers' programs in them.
# shellcheck shell=bash

# pair SPACE DEVICE SPACE DEVICE
pair() { ip link add name "$2" netns "svpn-$1" type veth peer name "$4" netns "svpn-$3"; }

make_network() {
    local space router site cable
    for space in "$GATEWAY_SPACE" "${ROUTERS[@]}" "${CUSTOMER_SITES[@]}"; do ip netns add "svpn-$space"; done
    for router in "${ROUTERS[@]}"; do pair "$router" mgmt0 "$GATEWAY_SPACE" "mgmt-$router"; done
    for site in "${CUSTOMER_SITES[@]}"; do pair "$site" sig0 "$GATEWAY_SPACE" "sig-$site"; done
    for cable in "${CABLES[@]}"; do
        read -r -a cable <<<"$cable"
        pair "${cable[1]}" "${cable[2]}" "${cable[4]}" "${cable[5]}"
    done
}

start_programs() {
    local router ports
    for router in "${ROUTERS[@]}"; do
        read -r -a ports <<<"${ROUTER_PORTS[$router]}"
        start "router-$router" "$router" "$LAB/engines/$ENGINE" "${DEVICE_ID[$router]}" \
            "${MANAGEMENT_ADDRESS[$router]}:${P4RUNTIME_PORT[$router]}" "${ports[@]}"
    done
}

# All of it are programs of this shell, which ends them itself.
close_network() { :; }
