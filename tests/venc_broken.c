/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * An MPP library that misbehaves, one way a macro: REFUSES to create a channel, FAILS when asked
 * for a stream, stays SILENT when asked for one, HANGS there whatever time it is given, LACKS a function, takes no
 * OLDFORMATS, or says that it gave so MANYPACKS that they are more than have room.
 */
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define OK(name) int32_t name(void) { return 0; }
OK(kd_mpi_venc_start_chn)
OK(kd_mpi_venc_stop_chn)
OK(kd_mpi_venc_enable_idr)
OK(kd_mpi_venc_request_idr)
OK(kd_mpi_venc_set_rotation)
OK(kd_mpi_venc_set_mirror)
OK(kd_mpi_venc_set_dblk)
OK(kd_mpi_venc_set_h264_entropy)
#ifndef LACKS
OK(kd_mpi_venc_set_h265_sao)
#endif
OK(kd_mpi_vb_set_config)
OK(kd_mpi_vb_init)
OK(kd_mpi_vb_exit)
OK(kd_mpi_vb_create_pool)
OK(kd_mpi_vb_destory_pool)
OK(kd_mpi_vb_release_block)
OK(kd_mpi_sys_munmap)

int32_t kd_mpi_venc_create_chn(uint32_t chn, void *attr)
{
    (void)chn, (void)attr;
#ifdef REFUSES
    return (int32_t)0xa009800d; /* K_ERR_VENC_NOBUF */
#else
    return 0;
#endif
}

int32_t kd_mpi_venc_send_frame(uint32_t chn, void *frame, int32_t milliseconds)
{
    (void)chn, (void)frame, (void)milliseconds;
#ifdef OLDFORMATS
    return (int32_t)0xa0098008; /* K_ERR_VENC_NOT_SUPPORT */
#else
    return 0;
#endif
}

/* Streams that were got and not released. */
static int held;

typedef struct { uint64_t phys_addr; uint32_t len; uint64_t pts; uint32_t type; } pack_t;
typedef struct { pack_t *pack; uint32_t pack_cnt; } stream_t;

int32_t kd_mpi_venc_release_stream(uint32_t chn, stream_t *stream)
{
    (void)chn;
    /* What has room goes back, all of it, and nothing behind it. */
    if (stream->pack_cnt != 12)
        abort();
    for (int n = 0; n < 12; n++)
        if (stream->pack[n].phys_addr != 4096u * (n + 1))
            abort();
    held--;
    return 0;
}

int32_t kd_mpi_venc_destroy_chn(uint32_t chn)
{
    (void)chn;
    if (held != 0)
        abort();
    return 0;
}

int32_t kd_mpi_venc_get_stream(uint32_t chn, void *stream, int32_t milliseconds)
{
    (void)chn, (void)stream;
#if defined(MANYPACKS)
    (void)milliseconds;
    stream_t *out = stream;
    for (int n = 0; n < 12; n++)
        out->pack[n] = (pack_t){ 4096u * (n + 1), 16, 0, 3 };
    out->pack_cnt = 1000000;
    held++;
    return 0;
#elif defined(FAILS)
    (void)milliseconds;
    return (int32_t)0xa0098011; /* K_ERR_VENC_BADADDR */
#elif defined(HANGS)
    (void)milliseconds;
    for (;;)
        pause();
#else
    usleep(milliseconds > 0 ? milliseconds * 1000 : 0);
    return (int32_t)0xa009800e; /* K_ERR_VENC_BUF_EMPTY */
#endif
}

static char memory[1 << 20];

uint32_t kd_mpi_vb_get_block(uint32_t pool, uint64_t size, const char *zone)
{
    (void)pool, (void)size, (void)zone;
    return 1;
}

uint64_t kd_mpi_vb_handle_to_phyaddr(uint32_t block)
{
    (void)block;
    return 4096;
}

void *kd_mpi_sys_mmap(uint64_t physical, uint32_t size)
{
    (void)physical;
    return size <= sizeof memory ? memory : NULL;
}
