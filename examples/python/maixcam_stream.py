# SPDX-License-Identifier: MIT OR Apache-2.0
"""MaixCAM's third audio routine: samples as they come, and no file.

    r = audio.Recorder(block=False); r.reset(True)
    while not app.need_exit():
        data = r.record(50); print(f'record {len(data)} bytes')
        app.sleep_ms(50)

That loop falls behind: 50 ms of sound are taken every 50 ms and whatever the program itself takes, until the
store is full and samples are lost. This one takes all that is ready each time, and keeps up.

usage: maixcam_stream.py [SECONDS]
"""

import sys

from pipeline import MICROPHONE, Pipeline

seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5

pipeline = Pipeline(f"{MICROPHONE} ! audiorecordsink name=r block=false").play()
r = pipeline["r"]
r.emit("reset", True)
for _ in range(int(seconds / 0.05)):
    data = r.emit("record", -1)
    print(f"record {data.get_size()} bytes")
    pipeline.wait(0.05)  # Your application
pipeline.close()
