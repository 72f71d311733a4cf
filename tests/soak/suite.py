#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The tests, so many times in a row, beside loops that take all the time that they get.

    suite.py [--runs 10] [--loops 2] [--write]

Each run is that of `make test`, without a second try for a test that fails. The first run that fails ends it all.
"""

import argparse
import os
import re
import subprocess
import sys
import time

import page

BUILD = ["cargo", "nextest", "run", "--workspace", "--locked", "--no-run"]
SUITE = BUILD[:-1] + ["--no-fail-fast", "--retries", "0", "--status-level", "fail", "--final-status-level", "fail"]


def run():
    """Runs the tests; answers with how many passed and how long they took."""
    start = time.monotonic()
    result = subprocess.run(SUITE, stderr=subprocess.PIPE, text=True, cwd=page.ROOT, check=False)
    took = time.monotonic() - start
    found = re.search(r"(\d+) tests run: (\d+) passed", result.stderr)
    if result.returncode or not found or found[1] != found[2]:
        sys.exit(f"{' '.join(SUITE)} failed with {result.returncode}:\n{result.stderr[-20000:]}")
    return int(found[2]), took


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--loops", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    arguments = parser.parse_args()
    if arguments.runs < 1:
        sys.exit("there is nothing to do")
    threads = os.environ.setdefault("NEXTEST_TEST_THREADS", str(2 * os.cpu_count()))
    subprocess.run(BUILD, cwd=page.ROOT, check=True)
    loops = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(arguments.loops)]
    done = []
    try:
        for number in range(arguments.runs):
            done.append(run())
            print(f"run {number + 1} of {arguments.runs}: {done[-1][0]} passed in {done[-1][1]:.0f} s",
                  flush=True)
    finally:
        for loop in loops:
            loop.kill()
    rows = ["| run | passed | time |", "|---|---|---|"]
    rows += [f"| {number + 1} | {passed} | {took:.0f} s |" for number, (passed, took) in enumerate(done)]
    how = (f"`make soak-suite SUITES={arguments.runs} LOOPS={arguments.loops}` "
           f"({threads} tests at once)")
    page.tell("suite", how, "\n".join(rows), arguments.write)


if __name__ == "__main__":
    main()
