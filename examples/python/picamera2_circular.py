# SPDX-License-Identifier: MIT OR Apache-2.0
"""picamera2's circular recording: the last seconds are kept, and saved when something happens.

    circular_output = CircularOutput("buffer.h264", buffersize=30)
    ...
    circular_output.outputtofile = True

max-time counts nanoseconds, where buffersize counts frames. With sound, a second branch ends in
the same circularsink's audio pad.

usage: picamera2_circular.py [FILE [SECONDS [AFTER]]]   AFTER seconds something happens
"""

import sys

from pipeline import CAMERA, Gst, Pipeline

file = sys.argv[1] if len(sys.argv) > 1 else "buffer.mp4"
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 30
after = float(sys.argv[3]) if len(sys.argv) > 3 else 60

picam2 = Pipeline(
    f"{CAMERA} ! videoconvert ! k230venc ! video/x-h264 ! h264parse"
    f' ! circularsink name=c max-time={int(seconds * Gst.SECOND)} location="{file}"'
).play()
picam2.wait(after)
picam2["c"].emit("trigger", None)
picam2.stop()
