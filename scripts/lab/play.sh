# What scripts/demo and scripts/mininet/run have in common: one run at a time, what has to be built, the scenes one after the other, and
# that nothing is left behind. Whoever reads this has read lib/common.sh before, and reads a backend of network.sh after it.
#
# A scene is a function in scenes/ that begins with `step`, does something and has `verify` say whether it came out as it should; it may
# build on what the scenes before it left. To add one, write it there and name it in SCENES of scripts/demo, scripts/mininet/run, or both.
# shellcheck shell=bash

LAB=$ROOT/scripts/lab
STATE=/run/svpn-lab
for part in report engine network programs sip traffic wire scenes/{beginning,providers,gre,ipv6,sessions,reservations,mobility,failures,end}; do
    # shellcheck disable=SC1090 # each is checked on its own
    . "$LAB/$part.sh"
done

# Whether the lab is finished, kept, or broke off.
OUTCOME=unfinished

# take_the_lab SCRIPT: the lab is ours as long as this shell lives; what a crash left, or --keep, is removed.
take_the_lab() {
    need_root "$1" "it makes network namespaces"
    exec 9>/run/svpn-lab.lock
    # What a killed run was waiting for holds the lock for some seconds more.
    flock --timeout 20 9 || die "the lab is taken: another scripts/demo or scripts/mininet/run is running"
    remove_network
    rm -rf "$STATE"
}

# build PURPOSE: what scripts/setup installs for this purpose, and our own programs.
build() {
    step "Building"
    "$ROOT/scripts/setup" --for "$1"
    export FORWARDER GATEWAY
    FORWARDER=$(target_directory)/debug/svpn-forwarder
    GATEWAY=$(target_directory)/debug/svpn-gateway
    local packages=(-p svpn-gateway)
    [ "$ENGINE" != forwarder ] || packages+=(-p svpn-forwarder)
    build_programs "${packages[@]}"
}

# play SCENE…
play() {
    local scene
    trap leave_the_lab EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    mkdir -p "$STATE"
    for scene in "$@"; do "$scene"; done
}

leave_the_lab() {
    local status=$?
    trap - EXIT
    if [ "$OUTCOME" = kept ]; then
        # The programs live on without this shell.
        disown -a
        exit "$status"
    fi
    [ "$OUTCOME" != unfinished ] || warn "this stopped before its end"
    stop_all
    close_network
    remove_network
    if [ "$status" -eq 0 ]; then rm -rf "$STATE"; else note "the logs lie in $STATE"; fi
    exit "$status"
}

# conclude SCRIPT: the sum, and whether all was as it should be.
conclude() {
    [ "$OUTCOME" = kept ] || OUTCOME=finished
    printf '\n%s: %d passed, %d failed\n' "$1" "$PASSED" "$FAILED"
    [ "$FAILED" -eq 0 ]
}
