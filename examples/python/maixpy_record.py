# SPDX-License-Identifier: MIT OR Apache-2.0
"""MaixPy's routine 2: records 50 frames, one each 200 000 us, then plays them.

    v = video.open("/sd/capture.avi", record=1, interval=200000, quality=50)
    for i in range(50): img_len = v.record(img)
    v.record_finish()

quality=medium is JPEG 50. What record() returned, a frame's length, is in a message for each frame.

usage: maixpy_record.py [FILE [FRAMES [INTERVAL]]]
"""

import subprocess
import sys
from pathlib import Path

from pipeline import CAMERA, Pipeline

file = sys.argv[1] if len(sys.argv) > 1 else "capture.avi"
frames = int(sys.argv[2]) if len(sys.argv) > 2 else 50
interval = int(sys.argv[3]) if len(sys.argv) > 3 else 200000

v = Pipeline(
    f"{CAMERA} ! recordsink name=r interval={interval} quality=medium frame-messages=true"
    f' duration={frames * interval * 1000} location="{file}"'
)


def on_message(message):
    if message.get_name() == "recordsink-frame":
        print("record", message.get_value("bytes"))


v.play()
v.wait(on_message=on_message)
v.close()
print("record_finish")

# play your record
subprocess.run([sys.executable, Path(__file__).with_name("maixpy_play.py"), file], check=True)
print("play finish")
