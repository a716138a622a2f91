"""Says how much of a Tofino a program takes, of what p4c's back end wrote: usage: tofino_resources.py OUTPUT_DIRECTORY

The compiler ends with 0 even where it needs more stages than there are: the exit status of this is 1 then. Stages, tables, SRAM and
TCAM blocks are counted in `pipe/logs/resources.json`, which gress a table is of in `pipe/tna.bfa`, containers in `pipe/logs/phv.json`.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

STAGES = {"tofino": 12, "tofino2": 20}
SRAM_BLOCKS, TCAM_BLOCKS, LOGICAL_TABLES = 80, 24, 16
GRESSES = ("ingress", "egress")


def stages_of(assembly):
    """The stages that have a table, of each gress."""
    found, here = {gress: set() for gress in GRESSES}, None
    for line in assembly.splitlines():
        if heading := re.match(r"stage (\d+) (ingress|egress):", line):
            here = heading
        elif re.match(r"\S", line):
            here = None
        elif here and re.match(r"  (exact_match|ternary_match|hash_action|gateway|proxy_hash_match|atcam_match|alpm_match) ", line):
            found[here[2]].add(int(here[1]))
    return found


def gress_of(name):
    """Of a table as resources.json names it; whatever the shell does not name is of ingress or a step of its own."""
    return "egress" if name.startswith(("Egress.", "tbl_rewrite_frame")) else "ingress"


def used(blocks):
    return Counter(gress_of(usage["used_by"]) for block in blocks for usage in block["usages"][:1])


def containers(phv):
    """How many containers of each kind and width a gress has: tagalong ones no table sees, mocha and dark ones have poorer actions."""
    return Counter((container["gress"], container["container_type"], container["bit_width"]) for container in phv["containers"])


def main():
    output = Path(sys.argv[1])
    target = json.loads((output / "manifest.json").read_text())["target"]
    mau = json.loads((output / "pipe/logs/resources.json").read_text())["resources"]["mau"]["mau_stages"]
    stages = stages_of((output / "pipe/tna.bfa").read_text())
    phv = containers(json.loads((output / "pipe/logs/phv.json").read_text()))
    print(f"{target}, stages of {STAGES[target]}:", ", ".join(f"{gress} {max(stages[gress]) + 1}" for gress in GRESSES))
    print(f"| stage | logical tables of {LOGICAL_TABLES} | SRAM blocks of {SRAM_BLOCKS}: ingress, egress | TCAM blocks of {TCAM_BLOCKS}: ingress, egress |\n|---|---|---|---|")
    sums = Counter()
    for stage in mau:
        srams, tcams = used(stage["rams"]["srams"]), used(stage["tcams"]["tcams"])
        tables = len(stage["logical_tables"]["ids"])
        print(f"| {stage['stage_number']} | {tables} | {srams['ingress']}, {srams['egress']} | {tcams['ingress']}, {tcams['egress']} |")
        sums["tables"] += tables
        for gress in GRESSES:
            sums["SRAM", gress] += srams[gress]
            sums["TCAM", gress] += tcams[gress]
    print(f"| all | {sums['tables']} | {sums['SRAM', 'ingress']}, {sums['SRAM', 'egress']} | {sums['TCAM', 'ingress']}, {sums['TCAM', 'egress']} |")
    for (gress, kind, bits), count in sorted(phv.items()):
        print(f"PHV, {gress}, {kind} containers of {bits} bits: {count}")
    return max(max(of_gress) for of_gress in stages.values()) >= STAGES[target]


if __name__ == "__main__":
    sys.exit(main())
