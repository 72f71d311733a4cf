# SPDX-License-Identifier: MIT OR Apache-2.0
"""The camera on the network by RTSP, for VLC, ffplay and network video recorders.

Needs Debian's gir1.2-gst-rtsp-server-1.0. All who watch share one camera.

usage: rtsp_server.py [PORT [ADDRESS]]   then: ffplay rtsp://127.0.0.1:8554/camera
"""

import signal
import sys

import gi

from pipeline import CAMERA

gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, GstRtspServer  # noqa: E402

port = sys.argv[1] if len(sys.argv) > 1 else "8554"
address = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"

factory = GstRtspServer.RTSPMediaFactory()
# A K210's pictures need no encoder: k210camerasrc ! rtpjpegpay name=pay0 pt=26
factory.set_launch(
    f"( {CAMERA} ! videoconvert ! k230venc gop-length=15 ! video/x-h264 ! h264parse"
    " ! rtph264pay name=pay0 pt=96 )"
)
factory.set_shared(True)
server = GstRtspServer.RTSPServer(service=port, address=address)
server.get_mount_points().add_factory("/camera", factory)
loop = GLib.MainLoop()
if server.attach(None) == 0:
    sys.exit(f"Port {port} cannot be listened on")
for number in (signal.SIGINT, signal.SIGTERM):
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, loop.quit)
print(f"rtsp://{address}:{server.get_bound_port()}/camera", flush=True)
loop.run()
