# SPDX-License-Identifier: MIT OR Apache-2.0
"""MaixCAM's first audio routine: some milliseconds into a .wav or .pcm file.

    r = audio.Recorder("/root/test.wav"); r.volume(100); r.record(3000)

usage: maixcam_record.py [FILE [MS]]
"""

import sys

from pipeline import MICROPHONE, Pipeline

file = sys.argv[1] if len(sys.argv) > 1 else "test.wav"
ms = int(sys.argv[2]) if len(sys.argv) > 2 else 3000

pipeline = Pipeline(f'{MICROPHONE} ! audiorecordsink name=r volume=100 location="{file}"').play()
r = pipeline["r"]
r.emit("record", ms)
r.emit("finish")
print("channel:", r.get_property("channels"))
print("sample rate:", r.get_property("sample-rate"))
pipeline.close()
