# SPDX-License-Identifier: MIT OR Apache-2.0
"""picamera2's all-in-one call.

    picam2.start_and_record_video("recording.mp4", duration=60, quality=Quality.HIGH,
                                  show_preview=True)

usage: picamera2_easy.py [FILE [SECONDS [QUALITY [PREVIEW]]]]
"""

import sys

from pipeline import CAMERA, Gst, Pipeline

file = sys.argv[1] if len(sys.argv) > 1 else "recording.mp4"
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 60
quality = sys.argv[3] if len(sys.argv) > 3 else "high"
preview = sys.argv[4] if len(sys.argv) > 4 else "true"

picam2 = Pipeline(
    f'{CAMERA} ! recordsink quality={quality} preview={preview} location="{file}"'
    f" duration={int(seconds * Gst.SECOND)}"
).play()
picam2.wait()
picam2.close()
print("Recording complete")
