# SPDX-License-Identifier: MIT OR Apache-2.0
"""picamera2's five levels of quality, one short file each.

    picam2.start_recording(H264Encoder(), FileOutput(f"test_quality_{i}.h264"), quality=quality)

usage: picamera2_quality.py [PREFIX [SECONDS]]
"""

import sys

from pipeline import CAMERA, Pipeline

prefix = sys.argv[1] if len(sys.argv) > 1 else "test_quality_"
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 5

for i, quality in enumerate(["very-low", "low", "medium", "high", "very-high"]):
    picam2 = Pipeline(f'{CAMERA} ! recordsink quality={quality} location="{prefix}{i}.h264"').play()
    picam2.wait(seconds)
    picam2.stop()
