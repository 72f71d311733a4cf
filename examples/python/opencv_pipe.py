# SPDX-License-Identifier: MIT OR Apache-2.0
"""OpenCV's frames on standard input become output.avi, as with ffmpeg's rawvideo input.

    ffmpeg -f rawvideo -pix_fmt bgr24 -s 640x480 -r 30 -i - -an -f avi -r 30 output.avi

Another program writes frame.tobytes() to this one. Ctrl-C ends the file cleanly. A file that exists
is kept, unless -y is given.

usage: opencv_pipe.py [-y] [FILE [WIDTH HEIGHT [FPS]]] < FRAMES
"""

import sys

from pipeline import Pipeline

arguments = sys.argv[1:]
overwrite = "-y" in arguments
if overwrite:
    arguments.remove("-y")
file = arguments[0] if arguments else "output.avi"
width, height = (int(n) for n in arguments[1:3]) if len(arguments) > 2 else (640, 480)
fps = int(arguments[3]) if len(arguments) > 3 else 30

proc = Pipeline(
    f"fdsrc fd=0 ! rawvideoparse format=bgr width={width} height={height} framerate={fps}/1"
    f' ! recordsink overwrite={overwrite} location="{file}"'
).play()
proc.wait()
proc.close()
