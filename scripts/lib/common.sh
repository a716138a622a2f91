# Shared by all scripts: where we are, how we speak, how we stop.
# shellcheck shell=bash disable=SC2034 # what is unused here is used by who reads this

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export ROOT
# What runs, wherever we go.
SCRIPT=$(realpath "$0")

# Cargo installed by rustup is not on root's PATH in every shell.
case ":$PATH:" in
    *":${CARGO_HOME:-$HOME/.cargo}/bin:"*) ;;
    *) PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin" ;;
esac
export PATH

if [ -t 1 ]; then
    BOLD=$'\e[1m' RED=$'\e[31m' GREEN=$'\e[32m' YELLOW=$'\e[33m' PLAIN=$'\e[0m'
else
    BOLD='' RED='' GREEN='' YELLOW='' PLAIN=''
fi

step() { printf '\n%s== %s%s\n' "$BOLD" "$*" "$PLAIN"; }
note() { printf '   %s\n' "$*"; }
warn() { printf '%s!! %s%s\n' "$YELLOW" "$*" "$PLAIN" >&2; }
die() {
    printf '%serror: %s%s\n' "$RED" "$*" "$PLAIN" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

need_root() {
    [ "$(id -u)" -eq 0 ] || die "$1 needs root: $2. Run it as root, or with sudo."
}

# The help of a script: the comment below its first line.
print_help() { sed -n '2,$!d; /^#/!q; s/^# \{0,1\}//p' "$SCRIPT"; }

# Where builds go; Cargo's own variable decides.
target_directory() { printf '%s\n' "${CARGO_TARGET_DIR:-$ROOT/target}"; }

# build_programs OPTION…: by cargo build, unless SVPN_BUILT says that they are there: scripts/test builds them once for all who run them,
# since Cargo compiles the libraries anew for every other set of packages.
build_programs() { [ -n "${SVPN_BUILT-}" ] || (cd "$ROOT" && cargo build --locked --quiet "$@"); }

# Where the Python packages of p4/ptf/requirements.txt are.
ptf_environment() { printf '%s\n' "$(target_directory)/ptf-environment"; }
