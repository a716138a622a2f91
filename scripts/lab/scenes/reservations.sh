# Sessions that start by themselves, and that are changed in service.
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

# start_pings SITE ADDRESS COUNT: 20 ms apart, in the background.
start_pings() { start "pings-$1" "$1" ping -q -i 0.02 -c "$3" -W 1 "$2"; }

wait_for_pings() {
    wait "${PROCESS[pings-$1]}" || true
    unset "PROCESS[pings-$1]"
}

lost_pings() { sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p' "$STATE/pings-$1.log" | awk '{ print $1 - $2 }'; }
