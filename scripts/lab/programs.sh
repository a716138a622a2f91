# Starts, watches and stops svpn-forwarder and svpn-gateway in the lab. STATE is the folder of this run's files.
# shellcheck shell=bash

P4RUNTIME_PORT=9559
# Seconds a program may take until it answers.
START_TIMEOUT=30

declare -A DEVICE_ID=([pe1]=1 [p1]=2 [pe2]=3)
declare -A PORT_COUNT=([pe1]=3 [p1]=2 [pe2]=3)

# Process ids of what runs, by name.
declare -A PROCESS=()

# Waits until a command succeeds. eventually SECONDS COMMAND…
eventually() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

alive() { kill -0 "$1" 2>/dev/null; }

tcp_answers() { timeout 1 ip netns exec svpn-gw bash -c "exec 3<>/dev/tcp/$1/$2"; }

# start NAME SPACE COMMAND…: in the background, its output in $STATE/NAME.log. Descriptor 9 is the lock of the demo.
start() {
    local name=$1 space=$2
    shift 2
    ip netns exec "svpn-$space" "$@" >"$STATE/$name.log" 2>&1 </dev/null 9>&- &
    PROCESS[$name]=$!
}

# stop NAME: at once, without a last word; nothing happens if it is gone already.
stop() {
    [ -n "${PROCESS[$1]:-}" ] || return 0
    kill -KILL "${PROCESS[$1]}" 2>/dev/null || true
    wait "${PROCESS[$1]}" 2>/dev/null || true
    unset "PROCESS[$1]"
}

stop_all() {
    local name
    for name in "${!PROCESS[@]}"; do stop "$name"; done
}

# Says why a program that should answer does not, and stops the demo.
not_started() {
    tail -n 20 "$STATE/$1.log" >&2
    die "$1 does not answer; the end of its log ($STATE/$1.log) stands above"
}

start_forwarder() {
    local router=$1 port ports=()
    for ((port = 1; port <= PORT_COUNT[$router]; port++)); do
        ports+=(--port "$port=net_af_packet$port,iface=eth$port")
    done
    # Each forwarder gets its memory from ordinary pages and leaves nothing behind in the file system. A router has its processors for
    # itself; here it has at least the first claim to them.
    start "forwarder-$router" "$router" nice -n -15 "$FORWARDER" --device-id "${DEVICE_ID[$router]}" \
        --grpc "${MANAGEMENT_ADDRESS[$router]}:$P4RUNTIME_PORT" "${ports[@]}" --workers 1 \
        -- --no-huge -m 256 --no-pci --in-memory
}

start_routers() {
    local router
    for router in "${ROUTERS[@]}"; do
        start_forwarder "$router"
    done
    for router in "${ROUTERS[@]}"; do
        eventually "$START_TIMEOUT" tcp_answers "${MANAGEMENT_ADDRESS[$router]}" "$P4RUNTIME_PORT" || not_started "forwarder-$router"
    done
}

write_configuration() {
    sed "s|@STATE@|$STATE|" "$LAB/gateway.toml" >"$STATE/gateway.toml"
}

start_gateway() {
    start gateway gw "$GATEWAY" --config "$STATE/gateway.toml"
    eventually "$START_TIMEOUT" grep -q 'every router is ready' "$STATE/gateway.log" || not_started gateway
}

# Every entry of every table of every router, one a line, sorted: read from the routers themselves.
# read_tables FILE
read_tables() {
    inside gw timeout 20 "$GATEWAY" tables --config "$STATE/gateway.toml" >"$1" 2>"$1.err" ||
        { cat "$1.err" >&2; die "the routers' tables cannot be read"; }
}

# verify_tables NAME TEXT: the routers hold what $STATE/NAME.tables says. A gateway goes on tidying up after it has answered.
verify_tables() {
    local before=$STATE/$1.tables after=$STATE/now.tables
    if eventually 5 same_tables "$before" "$after"; then
        passed "$2: $(wc -l <"$before") entries, no difference"
    else
        failed "$2: no, there are differences:"
        diff "$before" "$after" | sed -n 's/^[<>]/     &/p' | head -n 20
    fi
}

same_tables() {
    read_tables "$2"
    cmp -s "$1" "$2"
}
