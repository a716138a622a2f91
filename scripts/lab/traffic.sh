# Load, reachability, and what a site's interface counted. Senders and meters come before everything but the routers (nice): a sender that is
# late by more than the policer's bucket has lost its turn, and the figure would be the machine's and not the network's.
# shellcheck shell=bash

# Bytes of UDP payload of every datagram of load: class 5's mean packet in gateway.toml, so that what is granted above UDP is
# what arrives above UDP.
DATAGRAM=1400
# Ethernet, IPv4 and UDP around it; the policer counts these too.
FRAME_OVERHEAD=42

# pings SITE ADDRESS COUNT: how many were answered.
pings() {
    # ping fails where nothing is answered; the count says so.
    { inside "$1" ping -n -q -c "$3" -i 0.2 -W 1 "$2" || true; } | sed -n 's/.* \([0-9]*\) received.*/\1/p'
}

# The MAC a site has learned for its PE.
learned_router() { inside "$1" ip neighbour show "${SITE_ROUTER[$1]}" dev eth0 | sed -n 's/.*lladdr \([0-9a-f:]*\).*/\1/p'; }

# From here on the site asks no more, and only the session's packets are counted.
keep_router() {
    local mac
    mac=$(learned_router "$1")
    if [ -n "$mac" ]; then
        inside "$1" ip neighbour replace "${SITE_ROUTER[$1]}" dev eth0 lladdr "$mac" nud permanent
    else
        failed "$1 has not learned its PE's MAC"
    fi
}

# received SITE: packets and bytes that its interface got, bytes with Ethernet and without FCS.
received() {
    inside "$1" cat /sys/class/net/eth0/statistics/rx_packets /sys/class/net/eth0/statistics/rx_bytes | paste -sd ' '
}

# difference "P B" "P B"
difference() {
    local before after
    read -r -a before <<<"$1"
    read -r -a after <<<"$2"
    echo "$((after[0] - before[0])) $((after[1] - before[1]))"
}

# arriving SITE: bit/s of UDP payload that its interface gets, the median of ten half seconds.
arriving() { inside "$1" nice -n -10 python3 "$LAB/rate_meter.py" --interface eth0 --overhead "$FRAME_OVERHEAD"; }

# overload FROM TO BIT_RATE: iperf3 offers UDP for eight seconds, and what arrives is printed in bit/s of UDP payload, as the interface of
# the far site counts it: a program that reads too slowly is not the network's loss. The first two seconds are left out, since in them
# the policer's bucket is still full. What iperf3's own server says is kept in $STATE/iperf3.txt.
overload() {
    local from=$1 to=$2 rate=$3
    start iperf3-server "$to" iperf3 --server --one-off --bind "${SITE_ADDRESS[$to]}"
    eventually 5 tcp_port_open "$to" 5201 || die "iperf3 does not start in svpn-$to: $STATE/iperf3-server.log"
    start iperf3-client "$from" timeout 30 nice -n -10 iperf3 --client "${SITE_ADDRESS[$to]}" --udp --bitrate "$rate" --length "$DATAGRAM" --time 8
    sleep 2.5
    arriving "$to"
    finish iperf3-client
    stop iperf3-server
    cp "$STATE/iperf3-client.log" "$STATE/iperf3.txt"
}

# The last line of iperf3's report: what its server received.
iperf3_received() { sed -n 's/.*sec  *\([0-9.]* [A-Z]*Bytes.*[^ ]\) *receiver$/\1/p' "$STATE/iperf3.txt" | tr -s ' '; }

tcp_port_open() { inside "$1" ss --no-header --tcp --listening --numeric "sport = :$2" | grep -q .; }

# start_marked_receiver SITE MARK: counts datagrams by the mark they carry, into $STATE/marks-SITE.json when no more come.
start_marked_receiver() {
    start "marks-$1" "$1" python3 "$LAB/marked_udp.py" receive --bind "${SITE_ADDRESS[$1]}" --mark "$2" --result "$STATE/marks-$1.json"
    eventually 5 udp_port_open "$1" 9000 || die "the receiver of marked datagrams does not start: $STATE/marks-$1.log"
}

# start_marked_sender FROM TO MARK BIT_RATE SECONDS
start_marked_sender() {
    start "marked-$1" "$1" nice -n -10 python3 "$LAB/marked_udp.py" send --to "${SITE_ADDRESS[$2]}" --mark "$3" --rate "$4" --seconds "$5" --size "$DATAGRAM"
}

# finish NAME…: waits for programs that end by themselves.
finish() {
    local name
    for name in "$@"; do
        wait "${PROCESS[$name]}" || true
        unset "PROCESS[$name]"
    done
}

# mark_count SITE own|foreign: datagrams with its own mark, with any other mark.
mark_count() { jq -r ".$2" "$STATE/marks-$1.json"; }

# How many packets of a stream, 1 ms apart.
STREAM_COUNT=4000

# start_stream FROM TO: numbered packets of 16 flows, and who counts which are missing, into $STATE/stream-TO.json.
start_stream() {
    start "stream-to-$2" "$2" nice -n -10 python3 "$LAB/stream.py" receive --bind "${SITE_ADDRESS[$2]}" --count "$STREAM_COUNT" --result "$STATE/stream-$2.json"
    eventually 5 udp_port_open "$2" 9001 || die "the receiver of the stream does not start: $STATE/stream-to-$2.log"
    start "stream-from-$1" "$1" nice -n -10 python3 "$LAB/stream.py" send --to "${SITE_ADDRESS[$2]}" --count "$STREAM_COUNT"
}

# stream_result SITE FILTER: of what arrived there.
stream_result() { jq -r "$2" "$STATE/stream-$1.json"; }
