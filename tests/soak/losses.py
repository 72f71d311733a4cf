#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What is lost of a recording when its program is killed, its disk fails or the power is cut.

    losses.py kill|eio|gone|full|power [--rounds N] [--together N] [--only WORD] [--write]

Each round records all cases (a sink, a container, with or without sound), a dozen at a time (TOGETHER),
as what is lost because the machine can do no more is not the sink's; in a few processes, as one has
three channels of VENC; from live sources, noting what has gone into each sink. At a random moment the
trouble comes to all:

kill    SIGKILL. What ffmpegsink feeds has the time that it takes to end.
eio     one write of each file fails (disk.c)
gone    the disk of each file was removed: all that is done with it fails (disk.c)
full    each file has a disk of its own, a tmpfs that only this process sees, and something else
        takes all the room that is left. The recording is stopped when it has told of it.
power   nothing; but all writes and syncs are noted (disk.c), and ROUNDS moments are played
        afterwards: what was synced, and what is older than Linux keeps to itself by default, is on
        the disk, and of each page that was written since then a coin decides.

What is left is read by ffprobe and by GStreamer with its own demuxers. A loss is what had gone into
the sink until then, of the stream that had come less far, less what the worse of the two readers gets
out, of the stream that is shorter.
With --write the table goes into docs/reliability.md. Ends with an error when more is lost than may
be, when a file does not play, or when a failure was not told.
"""

import argparse
import concurrent.futures
import errno
import json
import mmap
import os
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

import page

FRAMES = 30
RATE = 48000
PAGE_SIZE = 4096
# Linux writes what has been dirty for 30 s (vm.dirty_expire_centisecs), looking every 5 s
# (vm.dirty_writeback_centisecs); ext4 tells where it is within another 5 s (commit=5).
KEPT = 40
# Beyond what may be lost: where the sink writes each frame at once, a tenth of a second; where there
# are checkpoints, fragments or clusters, those of a second.
AT_ONCE, A_SECOND = 0.1, 1.1
# To a power cut: what is not synced each second loses more than this, and a disk that is busy with a dozen recordings
# and their logs may take some seconds for a sync.
SYNCED = 10
DEADLINE = 180

PICTURES = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=160,height=120,framerate=30/1"
SOUND = "audiotestsrc is-live=true samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=1"
H264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 ! h264parse"
JPEG = "jpegenc"
AAC = "audioconvert ! avenc_aac ! aacparse"
VP8 = "vp8enc deadline=1 keyframe-max-dist=30 lag-in-frames=0"
OPUS = "audioconvert ! opusenc"

# What each container may lose to a kill.
MAY_LOSE = {"mkv": AT_ONCE, "ts": AT_ONCE, "h264": AT_ONCE, "h265": AT_ONCE, "mjpeg": AT_ONCE,
            "wav": AT_ONCE, "flv": AT_ONCE, "pcm": AT_ONCE}


class Case:
    def __init__(self, sink, extension, video, audio, launch):
        self.sink, self.extension = sink, extension
        self.streams = [name for name, there in (("video", video), ("audio", audio)) if there]
        self.launch = launch

    @property
    def name(self):
        return f"{self.sink} .{self.extension} {'+'.join(self.streams)}"

    def encodes_h264(self):
        """Whether it takes a channel of VENC, of which there are three for a process."""
        return self.sink == "recordsink" and "video" in self.streams and self.extension in (
            "mp4", "mov", "mkv", "ts", "flv", "h264", "h265")

    def may_lose(self, what):
        if what == "power":
            # ffmpeg does not sync.
            return float("inf") if self.sink == "ffmpegsink" else SYNCED
        if what != "kill":
            return float("inf")
        return A_SECOND if self.sink == "ffmpegsink" else MAY_LOSE.get(self.extension, A_SECOND)


def cases():
    """All of them; the place of the file is called FILE."""
    found = []

    def add(sink, extension, video, audio, element, pads=("video", "audio")):
        branches = [f"{source} ! s.{pad}" for source, pad in zip((video, audio), pads) if source]
        found.append(Case(sink, extension, video, audio, " ".join([element] + branches)))

    both = ((PICTURES, None), (PICTURES, SOUND))
    for extension in ("avi", "mp4", "mov", "mkv", "webm", "ts", "flv", "ogg"):
        for video, audio in both:
            add("recordsink", extension, video, audio, "recordsink name=s location=FILE")
    for extension in ("h264", "h265", "mjpeg"):
        add("recordsink", extension, PICTURES, None, "recordsink name=s location=FILE")
    for extension in ("wav", "m4a", "opus"):
        add("recordsink", extension, None, SOUND, "recordsink name=s location=FILE")

    circular = "circularsink name=s recording=true max-time=5000000000 location=FILE"
    for extensions, video_encoder, audio_encoder in (
            (("mp4", "mov", "mkv", "ts", "flv"), H264, AAC), (("webm", "ogg"), VP8, OPUS),
            (("avi",), JPEG, "audioconvert")):
        for extension in extensions:
            for video, audio in both:
                add("circularsink", extension, f"{video} ! {video_encoder}",
                    audio and f"{audio} ! {audio_encoder}", circular, ("video", "audio_0"))
    for extension, encoder in (("h264", H264), ("mjpeg", JPEG)):
        add("circularsink", extension, f"{PICTURES} ! {encoder}", None, circular)
    add("circularsink", "wav", None, SOUND, circular, ("video", "audio_0"))

    for extension, codecs in (("mp4", "-c:v mpeg4 -c:a aac"), ("mkv", "-c:v mpeg4 -c:a aac"),
                              ("avi", "-c:v mjpeg -c:a pcm_s16le")):
        for video, audio in both:
            add("ffmpegsink", extension, video, audio, f"ffmpegsink name=s args=\"{codecs} FILE\"")
    for profile in ("standard", "k210"):
        for video, audio in both:
            if profile == "k210" and audio:
                audio = audio.replace("rate=48000", "rate=44100")
            add(f"avimjpegmux profile={profile} ! filesink", "avi", f"{video} ! {JPEG}", audio,
                f"avimjpegmux name=s profile={profile} ! filesink location=FILE",
                ("video_0", "audio_0"))
    for extension in ("wav", "pcm"):
        add("audiorecordsink", extension, None, SOUND, "audiorecordsink name=s location=FILE",
            ("video", "sink"))
        found[-1].launch = f"{SOUND} ! audiorecordsink name=s location=FILE"
    return found


def some(arguments):
    """Those that are recorded at a time."""
    chosen = [case for case in cases() if arguments.only in case.name]
    return chosen[arguments.first:arguments.first + arguments.together]


CHANNELS = 3


def processes(chosen):
    """The cases by number, in groups that a process can record."""
    takers = [number for number, case in enumerate(chosen) if case.encodes_h264()]
    groups = [takers[at:at + CHANNELS] for at in range(0, len(takers), CHANNELS)] or [[]]
    others = (number for number, case in enumerate(chosen) if not case.encodes_h264())
    for at, number in enumerate(others):
        groups[at % len(groups)].append(number)
    return groups


# What records: processes of their own.


class Recording:
    """One case, under way."""

    def __init__(self, gst, case, path, tell):
        self.gst, self.case, self.tell = gst, case, tell
        self.told, self.after = [], False
        self.entered = [0.0, 0.0]
        self.log = []
        self.pipeline = gst.parse_launch(case.launch.replace("FILE", path))
        sink = self.pipeline.get_by_name("s")
        for pad in list(sink.sinkpads):
            which = int(not pad.get_name().startswith("video"))
            pad.add_probe(gst.PadProbeType.BUFFER, self.enter, which)
        self.pipeline.get_bus().set_sync_handler(self.hear)

    def enter(self, _pad, info, which):
        buffer = info.get_buffer()
        # A stream's header comes without a length.
        if which == 0:
            self.entered[0] += 1 / FRAMES
        elif buffer.duration != self.gst.CLOCK_TIME_NONE:
            self.entered[1] += buffer.duration / 1e9
        self.tell(which, self.entered[which])
        self.log.append((time.monotonic(), *self.entered))
        return self.gst.PadProbeReturn.OK

    def hear(self, _bus, message):
        text = ""
        if message.type == self.gst.MessageType.ERROR:
            text = "error: " + message.parse_error()[0].message
        elif message.type == self.gst.MessageType.WARNING:
            text = "warning: " + message.parse_warning()[0].message
        if text:
            self.told.append(text)
        return self.gst.BusSyncReply.DROP

    def going(self):
        return all(self.entered[("video", "audio").index(stream)] > 1.5
                   for stream in self.case.streams)


def fill(directory):
    """Takes all the room that a file system has, while others write."""
    with open(os.path.join(directory, "other"), "wb", buffering=0) as other:
        try:
            while True:
                other.write(bytes(PAGE_SIZE))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def give_up(why):
    print(why, file=sys.stderr, flush=True)
    # The recordings go on.
    os._exit(1)


def record(arguments):
    import gi
    gi.require_version("Gst", "1.0")
    from gi.repository import Gst
    Gst.init(None)
    # PyGObject makes a class's attributes when one is first asked for, and no other thread may ask meanwhile.
    assert Gst.Buffer.new().duration == Gst.CLOCK_TIME_NONE
    chosen = some(arguments)
    numbers = [int(number) for number in arguments.numbers.split(",")]
    words = mmap.mmap(os.open(os.path.join(arguments.record, "control"), os.O_RDWR), 0)
    entered = mmap.mmap(os.open(os.path.join(arguments.record, "entered"), os.O_RDWR), 0)
    recordings = []
    for number in numbers:
        case = chosen[number]

        def tell(which, seconds, number=number):
            struct.pack_into("d", entered, 16 * number + 8 * which, seconds)
        path = os.path.join(arguments.record, str(number), f"a.{case.extension}")
        recordings.append(Recording(Gst, case, path, tell))
    for recording in recordings:
        recording.pipeline.set_state(Gst.State.PLAYING)
    start = time.monotonic()
    while not all(recording.going() for recording in recordings):
        for recording in recordings:
            if any(text.startswith("error") for text in recording.told):
                give_up(f"{recording.case.name}: {recording.told}")
        if time.monotonic() - start > DEADLINE:
            give_up("never began: " + ", ".join(recording.case.name for recording in recordings
                                                if not recording.going()))
        time.sleep(0.02)
    print("ready", flush=True)
    # The kill comes here.
    sys.stdin.readline()
    noted = [list(recording.entered) for recording in recordings]
    for recording in recordings:
        recording.told.clear()
    for number, recording in zip(numbers, recordings):
        if arguments.what == "full":
            fill(os.path.join(arguments.record, str(number)))
        struct.pack_into("I", words, 4 * number, {"eio": 1, "gone": 2}.get(arguments.what, 0))
    if arguments.what != "power":
        start = time.monotonic()
        while not all(recording.told for recording in recordings):
            if time.monotonic() - start > 30:
                break
            time.sleep(0.02)
    # Without an end of the stream: whoever records has heard that it failed, or is gone.
    report = {number: {"noted": entered, "told": list(recording.told),
                       "log": list(recording.log) if arguments.what == "power" else []}
              for number, entered, recording in zip(numbers, noted, recordings)}
    with open(os.path.join(arguments.record, f"report-{numbers[0]}"), "w") as file:
        json.dump(report, file)
    if arguments.what == "power":
        os._exit(0)
    for recording in recordings:
        recording.pipeline.set_state(Gst.State.NULL)
    if arguments.what == "full":
        for number in numbers:
            directory = os.path.join(arguments.record, str(number))
            shutil.copytree(directory, os.path.join(arguments.record, f"kept-{number}"),
                            ignore=shutil.ignore_patterns("other"))


# What reads what is left.


def by_ffprobe(path):
    """Seconds of pictures and of sound that ffprobe finds, and what it says."""
    result = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "packet=codec_type,pts_time,duration_time",
         "-of", "compact=nk=0", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        timeout=DEADLINE)
    frames, sound = 0, []
    for line in result.stdout.splitlines():
        fields = dict(field.split("=") for field in line.split("|") if "=" in field)
        if fields.get("codec_type") == "video":
            frames += 1
        elif fields.get("codec_type") == "audio" and fields.get("duration_time", "N/A") != "N/A":
            sound.append((fields.get("pts_time", "N/A"), float(fields["duration_time"])))
    failed = ""
    if result.returncode:
        failed = result.stderr.strip() or f"ended with {result.returncode}"
    return frames / FRAMES, length_of(sound), failed


def length_of(packets):
    """Seconds of sound in packets of a time and a length each.

    Where a container has milliseconds, a packet of 21.333 ms says that it has 21: up to the next
    packet, if that follows it, is what it has.
    """
    seconds = 0.0
    for (time_, length), (after, _) in zip(packets, packets[1:] + [("N/A", 0)]):
        step = float(after) - float(time_) if "N/A" not in (time_, after) else length
        seconds += step if abs(step - length) < 0.0015 else length
    return seconds


def by_gstreamer(path):
    """Seconds of pictures and of sound that GStreamer decodes, and the error if there is one."""
    import gi
    gi.require_version("Gst", "1.0")
    from gi.repository import Gst
    Gst.init(None)
    pipeline = Gst.parse_launch(f"filesrc location={path} ! decodebin name=d")
    seconds = [0.0, 0.0]

    def count(_pad, info, kind):
        if kind == "video":
            seconds[0] += 1 / FRAMES
        else:
            seconds[1] += info.get_buffer().duration / 1e9
        return Gst.PadProbeReturn.OK

    def link(_element, pad):
        kind = pad.query_caps(None).get_structure(0).get_name().split("/")[0]
        sink = Gst.ElementFactory.make("fakesink")
        sink.set_property("sync", False)
        pipeline.add(sink)
        sink.sync_state_with_parent()
        if kind in ("video", "audio"):
            pad.add_probe(Gst.PadProbeType.BUFFER, count, kind)
        pad.link(sink.get_static_pad("sink"))

    pipeline.get_by_name("d").connect("pad-added", link)
    pipeline.set_state(Gst.State.PLAYING)
    message = pipeline.get_bus().timed_pop_filtered(
        DEADLINE * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    failed = "it hangs"
    if message:
        failed = message.parse_error()[0].message if message.type == Gst.MessageType.ERROR else ""
    pipeline.set_state(Gst.State.NULL)
    return *seconds, failed


def read(path, streams):
    """What the worse reader gets of each stream, and why a file does not play."""
    if path.endswith(".pcm"):
        return [0.0, os.path.getsize(path) / 2 / RATE], ""
    if not os.path.exists(path):
        return [0.0, 0.0], "it is not there"
    readers = [by_ffprobe(path), by_gstreamer(path)]
    seconds = [min(reader[which] for reader in readers) for which in (0, 1)]
    wrong = [f"{name}: {reader[2]}" for name, reader in zip(("ffprobe", "GStreamer"), readers)
             if reader[2]]
    for which, stream in enumerate(("video", "audio")):
        if stream in streams and not seconds[which]:
            wrong.append(f"no {stream}")
    return seconds, "; ".join(wrong)


class Outcome:
    def __init__(self, case):
        self.case, self.losses, self.wrong, self.untold = case, [], [], 0


# The rounds.


def launch(arguments, directory, chosen):
    """Starts to record; answers when all recordings are under way."""
    environment = dict(os.environ, GST_PLUGIN_PATH=arguments.plugins,
                       GST_REGISTRY=os.path.join(arguments.scratch, "registry"))
    for name, size in (("control", 4 * 256), ("entered", 16 * 256)):
        with open(os.path.join(directory, name), "wb") as words:
            words.truncate(size)
    for number in range(len(chosen)):
        os.mkdir(os.path.join(directory, str(number)))
    if arguments.what in ("eio", "gone", "power"):
        environment.update(LD_PRELOAD=arguments.disk, DISK_DIR=directory,
                           DISK_CONTROL=os.path.join(directory, "control"))
    if arguments.what == "power":
        environment["DISK_LOG"] = os.path.join(directory, "log")
        open(environment["DISK_LOG"], "wb").close()
    groups = processes(chosen)
    children = [start(arguments, directory, group, environment) for group in groups]
    killers = [threading.Timer(2 * DEADLINE, child.kill) for child in children]
    for killer in killers:
        killer.start()
    lines = [child.stdout.readline() for child in children]
    for killer in killers:
        killer.cancel()
    if any(line != "ready\n" for line in lines):
        for child in children:
            child.kill()
        sys.exit("not all recordings began")
    return children


def start(arguments, directory, group, environment):
    command = [sys.executable, __file__, arguments.what, "--record", directory, "--only",
               arguments.only, "--first", str(arguments.first), "--together",
               str(arguments.together), "--numbers", ",".join(map(str, group))]
    if arguments.what == "full":
        mounts = f"for each in {' '.join(map(str, group))}; do " \
                 "mount -t tmpfs -o size=8m none $each || exit 1; done"
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
                   f'cd "$0" && {mounts} && exec "$@"', directory] + command
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)


def reports(directory, children):
    """What all processes noted, by the case's number."""
    for child in children:
        child.stdin.write("now\n")
        child.stdin.flush()
    found = {}
    for child in children:
        if child.wait(timeout=DEADLINE):
            sys.exit(f"a recording process failed with {child.returncode}")
    for name in os.listdir(directory):
        if name.startswith("report-"):
            with open(os.path.join(directory, name)) as lines:
                found.update((int(number), case) for number, case in json.load(lines).items())
    return found


def until_gone(directory):
    """Waits for the children of a killed process: they finish their files."""
    start = time.monotonic()
    while time.monotonic() - start < 60:
        found = False
        for process in os.listdir("/proc"):
            if not process.isdigit() or int(process) == os.getpid():
                continue
            try:
                with open(f"/proc/{process}/cmdline", "rb") as words:
                    found |= directory.encode() in words.read()
            except OSError:
                pass  # It ended meanwhile.
        if not found:
            return
        time.sleep(0.05)
    sys.exit(f"something is still at work in {directory} a minute after the kill")


def trouble(arguments, directory, chosen, outcomes, pool):
    """One round of anything but power cuts."""
    children = launch(arguments, directory, chosen)
    time.sleep(random.uniform(0, 2))
    if arguments.what == "kill":
        for child in children:
            child.kill()
        for child in children:
            child.wait()
        until_gone(directory)
        with open(os.path.join(directory, "entered"), "rb") as words:
            noted = [struct.unpack("dd", words.read(16)) for _ in chosen]
        report = None
    else:
        report = reports(directory, children)
        noted = [report[number]["noted"] for number in range(len(chosen))]
    jobs = []
    for number, outcome in enumerate(outcomes):
        kept = f"kept-{number}" if arguments.what == "full" else str(number)
        path = os.path.join(directory, kept, f"a.{outcome.case.extension}")
        jobs.append(pool.submit(read, path, outcome.case.streams))
        if report and not report[number]["told"]:
            outcome.untold += 1
    take(outcomes, noted, jobs, arguments)


def take(outcomes, noted, jobs, arguments):
    for outcome, entered, job in zip(outcomes, noted, jobs):
        seconds, wrong = job.result(timeout=4 * DEADLINE)
        there = [which for which, stream in enumerate(("video", "audio"))
                 if stream in outcome.case.streams]
        # A file can go as far as the stream that came less far: the sources are not in step.
        outcome.losses.append(min(entered[which] for which in there) -
                              min(seconds[which] for which in there))
        if wrong:
            outcome.wrong.append(wrong)
        if arguments.verbose:
            print(f"{outcome.case.name}: {entered} in, {seconds} out; {wrong}", flush=True)


RECORD = struct.Struct("=dQQII")


def records(path):
    """What disk.c noted, by inode."""
    found = {}
    with open(path, "rb") as log:
        while head := log.read(RECORD.size):
            moment, inode, offset, length, what = RECORD.unpack(head)
            found.setdefault(inode, []).append((moment, chr(what), offset, log.read(length)))
    return found


class Disk:
    """A file as it is in memory, and what of it is on the disk."""

    def __init__(self):
        self.bytes = bytearray()

    def apply(self, what, offset, data):
        if what == "c":
            del self.bytes[offset:]
            self.bytes.extend(bytes(offset - len(self.bytes)))
        elif what == "w":
            if offset > len(self.bytes):
                self.bytes.extend(bytes(offset - len(self.bytes)))
            self.bytes[offset:offset + len(data)] = data


def after_a_cut(log, moment, dice):
    """The bytes of a file when the power was cut at that moment."""
    log = [entry for entry in log if entry[0] <= moment]
    certain = 0
    began = 0
    for n, (when, what, _, _) in enumerate(log):
        if what == "s":
            began = n
        elif what == "d":
            certain = max(certain, began)
        if when <= moment - KEPT:
            certain = max(certain, n + 1)
    disk, memory = Disk(), Disk()
    for n, (_, what, offset, data) in enumerate(log):
        if n < certain:
            disk.apply(what, offset, data)
        memory.apply(what, offset, data)
    for at in range(0, len(memory.bytes), PAGE_SIZE):
        new = memory.bytes[at:at + PAGE_SIZE]
        if disk.bytes[at:at + PAGE_SIZE] != new and dice.random() < 0.5:
            disk.apply("w", at, new)
    return disk.bytes


def power(arguments, directory, chosen, outcomes, pool):
    """One recording, which all moments are played of."""
    children = launch(arguments, directory, chosen)
    time.sleep(KEPT + 30)
    report = reports(directory, children)
    logs = [report[number]["log"] for number in range(len(chosen))]
    until_gone(directory)
    written = records(os.path.join(directory, "log"))
    inodes = [os.stat(os.path.join(directory, str(number), f"a.{case.extension}")).st_ino
              for number, case in enumerate(chosen)]
    end = min(log[-1][0] for log in logs)
    dice = random.Random(arguments.seed)
    for round_ in range(arguments.rounds):
        moment = end - dice.uniform(0, 25)
        noted, jobs, paths = [], [], []
        for number, case in enumerate(chosen):
            path = os.path.join(directory, f"cut-{number}.{case.extension}")
            with open(path, "wb") as file:
                file.write(after_a_cut(written.get(inodes[number], []), moment, dice))
            noted.append([entry for entry in logs[number] if entry[0] <= moment][-1][1:])
            jobs.append(pool.submit(read, path, case.streams))
            paths.append(path)
        take(outcomes, noted, jobs, arguments)
        print(f"cut {round_ + 1} of {arguments.rounds}", flush=True)


def table(outcomes, what):
    lines = ["| sink | file | streams | lost, worst | median | play |" +
             (" told |" if what in ("eio", "gone", "full") else ""),
             "|---|---|---|---|---|---|" + ("---|" if what in ("eio", "gone", "full") else "")]
    for outcome in outcomes:
        case, count = outcome.case, len(outcome.losses)
        # What the readers put in addition, as an encoder's first samples, is no gain.
        worst, median = max(0, *outcome.losses), max(0, statistics.median(outcome.losses))
        row = (f"| `{case.sink}` | `.{case.extension}` | {' and '.join(case.streams)} | "
               f"{worst:.2f} s | {median:.2f} s | {count - len(outcome.wrong)} of {count} |")
        if what in ("eio", "gone", "full"):
            row += f" {count - outcome.untold} of {count} |"
        lines.append(row)
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["kill", "eio", "gone", "full", "power"])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", default="", help="the cases whose name contains this")
    parser.add_argument("--together", type=int, default=12, help="cases that are recorded at a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plugins", default="target/release")
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    parser.add_argument("--keep", help="leave the last round's files in this directory")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--record", help=argparse.SUPPRESS)
    parser.add_argument("--numbers", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.record:
        record(arguments)
        return
    chosen = [case for case in cases() if arguments.only in case.name]
    if not chosen or arguments.rounds < 1 or arguments.together < 1:
        sys.exit("there is nothing to do")
    if arguments.write and arguments.only:
        sys.exit("a table of some cases is not one for the page")
    arguments.plugins = os.path.realpath(arguments.plugins)
    if not os.path.exists(os.path.join(arguments.plugins, "libgstkendryte.so")):
        sys.exit(f"no plugin in {arguments.plugins}: cargo build --release")
    random.seed(arguments.seed)
    outcomes = [Outcome(case) for case in chosen]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, \
            concurrent.futures.ProcessPoolExecutor() as pool:
        arguments.scratch = os.path.realpath(scratch)
        arguments.disk = os.path.join(arguments.scratch, "disk.so")
        subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", arguments.disk,
                        os.path.join(os.path.dirname(os.path.realpath(__file__)), "disk.c"), "-ldl",
                        "-pthread"], check=True)
        for number in range(1 if arguments.what == "power" else arguments.rounds):
            for arguments.first in range(0, len(chosen), arguments.together):
                directory = os.path.join(arguments.scratch, f"round{number}-{arguments.first}")
                os.mkdir(directory)
                now = slice(arguments.first, arguments.first + arguments.together)
                if arguments.what == "power":
                    power(arguments, directory, chosen[now], outcomes[now], pool)
                else:
                    trouble(arguments, directory, chosen[now], outcomes[now], pool)
                if arguments.keep and number + 1 == arguments.rounds:
                    shutil.copytree(directory, os.path.join(arguments.keep, str(arguments.first)),
                                    dirs_exist_ok=True)
                shutil.rmtree(directory)
            print(f"round {number + 1} of {arguments.rounds}, {time.monotonic() - started:.0f} s",
                  flush=True)
    how = f"`make soak-losses TROUBLE={arguments.what} ROUNDS={arguments.rounds}`"
    page.tell(arguments.what, how, table(outcomes, arguments.what), arguments.write)
    faults = []
    for outcome in outcomes:
        case = outcome.case
        # What ffmpeg has not written yet when its disk fails, is ffmpeg's.
        if outcome.wrong and (arguments.what == "kill" or case.sink != "ffmpegsink"):
            faults.append(f"{case.name}: {len(outcome.wrong)} do not play: {outcome.wrong[0]}")
        if outcome.untold:
            faults.append(f"{case.name}: {outcome.untold} failures were not told")
        limit = case.may_lose(arguments.what)
        if max(outcome.losses) > limit:
            faults.append(f"{case.name}: {max(outcome.losses):.2f} s lost, {limit} s may be")
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
