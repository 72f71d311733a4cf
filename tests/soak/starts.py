#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Starts and stops every element again and again in one process, and a branch beside others.

    starts.py [--cycles N] [--only WORD] [--write]

Each pipeline is made, started, waited for until a buffer has got to its end, stopped and freed, N
times (10 000; a tenth of that for the board, which takes its time to connect). `branch` adds a
recording to a source that goes on, and takes it away: each must get frames, and so must the one that
stays. Fails when one does not start within 60 s, or when memory in use, descriptors or threads are
more at the end than in the first tenth.

Resident memory is shown too. It grows for a while without a leak: threads that come and go have
malloc keep an arena for each that runs beside others, and what is free in one is not used in another.
"""

import argparse
import ctypes
import gc
import os
import re
import sys
import tempfile
import time

import page

SECOND = 10**9
DEADLINE = 60

PICTURES = "videotestsrc ! video/x-raw,width=64,height=48,framerate=30/1"
SOUND = "audiotestsrc ! audio/x-raw,rate=8000,channels=1"

# The element that is looked at is called e; FILE is in a directory of its own.
PIPELINES = {
    "avimjpegmux": f"{PICTURES} ! jpegenc ! avimjpegmux name=e ! fakesink async=false",
    "avimjpegdemux": "filesrc location=INPUT ! avimjpegdemux name=e ! fakesink async=false",
    "circularsink": f"{PICTURES} ! jpegenc ! circularsink name=e recording=true location=FILE.avi",
    "recordsink": f"{PICTURES} ! recordsink name=e location=FILE.avi {SOUND} ! e.audio",
    "recordsink mp4": f"{PICTURES} ! recordsink name=e location=FILE.mp4",
    "ffmpegsink": f"{PICTURES} ! ffmpegsink name=e args=\"-c:v mjpeg FILE.avi\"",
    "audiorecordsink": f"{SOUND} ! audiorecordsink name=e location=FILE.wav",
    "k230venc": "videotestsrc ! video/x-raw,format=NV12,width=128,height=96 ! "
                "k230venc name=e backend=element ! image/jpeg ! fakesink async=false",
    "parallelenc": f"{PICTURES} ! parallelenc name=e ! fakesink async=false",
    "k210camerasrc": "k210camerasrc name=e device=sim: ! fakesink async=false",
}
# Of which there are fewer cycles: a tenth.
SLOW = ("k210camerasrc", "ffmpegsink")


def resident():
    """Resident memory in KiB."""
    with open("/proc/self/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])


class Malloc(ctypes.Structure):
    """What mallinfo2(3) answers."""
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
        "fordblks", "keepcost")]


MALLINFO = ctypes.CDLL(None).mallinfo2
MALLINFO.restype = Malloc


def in_use():
    """Memory that was taken from malloc and not given back, in KiB."""
    found = MALLINFO()
    return (found.uordblks + found.hblkhd) // 1024


def usage():
    return (in_use(), resident(), len(os.listdir("/proc/self/fd")),
            len(os.listdir("/proc/self/task")))


class Watch:
    """What a process needs: the most of the first tenth, against the end."""

    def __init__(self, name, cycles):
        self.name, self.early, self.cycles = name, max(20, cycles // 10), cycles
        self.most = (0, 0, 0, 0)

    def after(self, cycle):
        if cycle < self.early:
            self.most = tuple(map(max, self.most, usage()))

    def end(self):
        # What a stopped pipeline's last threads hold.
        deadline = time.monotonic() + 10
        gc.collect()
        while (any(now > most for now, most in zip(usage()[2:], self.most[2:]))
               and time.monotonic() < deadline):
            time.sleep(0.1)
        used, memory, descriptors, threads = usage()
        used_early, memory_early, descriptors_early, threads_early = self.most
        faults = []
        # `videotestsrc ! fakesink` alone takes 50 bytes a cycle.
        if used > used_early * 1.05 + 1024 + self.cycles * 0.15:
            faults.append(f"{self.name}: from {used_early} to {used} KiB in use")
        if descriptors > descriptors_early:
            faults.append(f"{self.name}: from {descriptors_early} to {descriptors} descriptors")
        if threads > threads_early:
            faults.append(f"{self.name}: from {threads_early} to {threads} threads")
        print(f"{self.name}: {self.cycles} times, {used_early} KiB in use at first, {used} at the end",
              flush=True)
        row = (f"| `{self.name}` | {self.cycles} | {used_early / 1024:.1f} | {used / 1024:.1f} | "
               f"{memory_early / 1024:.1f} | {memory / 1024:.1f} | "
               f"{descriptors} of {descriptors_early} | {threads} of {threads_early} |")
        return row, faults


def wait_for(what, condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"never: {what}")
        time.sleep(0.0005)


def counted(gst, pad):
    """A list that gets an entry with the pad's first buffer."""
    seen = []

    def see(_pad, _info):
        seen.append(True)
        return gst.PadProbeReturn.REMOVE

    pad.add_probe(gst.PadProbeType.BUFFER | gst.PadProbeType.BUFFER_LIST, see)
    return seen


def cycle(gst, name, description, number):
    pipeline = gst.parse_launch(description)
    element = pipeline.get_by_name("e")
    pad = (list(element.sinkpads) or list(element.srcpads))[0]
    seen = counted(gst, pad)
    pipeline.set_state(gst.State.PLAYING)

    def going():
        error = pipeline.get_bus().pop_filtered(gst.MessageType.ERROR)
        if error:
            sys.exit(f"{name}, cycle {number}: {error.parse_error()}")
        return seen

    wait_for(f"a buffer of {name} in cycle {number}", going)
    pipeline.set_state(gst.State.NULL)


def branches(gst, directory, cycles):
    """A recording beside others, added and taken away while the source goes on."""
    pipeline = gst.parse_launch(f"{PICTURES.replace('videotestsrc', 'videotestsrc is-live=true')} "
                                "! tee name=t ! queue ! fakesink name=stays async=false")
    tee, stays = pipeline.get_by_name("t"), pipeline.get_by_name("stays")
    pipeline.set_state(gst.State.PLAYING)
    watch = Watch("a branch with recordsink", cycles)
    for number in range(cycles):
        branch = gst.parse_bin_from_description(
            f"queue name=q ! recordsink name=e location={directory}/branch.avi", True)
        pipeline.add(branch)
        seen = counted(gst, branch.get_by_name("e").sinkpads[0])
        beside = counted(gst, stays.get_static_pad("sink"))
        source = tee.request_pad_simple("src_%u")
        # In this order: a queue that is not running yet refuses the buffer, and the source ends.
        branch.sync_state_with_parent()
        source.link(branch.get_static_pad("sink"))
        wait_for(f"a frame of the branch in cycle {number}", lambda: seen)
        wait_for(f"a frame beside the branch in cycle {number}", lambda: beside)
        blocked = []

        def block(_pad, _info):
            blocked.append(True)
            return gst.PadProbeReturn.OK

        probe = source.add_probe(gst.PadProbeType.BLOCK_DOWNSTREAM, block)
        wait_for(f"the branch is blocked in cycle {number}", lambda: blocked)
        source.unlink(branch.get_static_pad("sink"))
        # Or the pipeline, which goes to PLAYING once more for the branch's sake, takes it along.
        branch.set_locked_state(True)
        branch.set_state(gst.State.NULL)
        pipeline.remove(branch)
        source.remove_probe(probe)
        tee.release_request_pad(source)
        error = pipeline.get_bus().pop_filtered(gst.MessageType.ERROR)
        if error:
            sys.exit(f"branch, cycle {number}: {error.parse_error()}")
        watch.after(number)
    pipeline.set_state(gst.State.NULL)
    return watch.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=10000)
    parser.add_argument("--only", default="", help="what has this in its name")
    parser.add_argument("--plugins", default="target/release")
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    arguments = parser.parse_args()
    if arguments.write and arguments.only:
        sys.exit("a table of some elements is not one for the page")
    os.environ["GST_PLUGIN_PATH"] = os.path.realpath(arguments.plugins)
    rows, faults = [], []
    with tempfile.TemporaryDirectory() as directory:
        os.environ["GST_REGISTRY"] = os.path.join(directory, "registry")
        import gi
        gi.require_version("Gst", "1.0")
        from gi.repository import Gst
        Gst.init(None)
        source = os.path.join(directory, "input.avi")
        made = Gst.parse_launch(f"{PICTURES.replace('videotestsrc', 'videotestsrc num-buffers=30')} "
                                f"! jpegenc ! avimjpegmux ! filesink location={source}")
        made.set_state(Gst.State.PLAYING)
        end = made.get_bus().timed_pop_filtered(
            DEADLINE * SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
        if not end or end.type != Gst.MessageType.EOS:
            sys.exit("the input is not made")
        made.set_state(Gst.State.NULL)
        for name, description in PIPELINES.items():
            if arguments.only not in name:
                continue
            cycles = arguments.cycles // (10 if name in SLOW else 1)
            watch = Watch(name, cycles)
            description = description.replace("INPUT", source)
            description = description.replace("FILE", os.path.join(directory, "a"))
            for number in range(cycles):
                cycle(Gst, name, description, number)
                watch.after(number)
            row, more = watch.end()
            rows.append(row)
            faults += more
        if arguments.only in "branch":
            row, more = branches(Gst, directory, arguments.cycles)
            rows.append(row)
            faults += more
    if not rows:
        sys.exit(f"no element is called {arguments.only}")
    table = "\n".join(["| | starts | MiB in use, most in the first tenth | at the end | "
                       "MiB resident, most in the first tenth | at the end | descriptors | "
                       "threads |", "|---|---|---|---|---|---|---|---|"] + rows)
    page.tell("starts", f"`make soak-starts CYCLES={arguments.cycles}`", table, arguments.write)
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
