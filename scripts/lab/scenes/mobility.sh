# An application that goes to another CE, and its session with it.
# shellcheck shell=bash disable=SC2154 # other files have what is missing here

# The new way is there before the old one goes, so at every moment A's west is reached from one of the two.
go_to_another_ce() {
    step "In service storage@vpn-a goes from A's east, at PE1, to A's south, at P2"
    local before site packets=400
    callee a-west answer
    before=("$(received a-west)" "$(received a-east)" "$(received a-south)")
    CHANGED_RATE=$A_RATE CHANGED_ADDRESS=${SITE_ADDRESS[a-south]} call roaming a-east vpn-a "$A_RATE" change
    verify_equal "at A's east it asks for $(mbit "$A_RATE"), the answer" 200 "$CALL_STATUS"
    for site in a-east a-south; do
        start "pings-$site" "$site" nice -n -10 ping -D -n -i 0.02 -c "$packets" -W 1 "$WEST_ADDRESS"
    done
    sleep 2
    verify_equal "it registers at the CE a-south, the answer" 200 "$(register a-south storage vpn-a "$(secret_of storage vpn-a)")"
    verify "re-INVITE: gateway and callee agree to its address there" change roaming
    wait_for_pings a-east
    wait_for_pings a-south
    verify_match "pings of $packets, 20 ms apart, answered at A's east, and from the move on at A's south" "[1-9][0-9]* [1-9][0-9]*" \
        "$((packets - $(lost_pings a-east))) $((packets - $(lost_pings a-south)))"
    verify_at_most "longest time without an answer at either, ms" $((2 * FAIL_OVER_LIMIT)) "$(longest_silence a-east a-south)"
    verify_equal "A's east pings A's west, answered of 1" 0 "$(pings a-east "$WEST_ADDRESS" 1)"
    verify_equal "its tunnels" "p2: p2-pe2; pe2: p2-pe2" "$(tunnel_ways)"
    verify "PE1 has said what it carried, and holds nothing of it any more" eventually 5 holds_as_before pe1 idle
    verify "BYE is answered" hang_up roaming
    verify_tables idle "every table reads back as before"
    verify_bill_of_both "$(answer_line roaming a=svpn-session:)" "${before[@]}"
    verify_equal "it registers at the CE a-east again, the answer" 200 "$(register a-east storage vpn-a "$(secret_of storage vpn-a)")"
}

# longest_silence SITE…: ms from one answer to the next, wherever they came.
longest_silence() {
    local files=("${@/#/$STATE/pings-}")
    files=("${files[@]/%/.log}")
    sed -n 's/^\[\([0-9.]*\)\] [0-9]* bytes from .*/\1/p' "${files[@]}" | sort -n |
        awk 'NR > 1 && $1 - last > most { most = $1 - last } { last = $1 } END { printf "%d\n", most * 1000 + 0.5 }'
}

# holds_as_before ROUTER NAME: whether the router holds what $STATE/NAME.tables says of it.
holds_as_before() {
    read_tables "$STATE/now.tables"
    cmp -s <(grep "^$1 " "$STATE/$2.tables") <(grep "^$1 " "$STATE/now.tables")
}

# verify_bill_of_both SESSION WEST EAST SOUTH: its charge record against what the interfaces have counted since.
verify_bill_of_both() {
    local session=$1 east south
    read -r -a east <<<"$(difference "$3" "$(received a-east)")"
    read -r -a south <<<"$(difference "$4" "$(received a-south)")"
    verify_equal "the charge record, packets and bytes from both places, as A's west counted" \
        "$(difference "$2" "$(received a-west)")" "$(charge "$session" '.from_caller | "\(.carried_packets) \(.carried_bytes)"')"
    verify_equal "and to both, as they counted: ${east[*]} and ${south[*]}; together" \
        "$((east[0] + south[0])) $((east[1] + south[1]))" "$(charge "$session" '.from_callee | "\(.carried_packets) \(.carried_bytes)"')"
}
