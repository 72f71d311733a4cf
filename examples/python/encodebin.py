# SPDX-License-Identifier: MIT OR Apache-2.0
"""An application's encodebin, with a GstEncodingContainerProfile, and our muxer in it.

By its format alone (video/x-msvideo) encodebin takes avimux, whose rank is higher: nothing changes for
applications that know nothing of this plugin. The profile's preset name, which is the factory's, asks for
ours; in text (gst-launch-1.0, encodebin's property profile) it is avimjpegmux:jpegenc, and
avimjpegmux|element-properties,profile=1:jpegenc for a file that a K210 plays.

encodebin has a videorate, which from GStreamer 1.28 on repeats the last picture at the end, with any muxer.

usage: encodebin.py [FILE [SECONDS]]
"""

import sys

import gi

from pipeline import CAMERA, Gst, Pipeline

gi.require_version("GstPbutils", "1.0")
from gi.repository import GstPbutils  # noqa: E402

file = sys.argv[1] if len(sys.argv) > 1 else "capture.avi"
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 5

avi = Gst.Caps.from_string("video/x-msvideo")
jpeg = Gst.Caps.from_string("image/jpeg")
profile = GstPbutils.EncodingContainerProfile.new("capture", None, avi, None)
profile.set_preset_name("avimjpegmux")
profile.add_profile(GstPbutils.EncodingVideoProfile.new(jpeg, None, None, 0))

# It has pads for the profile's streams once it has the profile.
recorder = Pipeline(f'{CAMERA} ! queue name=pictures  filesink name=file location="{file}"')
encoder = Gst.ElementFactory.make("encodebin")
encoder.set_property("profile", profile)
recorder.pipeline.add(encoder)
recorder["pictures"].link(encoder)
encoder.link(recorder["file"])
recorder.play().wait(seconds)
recorder.stop()
