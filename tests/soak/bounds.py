#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What files, boards, clients and programs that are made to hurt cost, seen from outside.

    bounds.py [--only WORD] [--write]

Each row is something that once took minutes, gigabytes or thousands of threads: what was measured then, what is
measured now, and what it may be. What is measured runs in a process of its own, whose time and memory are its own.
Fails when one goes beyond its bound.
"""

import argparse
import atexit
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import page
import stops

MB = 10**6
# Ends what would go on for ever, and is told as that.
FAILSAFE = 300
# What a pipeline without anything wrong in it has at most: GStreamer, Python, their libraries. It is some 30 MB.
PIPELINE = 48 * MB


def status(pid, key):
    """A number that Linux tells of a process: `Threads`, or `VmHWM` in kB."""
    with open(f"/proc/{pid}/status") as lines:
        return int(re.search(rf"^{key}:\s+(\d+)", lines.read(), re.M)[1])


# What runs in a process of its own.

def play(launch, shrink=None, until=None, triggers=0):
    """Plays it to its end, until its first message (`until`), or for five seconds of `triggers` triggers."""
    import gi
    gi.require_version("Gst", "1.0")
    from gi.repository import Gst
    Gst.init(None)
    pipeline = Gst.parse_launch(launch)
    demuxer, source = pipeline.get_by_name("d"), pipeline.get_by_name("s")
    counts = {"pictures": 0, "warnings": 0, "finished": 0, "failed": 0}

    def count(_, info):
        counts["pictures"] += 1
        return Gst.PadProbeReturn.OK

    def link(_, pad):
        sink = Gst.ElementFactory.make("fakesink")
        sink.set_property("sync", False)
        pipeline.add(sink)
        sink.sync_state_with_parent()
        pad.link(sink.get_static_pad("sink"))
        pad.add_probe(Gst.PadProbeType.BUFFER, count)

    if demuxer:
        demuxer.connect("pad-added", link)
    if source:
        source.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, count)
    start, said, threads = time.monotonic(), None, 0
    if shrink:
        pipeline.set_state(Gst.State.PAUSED)
        pipeline.get_state(FAILSAFE * Gst.SECOND)
        os.truncate(shrink, os.path.getsize(shrink) // 3)
    pipeline.set_state(Gst.State.PLAYING)
    if triggers:
        ring = pipeline.get_by_name("r")
        for n in range(triggers):
            ring.emit("trigger", None)
            threads = max(threads, status("self", "Threads"))
            time.sleep(max(0, start + 5 * (n + 1) / triggers - time.monotonic()))
        pipeline.send_event(Gst.Event.new_eos())
    bus = pipeline.get_bus()
    while True:
        left = start + FAILSAFE - time.monotonic()
        message = bus.timed_pop(max(0, int(left * Gst.SECOND)))
        if message is None:
            said = "nothing, for as long as was waited"
            break
        threads = max(threads, status("self", "Threads"))
        structure = message.get_structure()
        name = structure.get_name() if structure else ""
        counts["finished"] += name == "circularsink-recording-finished"
        counts["failed"] += name == "circularsink-recording-failed"
        if message.type == Gst.MessageType.WARNING:
            counts["warnings"] += 1
        if message.type == Gst.MessageType.ERROR:
            said = message.parse_error()[0].message
            break
        if message.type == Gst.MessageType.EOS:
            said = "end of stream"
            break
        if until and (message.type == Gst.MessageType.WARNING or name.startswith(until)):
            warns = message.type == Gst.MessageType.WARNING
            said = message.parse_warning()[0].message if warns else structure.get_string("reason")
            break
    stop = time.monotonic()
    seconds = stop - start
    pipeline.set_state(Gst.State.NULL)
    return dict(counts, said=said, seconds=seconds, at=stop, threads=threads, stop=time.monotonic() - stop,
                memory=status("self", "VmHWM") * 1024)


def repair(program, source, target, profile):
    """What avi-repair makes of a file."""
    start = time.monotonic()
    result = subprocess.run([program, "--profile", profile, "--force", source, target], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                            text=True, timeout=FAILSAFE)
    seconds = time.monotonic() - start
    there = os.path.exists(target)
    return dict(said=result.stderr, code=result.returncode, seconds=seconds,
                memory=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
                output=os.stat(target).st_blocks * 512 if there else None)


def alone(what, **arguments):
    """Has a function of these run in a process of its own."""
    asked = json.dumps(dict(arguments, what=what))
    result = subprocess.run([sys.executable, os.path.abspath(__file__), "--alone", asked], text=True,
                            stdout=subprocess.PIPE, timeout=2 * FAILSAFE, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def played(launch, **more):
    return alone("play", launch=launch, **more)


# Files.

def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def listed(name, *parts):
    return chunk(b"LIST", name + b"".join(parts))


def head(extra=b"", frames=0, width=64, height=48):
    """All in front of the frames; one stream of pictures of 64x48, 30 a second."""
    avih = struct.pack("<14I", 33333, 0, 0, 0x10, frames, 0, 1, 0, width, height, 0, 0, 0, 0)
    strh = b"vidsMJPG" + struct.pack("<10I8x", 0, 0, 0, 1, 30, 0, frames, 0, 0, 0)
    strf = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", width * height * 3, 0, 0, 0, 0)
    return listed(b"hdrl", chunk(b"avih", avih),
                  listed(b"strl", chunk(b"strh", strh), chunk(b"strf", strf), extra))


def riff(*parts, size=None):
    content = b"AVI " + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(content) if size is None else size) + content


def unfinished(frames):
    """A file whose frames go on to wherever it ends."""
    return riff(head(), b"LIST" + struct.pack("<I", 0xfffffff0) + b"movi" + frames, size=0xfffffff8)


def indexes(count):
    """A super index of so many indexes without an entry."""
    def super_index(first):
        entries = b"".join(struct.pack("<QII", first + 32 * n, 32, 1) for n in range(count))
        return chunk(b"indx", struct.pack("<HBBI4s12x", 4, 0, 0, count, b"00dc") + entries)

    empty = chunk(b"ix00", struct.pack("<HBBI4sQI", 2, 0, 1, 0, b"00dc", 0, 0))
    assert len(empty) == 32
    first = 12 + len(head(super_index(0))) + 12
    return riff(head(super_index(first)), listed(b"movi", empty * count))


def one_picture_many_times(picture, count):
    """An index whose every entry is the same chunk."""
    data = picture[:-2] + b"\x55" * (500_000 - len(picture)) + picture[-2:]
    entry = struct.pack("<4sIII", b"00dc", 0x10, 4, len(data))
    return riff(head(frames=count), listed(b"movi", chunk(b"00dc", data)), chunk(b"idx1", entry * count))


class Rows:
    def __init__(self, directory, plugins, only):
        self.directory, self.plugins, self.only = directory, plugins, only
        self.rows, self.faults = [], []

    def path(self, name):
        return os.path.join(self.directory, name)

    def wants(self, what):
        return self.only in what

    def add(self, what, then, now, bounds):
        """`now` says what was measured; `bounds` are a number, what it may be at most, and its name."""
        for value, most, name in bounds:
            if not value <= most:
                self.faults.append(f"{what}: {name} is {value}, beyond {most}")
        self.rows.append(f"| {what} | {then} | {now} |")
        print(self.rows[-1], flush=True)

    def program(self, name, *arguments, **more):
        """Starts a program, which ends with this one."""
        program = subprocess.Popen([os.path.join(self.plugins, name), *arguments], **more)
        atexit.register(program.kill)
        return program


def read(rows, what, then, content, way="", most=5.0, source="", memory=PIPELINE + 64 * MB):
    """Reads a file with avimjpegdemux to its end."""
    if not rows.wants(what):
        return
    path = rows.path("input.avi")
    with open(path, "wb") as file:
        file.write(content)
    found = played(f"filesrc location={path} {source} ! {way} avimjpegdemux name=d")
    rows.add(what, then, f"{found['seconds']:.2f} s, {found['memory'] / MB:.0f} MB, {found['warnings']} warnings",
             [(found["seconds"], most, "seconds"), (found["memory"], memory + len(content) // 8, "memory"),
              (found["warnings"], 20, "warnings"), (found["stop"], 0.2, "seconds to stop")])


def files(rows, picture):
    zeros = bytes(40 * MB)
    read(rows, "a head and 40 MB of zeros", "no end", unfinished(zeros))
    read(rows, "the same, in pieces", "no end", unfinished(zeros), "queue !")
    read(rows, "63 MB of zeros, in pieces", "79 s", bytes(63 * MB), "queue !")
    good = riff(head(), listed(b"movi", *[chunk(b"00dc", picture)] * 10))
    read(rows, "20 MB of zeros in front of an AVI, in pieces of 4 KiB", "30 s", bytes(20 * MB) + good, "queue !",
         source="blocksize=4096")
    read(rows, "1 MB of SOI markers", "13 s", unfinished(b"\xff\xd8" * 524288))
    read(rows, "a super index of 480 000 indexes, 23 MB", "285 s", indexes(480_000))
    read(rows, "a megabyte of like damage", "25 001 warnings", like_damage())

    what = "a file that loses two thirds of it while it is read"
    if rows.wants(what):
        path = rows.path("shrinks.avi")
        with open(path, "wb") as file:
            file.write(riff(head(frames=20000), listed(b"movi", *[chunk(b"00dc", picture)] * 20000)))
        found = played(f"filesrc location={path} ! avimjpegdemux name=d", shrink=path)
        rows.add(what, "no end, no way to stop it", f"{found['seconds']:.2f} s, {found['pictures']} pictures, "
                 f"stopped in {found['stop'] * 1000:.0f} ms",
                 [(found["seconds"], 10, "seconds"), (found["stop"], 0.2, "seconds to stop")])
    sparse(rows)
    many(rows, picture)


def like_damage():
    with open(os.path.join(page.ROOT, "fuzz", "seeds", "reader", "like-damage"), "rb") as seed:
        return stops.stretched(seed.read())


def repaired(rows, path, profile="standard"):
    out = rows.path("out.avi")
    found = alone("repair", program=os.path.join(rows.plugins, "avi-repair"), source=path, target=out,
                  profile=profile)
    if found["output"] is not None:
        os.remove(out)
    return found


def sparse(rows):
    path = rows.path("sparse.avi")
    with open(path, "wb") as file:
        file.write(unfinished(b"00dc" + struct.pack("<I", 0xffffff00)))
        file.truncate(0xffffff00)
    what = "a chunk of 4 GiB, nothing in it"
    if rows.wants(what):
        found = played(f"filesrc location={path} ! avimjpegdemux name=d")
        rows.add(what, "4.1 GB of memory", f"{found['memory'] / MB:.0f} MB, {found['seconds']:.2f} s",
                 [(found["memory"], PIPELINE + 64 * MB, "memory"), (found["seconds"], 60, "seconds")])
    what = "the same, repaired"
    if rows.wants(what):
        found = repaired(rows, path)
        rows.add(what, "8.4 GB of memory", f"{found['memory'] / MB:.0f} MB, {found['seconds']:.2f} s",
                 [(found["memory"], 64 * MB, "memory"), (found["seconds"], 60, "seconds")])
    os.remove(path)


def many(rows, picture):
    large = picture[:-2] + b"\x55" * (28_000 - len(picture)) + picture[-2:]
    empty = chunk(b"00dc", large) + chunk(b"00dc", b"") * 120_000
    for what, then, content, profile, most in (
            ("1 MB whose index has one picture 30 000 times, repaired", "3.8 GB of output",
             one_picture_many_times(picture, 30_000), "standard", 8 * MB),
            ("1 MB of empty chunks behind a picture, repaired for the K210", "2.1 GB of output, then an error",
             riff(head(frames=120_001), listed(b"movi", empty)), "k210", 300 * MB)):
        if not rows.wants(what):
            continue
        path = rows.path("many.avi")
        with open(path, "wb") as file:
            file.write(content)
        found = repaired(rows, path, profile)
        if found["code"]:
            rows.faults.append(f"{what}: {found['said']}")
            continue
        rows.add(what, then, f"{found['output'] / MB:.1f} MB of output, {found['seconds']:.2f} s",
                 [(found["output"], most, "output"), (found["memory"], 64 * MB, "memory"),
                  (found["seconds"], 30, "seconds")])


# Boards.

class Board(threading.Thread):
    """A simulated board behind a serial server that tells the truth until it has sent some pictures, or never."""

    def __init__(self, rows, habit, honest=10):
        super().__init__(daemon=True)
        self.habit, self.honest, self.turned = habit, honest, None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sim = rows.program("k210-sim", "--tcp", "127.0.0.1:0", stdout=subprocess.PIPE, text=True)
        address = self.sim.stdout.readline().strip()
        self.board = int(re.search(r":(\d+)", address)[1])
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
                self.serve(client)
            except OSError:
                if self.listener.fileno() < 0:
                    return

    def serve(self, client):
        if not self.honest:
            self.turned = self.turned or time.monotonic()
            return self.habit(client, None)
        board = socket.create_connection(("127.0.0.1", self.board))
        threading.Thread(target=self.forward, args=(board, client), daemon=True).start()
        dumps = 0
        while data := client.recv(65536):
            # A request is a packet of its own, mostly.
            at = data.find(b"\x30\x82")
            dumps += at >= 0
            if dumps > self.honest:
                self.turned = time.monotonic()
                board.shutdown(socket.SHUT_RDWR)
                return self.habit(client, data[at:])
            board.sendall(data)

    def forward(self, board, client):
        try:
            while data := board.recv(65536):
                client.sendall(data)
        except OSError:
            pass

    def stop(self):
        self.listener.close()
        self.sim.send_signal(signal.SIGTERM)
        self.sim.wait()


def talks(client, _):
    """A console that never falls silent."""
    while True:
        client.sendall(b"a line of a program that goes on and on\r\n" * 3)
        time.sleep(0.01)


def answers(client, request, size, picture):
    """Answers what is asked for: sizes by `size`, pictures by `picture`, and zeros else."""
    while request or (request := client.recv(65536)):
        while len(request) >= 6 and request[0] == 0x30:
            code, length = request[1], struct.unpack_from("<I", request, 2)[0]
            request = request[6:]
            if code == 0x81:
                client.sendall(struct.pack("<III", *size))
            elif code == 0x82:
                picture(client, length)
            elif code == 0x8d:
                client.sendall(struct.pack("<I", 0xffeebbaa))
            elif code == 0x87:
                client.sendall(struct.pack("<I", 1))
            elif code & 0x80:
                client.sendall(bytes(length))
        request = b""


def dribbles(client, _):
    while True:
        client.sendall(b"\xff")
        time.sleep(0.05)


def a_byte_now_and_then(client, request):
    answers(client, request, (320, 240, 20000), lambda client, _: dribbles(client, None))


def impossible_sizes(client, request):
    answers(client, request, (320, 240, 0x7fffffff), lambda client, _: None)


def larger(jpeg):
    """A JPEG that says that it is 20000x20000."""
    at = jpeg.index(b"\xff\xc0")
    return jpeg[:at + 5] + struct.pack(">HH", 20000, 20000) + jpeg[at + 9:]


def boards(rows, picture):
    other = larger(picture[:-2] + b"\x55" * (23_000 - len(picture)) + picture[-2:])

    def another_size(client, request):
        answers(client, request, (320, 240, len(other)), lambda client, _: client.sendall(other))

    for what, then, habit, honest, most in (
            ("a board whose console never falls silent, from its start", "60 s without a word", talks, 0, 31),
            ("the same, amid its pictures", "60 s without a word", talks, 10, 11),
            ("a board that tells of impossible sizes", "45 s without a word", impossible_sizes, 10, 11),
            ("a byte of a picture each 50 ms", "25 s without a word", a_byte_now_and_then, 10, 11),
            ("pictures of 20000x20000 in 23 kB", "711 MB, in jpegdec", another_size, 10, 11)):
        if not rows.wants(what):
            continue
        board = Board(rows, habit, honest)
        found = played(f"k210camerasrc name=s device=tcp://127.0.0.1:{board.port} ! jpegdec ! fakesink sync=false",
                       until="k210-disconnected")
        turned = board.turned
        board.stop()
        if turned is None:
            rows.faults.append(f"{what}: it never came to that: {found}")
            continue
        # Both clocks are the machine's.
        seconds = found["at"] - turned
        rows.add(what, then, f"{seconds:.1f} s, {found['memory'] / MB:.0f} MB: “{found['said']}”",
                 [(seconds, most, "seconds"), (found["memory"], 2 * PIPELINE, "memory"),
                  (found["pictures"], honest + 1, "pictures")])


def scripts(rows):
    for what, then, script in (
            ("a script of lists in lists", "the simulator's end", "a=[]\nwhile True: a=[a]\n"),
            ("a script that keeps all it gets", "2.8 GB in 4 s", "a=[]\nwhile True: a.append(bytes(1000))\n")):
        if not rows.wants(what):
            continue
        sim = rows.program("k210-sim", "--tcp", "127.0.0.1:0", "--boot-mode", "repl", stdout=subprocess.PIPE, text=True)
        port = int(re.search(r":(\d+)", sim.stdout.readline())[1])
        with socket.create_connection(("127.0.0.1", port), FAILSAFE) as board:
            start = time.monotonic()
            board.sendall(b"\r\x03\x01" + script.encode() + b"\x04")
            said = b""
            while b"Error" not in said:
                data = board.recv(65536)
                if not data:
                    break
                said += data
            seconds = time.monotonic() - start
        memory = status(sim.pid, "VmHWM") * 1024
        alive = sim.poll() is None
        sim.terminate()
        sim.wait()
        error = re.search(rb"\w+Error", said)
        rows.add(what, then, f"`{error[0].decode() if error else 'nothing'}` in {seconds:.2f} s, {memory / MB:.0f} MB",
                 [(not alive, 0, "its end"), (error is None or error[0] != b"MemoryError", 0, "another error"),
                  (memory, 64 * MB, "memory"), (seconds, 30, "seconds")])


# Triggers, clients, programs.

def triggers(rows):
    what = "2469 triggers that split, in 5 s"
    if rows.wants(what):
        found = played("videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=30/1 ! jpegenc ! "
                       "circularsink name=r split-on-trigger=true location=" + rows.path("split%05d.avi"), triggers=2469)
        rows.add(what, "2301 threads, 2302 recordings failed",
                 f"{found['threads']} threads, {found['failed']} recordings failed, {found['finished']} finished",
                 [(found["threads"], 200, "threads"), (found["failed"], 0, "failed recordings"),
                  (-found["finished"], -1, "finished recordings, negative")])


def recorder(rows):
    if not rows.wants("600 clients with half a head") and not rows.wants("a head without an end"):
        return
    with open(rows.path("config.toml"), "w") as config:
        config.write("directory = 'clips'\n[http]\nlisten = '127.0.0.1:0'\n")
    program = rows.program("kendryte-recorder", "config.toml", cwd=rows.directory, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
    address = next(line for line in program.stdout if line.startswith("http"))
    threading.Thread(target=program.stdout.read, daemon=True).start()
    port = int(re.search(r":(\d+)/?$", address.strip())[1])

    def connect():
        return socket.create_connection(("127.0.0.1", port), FAILSAFE)

    clients = []
    for _ in range(600):
        clients.append(connect())
        clients[-1].sendall(b"GET / HTTP/1.1\r\nHost: loc")
    with connect() as other:
        other.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = other.recv(15)
    threads = status(program.pid, "Threads")
    rows.add("600 clients with half a head", "796 threads", f"{threads} threads; another one is answered",
             [(threads, 50, "threads"), (answer != b"HTTP/1.1 200 OK", 0, "refusals")])
    for client in clients:
        client.close()
    sent = 0
    with connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        try:
            while sent < 600 * MB:
                sent += client.send(b"x" * 65536)
        except OSError:
            pass
    memory = status(program.pid, "VmHWM") * 1024
    rows.add("a head without an end", "591 MB", f"{memory / MB:.0f} MB, ended after {sent / MB:.1f} MB",
             [(memory, 64 * MB, "memory"), (sent, 16 * MB, "bytes taken")])
    program.terminate()
    program.wait()


def ffmpeg(rows):
    what = "200 MB of carriage returns from ffmpeg"
    if rows.wants(what):
        path = rows.path("ffmpeg")
        with open(path, "w") as program:
            program.write("#!/bin/sh\nyes 'frame=1' | tr '\\n' '\\r' | head -c 200000000 >&2\ncat >/dev/null\n")
        os.chmod(path, 0o755)
        found = played("videotestsrc num-buffers=30 ! video/x-raw,width=64,height=48 ! "
                       f"ffmpegsink ffmpeg={path} args=x.avi")
        rows.add(what, "all of it in memory", f"{found['memory'] / MB:.0f} MB, {found['seconds']:.1f} s",
                 [(found["memory"], 2 * PIPELINE, "memory")])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows with this word")
    parser.add_argument("--plugins", default="target/release")
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        asked = json.loads(arguments.alone)
        print(json.dumps({"play": play, "repair": repair}[asked.pop("what")](**asked)))
        return
    plugins = os.path.realpath(arguments.plugins)
    os.environ["GST_PLUGIN_PATH"] = plugins
    with tempfile.TemporaryDirectory() as directory:
        os.environ["GST_REGISTRY"] = os.path.join(directory, "registry")
        subprocess.run(["gst-launch-1.0", "-q", "videotestsrc", "num-buffers=1", "!", "video/x-raw,width=64,height=48",
                        "!", "jpegenc", "!", "filesink", f"location={directory}/picture.jpg"], check=True)
        with open(os.path.join(directory, "picture.jpg"), "rb") as file:
            picture = file.read()
        rows = Rows(directory, plugins, arguments.only)
        files(rows, picture)
        boards(rows, picture)
        scripts(rows)
        triggers(rows)
        recorder(rows)
        ffmpeg(rows)
    if not rows.rows:
        sys.exit("there is nothing to do")
    table = "\n".join(["| what | once | now |", "|---|---|---|"] + rows.rows)
    page.tell("bounds", "`make soak-bounds`", table, arguments.write)
    if rows.faults:
        sys.exit("\n".join(rows.faults))


if __name__ == "__main__":
    main()
