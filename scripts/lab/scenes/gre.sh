# A session over GRE: what it is granted, what arrives, and what is on the wires meanwhile.
# shellcheck shell=bash

a_session_over_gre() {
    step "storage@vpn-b asks for $(mbit "$B_RATE") over GRE (a=svpn:tunnel=gre)"
    local vpn_label
    TUNNEL=gre call session-gre b-east vpn-b "$B_RATE"
    verify_granted session-gre
    vpn_label=$(vpn_label session-gre)
    start_captures pe1-p1 p1-pe2 b-west
    verify_equal "B's east pings B's west, answered of 3" 3 "$(pings b-east "$WEST_ADDRESS" 3)"
    stop_captures pe1-p1 p1-pe2 b-west
    # PE1's address, and PE2's that is this path's alone: see `gre` in gateway.toml. Class 5 is DSCP 40 in the delivery header.
    verify_equal "PE1 to P1, as tshark reads it: IPv4, GRE, MPLS with the VPN label, IPv4; one hop gone of the inner TTL" \
        "192.0.2.17 192.0.2.34 eth:ethertype:ip:gre:mpls:ip:icmp:data 0x8847 $vpn_label 5 1 255,63 40,0" "$(wire_gre pe1-p1)"
    verify_equal "P1 to PE2, routed by the outer address alone" \
        "192.0.2.17 192.0.2.34 eth:ethertype:ip:gre:mpls:ip:icmp:data 0x8847 $vpn_label 5 1 254,63 40,0" "$(wire_gre p1-pe2)"
    verify_equal "PE2 to B's west, no GRE, the two hops gone that PEs are" 62 "$(wire_stacks b-west | tr -d ' ')"
    verify_near "UDP offered at $(mbit "$B_OFFERS") arrives at" "$RATE_TOLERANCE" "$B_RATE" "$(overload b-east b-west "$B_OFFERS")" bit/s
    verify "BYE is answered" hang_up session-gre
    verify_tables idle "every table reads back as before: no route, no end of GRE is left"
}
