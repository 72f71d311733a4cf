# SPDX-License-Identifier: MIT OR Apache-2.0
"""Prints, for each frame that OpenCV reads from a file, its time in milliseconds and the number that
the simulated board drew into it (see src/k210/sim/counter.rs): "TIME NUMBER", a line a frame."""

import sys

import cv2


def number(picture):
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    height, width = grey.shape
    row = grey[height - height // 16]
    levels = [int(row[int((cell + 0.5) * width / 20)]) for cell in range(20)]
    threshold = (levels[0] + levels[1]) / 2
    bits = [level > threshold for level in levels]
    value = int("".join("1" if bit else "0" for bit in bits[2:18]), 2)
    if not bits[0] or bits[1] or bits[18] != (bin(value).count("1") % 2 == 1) or not bits[19]:
        sys.exit(f"no counter in the picture: {levels}")
    return value


video = cv2.VideoCapture(sys.argv[1], cv2.CAP_FFMPEG)
if not video.isOpened():
    sys.exit(f"OpenCV does not open {sys.argv[1]}")
while True:
    ok, picture = video.read()
    if not ok:
        break
    print(f"{video.get(cv2.CAP_PROP_POS_MSEC):.3f} {number(picture)}")
