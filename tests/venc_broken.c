/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * An MPP library that misbehaves, one way a macro: REFUSES to create a channel, FAILS when asked
 * for a stream, stays SILENT when asked for one, HANGS there whatever time it is given, or LACKS a function.
 */
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define OK(name) int32_t name(void) { return 0; }
OK(kd_mpi_venc_start_chn)
OK(kd_mpi_venc_stop_chn)
OK(kd_mpi_venc_destroy_chn)
OK(kd_mpi_venc_send_frame)
OK(kd_mpi_venc_release_stream)
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

int32_t kd_mpi_venc_get_stream(uint32_t chn, void *stream, int32_t milliseconds)
{
    (void)chn, (void)stream;
#if defined(FAILS)
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
