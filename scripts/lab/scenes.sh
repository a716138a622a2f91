# The scenes of the demo, in the order in which they are played.
# shellcheck shell=bash

CHARGES=$STATE/charges.jsonl

# What the sessions are granted, bit/s above UDP, and what the customers offer instead.
A_RATE=50000000
B_RATE=20000000
A_OFFERS=80000000
B_OFFERS=40000000

start_everything() {
    step "Three routers, a gateway, two customers with the same addresses"
    build_network
    write_configuration
    verify "the gateway finds no fault in its configuration" "$GATEWAY" check --config "$STATE/gateway.toml"
    start_routers
    start_gateway
    passed "svpn-forwarder runs as PE1, P1 and PE2, and svpn-gateway controls them"
    read_tables "$STATE/idle.tables"
}

# Neighbours are resolved by the routers while nothing else works; then they are pinned, so that only sessions are counted below.
without_a_session() {
    step "Without a session there is no way"
    local site
    verify_equal "A's east pings A's west, answered of 3" 0 "$(pings a-east "$WEST_ADDRESS" 3)"
    for site in a-west b-east b-west; do pings "$site" "${SITE_ROUTER[$site]}" 1 >/dev/null; done
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

# print_terms NAME
print_terms() {
    note "granted: session $(answer_line "$1" a=svpn-session:), tunnels $(answer_line "$1" a=svpn-tunnel:)," \
        "VPN labels $(answer_line "$1" a=svpn-label:), $(answer_line "$1" a=svpn:), $(answer_line "$1" b=TIAS:) bit/s above UDP"
}

open_session_a() {
    step "storage@vpn-a asks for 50 Mbit/s to backup@vpn-a, for everything between the two hosts"
    A_BEFORE=("$(received a-west)" "$(received a-east)")
    call session-a a-east vpn-a "$A_RATE"
    verify_equal "the answer" 200 "$CALL_STATUS"
    print_terms session-a
    read_tables "$STATE/a.tables"
    verify_match "entries it added to the routers' tables" '[1-9][0-9]*' $(($(wc -l <"$STATE/a.tables") - $(wc -l <"$STATE/idle.tables")))
    verify_equal "A's east pings A's west, answered of 3" 3 "$(pings a-east "$WEST_ADDRESS" 3)"
    verify_near "UDP offered at 80 Mbit/s arrives at" 1 "$A_RATE" "$(overload a-east a-west "$A_OFFERS")" bit/s
    note "iperf3 itself says: $(iperf3_received)"
}

look_at_the_core() {
    step "What is on the wires, as tshark reads it: labels, TC, bottom of stack, TTL of the labels, TTL of the IP header"
    local vpn_label
    vpn_label=$(answer_line session-a a=svpn-label:)
    vpn_label=${vpn_label%% *}
    start_capture pe1-p1 p1 eth1
    start_capture p1-pe2 pe2 eth3
    start_capture a-west a-west eth0
    pings a-east "$WEST_ADDRESS" 3 >/dev/null
    stop_capture pe1-p1
    stop_capture p1-pe2
    stop_capture a-west
    verify_match "PE1 to P1, transport label over VPN label, TC is the class, one hop gone" \
        "[0-9]+,$vpn_label 5,5 0,1 63,63 63" "$(wire_stacks pe1-p1)"
    verify_equal "P1 to PE2, VPN label alone since P1 popped the other, two hops gone" "$vpn_label 5 1 62 63" "$(wire_stacks p1-pe2)"
    verify_equal "PE2 to A's west, no label, three hops gone" 61 "$(wire_stacks a-west | tr -d ' ')"
}

open_session_b() {
    step "storage@vpn-b asks for 20 Mbit/s between the same addresses meanwhile"
    B_BEFORE=("$(received b-west)" "$(received b-east)")
    call session-b b-east vpn-b "$B_RATE"
    verify_equal "the answer" 200 "$CALL_STATUS"
    print_terms session-b
    start_marked_receiver a-west "customer A"
    start_marked_receiver b-west "customer B"
    start_marked_sender a-east a-west "customer A" "$A_OFFERS" 9
    start_marked_sender b-east b-west "customer B" "$B_OFFERS" 9
    sleep 2.5
    arriving b-west >"$STATE/b.rate" &
    verify_near "A offers 80 Mbit/s and gets" 1 "$A_RATE" "$(arriving a-west)" bit/s
    wait $!
    verify_near "B offers 40 Mbit/s and gets" 1 "$B_RATE" "$(cat "$STATE/b.rate")" bit/s
    finish marked-a-east marked-b-east marks-a-west marks-b-west
    verify_equal "of $(mark_count a-west own) datagrams that reached A, B's are" 0 "$(mark_count a-west foreign)"
    verify_equal "of $(mark_count b-west own) datagrams that reached B, A's are" 0 "$(mark_count b-west foreign)"
    read_tables "$STATE/both.tables"
}

ask_for_too_much() {
    step "More than a link has room for is refused"
    call too-much a-east vpn-a 60000000
    verify_equal "60 Mbit/s more, the answer" 580 "$CALL_STATUS"
    verify_match "its Warning names the link and what would have fitted" '370 .*pe1-p1.* [0-9]+ bit/s .*' \
        "$(sed -n 's/^Warning: *//p' "$STATE/sip-too-much.response")"
    verify_tables both "the routers hold what they held before"
}

calls_that_come_to_nothing() {
    step "Calls that come to nothing leave nothing behind"
    callee a-west decline
    call declined a-east vpn-a 10000000
    verify_equal "the callee declines, the answer" 603 "$CALL_STATUS"
    verify_tables both "the routers hold what they held before"
    callee a-west ring
    call cancelled a-east vpn-a 10000000 cancel
    verify_equal "the callee rings, the caller cancels, the answer" 487 "$CALL_STATUS"
    verify_tables both "the routers hold what they held before"
    call unanswered a-east vpn-a 10000000
    verify_match "the callee does not answer in time, the answer" '408|480' "$CALL_STATUS"
    verify_tables both "the routers hold what they held before"
    callee a-west answer
}

hang_up_and_settle() {
    step "Hanging up ends it, and the bill is what arrived"
    local at_end
    start_marked_sender a-east a-west "customer A" "$A_OFFERS" 30
    verify_near "before BYE A gets" 1 "$A_RATE" "$(sleep 2.5; arriving a-west)" bit/s
    verify "BYE is answered" hang_up session-a
    sleep 1
    at_end=$(received a-west)
    sleep 1
    verify_equal "packets and bytes that still arrive a second later, though A goes on sending" "0 0" "$(difference "$at_end" "$(received a-west)")"
    stop marked-a-east
    verify_equal "B, still in its session, pings; answered of 3" 3 "$(pings b-east "$WEST_ADDRESS" 3)"
    verify "B's BYE is answered" hang_up session-b
    verify_tables idle "every table reads back as before the first session"
    verify_bill a "$(answer_line session-a a=svpn-session:)" "$A_RATE" "${A_BEFORE[@]}"
    verify_bill b "$(answer_line session-b a=svpn-session:)" "$B_RATE" "${B_BEFORE[@]}"
}

# verify_bill CUSTOMER SESSION BIT_RATE WEST_BEFORE EAST_BEFORE: the charge record against what the customer's interfaces counted.
verify_bill() {
    local customer=$1 session=$2 rate=$3 west=$4 east=$5
    # RFC 3890: what is granted above UDP, and the headers of so many mean packets of the class a second, rounded up.
    local packets=$(((rate + DATAGRAM * 8 - 1) / (DATAGRAM * 8)))
    verify_equal "$customer's charge record, policed to bit/s of frames" $((rate + packets * FRAME_OVERHEAD * 8)) \
        "$(charge "$session" .from_caller.policed_bits_per_second)"
    verify_equal "$customer's packets and bytes, east to west, as the far interface counted" \
        "$(difference "$west" "$(received "$customer-west")")" "$(charge "$session" '.from_caller | "\(.carried_packets) \(.carried_bytes)"')"
    verify_equal "$customer's packets and bytes, west to east, likewise" \
        "$(difference "$east" "$(received "$customer-east")")" "$(charge "$session" '.from_callee | "\(.carried_packets) \(.carried_bytes)"')"
}

# charge SESSION FILTER: of the record of an established session.
charge() { jq -r --arg session "$1" "select((.session | tostring) == \$session and .established != null) | $2" "$CHARGES" | tail -n 1; }

kill_the_gateway() {
    step "Forwarding does not need the gateway"
    call session-c a-east vpn-a "$A_RATE"
    verify_equal "another session of 50 Mbit/s, the answer" 200 "$CALL_STATUS"
    read_tables "$STATE/crash.tables"
    stop gateway
    passed "kill -9 of svpn-gateway"
    verify_equal "A's east pings A's west, answered of 3" 3 "$(pings a-east "$WEST_ADDRESS" 3)"
    verify_near "UDP offered at 80 Mbit/s still arrives at" 1 "$A_RATE" "$(overload a-east a-west "$A_OFFERS")" bit/s
    verify_tables crash "the routers hold what they held"
}

# A gateway, agents and a session again, for who wants to try things.
leave_it_running() {
    step "Ready to be tried"
    start_gateway
    register_all
    callee a-west answer
    callee b-west answer
    call session-kept a-east vpn-a "$A_RATE"
    verify_equal "a session of 50 Mbit/s, the answer" 200 "$CALL_STATUS"
    print_terms session-kept
    cat <<END

   ip netns exec svpn-a-east ping $WEST_ADDRESS                            through the session
   ip netns exec svpn-b-east ping $WEST_ADDRESS                            B has none
   ip netns exec svpn-a-west iperf3 -s -D; ip netns exec svpn-a-east iperf3 -c $WEST_ADDRESS -u -b 80M -l $DATAGRAM
   ip netns exec svpn-p1 tshark -i eth1                               the core
   ip netns exec svpn-gw $GATEWAY tables --config $STATE/gateway.toml
   tail $CHARGES                          charge records; logs lie beside
   scripts/demo --stop                                                removes all of it
END
}
