#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Streams for a long time over a noisy line whose cable is pulled again and again.

Fails when the pipeline ends by itself, hangs, lets a picture out that does not decode, leaves
GStreamer objects behind (its leaks tracer), or grows. `make soak` runs it for an hour.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time


def resident(pid):
    """Resident memory in KiB."""
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])


def launch(arguments, link, log):
    environment = dict(os.environ, GST_PLUGIN_PATH=arguments.plugins, GST_TRACERS="leaks",
                       GST_DEBUG="GST_TRACER:7,k210camerasrc:4", GST_DEBUG_NO_COLOR="1")
    return subprocess.Popen(
        ["gst-launch-1.0", "-e", "-m", "k210camerasrc", f"device={link}", "framesize=qqvga",
         "interval=50000", "!", "jpegdec", "max-errors=0", "!", "fakesink", "sync=false"],
        env=environment, stdout=log, stderr=subprocess.STDOUT)


def count(log, pattern):
    with open(log.name, errors="replace") as lines:
        return sum(re.search(pattern, line) is not None for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--noise", default="0.0001")
    parser.add_argument("--plugins", default="target/release")
    parser.add_argument("--sim", default="target/release/k210-sim")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as directory:
        link = os.path.join(directory, "board")
        sim = subprocess.Popen([arguments.sim, "--link", link, "--boot-mode", "ide", "--noise",
                                arguments.noise, "--unplug-every", "20"],
                               stdout=subprocess.DEVNULL)
        log = open(os.path.join(directory, "log"), "w")
        try:
            while not os.path.exists(link):
                time.sleep(0.1)
            # Noise may hit the very first connection, which is an error to whoever starts.
            for _ in range(10):
                stream = launch(arguments, link, log)
                time.sleep(10)
                if stream.poll() is None:
                    break
            start, memory, seen = time.monotonic(), [], 0
            while time.monotonic() - start < arguments.seconds:
                time.sleep(min(10, arguments.seconds))
                if stream.poll() is not None:
                    log.flush()
                    sys.stderr.write(open(log.name, errors="replace").read()[-3000:])
                    sys.exit("the pipeline ended by itself")
                memory.append(resident(stream.pid))
                back = count(log, "k210-reconnected")
                print(f"{time.monotonic() - start:6.0f} s: {memory[-1]} KiB resident, "
                      f"{back} reconnections", flush=True)
                if len(memory) % 9 == 0:
                    if back == seen:
                        sys.exit("no reconnection in 90 s: the pipeline hangs")
                    seen = back
            stream.send_signal(signal.SIGINT)
            stream.wait(60)
            log.flush()
            # Two more such lines only say what the others look like.
            alive = count(log, r"object-alive, type-name=\(string\)[^%]")
            if alive:
                sys.exit(f"{alive} GStreamer objects were left behind")
            # What was needed after a quarter of the time has to do for all of it.
            settled = max(memory[:max(1, len(memory) // 4)])
            if memory[-1] > settled * 1.1 + 2048:
                sys.exit(f"memory grew from {settled} to {memory[-1]} KiB")
            print(f"{seen or back} reconnections, no leak, {memory[-1]} KiB resident at the end")
        finally:
            for child in (stream, sim):
                if child.poll() is None:
                    child.terminate()
                    child.wait(30)


if __name__ == "__main__":
    main()
