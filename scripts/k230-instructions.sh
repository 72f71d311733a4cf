#!/bin/sh
# What k230venc costs beside the K230's own encoder, in instructions:
#
#   k230-instructions.sh DIRECTORY
#
# DIRECTORY has libgstkendryte.so and libk230v4l2_sim.so. The double of the device encodes nothing here: it hands out the
# same few bytes for each frame. What is counted is one frame of 720p through `k230venc backend=v4l2`, the double's work
# among it, against one through x264enc at its fastest. The bound is the project's own: 3 %.
set -eu
directory=$(realpath "$1")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export GST_PLUGIN_PATH="$directory" GST_REGISTRY="$scratch/registry" GST_REGISTRY_FORK=no
export K230_V4L2_SIM_FAULTS=canned
FRAMES=20
SOURCE='pattern=black ! video/x-raw,format=NV12,width=1280,height=720,framerate=30/1'

# Instructions of a pipeline whose source gives so many frames, and of nothing else: a registry is there.
count() {
    frames=$1
    shift
    # shellcheck disable=SC2086 # words of a pipeline
    LD_PRELOAD="$directory/libk230v4l2_sim.so" valgrind --tool=callgrind --callgrind-out-file="$scratch/out" \
        gst-launch-1.0 -q videotestsrc num-buffers="$frames" $SOURCE ! "$@" 2>"$scratch/said" >&2 ||
        { cat "$scratch/said" >&2; exit 1; }
    sed -n 's/.*Collected *: *//p' "$scratch/said"
}

# Of one frame: starting and stopping is in both runs.
each() {
    few=$(count "$FRAMES" "$@")
    many=$(count $((2 * FRAMES)) "$@")
    echo $(((many - few) / FRAMES))
}

gst-inspect-1.0 k230venc >/dev/null
source=$(each fakesink)
ours=$(($(each k230venc backend=v4l2 ! video/x-h264 ! fakesink) - source))
theirs=$(($(each x264enc speed-preset=ultrafast tune=zerolatency ! fakesink) - source))
awk -v ours="$ours" -v theirs="$theirs" 'BEGIN {
    share = 100 * ours / theirs
    printf "k230venc %d instructions a frame, x264enc %d: %.2f %%\n", ours, theirs, share
    exit share > 3
}'
