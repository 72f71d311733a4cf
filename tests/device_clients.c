// SPDX-License-Identifier: MIT OR Apache-2.0
// Encodes H.264 with the K230's V4L2 device in the ways that programs differ in: by threads that wait in requests, by one
// that waits for both queues at once, with memory of its own, with a descriptor that is closed while a request waits,
// with children. Its arguments are the device, a file for the stream, how many pictures, and the way.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WIDTH = 320,
    HEIGHT = 240,
    BUFFERS = 4,
    OUTPUT = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE,
    CAPTURE = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
};

struct session {
    int device;
    uint32_t memory;
    uint32_t size; // of a picture
    uint8_t *pictures[BUFFERS], *streams[BUFFERS];
    int descriptors[BUFFERS];
    uint32_t unused[BUFFERS], unused_count;
    uint32_t wanted, sent, encoded;
    FILE *out;
};

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void check(int right, const char *what) {
    if (!right) {
        fprintf(stderr, "not right: %s\n", what);
        exit(1);
    }
}

static int try_to(int device, unsigned long request, void *argument) {
    int result;
    do
        result = ioctl(device, request, argument);
    while (result != 0 && errno == EINTR);
    return result;
}

static void ask(int device, unsigned long request, void *argument, const char *what) {
    if (try_to(device, request, argument) != 0)
        fail(what);
}

static struct v4l2_buffer buffer(uint32_t queue, uint32_t memory, uint32_t index,
                                 struct v4l2_plane *plane) {
    memset(plane, 0, sizeof *plane);
    return (struct v4l2_buffer){
        .type = queue, .memory = memory, .index = index, .length = 1, .m.planes = plane};
}

static struct v4l2_format format(int device, uint32_t queue, uint32_t code) {
    struct v4l2_format it = {.type = queue};
    it.fmt.pix_mp.width = WIDTH;
    it.fmt.pix_mp.height = HEIGHT;
    it.fmt.pix_mp.pixelformat = code;
    it.fmt.pix_mp.num_planes = 1;
    ask(device, VIDIOC_S_FMT, &it, "a format");
    return it;
}

static struct session open_device(const char *path, int flags, uint32_t memory) {
    struct session it = {.device = open(path, O_RDWR | flags), .memory = memory};
    if (it.device < 0)
        fail(path);
    struct stat about;
    check(fstat(it.device, &about) == 0 && S_ISCHR(about.st_mode), "what kind of file it is");
    struct v4l2_format raw = format(it.device, OUTPUT, V4L2_PIX_FMT_YUYV);
    check(raw.fmt.pix_mp.num_planes == 1, "the planes of a picture");
    it.size = raw.fmt.pix_mp.plane_fmt[0].sizeimage;
    format(it.device, CAPTURE, V4L2_PIX_FMT_H264);
    struct v4l2_streamparm rate = {.type = OUTPUT};
    check(try_to(it.device, VIDIOC_S_PARM, &rate) != 0 && errno == ENOTTY, "there is no S_PARM");
    return it;
}

static uint32_t request(const struct session *it, uint32_t queue, uint32_t memory, uint32_t count) {
    struct v4l2_requestbuffers wanted = {.type = queue, .memory = memory, .count = count};
    ask(it->device, VIDIOC_REQBUFS, &wanted, "buffers");
    return wanted.count;
}

static uint8_t *map(int file, size_t length, off_t offset) {
    void *at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, offset);
    if (at == MAP_FAILED)
        fail("a mapping");
    return at;
}

static void queue_stream(const struct session *it, uint32_t index) {
    struct v4l2_plane plane;
    struct v4l2_buffer queued = buffer(CAPTURE, V4L2_MEMORY_MMAP, index, &plane);
    ask(it->device, VIDIOC_QBUF, &queued, "queueing a stream's buffer");
}

static void stream(const struct session *it, unsigned long request) {
    for (uint32_t queue = CAPTURE; queue <= OUTPUT; queue++)
        ask(it->device, request, &queue, "streaming");
}

static void start(struct session *it) {
    check(request(it, OUTPUT, it->memory, BUFFERS) == BUFFERS, "the buffers of pictures");
    check(request(it, CAPTURE, V4L2_MEMORY_MMAP, BUFFERS) == BUFFERS, "the stream's buffers");
    for (uint32_t n = 0; n < BUFFERS; n++) {
        struct v4l2_plane plane;
        struct v4l2_buffer about = buffer(OUTPUT, it->memory, n, &plane);
        switch (it->memory) {
        case V4L2_MEMORY_MMAP:
            ask(it->device, VIDIOC_QUERYBUF, &about, "a picture's buffer");
            it->pictures[n] = map(it->device, plane.length, plane.m.mem_offset);
            break;
        case V4L2_MEMORY_USERPTR:
            it->pictures[n] = malloc(it->size);
            break;
        default:
            it->descriptors[n] = memfd_create("picture", MFD_CLOEXEC);
            if (ftruncate(it->descriptors[n], it->size) != 0)
                fail("a picture's memory");
            it->pictures[n] = map(it->descriptors[n], it->size, 0);
        }
        it->unused[it->unused_count++] = n;
        about = buffer(CAPTURE, V4L2_MEMORY_MMAP, n, &plane);
        ask(it->device, VIDIOC_QUERYBUF, &about, "a stream's buffer");
        it->streams[n] = map(it->device, plane.length, plane.m.mem_offset);
        queue_stream(it, n);
    }
    stream(it, VIDIOC_STREAMON);
}

static void send(struct session *it, uint32_t index) {
    struct v4l2_plane plane;
    struct v4l2_buffer queued = buffer(OUTPUT, it->memory, index, &plane);
    queued.timestamp.tv_sec = ++it->sent;
    memset(it->pictures[index], 16 + 4 * (int)it->sent % 128, it->size);
    plane.bytesused = plane.length = it->size;
    if (it->memory == V4L2_MEMORY_DMABUF)
        plane.m.fd = it->descriptors[index];
    if (it->memory == V4L2_MEMORY_USERPTR)
        plane.m.userptr = (unsigned long)it->pictures[index];
    ask(it->device, VIDIOC_QBUF, &queued, "queueing a picture");
}

// The place of a picture that was read, or -1.
static int take_back(const struct session *it) {
    struct v4l2_plane plane;
    struct v4l2_buffer taken = buffer(OUTPUT, it->memory, 0, &plane);
    if (try_to(it->device, VIDIOC_DQBUF, &taken) == 0)
        return (int)taken.index;
    if (errno != EAGAIN)
        fail("taking a picture back");
    return -1;
}

// Whether there was an encoded buffer, which goes back; 2 if it was the last one.
static int take(struct session *it) {
    struct v4l2_plane plane;
    struct v4l2_buffer taken = buffer(CAPTURE, V4L2_MEMORY_MMAP, 0, &plane);
    if (try_to(it->device, VIDIOC_DQBUF, &taken) != 0) {
        if (errno != EAGAIN)
            fail("taking an encoded buffer");
        return 0;
    }
    fwrite(it->streams[taken.index], 1, plane.bytesused, it->out);
    if (taken.flags & V4L2_BUF_FLAG_KEYFRAME) {
        it->encoded++;
        check(taken.timestamp.tv_sec == it->encoded, "the time of a picture");
    }
    if (taken.flags & V4L2_BUF_FLAG_LAST)
        return 2;
    queue_stream(it, taken.index);
    return 1;
}

static void stop(const struct session *it) {
    struct v4l2_encoder_cmd command = {.cmd = V4L2_ENC_CMD_STOP};
    ask(it->device, VIDIOC_ENCODER_CMD, &command, "ending");
}

// Frees the buffers while they are mapped, and ends again what has ended.
static void finish(struct session *it) {
    stream(it, VIDIOC_STREAMOFF);
    request(it, OUTPUT, it->memory, 0);
    request(it, CAPTURE, V4L2_MEMORY_MMAP, 0);
    stream(it, VIDIOC_STREAMOFF);
    close(it->device);
}

static void *feed(void *session) {
    struct session *it = session;
    while (it->sent < it->wanted) {
        if (it->unused_count > 0)
            send(it, it->unused[--it->unused_count]);
        else
            send(it, (uint32_t)take_back(it));
    }
    stop(it);
    return NULL;
}

static void *drain(void *session) {
    while (take(session) != 2)
        ;
    return NULL;
}

static pthread_t thread(void *(*body)(void *), void *argument) {
    pthread_t it;
    if (pthread_create(&it, NULL, body, argument) != 0)
        fail("a thread");
    return it;
}

// Two threads that wait in requests, each on its queue.
static void by_threads(struct session *it) {
    start(it);
    pthread_t feeding = thread(feed, it), draining = thread(drain, it);
    pthread_join(feeding, NULL);
    pthread_join(draining, NULL);
}

// One that waits for either queue, by poll or select.
static void by_one(struct session *it, int selects) {
    start(it);
    for (int end = 0; end != 2;) {
        while (it->sent < it->wanted && it->unused_count > 0) {
            send(it, it->unused[--it->unused_count]);
            if (it->sent == it->wanted)
                stop(it);
        }
        if (selects) {
            fd_set reads, writes;
            FD_ZERO(&reads);
            FD_SET(it->device, &reads);
            writes = reads;
            if (select(it->device + 1, &reads, it->sent < it->wanted ? &writes : NULL, NULL, NULL) <= 0)
                fail("waiting");
        } else {
            short events = POLLIN | (it->sent < it->wanted ? POLLOUT : 0);
            struct pollfd ready = {.fd = it->device, .events = events};
            if (poll(&ready, 1, 60000) != 1)
                fail("waiting");
        }
        for (int index; (index = take_back(it)) >= 0;)
            it->unused[it->unused_count++] = (uint32_t)index;
        while ((end = take(it)) == 1)
            ;
    }
}

// The descriptor that a request waits on is closed, which ends neither the request nor the session: there is a copy.
static void by_a_copy(struct session *it) {
    start(it);
    struct session copy = *it;
    copy.device = dup(it->device);
    pthread_t draining = thread(drain, it);
    // It goes on by the number, which the copy has now.
    dup2(copy.device, it->device);
    feed(&copy);
    pthread_join(draining, NULL);
    close(copy.device);
}

static void wait_for(pid_t child) {
    int status;
    check(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0,
          "a child's end");
}

// Children that become other programs, and close what they have, while the device encodes.
static void with_children(struct session *it) {
    start(it);
    pthread_t draining = thread(drain, it);
    for (uint32_t n = 0; n < 3; n++) {
        send(it, it->unused[--it->unused_count]);
        pid_t child = n == 0 ? vfork() : fork();
        if (child == 0) {
            close(it->device);
            if (n == 2)
                close_range(3, ~0u, 0);
            execlp("true", "true", (char *)NULL);
            _exit(1);
        }
        wait_for(child);
    }
    check(system("true") == 0, "a shell");
    feed(it);
    pthread_join(draining, NULL);
}

// As a daemon does: the child goes on with what the parent has opened.
static void in_a_child(struct session *it) {
    pid_t child = fork();
    if (child != 0) {
        wait_for(child);
        exit(0);
    }
    by_threads(it);
}

int main(int count, char **words) {
    if (count != 5)
        return 2;
    const char *way = words[4];
    uint32_t memory = strcmp(way, "poll") == 0     ? V4L2_MEMORY_DMABUF
                      : strcmp(way, "select") == 0 ? V4L2_MEMORY_USERPTR
                                                   : V4L2_MEMORY_MMAP;
    int waits = memory == V4L2_MEMORY_MMAP;
    struct session it = open_device(words[1], waits ? 0 : O_NONBLOCK, memory);
    it.wanted = (uint32_t)atoi(words[3]);
    it.out = fopen(words[2], "wb");
    if (!it.out)
        fail(words[2]);
    if (strcmp(way, "threads") == 0)
        by_threads(&it);
    else if (strcmp(way, "copy") == 0)
        by_a_copy(&it);
    else if (strcmp(way, "children") == 0)
        with_children(&it);
    else if (strcmp(way, "child") == 0)
        in_a_child(&it);
    else
        by_one(&it, strcmp(way, "select") == 0);
    finish(&it);
    printf("%u pictures\n", it.encoded);
    return fclose(it.out);
}
