# How sessions end, and what is left then.
# shellcheck shell=bash disable=SC2034 # play.sh reads OUTCOME

hang_up_and_settle() {
    step "Hanging up ends it, and the bill is what arrived"
    local at_end
    start_marked_sender a-east a-west "customer A" "$A_OFFERS" 30
    verify_near "before BYE A gets" "$RATE_TOLERANCE" "$A_RATE" "$(sleep 2.5; arriving a-west)" bit/s
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
    verify_price "$(answer_line session-a a=svpn-session:)"
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

# verify_price SESSION: set-up 0.50, 0.012 a Mbit/s and hour reserved, 0.02 a GB carried, in millionths; each line rounded by itself.
verify_price() {
    local carried
    note "A was told before: $(answer_line session-a a=svpn-cost:)"
    carried=$(charge "$1" '[.from_caller, .from_callee | .carried_bytes] | add')
    verify_equal "a's bill, what was carried, bytes and millionths of a EUR" "$carried $(((carried * 20000 + 500000000) / 1000000000))" \
        "$(charge "$1" '.bill.lines[] | select((.item | type) == "object" and .item.Carried) | "\(.item.Carried.bytes) \(.amount)"')"
    verify_equal "a's bill, the sum is that of its $(charge "$1" '.bill.lines | length') lines, in millionths" \
        "$(charge "$1" '[.bill.lines[].amount] | add')" "$(charge "$1" .bill.total)"
}

# charge SESSION FILTER: of the record of an established session.
charge() {
    inside "$GATEWAY_SPACE" "$GATEWAY" records --config "$STATE/${OF_GATEWAY:-gateway}.toml" charges |
        jq -r --arg session "$1" "select((.session | tostring) == \$session and .established != null) | $2" | tail -n 1
}

account_for_every_frame() {
    step "Whatever a router receives, or has to send for the gateway, it sends, punts or drops: its own metrics"
    local router received originated sent punted dropped
    for router in "${ROUTERS[@]}"; do
        if [ "$HAS_METRICS" = no ]; then
            not_applicable "the metrics of ${router^^}"
            continue
        fi
        # The gateway's probes never rest: one may be on its way through when it is looked.
        eventually 5 balanced "$router" || true
        received=$(metric "$router" received) originated=$(metric "$router" originated) sent=$(metric "$router" sent)
        punted=$(metric "$router" punted) dropped=$(metric "$router" dropped)
        verify "${router^^} received $received packets and had $originated of the gateway's, sent $sent, punted $punted, dropped $dropped" \
            balances "$router"
    done
}

# balanced ROUTER: whether its books balance when it is looked.
balanced() {
    inside "$GATEWAY_SPACE" curl --silent --fail "http://${MANAGEMENT_ADDRESS[$1]}:9560/metrics" >"$STATE/$1.metrics"
    balances "$1"
}

balances() {
    [ $(($(metric "$1" received) + $(metric "$1" originated))) -eq $(($(metric "$1" sent) + $(metric "$1" punted) + $(metric "$1" dropped))) ]
}

# metric ROUTER WORD: the sum of its packets that were so, in $STATE/ROUTER.metrics.
metric() { awk -v "name=^svpn_$2_packets_total" '$1 ~ name { sum += $2 } END { print sum + 0 }' "$STATE/$1.metrics"; }

kill_the_gateway() {
    step "Forwarding does not need the gateway"
    call session-c a-east vpn-a "$A_RATE"
    verify_equal "another session of $(mbit "$A_RATE"), the answer" 200 "$CALL_STATUS"
    read_tables "$STATE/crash.tables"
    stop gateway
    passed "kill -9 of svpn-gateway"
    verify_equal "A's east pings A's west, answered of 3" 3 "$(pings a-east "$WEST_ADDRESS" 3)"
    verify_near "UDP offered at $(mbit "$A_OFFERS") still arrives at" "$RATE_TOLERANCE" "$A_RATE" "$(overload a-east a-west "$A_OFFERS")" bit/s
    verify_tables crash "the routers hold what they held"
}

# The session of kill_the_gateway goes on, though the gateway that made it is dead.
come_back() {
    step "A new gateway reads the journal and goes on where the dead one ended"
    local bytes
    start_gateway
    passed "svpn-gateway runs again"
    verify_tables crash "the routers hold what they held: nothing was lost, nothing made twice"
    verify_equal "A's east pings A's west, answered of 3" 3 "$(pings a-east "$WEST_ADDRESS" 3)"
    verify "BYE of the session that the dead gateway made is answered" hang_up session-c
    verify_tables idle "every table reads back as before the first session"
    bytes=$(charge "$(answer_line session-c a=svpn-session:)" '.from_caller.carried_bytes')
    verify_match "it is billed for what both gateways saw, bytes from A's east" '[1-9][0-9]{6,}' "$bytes"
    verify_equal "charge records of that call" 1 "$(charges_of "$(answer_line session-c a=svpn-session:)")"
    # Last, for it may have the same number.
    call session-d a-east vpn-a "$B_RATE"
    verify_equal "caller and callee need not register again: another call, the answer" 200 "$CALL_STATUS"
    verify "its BYE is answered" hang_up session-d
}

# charges_of SESSION: how many records of established sessions of that number begin after the lab's others of it ended.
charges_of() {
    inside "$GATEWAY_SPACE" "$GATEWAY" records --config "$STATE/gateway.toml" charges |
        jq -s --arg session "$1" 'map(select((.session | tostring) == $session and .established != null)) | group_by(.start) | last | length'
}

# A gateway, agents and a session again, for who wants to try things.
open_a_session_to_try() {
    step "Ready to be tried"
    [ -n "${PROCESS[gateway]:-}" ] || start_gateway
    register_all
    callee a-west answer
    callee b-west answer
    call session-kept a-east vpn-a "$A_RATE"
    verify_equal "a session of $(mbit "$A_RATE"), the answer" 200 "$CALL_STATUS"
    print_terms session-kept
}

leave_it_running() {
    open_a_session_to_try
    OUTCOME=kept
    cat <<END

   ip netns exec svpn-a-east ping $WEST_ADDRESS                            through the session
   ip netns exec svpn-b-east ping $WEST_ADDRESS                            B has none
   ip netns exec svpn-a-west iperf3 -s -D; ip netns exec svpn-a-east iperf3 -c $WEST_ADDRESS -u -b $A_OFFERS -l $DATAGRAM
   ip netns exec svpn-p1 tshark -i eth1                               the core
   ip netns exec svpn-gw $GATEWAY tables --config $STATE/gateway.toml
   $GATEWAY records --config $STATE/gateway.toml charges
                                                                      charge records; logs lie in $STATE
   scripts/demo --stop                                                removes all of it
END
}

leave_it_to_the_prompt() {
    open_a_session_to_try
    cat <<END

   a_east ping $WEST_ADDRESS                         through the session
   b_east ping $WEST_ADDRESS                         B has none
   a_west iperf3 -s -D; a_east iperf3 -c $WEST_ADDRESS -u -b $A_OFFERS -l $DATAGRAM
   p1 tshark -i eth1                            the core
   gw $GATEWAY tables --config $STATE/gateway.toml
   sh $GATEWAY records --config $STATE/gateway.toml charges
   exit                                         removes all of it
END
    open_prompt
}
