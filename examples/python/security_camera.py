# SPDX-License-Identifier: MIT OR Apache-2.0
"""A security camera: what moves is saved with the seconds before it, in files named by their time.

Motion is looked for in a small copy of the picture, ten times a second. As long as something moves, each
trigger with the same name lets that recording go on. Another event (here a signal: kill -USR1 PID) has a
file of its own, at the same time if need be: both are written from the same memory.

usage: security_camera.py [DIRECTORY [SECONDS]]
"""

import os
import signal
import sys
import time

import numpy as np

from pipeline import CAMERA, Gst, Pipeline

directory = sys.argv[1] if len(sys.argv) > 1 else "."
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else float("inf")

BEFORE = 5 * Gst.SECOND
AFTER = 2 * Gst.SECOND
# Grey levels by which a pixel has to change, and the share of pixels that have to.
CHANGE, SHARE = 25, 0.005

camera = Pipeline(
    f"{CAMERA} ! tee name=t ! queue ! videoconvert ! k230venc gop-length=15 ! video/x-h264 ! h264parse"
    f" ! circularsink name=c max-time={BEFORE} post-time={AFTER} location={directory}/event-%05d.mp4"
    "  t. ! queue leaky=downstream max-size-buffers=1 ! videorate drop-only=true ! videoscale ! videoconvert"
    " ! video/x-raw,format=GRAY8,width=160,height=120,framerate=10/1"
    " ! appsink name=small sync=false max-buffers=1 drop=true"
)


def name(kind):
    return f"{directory}/{kind}-{time.strftime('%Y-%m-%d_%H-%M-%S')}.mp4"


def button(*_):
    camera["c"].emit("trigger", name("button"))


def tell(structure):
    if structure.get_name() == "circularsink-recording-finished":
        file = os.path.basename(structure.get_string("location"))
        print(f"{file}: {structure.get_uint64('frames')[1]} frames", flush=True)
    elif structure.get_name() == "circularsink-recording-started":
        print(f"{os.path.basename(structure.get_string('location'))} begins", flush=True)


signal.signal(signal.SIGUSR1, button)
camera.play()
last = recording = None
quiet = 0
end = time.monotonic() + seconds
while time.monotonic() < end and not camera.wait(0.01, on_message=tell):
    sample = camera["small"].emit("try-pull-sample", Gst.SECOND // 10)
    if sample is None:
        continue
    buffer = sample.get_buffer()
    # In a signed type, in which a difference has its sign.
    small = np.frombuffer(buffer.extract_dup(0, buffer.get_size()), np.uint8).astype(np.int16)
    moves = last is not None and np.mean(np.abs(small - last) > CHANGE) > SHARE
    last = small
    if moves:
        recording = recording or name("motion")
        quiet = 0
        camera["c"].emit("trigger", recording)
    elif recording:
        quiet += 1
        # The file has ended by now, or is about to: what moves next has another name.
        if quiet > 10 * AFTER // Gst.SECOND:
            recording = None
camera.stop(on_message=tell)
