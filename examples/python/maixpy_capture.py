# SPDX-License-Identifier: MIT OR Apache-2.0
"""MaixPy's routine 3: steps through an AVI, one picture a call, without any clock.

    while v.capture(img) != 0: lcd.display(img)

usage: maixpy_capture.py FILE
"""

import sys

from pipeline import Gst, Pipeline

v = Pipeline(
    f'filesrc location="{sys.argv[1]}" ! avimjpegdemux ! jpegdec ! videoconvert'
    " ! video/x-raw,format=RGB ! appsink name=img sync=false max-buffers=1"
)


def capture():
    """(3, picture), or (0, None) at the end, as MaixPy's capture(img) tells."""
    sample = v["img"].emit("pull-sample")
    if sample is None:
        return 0, None
    return 3, sample


v.play()
while True:
    status, img = capture()
    if status == 0:
        print("end")
        break
    size = img.get_caps().get_structure(0)
    data = img.get_buffer()
    print(status, f"{size.get_value('width')}x{size.get_value('height')}", data.pts // Gst.MSECOND, "ms")
v.close()
