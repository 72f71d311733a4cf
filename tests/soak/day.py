#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""A day of the board link and of circularsink, in pieces: what was done is kept, and taken up again.

    day.py [--seconds 86400] [--at-once 1] [--write]

Half of the time a board streams over a noisy line whose cable is pulled (board.py); in the other half
circularsink gets triggers at random moments, each run of them others (the test circularsink::random).
A piece that fails ends it all, and is not counted. Of a machine that is fast enough several pieces may
run at once: their times are added up, and the table says how many there were.

What was done is in tests/soak/day.tsv, which is committed: whoever runs this next, on whatever
machine, goes on where it ends. It has a line for each date, commit and machine, and so has the page.
--seconds 0 only says how far it is.
"""

import argparse
import concurrent.futures
import dataclasses
import datetime
import itertools
import os
import re
import subprocess
import sys
import time

import page

A_DAY = 86400
HERE = os.path.dirname(os.path.realpath(__file__))


@dataclasses.dataclass
class Line:
    """What was done of one commit on one day, on one machine."""
    date: str
    commit: str
    machine: str
    at_once: int            # pieces
    board: int = 0          # seconds
    frames: int = 0
    reconnections: int = 0
    ring: int = 0           # seconds
    triggers: int = 0
    pieces: int = 0

    @property
    def seconds(self):
        return self.board + self.ring


NAMES = [field.name for field in dataclasses.fields(Line)]


class Day:
    """All that was done."""

    def __init__(self, path=page.DAY):
        self.path = path
        self.lines = []
        if not os.path.exists(path):
            return
        with open(path) as text:
            rows = [row.rstrip("\n").split("\t") for row in text if row.strip()]
        if not rows or rows[0] != NAMES:
            sys.exit(f"{path} does not begin with {NAMES}")
        for row in rows[1:]:
            if len(row) != len(NAMES):
                sys.exit(f"{path}: {len(NAMES)} fields are not in {row}")
            words, counts = row[:3], row[3:]
            if not all(count.isdecimal() for count in counts):
                sys.exit(f"{path}: these are no counts: {counts}")
            self.lines.append(Line(*words, *map(int, counts)))

    def save(self):
        with open(self.path + ".new", "w") as new:
            for row in [NAMES] + [dataclasses.astuple(line) for line in self.lines]:
                new.write("\t".join(map(str, row)) + "\n")
        os.replace(self.path + ".new", self.path)

    def sum(self, name):
        return sum(getattr(line, name) for line in self.lines)

    def add(self, *place, **counts):
        """Counts a piece where it belongs: a date, a commit, a machine, and how many pieces run at once."""
        found = [line for line in self.lines if dataclasses.astuple(line)[:len(place)] == place]
        if not found:
            self.lines.append(Line(*place))
            found = self.lines[-1:]
        for name, count in dict(counts, pieces=1).items():
            setattr(found[0], name, getattr(found[0], name) + count)
        self.save()

    def how_far(self, wanted):
        done = self.sum("seconds")
        return (f"{done / 3600:.1f} h of {wanted / 3600:.1f} h are done: {self.sum('board') / 3600:.1f} h "
                f"of the board link, {self.sum('ring') / 3600:.1f} h of circularsink")

    def table(self, wanted):
        rows = ["| date | commit | board link | frames | reconnections | `circularsink` | triggers | at once | machine |",
                "|---|---|---|---|---|---|---|---|---|"]
        rows += [f"| {line.date} | {line.commit} | {line.board / 60:.0f} min | {line.frames} "
                 f"| {line.reconnections} | {line.ring / 60:.0f} min | {line.triggers} | {line.at_once} "
                 f"| {line.machine} |"
                 for line in self.lines]
        return f"{self.how_far(wanted)}. Nothing was lost, doubled or left behind, and nothing hung.\n\n" \
            + "\n".join(rows)


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


def board(arguments, seconds, _seeds):
    output, took = run([sys.executable, os.path.join(HERE, "board.py"), "--seconds", str(seconds),
                        "--plugins", arguments.plugins, "--sim", arguments.sim])
    return {"board": round(took),
            "reconnections": number(r"(\d+) reconnections, no leak", output),
            "frames": number(r"(\d+) arrived", output)}


def ring(arguments, seconds, seeds):
    """Each run of the test has moments of its own."""
    start, triggers = time.monotonic(), 0
    while not triggers or time.monotonic() - start < seconds:
        environment = dict(os.environ, SOAK=str(arguments.triggers),
                           SOAK_SEED=str(next(seeds)))
        output, _ = run(arguments.ring.split(), environment)
        triggers += number(r"(\d+) triggers", output)
    return {"ring": round(time.monotonic() - start), "triggers": triggers}


def next_works(day, seconds, count):
    """So many pieces, each of what is behind."""
    done = {board: day.sum("board"), ring: day.sum("ring")}
    for _ in range(count):
        work = min(done, key=done.get)
        done[work] += seconds
        yield work


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=A_DAY)
    parser.add_argument("--at-once", type=int, default=1, help="pieces that run at once")
    parser.add_argument("--piece", type=int, default=1800, help="seconds of each piece")
    parser.add_argument("--triggers", type=int, default=100, help="of each run of the test")
    parser.add_argument("--plugins", default="target/release")
    parser.add_argument("--sim", default="target/release/k210-sim")
    parser.add_argument("--ring", default="cargo test --locked --test elements circularsink::random "
                        "-- --nocapture", help="the command that runs the test")
    parser.add_argument("--write", action="store_true", help="put what was done into the page")
    arguments = parser.parse_args()
    day, wanted = Day(), arguments.seconds or A_DAY
    commit, machine = page.commit(), page.machine()
    # No number of an earlier run comes again: each had fewer than triggers.
    seeds = itertools.count(day.sum("triggers") + 1)
    while True:
        print(day.how_far(wanted), flush=True)
        if arguments.write:
            page.replace("day", day.table(wanted))
        left = arguments.seconds - day.sum("seconds")
        if left <= 0:
            break
        if page.has_changed_since(commit):
            sys.exit(f"the sources are not those of {commit} any more, of which the figures would be: begin again")
        piece = int(min(arguments.piece, max(60, left / 2 / arguments.at_once)))
        with concurrent.futures.ThreadPoolExecutor(arguments.at_once) as pool:
            works = [pool.submit(work, arguments, piece, seeds)
                     for work in next_works(day, piece, arguments.at_once)]
            for done in concurrent.futures.as_completed(works):
                day.add(str(datetime.date.today()), commit, machine, arguments.at_once, **done.result())


if __name__ == "__main__":
    main()
