# Links and routers that fail under sessions.
# shellcheck shell=bash disable=SC2154,SC2034 # other files have, or use, what is missing or unused here

# A's session lies on the way over P1.
lose_a_link() {
    step "A link fails under A's session: the gateway moves it to the other way"
    callee a-west answer
    call moved a-east vpn-a "$A_RATE"
    verify_equal "the answer" 200 "$CALL_STATUS"
    start_captures pe1-p2
    start_pings a-east "$WEST_ADDRESS" 400
    sleep 2
    cut_link p1 eth2
    passed "the link from P1 to PE2 is cut"
    wait_for_pings a-east
    stop_captures pe1-p2
    verify_match "frames from PE1 to P2 since" '[1-9][0-9]*' "$(captured pe1-p2)"
    # The probes, 200 ms apart, say so when three are missing.
    verify_match "pings of 400, 20 ms apart, that were lost until the way was found again" '[1-9]?[0-9]|1[0-4][0-9]' "$(lost_pings a-east)"
    mend_link p1 eth2
    verify "BYE is answered" hang_up moved
    verify_tables idle "every table reads back as before, once the link is back"
}

# P1 is cut off at both sides at once, while the gateway is stopped: only the PEs themselves can see it and take the other way.
fail_over() {
    step "P1 is cut off under a protected session, while the gateway stands still: the PEs take the other way by themselves"
    local arrived left
    callee a-west answer
    verify_equal "mirror@vpn-a, whose contract has protection, registers at the CE a-east, the answer" 200 \
        "$(register a-east mirror vpn-a "$(secret_of mirror vpn-a)")"
    arrived=("$(received a-west)" "$(received a-east)")
    CALLER=mirror call protected a-east vpn-a "$A_RATE"
    verify_equal "it asks for $(mbit "$A_RATE"), the answer" 200 "$CALL_STATUS"
    verify_equal "its tunnels" "pe1: pe1-p1 p1-pe2, pe1-p2 p2-pe2; pe2: p1-pe2 pe1-p1, p2-pe2 pe1-p2" "$(tunnel_ways)"
    call beside-protected b-east vpn-b "$A_RATE"
    verify_equal "$(mbit "$A_RATE") for B, which the second way would have room for if it were not reserved in full; the answer" 580 "$CALL_STATUS"
    lose_a_router_in_the_core
    verify "the gateway sees by its probes, once it runs again, that the session has one way left" \
        eventually 15 has_tunnel_ways "pe1: pe1-p2 p2-pe2; pe2: p2-pe2 pe1-p2"
    verify_match "and says so" '.*unprotected.*' "$(grep 'what="unprotected"' "$STATE/gateway.log" | tail -n 1 | sed 's/.*what=/what=/')"
    verify_at_most "reserved on the link that has the least left, bit/s of $LINK_CAPACITY" "$LINK_CAPACITY" "$(most_reserved)"
    mend_link p1 eth1
    mend_link p1 eth2
    verify "with P1 back it has two ways again" \
        eventually 15 has_tunnel_ways "pe1: pe1-p1 p1-pe2, pe1-p2 p2-pe2; pe2: p1-pe2 pe1-p1, p2-pe2 pe1-p2"
    verify_equal "A's east pings A's west, answered of 3" 3 "$(pings a-east "$WEST_ADDRESS" 3)"
    left=("$(received a-west)" "$(received a-east)")
    verify "BYE is answered" hang_up protected
    verify_tables idle "every table reads back as before"
    verify_carried from_caller "east to west" "$(difference "${arrived[0]}" "${left[0]}")" "$(stream_result a-west .lost)"
    verify_carried from_callee "west to east" "$(difference "${arrived[1]}" "${left[1]}")" "$(stream_result a-east .lost)"
}

# With a stream in each direction, 16 flows of which some take either way.
lose_a_router_in_the_core() {
    local site
    start_captures pe1-p1
    start_stream a-west a-east
    start_stream a-east a-west
    sleep 1
    stop_captures pe1-p1
    verify_match "frames from PE1 to P1 before" '[1-9][0-9]*' "$(captured pe1-p1)"
    kill -STOP "${PROCESS[gateway]}"
    cut_link p1 eth1
    cut_link p1 eth2
    passed "the gateway is stopped, and P1 loses both its links"
    finish stream-from-a-east stream-from-a-west stream-to-a-east stream-to-a-west
    for site in a-west a-east; do
        verify_equal "packets that $site got twice, and those that overtook others of their flow" "0 0" \
            "$(stream_result "$site" '"\(.duplicated) \(.overtaken)"')"
        note "of $STREAM_COUNT packets to $site, 1 ms apart, $(stream_result "$site" .lost) were lost"
        verify_at_most "from the first to the last of them, ms" "$FAIL_OVER_LIMIT" "$(stream_result "$site" .outage_ms)"
    done
    kill -CONT "${PROCESS[gateway]}"
}

# verify_carried WAY TEXT ARRIVED LOST: PACKETS BYTES that arrived, packets that were lost. What a PE had sent to P1 before it knew is
# billed: it left.
verify_carried() {
    local carried
    carried=$(charge "$(answer_line protected a=svpn-session:)" ".$1.carried_packets")
    verify_at_most "packets billed $2 that did not arrive, of the $4 lost" "$4" $((carried - ${3% *}))
}

# The ways of all tunnels, by ingress: the links of each in order.
tunnel_ways() {
    inside "$GATEWAY_SPACE" "$GATEWAY" records --config "$STATE/gateway.toml" tunnels |
        jq -rs 'map("\(.name.ingress): \(.members | map(map(.over.link) | join(" ")) | join(", "))") | sort | join("; ")'
}

has_tunnel_ways() { [ "$(tunnel_ways)" = "$1" ]; }

# Bit/s that sessions have reserved on the direction of a link where they have most, with two labels on every packet.
most_reserved() {
    inside "$GATEWAY_SPACE" "$GATEWAY" records --config "$STATE/gateway.toml" sessions | jq -rs '
        [.[].ways[] | select(.demand != null) | (.demand | .policed + .packets_per_second * 64) as $rate
            | .route.primary[], (.route.backup // [])[] | { way: "\(.link) \(.from)", $rate }]
        | group_by(.way) | map(map(.rate) | add) | max // 0'
}

cut_link() { inside "$1" ip link set "$2" down; }

mend_link() {
    inside "$1" ip link set "$2" up
    # The gateway sees it by its probes.
    sleep 3
}
