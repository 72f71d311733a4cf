#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""A day of the board link and of circularsink, in pieces: what was done is kept, and taken up again.

    day.py [--seconds 86400] [--write]

Half of the time a board streams over a noisy line whose cable is pulled (board.py); in the other half
circularsink gets triggers at random moments, each run of them others (the test circularsink::random).
A piece that fails ends it all. After an interruption the same command goes on; another commit
begins anew. The page gets what was done up to now.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time

import page

HERE = os.path.dirname(os.path.realpath(__file__))
STATE = os.path.join(page.ROOT, "target", "soak-day.json")


def load():
    """What was done of this commit."""
    new = {"commit": page.commit(), "board": 0.0, "reconnections": 0, "frames": 0, "ring": 0.0,
           "triggers": 0, "pieces": 0}
    if not os.path.exists(STATE):
        return new
    with open(STATE) as lines:
        state = json.load(lines)
    if state["commit"] != new["commit"]:
        print(f"what was done was of {state['commit']}: beginning anew", flush=True)
        return new
    return state


def save(state):
    os.makedirs(os.path.dirname(STATE), exist_ok=True)
    with open(STATE + ".new", "w") as new:
        json.dump(state, new)
    os.replace(STATE + ".new", STATE)


def run(command, environment=None):
    """Runs a piece; answers with what it printed and how long it took."""
    start = time.monotonic()
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env=environment, cwd=page.ROOT, check=False)
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed with {result.returncode}:\n{result.stdout[-8000:]}")
    return result.stdout, time.monotonic() - start


def number(pattern, text):
    found = re.search(pattern, text)
    if not found:
        sys.exit(f"no '{pattern}' in what the piece says:\n{text[-4000:]}")
    return int(found[1])


def board(state, arguments, seconds):
    output, took = run([sys.executable, os.path.join(HERE, "board.py"), "--seconds", str(seconds),
                        "--plugins", arguments.plugins, "--sim", arguments.sim])
    state["board"] += took
    state["reconnections"] += number(r"(\d+) reconnections, no leak", output)
    state["frames"] += number(r"(\d+) arrived", output)


def ring(state, arguments, seconds):
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        environment = dict(os.environ, SOAK=str(arguments.triggers),
                           SOAK_SEED=str(state["triggers"] + 1))
        output, _ = run(arguments.ring.split(), environment)
        state["triggers"] += number(r"(\d+) triggers", output)
        state["ring"] += time.monotonic() - start
        start, seconds = time.monotonic(), seconds - (time.monotonic() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=86400)
    parser.add_argument("--piece", type=int, default=1800, help="seconds of each piece")
    parser.add_argument("--triggers", type=int, default=100, help="of each run of the test")
    parser.add_argument("--plugins", default="target/release")
    parser.add_argument("--sim", default="target/release/k210-sim")
    parser.add_argument("--ring", default="cargo test --locked --test elements circularsink::random "
                        "-- --nocapture", help="the command that runs the test")
    parser.add_argument("--write", action="store_true", help="put what was done into the page")
    arguments = parser.parse_args()
    state = load()
    while (done := state["board"] + state["ring"]) < arguments.seconds:
        print(f"{done:.0f} s of {arguments.seconds} are done", flush=True)
        piece = min(arguments.piece, max(60, (arguments.seconds - done) / 2))
        # Whichever is behind.
        (board if state["board"] <= state["ring"] else ring)(state, arguments, int(piece))
        state["pieces"] += 1
        save(state)
    text = (
        "| | time | what was done | lost, doubled, leaked, hung |\n|---|---|---|---|\n"
        f"| board link: noise on the line, the cable pulled every 20 s | {state['board'] / 60:.0f} min "
        f"| {state['frames']} frames, {state['reconnections']} reconnections | nothing |\n"
        f"| `circularsink`: triggers at random moments | {state['ring'] / 60:.0f} min "
        f"| {state['triggers']} triggers | nothing |")
    print(text)
    if arguments.write:
        page.replace("day", f"{page.stamp()}; `make soak-day SOAK_TIME={arguments.seconds}`, in "
                     f"{state['pieces']} pieces\n\n{text}")


if __name__ == "__main__":
    main()
