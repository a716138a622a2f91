# Sessions across two providers, each with its own gateway and routers.
# shellcheck shell=bash disable=SC2154,SC2034 # other files have, or use, what is missing or unused here

# abroad COMMAND…: with the other provider's gateway.
abroad() {
    local OF_GATEWAY=abroad GATEWAY_SIGNALLING_ADDRESS=$ABROAD_SIGNALLING_ADDRESS PROVIDER_DOMAIN=abroad.example
    "$@"
}

start_abroad() {
    start abroad "$GATEWAY_SPACE" "$GATEWAY" --config "$STATE/abroad.toml"
    eventually "$START_TIMEOUT" grep -q 'every router is ready' "$STATE/abroad.log" || not_started abroad
    passed "another svpn-gateway, of abroad.example, controls PE3, which has a link to PE2"
    abroad read_tables "$STATE/abroad-idle.tables"
}

call_another_provider() {
    step "storage@vpn-a calls backup of A's site at another provider, over the link between PE2 and PE3"
    local north=${SITE_ADDRESS[a-north]} labels
    verify_equal "backup@acme registers with its own provider at the CE a-north, the answer" 200 \
        "$(abroad register a-north backup acme "$(secret_of backup acme)")"
    verify_equal "A's east pings A's north, answered of 1" 0 "$(pings a-east "$north" 1)"
    abroad callee a-north answer
    start_captures sip-north sip-east
    CALLEE_DOMAIN=acme.abroad.example call to-abroad a-east vpn-a "$A_RATE"
    verify_equal "it asks for $(mbit "$A_RATE"), the answer" 200 "$CALL_STATUS"
    print_terms to-abroad
    read -r -a labels <<<"$(answer_line to-abroad a=svpn-label:)"
    start_captures to-north from-north
    verify_equal "A's east pings A's north, answered of 3" 3 "$(pings a-east "$north" 3)"
    verify_equal "A's north pings A's east, answered of 1" 1 "$(pings a-north "${SITE_ADDRESS[a-east]}" 1)"
    stop_captures to-north from-north
    verify_equal "on the link to PE3, as tshark reads it, the label that PE3 mapped and no other; TC, bottom of stack" "${labels[0]} 5 1" \
        "$(wire_stacks to-north | cut -d ' ' -f 1-3)"
    verify_match "on the way back the one that PE2 mapped, and no other" '[0-9]+ 5 1' "$(wire_stacks from-north | cut -d ' ' -f 1-3)"
    verify_near "UDP offered at $(mbit "$A_OFFERS") arrives at" "$RATE_TOLERANCE" "$A_RATE" "$(overload a-east a-north "$A_OFFERS")" bit/s
    verify "BYE is answered" hang_up to-abroad
    stop_captures sip-north sip-east
    verify_equal "of $(captured sip-north) and $(captured sip-east) messages to either side, those with the other's signalling address" "0 0" \
        "$(tells sip-north a-east) $(tells sip-east a-north)"
    both_are_idle
    verify_match "the caller's provider bills what its customer sent, bytes" '[1-9][0-9]{6,}' \
        "$(charge "$(answer_line to-abroad a=svpn-session:)" .from_caller.carried_bytes)"
    verify_match "and the other what its customer sent" '[1-9][0-9]*' "$(abroad charge 1 .from_callee.carried_bytes)"
}

# The same in the other direction, so that the other provider's customer hangs up.
be_called_by_another_provider() {
    step "storage@acme, at the other provider, calls backup@vpn-a"
    verify_equal "storage@acme registers at the CE a-north, the answer" 200 "$(abroad register a-north storage acme "$(secret_of storage acme)")"
    callee a-west answer
    CALLEE_DOMAIN=vpn-a.provider.example abroad call from-abroad a-north acme "$B_RATE"
    verify_equal "it asks for $(mbit "$B_RATE"), the answer" 200 "$CALL_STATUS"
    verify_equal "A's north pings A's west, answered of 3" 3 "$(pings a-north "$WEST_ADDRESS" 3)"
    CALLEE_DOMAIN=vpn-a.provider.example abroad call one-too-many a-north acme "$A_LITTLE"
    verify_equal "another beside it is more than the providers have agreed on, the answer" 403 "$CALL_STATUS"
    verify_match "its Warning is that of the provider that refuses" '399 .*provider.example: .*' \
        "$(sed -n 's/^Warning: *//p' "$STATE/sip-one-too-many.response")"
    verify "BYE is answered" hang_up from-abroad
    both_are_idle
}

both_are_idle() {
    verify_tables idle "every table of the one provider reads back as before"
    abroad verify_tables abroad-idle "and every one of the other's"
}

# tells NAME SITE: lines of the messages in a capture with the address of a site's agent.
tells() { tcpdump -n -A -r "$STATE/$1.pcap" udp 2>/dev/null | grep -cF "${SIGNALLING_ADDRESS[$2]}" || true; }
