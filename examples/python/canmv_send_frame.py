# SPDX-License-Identifier: MIT OR Apache-2.0
"""CanMV's encoder with pictures of the program's own: SendFrame and GetStream, both with a limit.

    encoder.Create(ChnAttrStr(encoder.PAYLOAD_TYPE_JPEG, 0, width, height, mjpeg_quality_factor=45))
    encoder.SendFrame(frame, timeout=1000); encoder.GetStream(streamData, timeout=1000)

usage: canmv_send_frame.py [FRAMES]
"""

import sys

from pipeline import Gst, Pipeline

frames = int(sys.argv[1]) if len(sys.argv) > 1 else 10
width, height = 640, 480

encoder = Pipeline(
    "appsrc name=frames format=time block=true max-buffers=3"
    f" caps=video/x-raw,format=NV12,width={width},height={height},framerate=30/1"
    " ! k230venc jpeg-quality=45 ! image/jpeg ! appsink name=stream sync=false"
)
encoder.play()
for n in range(frames):
    # A grey that gets lighter, without colour.
    picture = bytes([16 + n % 200]) * (width * height) + bytes([128]) * (width * height // 2)
    frame = Gst.Buffer.new_wrapped(picture)
    frame.pts = n * Gst.SECOND // 30
    encoder["frames"].emit("push-buffer", frame)  # SendFrame
    sample = encoder["stream"].emit("try-pull-sample", 10 * Gst.SECOND)  # GetStream(timeout=10000)
    if sample is None:
        encoder.wait(0)
        sys.exit("nothing came in ten seconds")
    print("pts:", sample.get_buffer().pts // 1000, "us, stream size:", sample.get_buffer().get_size())
encoder.close()
