# SPDX-License-Identifier: MIT OR Apache-2.0
"""OpenCV's own cv2.VideoWriter with a pipeline of ours behind it.

    cv2.VideoWriter("output.avi", cv2.VideoWriter_fourcc(*"MJPG"), 30, (640, 480))

The writer's last argument before the size is the rate; its frames are BGR.

usage: opencv_writer.py [FILE [FRAMES]]
"""

import sys

import cv2
import numpy as np

file = sys.argv[1] if len(sys.argv) > 1 else "output.avi"
frames = int(sys.argv[2]) if len(sys.argv) > 2 else 90

writer = cv2.VideoWriter(
    f'appsrc ! videoconvert ! recordsink location="{file}"', cv2.CAP_GSTREAMER, 0, 30.0, (640, 480)
)
if not writer.isOpened():
    if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        sys.exit("This OpenCV has no GStreamer back end: apt install python3-opencv")
    # OpenCV has written the reason to the terminal.
    sys.exit(f"{file} cannot be recorded")
for n in range(frames):
    # A camera's would be cap.read()[1].
    frame = np.zeros((480, 640, 3), np.uint8)
    cv2.circle(frame, (40 + n * 6 % 560, 240), 30, (0, 255, 255), -1)
    writer.write(frame)
writer.release()
