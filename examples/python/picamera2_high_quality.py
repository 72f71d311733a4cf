# SPDX-License-Identifier: MIT OR Apache-2.0
"""picamera2's high-quality recording: 1080p30, H.264 high profile, 20 Mbit/s.

    H264Encoder(bitrate=20000000, framerate=30, profile="high", level="4.1")

Encoder properties are an encoder element's: here k230venc, before recordsink, which takes what is
encoded as it is. Profile and level are what the caps behind the encoder ask for.

usage: picamera2_high_quality.py [FILE [SECONDS]]
"""

import sys

from pipeline import CAMERA, Pipeline

file = sys.argv[1] if len(sys.argv) > 1 else "high_quality.h264"
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 30

picam2 = Pipeline(
    f"{CAMERA} ! videoconvert ! videoscale ! video/x-raw,width=1920,height=1080"
    " ! k230venc bitrate=20000 gop-length=30 ! video/x-h264,profile=high"
    f' ! recordsink location="{file}"'
).play()
picam2.wait(seconds)
picam2.stop()
