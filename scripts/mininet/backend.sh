# A backend of ../lab/network.sh: Mininet (network.py) makes boxes and cables and starts the routers' programs.
# shellcheck shell=bash

MININET_CONTROL=$STATE/control
MININET_PROCESS=''

make_network() {
    local space process
    mkfifo "$MININET_CONTROL"
    # For reading too, so that this does not wait for network.py, which goes on until nobody holds the pipe any more.
    exec 8<>"$MININET_CONTROL"
    # In the background there is no standard input but this one, which Mininet's prompt needs.
    exec 7<&0
    # A crash of ours ends it, too.
    setpriv --pdeathsig TERM "$ROOT/scripts/mininet/network.py" --engine "$ENGINE" --config "$STATE/gateway.toml" --state "$STATE" \
        <&7 7<&- 8>&- 9>&- &
    MININET_PROCESS=$!
    exec 7<&-
    eventually "$START_TIMEOUT" mininet_is_built || true
    [ -e "$STATE/nodes" ] || die "Mininet has not built the network"
    # Names for its namespaces: from here on they are like any others.
    while read -r space process; do ip netns attach "svpn-$space" "$process"; done <"$STATE/nodes"
}

# It is, or never will be.
mininet_is_built() { [ -e "$STATE/nodes" ] || ! alive "$MININET_PROCESS"; }

start_programs() { echo start >&8; }

# open_prompt: Mininet's, until the user leaves it. An interrupt is the prompt's business as long.
open_prompt() {
    trap '' INT
    echo cli >&8
    close_network
    trap 'exit 130' INT
}

close_network() {
    exec 8>&-
    [ -z "$MININET_PROCESS" ] || wait "$MININET_PROCESS" || true
    MININET_PROCESS=''
}
