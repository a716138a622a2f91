#!/usr/bin/env python3
"""Makes cases.txt of the tests that p4testgen wrote with `--test-backend PROTOBUF_IR`.

Usage: convert.py NOTE... -- DIRECTORY...

Writes to standard output: the notes as comments, what was left out and why, then one case for each way through the program that no case
before it took, but few of those that differ in the parser alone. Two tests took the same way if the same parser states were visited, as much
of the frame was there for each, each table was left by the same action, and the same reasons were given. Standard error has the notes, too.

The form of a case, all numbers in hexadecimal but ports and lengths of prefixes:

    case COUNT                                      from empty tables on
    insert TABLE FIELD=VALUE... -> ACTION NAME=VALUE... [colour=COLOUR]
        VALUE of a key: exact N, prefix N/LENGTH, ternary N&MASK, range N..N; what matches everything is left out
        colour: what the entry's meter has to make of every packet, of tables that have one
        priority=N is that of the entry, of tables that have priorities
    receive PORT FRAME                              or packet-out PORT FRAME: comes from the controller, for that port
    send PORT FRAME                                 or punt REASON vrf=N: the frame as received; or drop REASON
"""

import pathlib
import re
import sys
from collections import Counter

CPU_PORT = 510
COLOURS = ["green", "yellow", "red"]
# Names that the model gives to what is one thing in the program.
TABLES = {"ilm_below": "ilm"}
ACTIONS = {"police_punt": "police"}

TOKEN = re.compile(r'''\s+|\#.*|(?P<name>[\w.]+)|(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<mark>[{}:])''')
REASON = re.compile(r"    (\w+) = (\d+),?")
ESCAPE = re.compile(r"\\x(..)")
BRANCH = re.compile(r"\[Table Branch: (\w+).*(?:Chosen action|default action): (\w+)")
TOO_LONG = re.compile(r"\[If Statement\]: meta\.excess == 0 .*Result: (\w+)")
LENGTH = re.compile(r"Computed: meta\.length_out = (\d+)")
# Of ways that differ in the parser alone, so many are enough.
MOST_PARSED = 5


class LeftOut(Exception):
    """Why a test cannot be a case."""


def parse(text):
    """A message in protobuf's text form: each field's name with its values, messages likewise."""
    tokens = [(match.lastgroup, match.group(match.lastgroup)) for match in TOKEN.finditer(text) if match.lastgroup]
    stack, name = [{}], None
    for kind, token in tokens:
        if token == "{" and kind == "mark":
            stack.append({})
            stack[-2].setdefault(name, []).append(stack[-1])
            name = None
        elif token == "}" and kind == "mark":
            stack.pop()
        elif kind == "mark":
            continue
        elif name is None:
            name = token
        else:
            stack[-1].setdefault(name, []).append(token[1:-1] if kind == "string" else token)
            name = None
    assert len(stack) == 1, "braces do not match"
    return stack[0]


def octets(string):
    return bytes(int(octet, 16) for octet in ESCAPE.findall(string))


def number(value):
    """The number in an IrValue."""
    return int(value["hex_str"][0], 16)


def matched(match, mask_of_all):
    """How a key's field is matched; None where it matches everything."""
    if "exact" in match:
        return f"{number(match['exact'][0]):x}"
    if "lpm" in match:
        lpm = match["lpm"][0]
        length, bits = int(lpm["prefix_length"][0]), 4 * (len(lpm["value"][0]["hex_str"][0]) - 2)
        prefix = number(lpm["value"][0]) >> (bits - length) << (bits - length)
        return f"{prefix:x}/{length}" if length else None
    if "ternary" in match:
        value, mask = number(match["ternary"][0]["value"][0]), number(match["ternary"][0]["mask"][0])
        return f"{value & mask:x}&{mask:x}" if mask else None
    if "range" in match:
        low, high = number(match["range"][0]["low"][0]), number(match["range"][0]["high"][0])
        return None if (low, high) == (0, mask_of_all) else f"{low:x}..{high:x}"
    raise LeftOut(f"a key's field is matched as {list(match)}")


def entry(table_entry):
    name = table_entry["table_name"][0]
    keys = []
    if "priority" in table_entry:
        keys.append(f"priority={int(table_entry['priority'][0]):x}")
    for match in table_entry.get("matches", []):
        # The only ranges are of transport ports.
        said = matched(match, 0xFFFF)
        if said is not None:
            keys.append(f"{match['name'][0]}={said}")
    choice = table_entry.get("action_set", [{"actions": [table_entry]}])[0]
    action = choice["actions"][0]["action"][0]
    params = [(param["name"][0], number(param["value"][0])) for param in action.get("params", [])]
    said = [f"{key}={COLOURS[value] if key == 'colour' else format(value, 'x')}" for key, value in params]
    action_name = action["name"][0]
    return " ".join(["insert", TABLES.get(name, name), *keys, "->", ACTIONS.get(action_name, action_name), *said])


def last_reason(traces, names):
    """What the program said last of why the packet goes no further."""
    said = [re.search(r"Computed: meta\.reason = (\d+);", trace) for trace in traces]
    said = [match.group(1) for match in said if match]
    if not said or int(said[-1]) == 0:
        raise LeftOut("dropped without a reason")
    return names[int(said[-1])]


def outcome(test, received, names):
    if "expected_output_packet" not in test:
        return f"drop {last_reason(test['traces'], names)}"
    if len(test["expected_output_packet"]) != 1:
        raise LeftOut("several packets come out")
    output = test["expected_output_packet"][0]
    packet, mask, port = octets(output["packet"][0]), octets(output["packet_mask"][0]), int(output["port"][0])
    if any(octet != 0xFF for octet in mask):
        raise LeftOut("p4testgen does not know all of what comes out")
    if port != CPU_PORT:
        return f"send {port} {packet.hex()}"
    head = int.from_bytes(packet[:5], "big")
    ingress_port, reason, vrf = head >> 31, head >> 16 & 0xFF, head & 0xFFFF
    if packet[5:] != received or ingress_port != int(test["input_packet"][0]["port"][0]):
        raise LeftOut("a punt is not the frame as received")
    return f"punt {names[reason]} vrf={vrf:x}"


def check_length(test, entries):
    """Leaves out what p4testgen got wrong: for a checksum it solves a second time, and keeps the first solution's length of the frame. That
    matters where something else than the frame is compared with that length, or a field that no checksum covers."""
    traces = test["traces"]
    verified = sum("verify_checksum" in trace for trace in traces)
    if verified > 1:
        raise LeftOut("p4testgen takes the checksums of two headers for one")
    # The other checksum is that of the delivery header.
    if verified == 0 and not any(" -> gre_v4 " in line for line in entries):
        return
    wrong = LeftOut("p4testgen solved it twice, for a checksum, and took the length from the first solution")
    if any(trace.startswith("[State] ipv6") for trace in traces):
        raise wrong
    for place, trace in enumerate(traces):
        if compared := TOO_LONG.match(trace):
            length = [match.group(1) for match in map(LENGTH.search, traces[:place]) if match][-1]
            mtu = next(re.search(r" mtu=(\w+)", line).group(1) for line in entries if line.startswith("insert nexthop"))
            if (int(length) <= int(mtu, 16)) != (compared.group(1) == "true"):
                raise wrong


def case(test, names):
    """The lines of a case."""
    arrival = test["input_packet"][0]
    frame, port = octets(arrival["packet"][0]), int(arrival["port"][0])
    entries = [entry(entity["table_entry"][0]) for entity in test.get("entities", [])]
    check_length(test, entries)
    if port == CPU_PORT:
        egress_port = int.from_bytes(frame[:2], "big") >> 7
        if egress_port >= CPU_PORT:
            raise LeftOut("a packet-out for the CPU port, or for what BMv2 takes for a drop")
        return [*entries, f"packet-out {egress_port} {frame[2:].hex()}", outcome(test, frame, names)]
    return [*entries, f"receive {port} {frame.hex()}", outcome(test, frame, names)]


def way(traces):
    """What tells ways through the program apart: what the tables and the program's end decided, and what the parser did."""
    decided, parsed = [], []
    for trace in traces:
        if branch := BRANCH.match(trace):
            decided.append(branch.groups())
        elif "Computed: meta.reason" in trace:
            decided.append(trace.split("Computed:")[1])
        elif trace.startswith(("[State]", "[ExtractFailure]", "[Lookahead: ")):
            parsed.append(trace.split("|")[0])
    return tuple(decided), tuple(parsed)


def main():
    split = sys.argv.index("--")
    notes, directories = sys.argv[1:split], sys.argv[split + 1 :]
    headers = (pathlib.Path(__file__).parent.parent / "headers.p4").read_text()
    names = {int(value): name.lower() for name, value in REASON.findall(headers.split("enum bit<8> Reason")[1].split("}")[0])}
    ways, parsings, cases, left_out, count = set(), Counter(), [], Counter(), 0
    for directory in directories:
        # The number in the name is p4testgen's order.
        files = pathlib.Path(directory).glob("*.txtpb")
        for file in sorted(files, key=lambda file: int(file.stem.rsplit("_", 1)[1])):
            count += 1
            test = parse(file.read_text())
            try:
                lines = case(test, names)
            except LeftOut as reason:
                left_out[str(reason)] += 1
                continue
            decided, parsed = way(test["traces"])
            if (decided, parsed) not in ways:
                ways.add((decided, parsed))
                parsings[decided] += 1
                if parsings[decided] <= MOST_PARSED:
                    cases.append(lines)
    notes.append(f"{count} tests took {len(ways)} ways; {len(cases)} of them are cases: those that differ in the parser alone at most {MOST_PARSED} times.")
    notes.extend(f"Left out {times} tests: {reason}." for reason, times in left_out.items())
    print("\n".join(f"# {note}" for note in notes))
    for index, lines in enumerate(cases):
        print("\n".join([f"case {index + 1}", *lines]))
    print("\n".join(notes), file=sys.stderr)


if __name__ == "__main__":
    main()
