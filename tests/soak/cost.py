#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What reading an AVI costs for each byte, whatever is in it (crates/avi/examples/cost.rs).

    cost.py [--mebibytes 16] [--write]

Fails where a byte costs more than LIMIT nanoseconds of CPU time.
"""

import argparse
import re
import subprocess
import sys

import page

LIMIT = 40


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mebibytes", type=int, default=16)
    parser.add_argument("--program", default="target/release/examples/cost")
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    arguments = parser.parse_args()
    ran = subprocess.run([arguments.program, str(arguments.mebibytes)], stdout=subprocess.PIPE,
                         text=True, check=True, cwd=page.ROOT)
    table = ran.stdout.strip()
    page.tell("cost", f"`make soak-cost`, {arguments.mebibytes} MiB of each, the best of three", table,
              arguments.write)
    rows = [re.findall(r"[^|]+", row) for row in table.split("\n")[2:]]
    if not rows:
        sys.exit("nothing was measured")
    faults = [row[0].strip() for row in rows if max(float(row[1]), float(row[3])) > LIMIT]
    if faults:
        sys.exit(f"more than {LIMIT} ns a byte: {', '.join(faults)}")


if __name__ == "__main__":
    main()
