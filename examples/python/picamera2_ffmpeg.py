# SPDX-License-Identifier: MIT OR Apache-2.0
"""picamera2's streaming through ffmpeg.

    FfmpegOutput(["-f", "h264", "-i", "-", "-c:v", "copy", "-f", "flv", "rtmp://localhost/live/stream"])

ffmpegsink's args are what follows the input: the input itself, and its times, are its own affair.

usage: picamera2_ffmpeg.py [SECONDS [FFMPEG-ARGUMENT...]]
"""

import shlex
import sys

from pipeline import CAMERA, Pipeline

seconds = float(sys.argv[1]) if len(sys.argv) > 1 else None
arguments = sys.argv[2:] or ["-c:v", "copy", "-f", "flv", "rtmp://localhost/live/stream"]

picam2 = Pipeline(f"{CAMERA} ! videoconvert ! k230venc ! video/x-h264 ! ffmpegsink name=ffmpeg")
picam2["ffmpeg"].set_property("args", shlex.join(arguments))
picam2.play()
if not picam2.wait(seconds):
    picam2.stop()
