# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the programs beside this one share: a pipeline that ends with complete files.

The plugin has to be where GStreamer looks for plugins: after `make build`,
GST_PLUGIN_PATH=target/release does.
"""

import os
import signal
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

Gst.init(None)

# Where pictures and sound come from. A K210 board: CAMERA="k210camerasrc device=/dev/ttyUSB0".
CAMERA = os.environ.get(
    "CAMERA",
    "videotestsrc is-live=true ! video/x-raw,width=640,height=480,framerate=30/1",
)
MICROPHONE = os.environ.get(
    "MICROPHONE",
    "audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=1",
)
# Where they are shown and heard.
SCREEN = os.environ.get("SCREEN", "autovideosink")
SPEAKER = os.environ.get("SPEAKER", "autoaudiosink")


class Pipeline:
    """A pipeline written as for gst-launch-1.0."""

    def __init__(self, description):
        self.pipeline = Gst.parse_launch(description)
        self.bus = self.pipeline.get_bus()
        self.ended = False

    def __getitem__(self, name):
        return self.pipeline.get_by_name(name)

    def play(self):
        # Ctrl-C ends the stream instead of the program, so that files are complete.
        signal.signal(signal.SIGINT, lambda *_: self.pipeline.send_event(Gst.Event.new_eos()))
        self.pipeline.set_state(Gst.State.PLAYING)
        return self

    def wait(self, seconds=None, on_message=None):
        """Waits for the end of the stream, or for some seconds; an error ends the program.

        on_message gets the structure of each element message. True: the stream has ended.
        """
        if self.ended:
            return True
        end = None if seconds is None else Gst.util_get_timestamp() + int(seconds * Gst.SECOND)
        kinds = Gst.MessageType.EOS | Gst.MessageType.ERROR | Gst.MessageType.ELEMENT
        while True:
            # Short waits: Python's signal handlers only run in between.
            left = Gst.SECOND // 10
            if end is not None:
                left = min(left, end - Gst.util_get_timestamp())
                if left <= 0:
                    return False
            message = self.bus.timed_pop_filtered(left, kinds)
            if message is None:
                continue
            if message.type == Gst.MessageType.EOS:
                self.ended = True
                return True
            if message.type == Gst.MessageType.ERROR:
                error, details = message.parse_error()
                self.pipeline.set_state(Gst.State.NULL)
                sys.exit(f"{error.message}\n{details}")
            if on_message is not None:
                on_message(message.get_structure())

    def stop(self, on_message=None):
        """Ends the stream, waits until the files are complete, and stops."""
        self.pipeline.send_event(Gst.Event.new_eos())
        self.wait(on_message=on_message)
        self.close()

    def close(self):
        self.pipeline.set_state(Gst.State.NULL)
