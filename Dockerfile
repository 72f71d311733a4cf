# The plugin, its programs and kendryte-recorder on Debian 13, built by BuildKit or buildah:
#
#   docker build -t gst-plugin-kendryte .
#   docker run --rm -v "$PWD:/data" gst-plugin-kendryte \
#       gst-launch-1.0 -e k210camerasrc device=sim: num-buffers=50 ! avimjpegmux ! filesink location=capture.avi
#
# A board needs --device /dev/ttyUSB0.
FROM rust:1-trixie AS build
WORKDIR /src
COPY . .
RUN git config --global --add safe.directory /src && make deb

FROM debian:trixie-slim
RUN --mount=type=bind,from=build,source=/src/target/deb,target=/tmp/deb \
    apt-get update \
    && apt-get install -y --no-install-recommends \
        /tmp/deb/gst-plugin-kendryte_*.deb /tmp/deb/gst-plugin-kendryte-tools_*.deb \
        /tmp/deb/kendryte-recorder_*.deb \
        ca-certificates ffmpeg glib-networking gstreamer1.0-tools \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /data
CMD ["gst-inspect-1.0", "kendryte"]
