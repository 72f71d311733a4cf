# SPDX-License-Identifier: MIT OR Apache-2.0
"""A timelapse: a picture every EVERY seconds, played at 25 a second.

usage: timelapse.py [FILE [EVERY [SECONDS]]]   until Ctrl-C, or for SECONDS
"""

import sys

from pipeline import CAMERA, Pipeline

file = sys.argv[1] if len(sys.argv) > 1 else "timelapse.mp4"
every = float(sys.argv[2]) if len(sys.argv) > 2 else 2
seconds = float(sys.argv[3]) if len(sys.argv) > 3 else None

# The pictures' times are divided by `rate`, and 25 of them are left in each second of that.
camera = Pipeline(
    f"{CAMERA} ! videorate rate={25 * every} ! video/x-raw,framerate=25/1"
    f' ! recordsink location="{file}"'
).play()
camera.wait(seconds)
camera.stop()
