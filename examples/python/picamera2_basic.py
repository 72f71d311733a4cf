# SPDX-License-Identifier: MIT OR Apache-2.0
"""picamera2's basic recording: H.264 at 10 Mbit/s into a file, for some seconds.

    picam2.start_recording(H264Encoder(bitrate=10000000), FileOutput("video.h264"))
    time.sleep(10)
    picam2.stop_recording()

usage: picamera2_basic.py [FILE [SECONDS]]
"""

import sys

from pipeline import CAMERA, Pipeline

file = sys.argv[1] if len(sys.argv) > 1 else "video.h264"
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 10

# recordsink counts in kbit/s.
picam2 = Pipeline(f'{CAMERA} ! recordsink bitrate=10000 location="{file}"').play()
picam2.wait(seconds)
picam2.stop()
