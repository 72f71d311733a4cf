# The plugin and its programs on Debian 13:
#
#   docker build -t gst-plugin-kendryte .
#   docker run --rm -v "$PWD:/data" gst-plugin-kendryte \
#       gst-launch-1.0 -e k210camerasrc device=sim: num-buffers=50 ! avimjpegmux ! filesink location=capture.avi
#
# A board needs --device /dev/ttyUSB0.
FROM debian:trixie AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl git make
RUN curl -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal
ENV PATH=/root/.cargo/bin:$PATH
WORKDIR /src
COPY . .
RUN git config --global --add safe.directory /src && make deb

FROM debian:trixie-slim
COPY --from=build /src/target/deb/*.deb /tmp/deb/
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        /tmp/deb/gst-plugin-kendryte_*.deb /tmp/deb/gst-plugin-kendryte-tools_*.deb \
        ffmpeg gstreamer1.0-libav gstreamer1.0-plugins-bad gstreamer1.0-plugins-good \
        gstreamer1.0-plugins-ugly gstreamer1.0-tools \
    && rm -rf /tmp/deb /var/lib/apt/lists/*
WORKDIR /data
CMD ["gst-inspect-1.0", "kendryte"]
