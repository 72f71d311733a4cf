#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Records a K210 camera to an AVI file from Python.

The plugin has to be where GStreamer finds it: installed, or named by GST_PLUGIN_PATH.

    GST_PLUGIN_PATH=target/release examples/python/record.py --device sim: --seconds 5 capture.avi

Ctrl-C ends the recording early; the file is finished all the same.
"""

import argparse
import signal
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description="Record a K210 camera to an AVI file.")
    parser.add_argument("file")
    parser.add_argument("--device", help="a serial port, tcp://HOST:PORT, sim: or sim:VIDEO "
                        "(default: K210_DEVICE, else the first board)")
    parser.add_argument("--seconds", type=float, default=5, help="how long to record; 0 until Ctrl-C (default: 5)")
    parser.add_argument("--interval", type=int, default=100000,
                        help="microseconds from one frame to the next (default: 100000)")
    parser.add_argument("--sound", choices=["none", "mic", "test"], default="none",
                        help="record sound as well, from the default input or a test signal")
    options = parser.parse_args()

    Gst.init(None)
    for name in ("k210camerasrc", "avimjpegmux"):
        if Gst.ElementFactory.find(name) is None:
            sys.exit(f"GStreamer does not find {name}: set GST_PLUGIN_PATH to the directory of libgstkendryte.so")

    sound = {
        "none": "",
        "mic": "autoaudiosrc ! audioconvert ! audioresample ! audio/x-raw,format=S16LE ! queue ! mux.audio_0",
        "test": "audiotestsrc is-live=true wave=ticks ! audio/x-raw,format=S16LE ! queue ! mux.audio_0",
    }[options.sound]
    pipeline = Gst.parse_launch(
        f"k210camerasrc name=camera ! queue ! mux.video_0  {sound}  avimjpegmux name=mux ! filesink name=file")
    camera = pipeline.get_by_name("camera")
    camera.set_property("interval", options.interval)
    if options.device is not None:
        camera.set_property("device", options.device)
    pipeline.get_by_name("file").set_property("location", options.file)

    loop = GLib.MainLoop()
    failures = []
    frames = 0
    first = None
    position = 0.0

    stopping = False

    def stop():
        nonlocal stopping
        if stopping:
            return GLib.SOURCE_CONTINUE
        stopping = True
        # The end of the stream goes through the pipeline like a frame: what is on its way is written first.
        pipeline.call_async(lambda element: element.send_event(Gst.Event.new_eos()))
        return GLib.SOURCE_CONTINUE

    def on_frame(pad, info):
        nonlocal frames, first, position
        time = info.get_buffer().pts / Gst.SECOND
        first = time if first is None else first
        if options.seconds and time - first >= options.seconds:
            stop()
            return Gst.PadProbeReturn.DROP
        frames += 1
        position = time - first
        return Gst.PadProbeReturn.OK

    def on_message(bus, message):
        if message.type == Gst.MessageType.EOS:
            loop.quit()
        elif message.type == Gst.MessageType.ERROR:
            error, debug = message.parse_error()
            failures.append(f"{error.message} ({debug})")
            loop.quit()
        elif message.type == Gst.MessageType.WARNING:
            print("\n" + message.parse_warning()[0].message, file=sys.stderr)

    def show():
        print(f"\rrecording: {frames} frames, {position:.1f} s  ", end="", flush=True)
        return GLib.SOURCE_CONTINUE

    camera.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, on_frame)
    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message", on_message)
    for number in (signal.SIGINT, signal.SIGTERM):
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, stop)
    GLib.timeout_add(200, show)

    # A failure to start comes with an error message, which on_message shows.
    pipeline.set_state(Gst.State.PLAYING)
    loop.run()
    pipeline.set_state(Gst.State.NULL)
    if failures:
        sys.exit("\n" + failures[0])
    print(f"\n{options.file}: {frames} frames")


if __name__ == "__main__":
    main()
