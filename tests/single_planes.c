// SPDX-License-Identifier: MIT OR Apache-2.0
// Encodes H.265 with the K230's V4L2 device as small programs on the board do: planes of their own for
// the picture, but the stream by the single-planar type; the rate by the driver's private request; no
// command to end, only as many streams as pictures. Its last word is what it waits by: poll, epoll or
// epoll-edges.
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WIDTH = 320, HEIGHT = 240, RATE = 25, PLANES = 3, BUFFERS = 6 };

// The driver's own: its kinds of rate control, and the flag of parameter sets.
struct rate_control {
    uint32_t kind, target, maximum;
};
#define S_RATE_CONTROL _IOWR('V', BASE_VIDIOC_PRIVATE + 5, struct rate_control)
enum { CONSTANT = 3 };
static const uint32_t PARAMETER_SETS = 0xc1000000u, VENDOR = 0xfff00000u;

static int device;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void ask(unsigned long request, void *argument, const char *what) {
    while (ioctl(device, request, argument) != 0)
        if (errno != EINTR)
            fail(what);
}

static void set(uint32_t id, int32_t value) {
    struct v4l2_control control = {.id = id, .value = value};
    ask(VIDIOC_S_CTRL, &control, "a control");
}

static struct v4l2_buffer buffer(uint32_t queue, uint32_t index, struct v4l2_plane *planes) {
    struct v4l2_buffer it = {.type = queue, .memory = V4L2_MEMORY_MMAP, .index = index};
    if (planes) {
        memset(planes, 0, PLANES * sizeof *planes);
        it.m.planes = planes;
        it.length = PLANES;
    }
    return it;
}

static uint32_t request(uint32_t queue) {
    struct v4l2_requestbuffers wanted = {
        .type = queue, .memory = V4L2_MEMORY_MMAP, .count = BUFFERS};
    ask(VIDIOC_REQBUFS, &wanted, "buffers");
    return wanted.count;
}

static uint8_t *map(size_t length, off_t offset) {
    void *at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, device, offset);
    if (at == MAP_FAILED)
        fail("a mapping");
    return at;
}

static int by_epoll;
static uint32_t edges;

static void wait_for_stream(void) {
    static int list = -1;
    if (!by_epoll) {
        struct pollfd ready = {.fd = device, .events = POLLIN};
        if (poll(&ready, 1, 60000) <= 0)
            fail("waiting for a stream");
        return;
    }
    struct epoll_event event = {.events = EPOLLIN | edges, .data.u64 = 7};
    if (list < 0) {
        list = epoll_create1(EPOLL_CLOEXEC);
        if (epoll_ctl(list, EPOLL_CTL_ADD, device, &event) != 0)
            fail("watching the device");
    }
    if (epoll_wait(list, &event, 1, 60000) != 1 || event.events != EPOLLIN || event.data.u64 != 7)
        fail("waiting for a stream");
}

int main(int count, char **words) {
    if (count != 5)
        return 2;
    by_epoll = strncmp(words[4], "epoll", 5) == 0;
    edges = strcmp(words[4], "epoll-edges") == 0 ? EPOLLET : 0;
    const uint32_t pictures = (uint32_t)atoi(words[3]);
    FILE *out = fopen(words[2], "wb");
    device = open(words[1], O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (device < 0 || !out)
        fail(words[1]);

    struct v4l2_format raw = {.type = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE};
    raw.fmt.pix_mp.width = WIDTH;
    raw.fmt.pix_mp.height = HEIGHT;
    raw.fmt.pix_mp.pixelformat = V4L2_PIX_FMT_YUV420M;
    raw.fmt.pix_mp.num_planes = PLANES;
    ask(VIDIOC_S_FMT, &raw, "the format of pictures");
    struct v4l2_format stream = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE};
    stream.fmt.pix.width = WIDTH;
    stream.fmt.pix.height = HEIGHT;
    stream.fmt.pix.pixelformat = V4L2_PIX_FMT_HEVC;
    stream.fmt.pix.sizeimage = 512 * 1024;
    ask(VIDIOC_S_FMT, &stream, "the format of the stream");
    set(V4L2_CTRL_CLASS_MPEG + 0x2000, RATE << 16); // frames a second
    set(V4L2_CTRL_CLASS_MPEG + 0x2009, RATE - 1);   // P frames between I frames
    set(V4L2_CTRL_CLASS_MPEG + 0x200a, 2);          // no B frames
    struct rate_control rate = {.kind = CONSTANT, .target = 500000};
    ask(S_RATE_CONTROL, &rate, "the rate");

    uint8_t *planes_of[BUFFERS][PLANES], *streams[BUFFERS];
    size_t lengths[BUFFERS][PLANES];
    uint32_t unused[BUFFERS], free_ones = 0;
    const uint32_t raws = request(raw.type);
    for (uint32_t n = 0; n < raws; n++) {
        struct v4l2_plane planes[PLANES];
        struct v4l2_buffer it = buffer(raw.type, n, planes);
        ask(VIDIOC_QUERYBUF, &it, "a picture's buffer");
        for (int plane = 0; plane < PLANES; plane++) {
            lengths[n][plane] = planes[plane].length;
            planes_of[n][plane] = map(planes[plane].length, planes[plane].m.mem_offset);
        }
        unused[free_ones++] = n;
    }
    const uint32_t captures = request(stream.type);
    for (uint32_t n = 0; n < captures; n++) {
        struct v4l2_buffer it = buffer(stream.type, n, NULL);
        ask(VIDIOC_QUERYBUF, &it, "a stream's buffer");
        if (mmap(NULL, it.length, PROT_READ, MAP_PRIVATE, device, it.m.offset) != MAP_FAILED)
            fail("a mapping of its own");
        streams[n] = map(it.length, it.m.offset);
        ask(VIDIOC_QUERYBUF, &it, "a stream's buffer");
        if (!(it.flags & V4L2_BUF_FLAG_MAPPED))
            fail("a buffer that is not mapped");
        ask(VIDIOC_QBUF, &it, "queueing a stream's buffer");
    }
    ask(VIDIOC_STREAMON, &raw.type, "starting");
    ask(VIDIOC_STREAMON, &stream.type, "starting");

    uint32_t sent = 0, encoded = 0;
    while (encoded < pictures) {
        struct v4l2_plane planes[PLANES];
        if (sent < pictures && free_ones > 0) {
            struct v4l2_buffer it = buffer(raw.type, unused[--free_ones], planes);
            for (int plane = 0; plane < PLANES; plane++) {
                memset(planes_of[it.index][plane], plane ? 128 : 40 + 4 * (int)sent,
                       lengths[it.index][plane]);
                planes[plane].bytesused = (uint32_t)lengths[it.index][plane];
            }
            ask(VIDIOC_QBUF, &it, "queueing a picture");
            sent++;
        } else {
            wait_for_stream();
        }
        struct v4l2_buffer it = buffer(stream.type, 0, NULL);
        while (ioctl(device, VIDIOC_DQBUF, &it) == 0) {
            encoded += (it.flags & VENDOR) != PARAMETER_SETS && it.bytesused > 0;
            fwrite(streams[it.index], 1, it.bytesused, out);
            // Without its flags: the driver keeps those of parameter sets on a buffer that has them.
            it = buffer(stream.type, it.index, NULL);
            ask(VIDIOC_QBUF, &it, "queueing a stream's buffer");
        }
        it = buffer(raw.type, 0, planes);
        while (ioctl(device, VIDIOC_DQBUF, &it) == 0) {
            unused[free_ones++] = it.index;
            it = buffer(raw.type, 0, planes);
        }
    }
    printf("%u pictures\n", encoded);
    return fclose(out);
}
