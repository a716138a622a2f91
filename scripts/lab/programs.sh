# Starts, watches and stops programs in the lab. STATE is the folder of this run's files.
# shellcheck shell=bash

# Seconds a program may take until it answers.
START_TIMEOUT=30

# Process ids of what runs, by name.
declare -A PROCESS=()
# Begins the command of what is to end when this shell does, however that happens; empty if it is to live on.
LIFELINE=(setpriv --pdeathsig KILL)

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

tcp_answers() { inside "$GATEWAY_SPACE" timeout 1 bash -c "exec 3<>/dev/tcp/$1/$2"; }

# start NAME SPACE COMMAND…: in the background, its output in $STATE/NAME.log. Descriptor 9 is the lock of the lab, 8 is Mininet's.
# What is typed at the terminal does not reach it: an interrupt is for this shell, or for Mininet's prompt.
start() {
    local name=$1 space=$2
    shift 2
    "${LIFELINE[@]}" setsid ip netns exec "svpn-$space" "$@" >"$STATE/$name.log" 2>&1 </dev/null 8>&- 9>&- &
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

# Says why a program that should answer does not, and ends it all.
not_started() {
    tail -n 20 "$STATE/$1.log" >&2 || true
    die "$1 does not answer; the end of its log ($STATE/$1.log) stands above"
}

start_routers() {
    local router
    start_programs
    for router in "${ROUTERS[@]}"; do
        eventually "$START_TIMEOUT" tcp_answers "${MANAGEMENT_ADDRESS[$router]}" "${P4RUNTIME_PORT[$router]}" || not_started "router-$router"
    done
}

# write_configuration [PEER]: for the chosen engine, with this run's files and capacities; with the other provider's gateway, if there is a word.
write_configuration() {
    local file files=(gateway) device=()
    [ -z "$DEVICE_CONFIGURATION" ] || device=(-e "/^device_id /a device_config = \"$DEVICE_CONFIGURATION\"")
    [ $# -eq 0 ] || files+=(abroad nni)
    for file in "${files[@]}"; do
        sed -e "s|@STATE@|$STATE|" -e "s|^capacity = .*|capacity = \"$LINK_CAPACITY bit/s\"|" "${device[@]}" "$LAB/$file.toml" >"$STATE/$file.toml"
    done
    if [ $# -eq 0 ]; then
        read_plan "$STATE/gateway.toml"
    else
        cat "$STATE/nni.toml" >>"$STATE/gateway.toml"
        read_plan "$STATE/gateway.toml" "$STATE/abroad.toml"
    fi
}

start_gateway() {
    start gateway "$GATEWAY_SPACE" "$GATEWAY" --config "$STATE/gateway.toml"
    eventually "$START_TIMEOUT" grep -q 'every router is ready' "$STATE/gateway.log" || not_started gateway
}

# Every entry of every table of every router, one a line, sorted: read from the routers themselves.
# read_tables FILE
read_tables() {
    inside "$GATEWAY_SPACE" timeout 20 "$GATEWAY" tables --config "$STATE/${OF_GATEWAY:-gateway}.toml" >"$1" 2>"$1.err" ||
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
