# Says what was found, counts it, and knows at the end whether all was as it should be.
# shellcheck shell=bash

PASSED=0
FAILED=0

passed() {
    PASSED=$((PASSED + 1))
    printf ' %s✔%s %s\n' "$GREEN" "$PLAIN" "$*"
}

failed() {
    FAILED=$((FAILED + 1))
    printf ' %s✘ %s%s\n' "$RED" "$*" "$PLAIN"
}

# verify TEXT COMMAND…: the text holds if the command succeeds.
verify() {
    local text=$1
    shift
    if "$@"; then passed "$text"; else failed "$text"; fi
}

# verify_equal TEXT EXPECTED FOUND
verify_equal() {
    if [ "$2" = "$3" ]; then passed "$1: $3"; else failed "$1: ${3:-nothing}, but should be $2"; fi
}

# verify_match TEXT REGULAR_EXPRESSION FOUND: all of what was found matches.
verify_match() {
    if [[ $3 =~ ^($2)$ ]]; then passed "$1: $3"; else failed "$1: ${3:-nothing}, but should look like $2"; fi
}

# verify_at_most TEXT LIMIT FOUND: both whole numbers, not below 0.
verify_at_most() {
    if [[ $3 =~ ^[0-9]+$ ]] && [ "$3" -le "$2" ]; then passed "$1: $3"; else failed "$1: ${3:-nothing}, but should be $2 at most"; fi
}

# verify_near TEXT PERCENT EXPECTED FOUND UNIT: both whole numbers.
verify_near() {
    local text=$1 percent=$2 expected=$3 found=$4 unit=$5 verdict
    verdict=$(awk -v e="$expected" -v f="${found:-0}" -v p="$percent" \
        'BEGIN { d = (f - e) * 100 / e; printf "%s %+.2f", (d <= p && d >= -p) ? "near" : "far", d }')
    if [ "${verdict% *}" = near ]; then
        passed "$text: $found $unit, ${verdict#* } % of $expected"
    else
        failed "$text: ${found:-0} $unit, ${verdict#* } % of $expected, but should be within $percent %"
    fi
}

# not_applicable TEXT: what the engine has not; neither passed nor failed.
not_applicable() { printf ' - %s: not applicable to %s\n' "$*" "$ENGINE_PROGRAM"; }
