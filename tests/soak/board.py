#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Streams for a long time over a noisy line whose cable is pulled again and again.

The simulated board lists what it sends and the pipeline what arrives. Fails when the pipeline ends
by itself, hangs, lets a picture out that does not decode, or one that the board has not sent; when
a frame is missing that is not counted as lost; when GStreamer objects are left behind (its leaks
tracer); or when memory grows. `make soak` runs it for an hour.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

UNPLUG_EVERY = 20


class Log:
    """What the pipeline says, read as it grows."""

    def __init__(self, path):
        self.lines = open(path, errors="replace")
        self.rest = ""
        self.hashes = []
        self.reconnections = 0
        self.alive = 0
        self.stats = []
        self.tail = []

    def read(self):
        text = self.rest + self.lines.read()
        *lines, self.rest = text.split("\n")
        for line in lines:
            # checksumsink: the timestamp and the hash.
            if found := re.search(r"^\d+:\d\d:\d\d\.\d{9} ([0-9a-f]{64})$", line):
                self.hashes.append(found[1])
                continue
            self.reconnections += "k210-reconnected," in line
            # Two more such lines only say what the others look like.
            self.alive += re.search(r"object-alive, type-name=\(string\)[^%]", line) is not None
            if "stopped; k210camerasrc-stats" in line:
                self.stats.append(dict(re.findall(r"([a-z-]+)=\(guint64\)(\d+)", line)))
            self.tail = (self.tail + [line])[-30:]

    def total(self, name):
        """A counter's sum over all attempts to connect."""
        return sum(int(stats[name]) for stats in self.stats)


def resident(pid):
    """Resident memory in KiB."""
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])


def launch(arguments, link, log):
    environment = dict(os.environ, GST_PLUGIN_PATH=arguments.plugins, GST_TRACERS="leaks",
                       GST_DEBUG="GST_TRACER:7,k210camerasrc:4", GST_DEBUG_NO_COLOR="1")
    return subprocess.Popen(
        ["gst-launch-1.0", "-e", "-m", "k210camerasrc", f"device={link}", "framesize=qqvga",
         "interval=50000", "!", "tee", "name=t", "!", "queue", "!", "jpegdec", "max-errors=0", "!",
         "fakesink", "sync=false",
         "t.", "!", "queue", "!", "checksumsink", "hash=sha256", "sync=false"],
        env=environment, stdout=log, stderr=subprocess.STDOUT)


def match(sent, received):
    """Finds each hash that arrived among those sent, in order.

    A flipped bit may leave a picture that no one can tell from a whole one, as the protocol has no
    checksum: those are counted, and there must have been a sent frame that noise hit for each.
    """
    altered, after, at = 0, 0, 0

    def explain(until):
        hit = sum(size > 0 and hits > 0 for _, size, hits, _ in sent[after:until])
        if altered > hit:
            sys.exit(f"{altered} pictures came out between frames {after} and {until} that the "
                     f"board did not send, and noise had hit {hit}")

    total = 0
    for number, digest in enumerate(received):
        # Ten seconds of frames, so that the same picture much later is not taken for this one.
        found = next((i for i in range(at, min(len(sent), at + 400)) if sent[i][3] == digest), None)
        if found is None:
            altered += 1
            continue
        explain(found)
        total += altered
        altered, after, at = 0, found + 1, found + 1
    explain(len(sent))
    return total + altered


def check_frames(log, path):
    """Every frame has arrived whole or is counted as lost."""
    with open(path) as lines:
        fields = [line.strip().split(",") for line in lines]
    sent = [(int(asked), int(size), int(hits), digest) for asked, size, hits, digest in fields]
    if not sent or not log.hashes or not log.stats:
        sys.exit(f"{len(sent)} frames were sent, {len(log.hashes)} arrived, and {len(log.stats)} statistics were told: "
                 "nothing was tried")
    whole, lost, discarded = map(log.total, ("frames", "frames-dropped", "frames-discarded"))
    altered = match(sent, log.hashes)
    there = sum(size > 0 for _, size, _, _ in sent)
    print(f"The board sent {there} frames, and {len(sent) - there} times none though asked. "
          f"{len(log.hashes)} arrived, {altered} of them with damage that does not show in a JPEG; "
          f"{lost} are counted as lost, {discarded} were thrown away after a restart.")
    # The last one may be overtaken by the end of the stream.
    if not 0 <= whole - len(log.hashes) <= 1:
        sys.exit(f"{whole} frames are counted as whole, {len(log.hashes)} came out")
    # What was asked for when the cable was out has not reached the board.
    unheard = whole + lost + discarded - len(sent)
    if not 0 <= unheard <= log.reconnections + 1:
        sys.exit(f"the board was asked {len(sent)} times, and the element counts {unheard} more")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--noise", default="0.0001")
    parser.add_argument("--plugins", default="target/release")
    parser.add_argument("--sim", default="target/release/k210-sim")
    arguments = parser.parse_args()

    children = []
    with tempfile.TemporaryDirectory() as directory:
        link, frames = os.path.join(directory, "board"), os.path.join(directory, "frames")
        output = open(os.path.join(directory, "log"), "w")
        log = Log(output.name)
        try:
            sim = subprocess.Popen([arguments.sim, "--link", link, "--boot-mode", "ide", "--noise",
                                    arguments.noise, "--unplug-every", str(UNPLUG_EVERY),
                                    "--frames", frames], stdout=subprocess.DEVNULL)
            children.append(sim)
            while not os.path.exists(link):
                if sim.poll() is not None:
                    sys.exit("k210-sim has ended")
                time.sleep(0.1)
            # Noise may hit the very first connection, which is an error to whoever starts.
            for _ in range(10):
                stream = launch(arguments, link, output)
                children.append(stream)
                time.sleep(10)
                if stream.poll() is None:
                    break
            start, memory = time.monotonic(), []
            progress = (start, 0, 0)
            while time.monotonic() - start < arguments.seconds:
                time.sleep(min(10, arguments.seconds))
                log.read()
                if stream.poll() is not None:
                    sys.exit("\n".join(log.tail + [f"the pipeline ended by itself: {stream.returncode}"]))
                memory.append((resident(stream.pid), resident(sim.pid)))
                now = time.monotonic()
                print(f"{now - start:6.0f} s: {memory[-1][0]} KiB resident, "
                      f"{log.reconnections} reconnections, {len(log.hashes)} frames", flush=True)
                if log.reconnections > progress[1] and len(log.hashes) > progress[2]:
                    progress = (now, log.reconnections, len(log.hashes))
                if now - progress[0] > 90:
                    sys.exit("nothing for 90 s: the pipeline hangs")
            for name, child in (("the pipeline", stream), ("k210-sim", sim)):
                child.send_signal(signal.SIGINT)
                if child.wait(60):
                    sys.exit("\n".join(log.tail + [f"{name} ended with {child.returncode}"]))
            log.read()
            if log.alive:
                sys.exit(f"{log.alive} GStreamer objects were left behind")
            for name, sizes in zip(("the pipeline", "k210-sim"), zip(*memory)):
                # What was needed in the first quarter of the time has to do for all of it.
                settled = max(sizes[:max(1, len(sizes) // 4)])
                if sizes[-1] > settled * 1.1 + 2048:
                    sys.exit(f"{name} grew from {settled} to {sizes[-1]} KiB")
                print(f"{name}: {settled} KiB resident at most in the first quarter, {sizes[-1]} "
                      "KiB at the end")
            check_frames(log, frames)
            print(f"{log.reconnections} reconnections, no leak, no hang")
        finally:
            for child in children:
                if child.poll() is None:
                    child.terminate()
                    child.wait(30)


if __name__ == "__main__":
    main()
