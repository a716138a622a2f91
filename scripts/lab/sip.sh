# The applications' SIP agents: sipp with the scenarios in sipp/. An agent is named after its files: $STATE/sip-NAME.*
# shellcheck shell=bash

PROVIDER_DOMAIN=provider.example
SIP_PORT=5060
# Where callees wait for calls, and where everybody else signs in from or calls from.
CALLEE_PORT=5070
REGISTER_PORT=5080
# Every call has a port of its own, from here on.
NEXT_CALLER_PORT=5090
# Seconds an agent may take for what does not wait for people.
SIGNALLING_TIMEOUT=20

# The host of a VPN's addresses of record.
vpn_domain() { printf '%s.%s' "$1" "$PROVIDER_DOMAIN"; }

secret_of() { printf '%s-%s-secret' "${2#vpn-}" "$1"; }

# sipp_arguments NAME SITE SCENARIO PORT: into the array SIPP.
sipp_arguments() {
    local name=$1 site=$2 scenario=$3 port=$4
    SIPP=(sipp "$GATEWAY_SIGNALLING_ADDRESS:$SIP_PORT" -sf "$LAB/sipp/$scenario.xml" -nostdin
        -i "${SIGNALLING_ADDRESS[$site]}" -p "$port"
        -trace_err -error_file "$STATE/sip-$name.errors" -trace_msg -message_file "$STATE/sip-$name.messages")
}

# register SITE APPLICATION VPN SECRET: signs in; what the gateway says to the proof is printed: 200, 401, …
register() {
    local site=$1 application=$2 vpn=$3 secret=$4 name
    name="register-$site-$application-$RANDOM"
    sipp_arguments "$name" "$site" register "$REGISTER_PORT"
    if inside "$site" "${SIPP[@]}" -m 1 -timeout "$SIGNALLING_TIMEOUT" -timeout_error -au "$application" -ap "$secret" \
        -key application "$application" -key domain "$(vpn_domain "$vpn")" -key ce "$site" -key contact_port "$CALLEE_PORT" \
        >"$STATE/$name.log" 2>&1; then
        echo 200
    else
        sed -n "s|.*while expecting .*received 'SIP/2.0 \([0-9]*\).*|\1|p" "$STATE/sip-$name.errors" | grep . || echo none
    fi
}

# callee SITE SCENARIO: an agent that treats every call as the scenario says; instead of the one that waited there before.
callee() {
    local site=$1 scenario=$2
    stop "callee-$site"
    sipp_arguments "callee-$site" "$site" "$scenario" "$CALLEE_PORT"
    start "callee-$site" "$site" "${SIPP[@]}" -key address_type "${ADDRESS_TYPE:-IP4}" -key address "${SITE_ADDRESS[$site]}"
    eventually 5 udp_port_open "$site" "$CALLEE_PORT" || die "the callee's agent in svpn-$site does not start: $STATE/callee-$site.log"
}

udp_port_open() { inside "$1" ss --no-header --udp --listening --numeric "sport = :$2" | grep -q .; }

# call NAME SITE VPN BIT_RATE [SCENARIO [TIMES]]: CALLER, or else storage, asks for a session with backup, over TUNNEL, or else mpls, and
# holds it until hang_up NAME. TIMES are those of
# t= (RFC 8866): from now until somebody hangs up, if there are none.
# Waits for the final response: its status is then in CALL_STATUS, all of it in $STATE/sip-NAME.response.
call() {
    local name=$1 site=$2 vpn=$3 rate=$4 scenario=${5:-call} times=${6:-0 0} caller=${CALLER:-storage}
    CALL_ID[$name]="$name-$RANDOM$RANDOM"
    CALL_SITE[$name]=$site
    CALL_PORT[$name]=$((NEXT_CALLER_PORT++))
    sipp_arguments "$name" "$site" "$scenario" "${CALL_PORT[$name]}"
    start "$name" "$site" "${SIPP[@]}" -m 1 -cid_str "${CALL_ID[$name]}" -au "$caller" -ap "$(secret_of "$caller" "$vpn")" \
        -key application "$caller" -key callee backup -key domain "$(vpn_domain "$vpn")" \
        -key callee_domain "${CALLEE_DOMAIN:-$(vpn_domain "$vpn")}" -key address_type "${ADDRESS_TYPE:-IP4}" -key address "${SITE_ADDRESS[$site]}" \
        -key bandwidth "$rate" -key times "$times" -key changed "${CHANGED_RATE:-0}" \
        -key changed_address "${CHANGED_ADDRESS:-${SITE_ADDRESS[$site]}}" -key svpn "class=5;match=hosts;tunnel=${TUNNEL:-mpls}"
    eventually "$SIGNALLING_TIMEOUT" save_final_response "$name" || true
    CALL_STATUS=$(sed -n '1s|^SIP/2.0 \([0-9]*\).*|\1|p' "$STATE/sip-$name.response")
    CALL_STATUS=${CALL_STATUS:-none}
}
declare -A CALL_ID=() CALL_SITE=() CALL_PORT=()

# The scenarios write the final response to the error log, which sipp writes at once, unlike its message log.
save_final_response() {
    tr -d '\r' <"$STATE/sip-$1.errors" 2>/dev/null | sed '1,/Final response:$/d' >"$STATE/sip-$1.response"
    [ -s "$STATE/sip-$1.response" ]
}

# The value of a line of the session description in the final response: answer_line NAME a=svpn-session:
answer_line() { sed -n "s|^$2||p" "$STATE/sip-$1.response" | head -n 1; }

# vpn_label NAME: by which the callee's PE knows what comes from the caller.
vpn_label() { answer_line "$1" a=svpn-label: | cut -d ' ' -f 1; }

# hang_up NAME: the scenario sends BYE.
hang_up() {
    nudge "$1"
    call_ended "$1"
}

# change NAME: the scenario `change` asks for CHANGED_RATE, from CHANGED_ADDRESS if there was one; until both the gateway and the callee agreed.
change() {
    nudge "$1"
    eventually "$SIGNALLING_TIMEOUT" grep -q 'Changed to:' "$STATE/sip-$1.errors"
}

# nudge NAME: the scenario waits for a request with its Call-ID, and goes on when it comes.
nudge() {
    local name=$1 address=${SIGNALLING_ADDRESS[${CALL_SITE[$1]}]} port=${CALL_PORT[$1]}
    # shellcheck disable=SC2016 # the inner shell expands it
    inside "${CALL_SITE[$name]}" bash -c 'printf "%s\r\n" "$@" | cat >"/dev/udp/$0"' "$address/$port" \
        "INFO sip:storage@$address:$port SIP/2.0" "Via: SIP/2.0/UDP $address:9;branch=z9hG4bK-hang-up" \
        "From: <sip:demo@$address>;tag=demo" "To: <sip:storage@$address>" "Call-ID: ${CALL_ID[$name]}" "CSeq: 1 INFO" "Content-Length: 0" ""
}

# Waits for the end of a caller's scenario; fails if it did not end well.
call_ended() {
    # shellcheck disable=SC2153 # declared in programs.sh
    local process=${PROCESS[$1]}
    unset "PROCESS[$1]"
    eventually "$SIGNALLING_TIMEOUT" gone "$process" || { kill -KILL "$process" 2>/dev/null; wait "$process" 2>/dev/null || true; return 1; }
    wait "$process"
}

gone() { ! alive "$1"; }
