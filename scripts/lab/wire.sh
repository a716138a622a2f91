# What is on the wires, judged by tshark.
# shellcheck shell=bash

# Where captures of these names are made: at the end of a link, where a site has its host, and where one signals.
declare -A TAP=([pe1-p1]="p1 eth1" [pe1-p2]="p2 eth1" [p1-pe2]="pe2 eth3" [p2-pe2]="pe2 eth4" [to-north]="pe3 eth2" [from-north]="pe2 eth5"
    [a-west]="a-west eth0" [b-west]="b-west eth0" [sip-east]="a-east sig0" [sip-north]="a-north sig0")

# start_captures NAME…: what arrives there, into $STATE/NAME.pcap.
start_captures() {
    local name space device
    for name; do
        read -r space device <<<"${TAP[$name]}"
        start "capture-$name" "$space" tcpdump -i "$device" -Q in --immediate-mode -U -Z root -w "$STATE/$name.pcap"
        eventually 5 grep -q '^tcpdump: listening' "$STATE/capture-$name.log" || die "tcpdump does not start: $STATE/capture-$name.log"
    done
}

# stop_captures NAME…: tcpdump gets and writes every packet at once, so that a moment is enough for the last ones.
stop_captures() {
    local name
    sleep 0.3
    for name; do stop "capture-$name"; done
}

# captured NAME: how many frames, without the probes of links.
captured() { tcpdump -r "$STATE/$1.pcap" --count 'not ether proto 0x88cc' 2>/dev/null | sed -n 's/^\([0-9]*\) packets\{0,1\}$/\1/p'; }

# wire_gre NAME: of the echo requests in a capture: the outer addresses, the protocols, what is in GRE, the label's fields (label, TC, bottom
# of stack), and TTL and DSCP of both IP headers, the outer first.
wire_gre() {
    tshark -r "$STATE/$1.pcap" -Y 'gre and icmp.type == 8' -T fields -E separator=' ' -E aggregator=, -e ip.src -e ip.dst -e frame.protocols \
        -e gre.proto -e mpls.label -e mpls.exp -e mpls.bottom -e ip.ttl -e ip.dsfield.dscp 2>"$STATE/tshark-$1.errors" |
        sed 's/^\([^, ]*\),[^ ]* \([^, ]*\),[^ ]*/\1 \2/' | sort -u
}

# wire_stacks_v6 NAME: as wire_stacks, of IPv6, whose hop limit stands for the TTL.
wire_stacks_v6() {
    tshark -r "$STATE/$1.pcap" -Y 'icmpv6.type == 128' -T fields -E separator=' ' -E aggregator=, \
        -e mpls.label -e mpls.exp -e mpls.bottom -e mpls.ttl -e ipv6.hlim 2>"$STATE/tshark-$1.errors" | sort -u
}

# wire_stacks NAME: the distinct label stacks of the echo requests in a capture: label, TC, bottom-of-stack bit and TTL of all labels,
# each list top first with commas between, and then the TTL of the IP header inside.
wire_stacks() {
    tshark -r "$STATE/$1.pcap" -Y 'icmp.type == 8' -T fields -E separator=' ' -E aggregator=, \
        -e mpls.label -e mpls.exp -e mpls.bottom -e mpls.ttl -e ip.ttl 2>"$STATE/tshark-$1.errors" | sort -u
}
