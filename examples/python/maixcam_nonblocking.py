# SPDX-License-Identifier: MIT OR Apache-2.0
"""MaixCAM's second audio routine: records while the program does something else.

    r = audio.Recorder("/root/test.wav", block=False); r.reset(True)
    while not app.need_exit():
        data = r.record(50)

usage: maixcam_nonblocking.py [FILE [SECONDS]]
"""

import sys

from pipeline import MICROPHONE, Pipeline

file = sys.argv[1] if len(sys.argv) > 1 else "test.wav"
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 5

pipeline = Pipeline(f'{MICROPHONE} ! audiorecordsink name=r block=false location="{file}"').play()
r = pipeline["r"]
r.emit("reset", True)
recorded = 0
for _ in range(int(seconds / 0.05)):
    pipeline.wait(0.05)  # Your application
    need_frames = 50 * r.get_property("sample-rate") // 1000
    if r.get_property("remaining-frames") >= need_frames:
        recorded += r.emit("record", 50).get_size()
r.emit("finish")
pipeline.close()
print("finish!", recorded, "bytes")
