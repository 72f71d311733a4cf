/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A recording program against the K230's MPP library: it walks the channel's life by the manual
 * and checks each answer. It declares the ABI itself, so it needs no SDK to compile; the layouts
 * are those in tests/data/k230-mpp-abi.txt.
 *
 *     venc_abi send FILE.264|FILE.265|FILE.mjpeg   frames of its own
 *     venc_abi camera FILE.265                     frames of the bound camera
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct { uint32_t type, stream_buf_size, stream_buf_cnt, pic_width, pic_height, profile; } venc_attr;
typedef struct { uint32_t gop, stats_time, src_frame_rate, dst_frame_rate, bit_rate; } venc_cbr;
typedef struct { uint32_t src_frame_rate, dst_frame_rate, q_factor; } venc_jpeg;
typedef struct { uint32_t rc_mode; union { venc_cbr cbr; venc_jpeg jpeg; uint32_t room[6]; }; } rc_attr;
typedef struct { venc_attr venc; rc_attr rc; } chn_attr;
typedef struct { uint64_t phys_addr; uint32_t len; uint64_t pts; uint32_t type; } pack_t;
typedef struct { pack_t *pack; uint32_t pack_cnt; } stream_t;
typedef struct { uint32_t cur_packs; uint64_t release_pic_pts; uint32_t end_of_stream, bytes, count, start_qp, mean_qp; } status_t;
typedef struct {
    uint32_t width, height, field, pixel_format, video_format, dynamic_range, compress_mode, color_gamut;
    uint32_t header_stride[3], stride[3];
    uint64_t header_phys_addr[3], header_virt_addr[3], phys_addr[3], virt_addr[3];
    int16_t offset[4];
    uint32_t time_ref;
    uint64_t pts, priv_data, supplement[4];
    uint32_t pool_id, mod_id;
} frame_t;
typedef struct { uint64_t blk_size; uint32_t blk_cnt, mode; char mmz_name[16]; } pool_t;
typedef struct { uint32_t max_pool_cnt; pool_t comm_pool[16]; } vb_config;
typedef struct { uint32_t mod_id; int32_t dev_id, chn_id; } mpp_chn;
typedef struct { uint16_t h_start, v_start, width, height; } window_t;
typedef struct { const char *names[2]; uint16_t width, height; uint32_t setup[9]; uint16_t glitch, fps; uint32_t type; } sensor_t;
typedef struct { window_t acq; uint32_t setup[5]; sensor_t sensor; uint32_t rest[5]; } dev_attr;
typedef struct {
    window_t out, crop, scale;
    uint32_t crop_enable, scale_enable, chn_enable, pix_format, buffer_num, buffer_size;
    uint8_t alignment, fps;
} vicap_chn_attr;

int32_t kd_mpi_venc_create_chn(uint32_t, chn_attr *);
int32_t kd_mpi_venc_start_chn(uint32_t);
int32_t kd_mpi_venc_stop_chn(uint32_t);
int32_t kd_mpi_venc_destroy_chn(uint32_t);
int32_t kd_mpi_venc_send_frame(uint32_t, frame_t *, int32_t);
int32_t kd_mpi_venc_get_stream(uint32_t, stream_t *, int32_t);
int32_t kd_mpi_venc_release_stream(uint32_t, stream_t *);
int32_t kd_mpi_venc_query_status(uint32_t, status_t *);
int32_t kd_mpi_venc_enable_idr(uint32_t, uint32_t);
int32_t kd_mpi_venc_request_idr(uint32_t);
int32_t kd_mpi_venc_set_dblk(uint32_t, uint32_t);
int32_t kd_mpi_venc_get_dblk(uint32_t, uint32_t *);
int32_t kd_mpi_venc_set_rotation(uint32_t, uint32_t);
int32_t kd_mpi_venc_set_2d_mode(uint32_t, uint32_t);
int32_t kd_mpi_venc_close_fd(void);
int32_t kd_mpi_vb_set_config(const vb_config *);
int32_t kd_mpi_vb_init(void);
int32_t kd_mpi_vb_exit(void);
uint32_t kd_mpi_vb_get_block(uint32_t, uint64_t, const char *);
int32_t kd_mpi_vb_release_block(uint32_t);
uint64_t kd_mpi_vb_handle_to_phyaddr(uint32_t);
int32_t kd_mpi_vb_handle_to_pool_id(uint32_t);
uint32_t kd_mpi_vb_phyaddr_to_handle(uint64_t);
int32_t kd_mpi_vb_inquire_user_cnt(uint32_t);
void *kd_mpi_sys_mmap(uint64_t, uint32_t);
int32_t kd_mpi_sys_munmap(void *, uint32_t);
int32_t kd_mpi_sys_mmz_alloc(uint64_t *, void **, const char *, const char *, uint32_t);
int32_t kd_mpi_sys_mmz_free(uint64_t, void *);
int32_t kd_mpi_sys_bind(mpp_chn *, mpp_chn *);
int32_t kd_mpi_sys_unbind(mpp_chn *, mpp_chn *);
int32_t kd_mpi_sys_get_bind_by_dest(mpp_chn *, mpp_chn *);
int32_t kd_mpi_vicap_get_sensor_info(uint32_t, sensor_t *);
int32_t kd_mpi_vicap_set_dev_attr(uint32_t, dev_attr);
int32_t kd_mpi_vicap_set_chn_attr(uint32_t, uint32_t, vicap_chn_attr);
int32_t kd_mpi_vicap_init(uint32_t);
int32_t kd_mpi_vicap_deinit(uint32_t);
int32_t kd_mpi_vicap_start_stream(uint32_t);
int32_t kd_mpi_vicap_stop_stream(uint32_t);

enum { VENC_ID = 9, VB_ID = 4, SYS_ID = 5, VI_ID = 6, VICAP_ID = 21 };
#define CODE(module, number) ((int32_t)(0xa0000000u | (module) << 16 | 4 << 13 | (number)))
#define VENC(number) CODE(VENC_ID, number)
enum { INVALID_CHNID = 2, ILLEGAL_PARAM = 3, EXIST = 4, UNEXIST = 5, NULL_PTR = 6, NOT_CONFIG = 7,
       NOT_SUPPORT = 8, NOT_PERM = 9, NOBUF = 13, BUF_EMPTY = 14, NOTREADY = 16, BADADDR = 17, BUSY = 18 };
enum { HEADER = 3, I_FRAME = 2, P_FRAME = 1 };

#define IS(call, expected) do { \
    int64_t got = (call), want = (expected); \
    if (got != want) { \
        fprintf(stderr, "line %d: %s is 0x%llx and not 0x%llx\n", __LINE__, #call, \
                (unsigned long long)(uint32_t)got, (unsigned long long)(uint32_t)want); \
        exit(1); \
    } } while (0)
#define THAT(condition) IS(!!(condition), 1)

/* As small as a picture may be whose second plane does not begin where the first ends: how long this
 * takes under valgrind is up to the encoders, and what is looked at there has no size. */
enum { WIDTH = 128, HEIGHT = 72, FRAMES = 40, BUFFERS = 8, BUFFER = 256 * 1024 };
enum { LUMA = WIDTH * HEIGHT, CHROMA_AT = (LUMA + 4095) & ~4095, PICTURE = CHROMA_AT + LUMA / 2 };

static chn_attr attributes(const char *file)
{
    chn_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.venc = (venc_attr){ 96, BUFFER, BUFFERS, WIDTH, HEIGHT, 2 };
    attr.rc.rc_mode = 1;
    attr.rc.cbr = (venc_cbr){ 10, 1, 30, 30, 1000 };
    if (strstr(file, ".265"))
        attr.venc.type = 265, attr.venc.profile = 5;
    if (strstr(file, ".mjpeg")) {
        attr.venc.type = 26, attr.venc.profile = 0;
        attr.rc.rc_mode = 4;
        attr.rc.jpeg = (venc_jpeg){ 30, 30, 60 };
    }
    return attr;
}

static void init_buffers(void)
{
    vb_config config;
    memset(&config, 0, sizeof config);
    IS(kd_mpi_vb_set_config(NULL), CODE(VB_ID, NULL_PTR));
    config.max_pool_cnt = 17;
    IS(kd_mpi_vb_set_config(&config), CODE(VB_ID, ILLEGAL_PARAM));
    config.max_pool_cnt = 2;
    config.comm_pool[0] = (pool_t){ PICTURE, 6, 1, "" };
    config.comm_pool[1] = (pool_t){ BUFFER, BUFFERS, 1, "" };
    IS(kd_mpi_vb_set_config(&config), 0);
    IS(kd_mpi_vb_init(), 0);
    IS(kd_mpi_vb_init(), 0);
    IS(kd_mpi_vb_set_config(&config), CODE(VB_ID, BUSY));
}

static void limits(const char *file)
{
    chn_attr good = attributes(file), bad;
#define REFUSED(change, code) do { bad = good; bad.change; IS(kd_mpi_venc_create_chn(0, &bad), VENC(code)); } while (0)
    IS(kd_mpi_venc_create_chn(4, &good), VENC(INVALID_CHNID));
    IS(kd_mpi_venc_create_chn(0, NULL), VENC(NULL_PTR));
    IS(kd_mpi_venc_start_chn(0), VENC(UNEXIST));
    IS(kd_mpi_venc_stop_chn(0), VENC(UNEXIST));
    IS(kd_mpi_venc_destroy_chn(0), VENC(UNEXIST));
    REFUSED(venc.pic_width = 126, ILLEGAL_PARAM);
    REFUSED(venc.pic_width = 8194, ILLEGAL_PARAM);
    REFUSED(venc.pic_height = 62, ILLEGAL_PARAM);
    REFUSED(venc.pic_height = 241, ILLEGAL_PARAM);
    REFUSED(venc.type = 33, NOT_SUPPORT);
    REFUSED(venc.stream_buf_cnt = 0, ILLEGAL_PARAM);
    REFUSED(rc.rc_mode = 0, ILLEGAL_PARAM);
    REFUSED(rc.rc_mode = 5, ILLEGAL_PARAM);
    if (good.venc.type == 26) {
        REFUSED(rc.jpeg.q_factor = 100, ILLEGAL_PARAM);
        REFUSED(rc.rc_mode = 1, ILLEGAL_PARAM);
    } else {
        REFUSED(venc.profile = good.venc.type == 96 ? 5 : 1, ILLEGAL_PARAM);
        REFUSED(rc.cbr.bit_rate = 0, ILLEGAL_PARAM);
        REFUSED(rc.cbr.stats_time = 61, ILLEGAL_PARAM);
    }
}

static uint32_t picture(frame_t *frame, int n)
{
    uint32_t block = kd_mpi_vb_get_block((uint32_t)-1, PICTURE, NULL);
    if (block == (uint32_t)-1)
        return block;
    IS(kd_mpi_vb_handle_to_pool_id(block), 0);
    uint64_t at = kd_mpi_vb_handle_to_phyaddr(block);
    THAT(at && at % 4096 == 0);
    IS(kd_mpi_vb_phyaddr_to_handle(at + 5), block);
    uint8_t *bytes = kd_mpi_sys_mmap(at, PICTURE);
    THAT(bytes);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            bytes[y * WIDTH + x] = 16 + (x + y + 8 * n) % 200;
    memset(bytes + CHROMA_AT, 128, LUMA / 2);
    IS(kd_mpi_sys_munmap(bytes, PICTURE), 0);
    memset(frame, 0, sizeof *frame);
    frame->width = WIDTH, frame->height = HEIGHT, frame->field = 4, frame->pixel_format = 31;
    frame->stride[0] = frame->stride[1] = WIDTH;
    frame->phys_addr[0] = at, frame->phys_addr[1] = at + CHROMA_AT;
    frame->pts = 33333ull * n;
    return block;
}

static void write_stream(FILE *file, const stream_t *stream)
{
    for (uint32_t i = 0; i < stream->pack_cnt; i++) {
        void *data = kd_mpi_sys_mmap(stream->pack[i].phys_addr, stream->pack[i].len);
        THAT(data);
        THAT(fwrite(data, 1, stream->pack[i].len, file) == stream->pack[i].len);
        IS(kd_mpi_sys_munmap(data, stream->pack[i].len), 0);
    }
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static void *wait_for_ever(void *arg)
{
    pack_t packs[2];
    stream_t stream = { packs, 2 };
    (void)arg;
    kd_mpi_venc_get_stream(1, &stream, -1);
    return NULL;
}

static void send_and_get(const char *name)
{
    chn_attr attr = attributes(name);
    int jpeg = attr.venc.type == 26;
    frame_t frame;
    status_t status;
    pack_t packs[12];
    stream_t stream = { packs, 12 };

    limits(name);
    IS(kd_mpi_venc_create_chn(0, &attr), VENC(NOBUF));
    IS(kd_mpi_vb_init(), CODE(VB_ID, NOTREADY));
    init_buffers();

    IS(kd_mpi_venc_create_chn(0, &attr), 0);
    IS(kd_mpi_venc_create_chn(0, &attr), VENC(EXIST));
    IS(kd_mpi_venc_create_chn(1, &attr), VENC(NOBUF));
    IS(kd_mpi_venc_query_status(0, NULL), VENC(NULL_PTR));
    IS(kd_mpi_venc_query_status(0, &status), 0);
    IS(status.cur_packs, 0);
    IS(kd_mpi_venc_set_rotation(0, 4), VENC(ILLEGAL_PARAM));
    IS(kd_mpi_venc_set_2d_mode(0, 1), VENC(NOT_SUPPORT));
    IS(kd_mpi_venc_set_2d_mode(3, 1), VENC(INVALID_CHNID));
    IS(kd_mpi_venc_enable_idr(0, 1), jpeg ? VENC(ILLEGAL_PARAM) : 0);
    uint32_t on = 7;
    IS(kd_mpi_venc_get_dblk(0, &on), jpeg ? VENC(ILLEGAL_PARAM) : 0);
    IS(on, jpeg ? 7 : 1);

    uint32_t block = picture(&frame, 0);
    IS(kd_mpi_venc_send_frame(0, &frame, 0), VENC(NOT_PERM));
    IS(kd_mpi_venc_start_chn(0), 0);
    IS(kd_mpi_venc_start_chn(0), VENC(NOT_PERM));
    IS(kd_mpi_venc_destroy_chn(0), VENC(NOT_PERM));
    IS(kd_mpi_venc_set_rotation(0, 1), VENC(BUSY));
    IS(kd_mpi_venc_send_frame(0, NULL, 0), VENC(NULL_PTR));
    IS(kd_mpi_venc_send_frame(0, &frame, -2), VENC(ILLEGAL_PARAM));
    frame.width -= 2;
    IS(kd_mpi_venc_send_frame(0, &frame, 0), VENC(ILLEGAL_PARAM));
    frame.width += 2;
    frame.phys_addr[1] += 64;
    IS(kd_mpi_venc_send_frame(0, &frame, 0), VENC(BADADDR));
    frame.phys_addr[1] = 0x1000;
    IS(kd_mpi_venc_send_frame(0, &frame, 0), VENC(BADADDR));
    IS(kd_mpi_vb_release_block(block), 0);

    /* Nothing to get: at once, after the time given, and never less. */
    IS(kd_mpi_venc_get_stream(0, &stream, 0), VENC(BUF_EMPTY));
    double before = seconds();
    stream = (stream_t){ packs, 12 };
    IS(kd_mpi_venc_get_stream(0, &stream, 60), VENC(BUF_EMPTY));
    THAT(seconds() - before >= 0.06);
    stream = (stream_t){ packs, 12 };
    IS(kd_mpi_venc_get_stream(0, NULL, 0), VENC(NULL_PTR));
    IS(kd_mpi_venc_get_stream(0, &stream, -2), VENC(ILLEGAL_PARAM));
    IS(kd_mpi_venc_release_stream(0, NULL), VENC(NULL_PTR));

    FILE *file = fopen(name, "wb");
    THAT(file);
    for (int n = 0; n < FRAMES; n++) {
        block = picture(&frame, n);
        THAT(block != (uint32_t)-1);
        if (n == 17 && !jpeg)
            IS(kd_mpi_venc_request_idr(0), 0);
        IS(kd_mpi_venc_send_frame(0, &frame, 1000), 0);
        IS(kd_mpi_vb_release_block(block), 0);
        /* GOPs of 10, and a new one begins with what was asked for. */
        int key = jpeg || (n <= 17 ? n % 10 == 0 || n == 17 : (n - 17) % 10 == 0);
        uint32_t expected = key && !jpeg ? 2 : 1;
        if (n == 10 && expected == 2) {
            /* As CanMV's Python: one pack at a time. */
            stream = (stream_t){ packs, 1 };
            IS(kd_mpi_venc_get_stream(0, &stream, -1), 0);
            IS(packs[0].type, HEADER);
            write_stream(file, &stream);
            IS(kd_mpi_venc_release_stream(0, &stream), 0);
            stream = (stream_t){ packs, 1 };
            IS(kd_mpi_venc_get_stream(0, &stream, -1), 0);
            IS(packs[0].type, I_FRAME);
            write_stream(file, &stream);
            IS(kd_mpi_venc_release_stream(0, &stream), 0);
            continue;
        }
        stream = (stream_t){ packs, 12 };
        IS(kd_mpi_venc_get_stream(0, &stream, -1), 0);
        IS(stream.pack_cnt, expected);
        if (expected == 2)
            IS(packs[0].type, HEADER);
        IS(packs[expected - 1].type, key ? I_FRAME : P_FRAME);
        IS(packs[expected - 1].pts, frame.pts);
        THAT(packs[0].phys_addr % 4096 == 0 && packs[0].len > 0);
        write_stream(file, &stream);
        IS(kd_mpi_venc_release_stream(0, &stream), 0);
        IS(kd_mpi_venc_release_stream(0, &stream), VENC(ILLEGAL_PARAM));
    }
    fclose(file);
    IS(kd_mpi_venc_query_status(0, &status), 0);
    IS(status.release_pic_pts, frame.pts);
    IS(status.count, FRAMES);

    /* Streams that are not released stall the channel, and then its queue is full. */
    block = picture(&frame, FRAMES);
    int32_t answer;
    int taken = 0;
    while ((answer = kd_mpi_venc_send_frame(0, &frame, 200)) == 0)
        THAT(++taken < 1000);
    IS(answer, VENC(BUSY));
    THAT(taken > BUFFERS / 2);
    IS(kd_mpi_vb_inquire_user_cnt(block) > 1, 1);
    for (int got = 0; got < taken; got++) {
        stream = (stream_t){ packs, 12 };
        IS(kd_mpi_venc_get_stream(0, &stream, -1), 0);
        IS(kd_mpi_venc_release_stream(0, &stream), 0);
    }
    IS(kd_mpi_vb_release_block(block), 0);

    /* What was inside when it stopped can still be had. */
    block = picture(&frame, FRAMES + 1);
    IS(kd_mpi_venc_send_frame(0, &frame, -1), 0);
    IS(kd_mpi_venc_stop_chn(0), 0);
    IS(kd_mpi_venc_stop_chn(0), 0);
    IS(kd_mpi_venc_send_frame(0, &frame, -1), VENC(NOT_PERM));
    stream = (stream_t){ packs, 12 };
    IS(kd_mpi_venc_get_stream(0, &stream, -1), 0);
    IS(kd_mpi_venc_query_status(0, &status), 0);
    IS(status.end_of_stream, 1);
    IS(kd_mpi_vb_exit(), CODE(VB_ID, NOT_PERM));
    IS(kd_mpi_vb_release_block(block), 0);
    IS(kd_mpi_venc_destroy_chn(0), 0);
    /* Not before: users of a block are a count, and the channel may have been one a moment longer. */
    IS(kd_mpi_vb_release_block(block), CODE(VB_ID, ILLEGAL_PARAM));
    IS(kd_mpi_venc_release_stream(0, &stream), VENC(UNEXIST));

    /* A thread that waits can be cancelled, and its channel goes on. */
    IS(kd_mpi_venc_create_chn(1, &attr), 0);
    IS(kd_mpi_venc_start_chn(1), 0);
    pthread_t waiting;
    THAT(pthread_create(&waiting, NULL, wait_for_ever, NULL) == 0);
    THAT(pthread_cancel(waiting) == 0);
    void *result;
    THAT(pthread_join(waiting, &result) == 0 && result == PTHREAD_CANCELED);
    block = picture(&frame, 0);
    IS(kd_mpi_venc_send_frame(1, &frame, -1), 0);
    stream = (stream_t){ packs, 12 };
    IS(kd_mpi_venc_get_stream(1, &stream, -1), 0);
    IS(kd_mpi_venc_stop_chn(1), 0);
    IS(kd_mpi_venc_destroy_chn(1), 0);
    IS(kd_mpi_vb_release_block(block), 0);
    IS(kd_mpi_venc_close_fd(), 0);
    IS(kd_mpi_vb_exit(), 0);

    uint64_t physical;
    void *address;
    IS(kd_mpi_sys_mmz_alloc(&physical, &address, "test", NULL, 5000), 0);
    memset(address, 1, 5000);
    THAT(kd_mpi_sys_mmap(physical, 5000) && !kd_mpi_sys_mmap(physical, 1 << 20));
    IS(kd_mpi_sys_mmz_free(physical, address), 0);
    IS(kd_mpi_sys_mmz_free(physical, address), CODE(3, BADADDR));
}

static void camera(const char *name)
{
    chn_attr attr = attributes(name);
    mpp_chn source = { VI_ID, 0, 0 }, encoder = { VENC_ID, 0, 0 }, other = { VI_ID, 0, 1 }, found;
    dev_attr dev;
    vicap_chn_attr chn;
    sensor_t sensor;
    pack_t packs[12];

    init_buffers();
    IS(kd_mpi_venc_create_chn(0, &attr), 0);
    IS(kd_mpi_venc_start_chn(0), 0);

    IS(kd_mpi_vicap_init(0), CODE(VICAP_ID, NOT_CONFIG));
    IS(kd_mpi_vicap_get_sensor_info(29, &sensor), CODE(VICAP_ID, ILLEGAL_PARAM));
    IS(kd_mpi_vicap_get_sensor_info(7, &sensor), 0);
    THAT(sensor.width == 1920 && sensor.height == 1080 && sensor.fps == 30 && sensor.type == 7);
    memset(&dev, 0, sizeof dev);
    dev.acq.width = sensor.width, dev.acq.height = sensor.height;
    dev.sensor = sensor;
    IS(kd_mpi_vicap_set_dev_attr(0, dev), 0);
    memset(&chn, 0, sizeof chn);
    chn.out.width = WIDTH, chn.out.height = HEIGHT;
    chn.chn_enable = 1, chn.pix_format = 31, chn.buffer_num = 6, chn.buffer_size = PICTURE;
    chn.alignment = 12;
    IS(kd_mpi_vicap_set_chn_attr(0, 0, chn), 0);
    IS(kd_mpi_vicap_init(0), 0);

    IS(kd_mpi_sys_bind(NULL, &encoder), CODE(SYS_ID, NULL_PTR));
    IS(kd_mpi_sys_bind(&encoder, &source), CODE(SYS_ID, NOT_SUPPORT));
    IS(kd_mpi_sys_bind(&source, &encoder), 0);
    IS(kd_mpi_sys_bind(&other, &encoder), CODE(SYS_ID, NOT_PERM));
    IS(kd_mpi_sys_get_bind_by_dest(&encoder, &found), 0);
    THAT(memcmp(&found, &source, sizeof found) == 0);
    IS(kd_mpi_vicap_start_stream(0), 0);

    FILE *file = fopen(name, "wb");
    THAT(file);
    uint64_t last = 0;
    for (int n = 0; n < 15; n++) {
        stream_t stream = { packs, 12 };
        IS(kd_mpi_venc_get_stream(0, &stream, -1), 0);
        THAT(n == 0 || packs[stream.pack_cnt - 1].pts > last);
        last = packs[stream.pack_cnt - 1].pts;
        write_stream(file, &stream);
        IS(kd_mpi_venc_release_stream(0, &stream), 0);
    }
    fclose(file);

    IS(kd_mpi_vicap_stop_stream(0), 0);
    IS(kd_mpi_vicap_stop_stream(0), CODE(VICAP_ID, NOT_PERM));
    IS(kd_mpi_vicap_deinit(0), 0);
    IS(kd_mpi_sys_unbind(&other, &encoder), CODE(SYS_ID, ILLEGAL_PARAM));
    IS(kd_mpi_sys_unbind(&source, &encoder), 0);
    IS(kd_mpi_sys_unbind(&source, &encoder), 0);
    IS(kd_mpi_venc_stop_chn(0), 0);
    IS(kd_mpi_venc_destroy_chn(0), 0);
    IS(kd_mpi_vb_exit(), 0);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s send|camera FILE\n", argv[0]);
        return 2;
    }
    if (strcmp(argv[1], "camera") == 0)
        camera(argv[2]);
    else
        send_and_get(argv[2]);
    return 0;
}
