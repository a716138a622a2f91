# Sessions that start by themselves, and what becomes of sessions when a link fails.
# shellcheck shell=bash disable=SC2154,SC2034 # other files have, or use, what is missing or unused here

# NTP counts seconds from 1900 (RFC 8866 section 5.9).
NTP_TO_UNIX=2208988800

# Whether A's east reaches A's west now.
reaches() { [ "$(pings a-east "$WEST_ADDRESS" 1)" = 1 ]; }

book_ahead() {
    step "A session can be booked: it starts and stops by itself"
    local start stop
    start=$(($(date +%s) + 9)) stop=$(($(date +%s) + 15))
    call booked a-east vpn-a "$A_RATE" call "$((start + NTP_TO_UNIX)) $((stop + NTP_TO_UNIX))"
    verify_equal "storage@vpn-a books $(mbit "$A_RATE") from 9 seconds from now on, for 6 seconds; the answer" 200 "$CALL_STATUS"
    verify_tables idle "the routers hold nothing of it yet"
    verify_equal "A's east pings A's west, answered of 1" 0 "$(pings a-east "$WEST_ADDRESS" 1)"
    # Nothing but the clock makes it start.
    verify "it starts by itself" eventually 15 reaches
    verify_match "seconds after the start asked for" '[0-2]' $(($(date +%s) - start))
    verify_match "entries in the routers' tables now" '[1-9][0-9]*' "$(more_entries_than idle)"
    verify "both ends are sent BYE when its time is over" call_ended booked
    verify_tables idle "every table reads back as before"
}

# more_entries_than NAME: how many more entries the routers hold than $STATE/NAME.tables says.
more_entries_than() {
    read_tables "$STATE/now.tables"
    echo $(($(wc -l <"$STATE/now.tables") - $(wc -l <"$STATE/$1.tables")))
}

change_in_service() {
    step "In service A asks for more bandwidth, and loses no packet by it"
    callee a-west answer
    CHANGED_RATE=$A_RATE
    call changing a-east vpn-a "$B_RATE" change
    verify_equal "$(mbit "$B_RATE") to begin with, the answer" 200 "$CALL_STATUS"
    verify_near "UDP offered at $(mbit "$A_OFFERS") arrives at" "$RATE_TOLERANCE" "$B_RATE" "$(overload a-east a-west "$A_OFFERS")" bit/s
    start_pings a-east "$WEST_ADDRESS" 200
    sleep 2
    verify "re-INVITE: gateway and callee agree to $(mbit "$A_RATE")" change changing
    wait_for_pings a-east
    verify_equal "pings of 200, 20 ms apart, that were lost meanwhile" 0 "$(lost_pings a-east)"
    verify_near "UDP offered at $(mbit "$A_OFFERS") arrives at" "$RATE_TOLERANCE" "$A_RATE" "$(overload a-east a-west "$A_OFFERS")" bit/s
    verify "BYE is answered" hang_up changing
    verify_tables idle "every table reads back as before"
}

# In the diamond: A's session lies on the way over P1.
lose_a_link() {
    step "A link fails under A's session: the gateway moves it to the other way"
    callee a-west answer
    call moved a-east vpn-a "$A_RATE"
    verify_equal "the answer" 200 "$CALL_STATUS"
    start_capture pe1-p2 p2 eth1
    start_pings a-east "$WEST_ADDRESS" 400
    sleep 2
    cut_link p1 eth2
    passed "the link from P1 to PE2 is cut"
    wait_for_pings a-east
    stop_capture pe1-p2
    verify_match "frames from PE1 to P2 since" '[1-9][0-9]*' "$(captured pe1-p2)"
    # The probes, 200 ms apart, say so when three are missing.
    verify_match "pings of 400, 20 ms apart, that were lost until the way was found again" '[1-9]?[0-9]|1[0-4][0-9]' "$(lost_pings a-east)"
    mend_link p1 eth2
    verify "BYE is answered" hang_up moved
    verify_tables idle "every table reads back as before, once the link is back"
}

cut_link() { inside "$1" ip link set "$2" down; }

mend_link() {
    inside "$1" ip link set "$2" up
    # The gateway sees it by its probes.
    sleep 3
}

# start_pings SITE ADDRESS COUNT: 20 ms apart, in the background.
start_pings() { start "pings-$1" "$1" ping -q -i 0.02 -c "$3" -W 1 "$2"; }

wait_for_pings() {
    wait "${PROCESS[pings-$1]}" || true
    unset "PROCESS[pings-$1]"
}

lost_pings() { sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p' "$STATE/pings-$1.log" | awk '{ print $1 - $2 }'; }
