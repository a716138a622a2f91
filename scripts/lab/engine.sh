# The engines a router can run (engines/), and what the judge has to know of each. The gateway knows none of it: it is told a file for
# each router that it hands over unread, as P4Runtime's device configuration.
# shellcheck shell=bash disable=SC2034 # the scenes use it

ENGINES=(forwarder bmv2)

# choose_engine NAME
choose_engine() {
    ENGINE=$1
    case "$ENGINE" in
        forwarder)
            ENGINE_PROGRAM=svpn-forwarder
            DEVICE_CONFIGURATION=''
            # Links, sessions and load are what the scenes say, divided by this.
            RATE_DIVISOR=1
            # Per cent of a granted rate by which what arrives may differ.
            RATE_TOLERANCE=1
            # Milliseconds in which a way that is cut off may swallow packets.
            FAIL_OVER_LIMIT=50
            HAS_METRICS=yes
            ;;
        bmv2)
            ENGINE_PROGRAM="BMv2's simple_switch_grpc"
            DEVICE_CONFIGURATION=$ROOT/p4/compiled/bmv2.json
            RATE_DIVISOR=5
            # Half a second of the slower session is 179 packets: two more or less are over 1 %.
            RATE_TOLERANCE=3
            # It looks at its ports' links a few times a second.
            FAIL_OVER_LIMIT=1000
            HAS_METRICS=no
            has simple_switch_grpc || die "the engine bmv2 needs simple_switch_grpc on the PATH, which Debian does not have:" \
                "it comes with p4lang's packages (p4lang-bmv2); https://github.com/p4lang/behavioral-model says how to get them"
            ;;
        *) die "there is no engine '$ENGINE'; there are: ${ENGINES[*]}" ;;
    esac
}
