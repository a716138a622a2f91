# Sessions: what they are granted, what of it arrives, what is on the wires meanwhile, and what becomes of calls that get none.
# shellcheck shell=bash disable=SC2034 # other scenes use what is unused here

# verify_granted NAME: that it got 200, and what that says.
verify_granted() {
    verify_equal "the answer" 200 "$CALL_STATUS"
    print_terms "$1"
}

# print_terms NAME
print_terms() {
    note "granted: session $(answer_line "$1" a=svpn-session:), tunnels $(answer_line "$1" a=svpn-tunnel:)," \
        "VPN labels $(answer_line "$1" a=svpn-label:), $(answer_line "$1" a=svpn:), $(answer_line "$1" b=TIAS:) bit/s above UDP"
}

open_session_a() {
    step "storage@vpn-a asks for $(mbit "$A_RATE") to backup@vpn-a, for everything between the two hosts"
    A_BEFORE=("$(received a-west)" "$(received a-east)")
    call session-a a-east vpn-a "$A_RATE"
    verify_granted session-a
    read_tables "$STATE/a.tables"
    verify_match "entries it added to the routers' tables" '[1-9][0-9]*' $(($(wc -l <"$STATE/a.tables") - $(wc -l <"$STATE/idle.tables")))
    verify_equal "A's east pings A's west, answered of 3" 3 "$(pings a-east "$WEST_ADDRESS" 3)"
    verify_near "UDP offered at $(mbit "$A_OFFERS") arrives at" "$RATE_TOLERANCE" "$A_RATE" "$(overload a-east a-west "$A_OFFERS")" bit/s
    note "iperf3 itself says: $(iperf3_received)"
}

look_at_the_core() {
    step "What is on the wires, as tshark reads it: labels, TC, bottom of stack, TTL of the labels, TTL of the IP header"
    local vpn_label
    vpn_label=$(vpn_label session-a)
    start_captures pe1-p1 p1-pe2 a-west
    pings a-east "$WEST_ADDRESS" 3 >/dev/null
    stop_captures pe1-p1 p1-pe2 a-west
    verify_match "PE1 to P1, transport label over VPN label, TC is the class, one hop gone" \
        "[0-9]+,$vpn_label 5,5 0,1 63,63 63" "$(wire_stacks pe1-p1)"
    verify_equal "P1 to PE2, VPN label alone since P1 popped the other, two hops gone" "$vpn_label 5 1 62 63" "$(wire_stacks p1-pe2)"
    verify_equal "PE2 to A's west, no label, three hops gone" 61 "$(wire_stacks a-west | tr -d ' ')"
}

open_session_b() {
    step "storage@vpn-b asks for $(mbit "$B_RATE") between the same addresses meanwhile"
    B_BEFORE=("$(received b-west)" "$(received b-east)")
    call session-b b-east vpn-b "$B_RATE"
    verify_granted session-b
    start_marked_receiver a-west "customer A"
    start_marked_receiver b-west "customer B"
    start_marked_sender a-east a-west "customer A" "$A_OFFERS" 9
    start_marked_sender b-east b-west "customer B" "$B_OFFERS" 9
    sleep 2.5
    arriving b-west >"$STATE/b.rate" &
    verify_near "A offers $(mbit "$A_OFFERS") and gets" "$RATE_TOLERANCE" "$A_RATE" "$(arriving a-west)" bit/s
    wait $!
    verify_near "B offers $(mbit "$B_OFFERS") and gets" "$RATE_TOLERANCE" "$B_RATE" "$(cat "$STATE/b.rate")" bit/s
    finish marked-a-east marked-b-east marks-a-west marks-b-west
    verify_equal "of $(mark_count a-west own) datagrams that reached A, B's are" 0 "$(mark_count a-west foreign)"
    verify_equal "of $(mark_count b-west own) datagrams that reached B, A's are" 0 "$(mark_count b-west foreign)"
    read_tables "$STATE/both.tables"
}

# Where links are narrow.
look_at_the_other_path() {
    step "The way over P1 has no room for B any more, so B's session goes over P2"
    local vpn_label
    vpn_label=$(vpn_label session-b)
    start_captures pe1-p1 pe1-p2 p2-pe2
    verify_equal "B's east pings B's west, answered of 3" 3 "$(pings b-east "$WEST_ADDRESS" 3)"
    stop_captures pe1-p1 pe1-p2 p2-pe2
    verify_match "PE1 to P2, transport label over VPN label, TC is the class, one hop gone" \
        "[0-9]+,$vpn_label 5,5 0,1 63,63 63" "$(wire_stacks pe1-p2)"
    verify_equal "P2 to PE2, VPN label alone, two hops gone" "$vpn_label 5 1 62 63" "$(wire_stacks p2-pe2)"
    verify_equal "frames from PE1 to P1 meanwhile" 0 "$(captured pe1-p1)"
}

ask_for_too_much() {
    step "More than a link has room for is refused"
    call too-much a-east vpn-a "$TOO_MUCH"
    verify_equal "$(mbit "$TOO_MUCH") more, the answer" 580 "$CALL_STATUS"
    # Of the two ways, the one that lacks the least.
    verify_match "its Warning names the link and what would have fitted" "370 .*pe1-p2.* [0-9]+ bit/s .*" \
        "$(sed -n 's/^Warning: *//p' "$STATE/sip-too-much.response")"
    verify_tables both "the routers hold what they held before"
}

calls_that_come_to_nothing() {
    step "Calls that come to nothing leave nothing behind"
    callee a-west decline
    call declined a-east vpn-a "$A_LITTLE"
    verify_equal "the callee declines, the answer" 603 "$CALL_STATUS"
    verify_tables both "the routers hold what they held before"
    callee a-west ring
    call cancelled a-east vpn-a "$A_LITTLE" cancel
    verify_equal "the callee rings, the caller cancels, the answer" 487 "$CALL_STATUS"
    verify_tables both "the routers hold what they held before"
    call unanswered a-east vpn-a "$A_LITTLE"
    verify_match "the callee does not answer in time, the answer" '408|480' "$CALL_STATUS"
    verify_tables both "the routers hold what they held before"
    callee a-west answer
}
