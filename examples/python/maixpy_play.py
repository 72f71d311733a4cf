# SPDX-License-Identifier: MIT OR Apache-2.0
"""MaixPy's routine 1: plays an AVI with sound, and prints what video.play() returns.

    v = video.open("/sd/badapple.avi"); v.volume(50)
    while v.play() != 0: pass

3 is a video frame, 4 a piece of sound, 0 the end. Each comes when it is time for it, sound and
pictures by the same clock. Give "autovideosink" and "autoaudiosink" to see and hear it.

usage: maixpy_play.py FILE [VOLUME] [VIDEO-SINK AUDIO-SINK]
"""

import sys

from pipeline import Gst, Pipeline

file = sys.argv[1]
volume = int(sys.argv[2]) if len(sys.argv) > 2 else 50
video_sink, audio_sink = sys.argv[3:5] or ("fakesink sync=true", "fakesink sync=true")

v = Pipeline(
    f'filesrc location="{file}" ! avimjpegdemux name=d'
    f" d.video_0 ! queue ! jpegdec ! videoconvert ! identity name=picture ! {video_sink}"
)


def add_audio(_demuxer, pad):
    # A file need not have sound; this end is made when it does.
    if not pad.get_name().startswith("audio"):
        return
    bin = Gst.parse_bin_from_description(
        f"queue ! audioconvert ! volume volume={volume / 100} ! identity name=sound ! {audio_sink}",
        True,
    )
    v.pipeline.add(bin)
    bin.sync_state_with_parent()
    pad.link(bin.get_static_pad("sink"))
    watch(bin.get_by_name("sound"), 4)


def watch(element, status):
    sink = element.get_static_pad("src").get_peer()

    def arrived(_pad, _info):
        # In one piece, for sound and pictures come in threads of their own.
        sys.stdout.write(f"{status}\n")
        return Gst.PadProbeReturn.OK

    sink.add_probe(Gst.PadProbeType.BUFFER, arrived)


v["d"].connect("pad-added", add_audio)
watch(v["picture"], 3)
v.play()
v.wait()
v.close()
print(0)
print("play end")
