# SPDX-License-Identifier: MIT OR Apache-2.0
"""picamera2's several encoders at once, each started and stopped without disturbing the others.

    picam2.start_encoder(h264_encoder, FileOutput("video.h264", pts="video.txt"))
    picam2.start_encoder(h264_encoder2, CircularOutput2(buffer_duration_ms=5000))
    picam2.start_preview()
    picam2.start_encoder(mjpeg_encoder, FileOutput("video.mjpeg"))
    ...
    picam2.stop_encoder(mjpeg_encoder)

The H.264 file goes on all the time; the circular buffer, the preview and the MJPEG file come and
go one after the other.

usage: picamera2_multiple.py [H264 [MJPEG [CIRCULAR [SECONDS]]]]
"""

import sys

from pipeline import CAMERA, Gst, Pipeline, SCREEN

h264 = sys.argv[1] if len(sys.argv) > 1 else "video.h264"
mjpeg = sys.argv[2] if len(sys.argv) > 2 else "video.mjpeg"
circular = sys.argv[3] if len(sys.argv) > 3 else "buffer.mkv"
seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 16

# What each branch ends with is told to us, and not only that all of them have ended.
picam2 = Pipeline(f"{CAMERA} ! tee name=camera allow-not-linked=true")
picam2.pipeline.set_property("message-forward", True)


def start_encoder(description):
    """Adds a branch to the running camera."""
    branch = Gst.parse_bin_from_description(f"queue ! {description}", True)
    picam2.pipeline.add(branch)
    branch.sync_state_with_parent()
    picam2["camera"].request_pad_simple("src_%u").link(branch.get_static_pad("sink"))
    return branch


def stop_encoder(branch):
    """Ends one branch; its file is complete when this returns, and the others have gone on."""
    sink = branch.get_static_pad("sink")
    # The camera sends no more here; what is in the branch is recorded, and then comes the end.
    picam2["camera"].release_request_pad(sink.get_peer())
    ended = []

    def on_message(message):
        if message.get_name() == "GstBinForwarded":
            message = message.get_value("message")
            if message.type == Gst.MessageType.EOS and message.src == branch:
                ended.append(True)

    sink.send_event(Gst.Event.new_eos())
    while not ended:
        picam2.wait(0.05, on_message)
    branch.set_state(Gst.State.NULL)
    picam2.pipeline.remove(branch)


start_encoder(f'recordsink location="{h264}" pts-location="{h264}.txt"')
picam2.play()
picam2.wait(seconds / 8)

buffer = start_encoder(
    "videoconvert ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! h264parse"
    f' ! circularsink name=circular max-time=5000000000 location="{circular}"'
)
picam2.wait(seconds / 8)
# A preview forgets frames rather than hold the others up.
preview = start_encoder(f"queue leaky=downstream max-size-buffers=2 ! videoconvert ! {SCREEN}")
picam2.wait(seconds / 8)
encoder = start_encoder(f'recordsink location="{mjpeg}"')
picam2.wait(seconds / 4)

stop_encoder(preview)
picam2.wait(seconds / 8)
buffer.get_by_name("circular").emit("trigger", None)
stop_encoder(buffer)
print(circular, "is complete")
picam2.wait(seconds / 8)
stop_encoder(encoder)
print(mjpeg, "is complete")
picam2.wait(seconds / 8)
picam2.stop()
print(h264, "is complete")
