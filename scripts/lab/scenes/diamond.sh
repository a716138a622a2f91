# What a second way through the core adds.
# shellcheck shell=bash disable=SC2034 # other scenes use what is unused here

# A's session leaves no room for B's on a link.
start_the_diamond() {
    FULL_LINK=pe1-p2
    start_everything 60000000 "$ROOT/scripts/mininet/diamond.toml"
}

look_at_the_other_path() {
    step "The way over P1 has no room for B any more, so B's session goes over P2"
    local vpn_label
    vpn_label=$(answer_line session-b a=svpn-label:)
    vpn_label=${vpn_label%% *}
    start_capture pe1-p1 p1 eth1
    start_capture pe1-p2 p2 eth1
    start_capture p2-pe2 pe2 eth4
    verify_equal "B's east pings B's west, answered of 3" 3 "$(pings b-east "$WEST_ADDRESS" 3)"
    stop_capture pe1-p1
    stop_capture pe1-p2
    stop_capture p2-pe2
    verify_match "PE1 to P2, transport label over VPN label, TC is the class, one hop gone" \
        "[0-9]+,$vpn_label 5,5 0,1 63,63 63" "$(wire_stacks pe1-p2)"
    verify_equal "P2 to PE2, VPN label alone, two hops gone" "$vpn_label 5 1 62 63" "$(wire_stacks p2-pe2)"
    verify_equal "frames from PE1 to P1 meanwhile" 0 "$(captured pe1-p1)"
}
