#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""How long a reader takes to stop, whatever it is reading.

    stops.py [--times N] [--write]

Each seed of the fuzz target `reader`, megabytes of it where it has stretches, is read by avimjpegdemux
at any place and as it comes, and is stopped at N random moments. Fails when one takes more than 200 ms.
"""

import argparse
import glob
import os
import random
import sys
import tempfile
import time

import page

LIMIT = 0.2
LARGEST = 16 << 20
# As fuzz/src/lib.rs has it.
STRETCH = b"\xf0<*>"


def stretched(data):
    made, rest = b"", data
    while STRETCH in rest:
        before, rest = rest.split(STRETCH, 1)
        made += before
        if len(rest) >= 2 and 0 < rest[1] <= len(rest) - 2:
            pattern, wanted = rest[2:2 + rest[1]], 1 << rest[0] % 25
            made += (pattern * (wanted // len(pattern) + 1))[:wanted]
            rest = rest[2 + len(pattern):]
    return (made + rest)[:LARGEST]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--plugins", default="target/release")
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    arguments = parser.parse_args()
    os.environ["GST_PLUGIN_PATH"] = os.path.realpath(arguments.plugins)
    dice = random.Random(1)
    rows, faults = [], []
    with tempfile.TemporaryDirectory() as directory:
        os.environ["GST_REGISTRY"] = os.path.join(directory, "registry")
        import gi
        gi.require_version("Gst", "1.0")
        from gi.repository import Gst
        Gst.init(None)
        seeds = sorted(glob.glob(os.path.join(page.ROOT, "fuzz", "seeds", "reader", "*")))
        if not seeds or arguments.times < 1:
            sys.exit("there is nothing to do")
        for seed in seeds:
            path = os.path.join(directory, "input.avi")
            with open(seed, "rb") as data, open(path, "wb") as file:
                content = stretched(data.read())
                file.write(content)
            worst = []
            for way in ("", "queue !"):
                longest = 0
                for _ in range(arguments.times):
                    # Its pads come when they come, and need not be linked.
                    pipeline = Gst.parse_launch(f"filesrc location={path} ! {way} avimjpegdemux")
                    pipeline.set_state(Gst.State.PLAYING)
                    time.sleep(dice.uniform(0, 0.2))
                    start = time.monotonic()
                    pipeline.set_state(Gst.State.NULL)
                    longest = max(longest, time.monotonic() - start)
                worst.append(longest)
            name = os.path.basename(seed)
            rows.append(f"| `{name}` | {len(content)} | " +
                        " | ".join(f"{seconds * 1000:.0f} ms" for seconds in worst) + " |")
            if max(worst) > LIMIT:
                faults.append(f"{name}: {max(worst):.3f} s")
    table = "\n".join(["| seed | bytes | at any place | as it comes |", "|---|---|---|---|"] + rows)
    page.tell("stops", f"`make soak-stops`, {arguments.times} times each; the longest", table, arguments.write)
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
