# SPDX-License-Identifier: MIT OR Apache-2.0
"""picamera2's recording with sound.

    encoder.audio = True
    FfmpegOutput([..., "-f", "alsa", "-i", "hw:1", "-c:v", "copy", "-c:a", "aac", "video_with_audio.mp4"])

Sound and pictures have the same clock here, so nothing has to be guessed; audio-sync moves sound
where the microphone's own delay is to be made up for (picamera2's FfmpegOutput: -0.3 s).
MICROPHONE="alsasrc device=hw:1" is a real one.

usage: picamera2_audio.py [FILE [SECONDS [AUDIO-SYNC]]]
"""

import sys

from pipeline import CAMERA, MICROPHONE, Gst, Pipeline

file = sys.argv[1] if len(sys.argv) > 1 else "video_with_audio.mp4"
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 30
audio_sync = float(sys.argv[3]) if len(sys.argv) > 3 else 0

picam2 = Pipeline(
    f'recordsink name=r bitrate=10000 location="{file}" audio-sync={int(audio_sync * Gst.SECOND)}'
    f" {CAMERA} ! queue ! r.video"
    f" {MICROPHONE} ! queue ! r.audio"
).play()
picam2.wait(seconds)
picam2.stop()
