# SPDX-License-Identifier: MIT OR Apache-2.0
"""picamera2's SplittableOutput: the next file begins with the next key frame, no frame is lost.

    splitter.split_output(PyavOutput("test2.mp4"))

usage: picamera2_split.py [FIRST [SECOND [SECONDS]]]
"""

import sys

from pipeline import CAMERA, Pipeline

first = sys.argv[1] if len(sys.argv) > 1 else "test1.mp4"
second = sys.argv[2] if len(sys.argv) > 2 else "test2.mp4"
seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 5


def on_message(message):
    if message.get_name() == "recordsink-file":
        print(message.get_value("location"), message.get_value("frames"))


picam2 = Pipeline(f'{CAMERA} ! recordsink name=r location="{first}"').play()
picam2.wait(seconds, on_message)
picam2["r"].emit("split", second)
picam2.wait(seconds, on_message)
picam2.stop(on_message)
