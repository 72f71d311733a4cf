/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * An MPP library of the older kind, k230_sdk's, made of the double: it hands its calls on to the library DOUBLE, and
 * has neither requests for channels nor pools to attach.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void *find(const char *name)
{
    static void *library;
    if (!library)
        library = dlopen(DOUBLE, RTLD_NOW | RTLD_LOCAL);
    void *found = library ? dlsym(library, name) : NULL;
    if (!found) {
        fprintf(stderr, "%s: %s\n", name, dlerror());
        abort();
    }
    return found;
}

/* Enough words for any of them, however long they are. */
typedef long long call(long, long, long, long, long, long);
#define HAND_ON(name) \
    long long name(long a, long b, long c, long d, long e, long f) { return ((call *)find(#name))(a, b, c, d, e, f); }

HAND_ON(kd_mpi_venc_start_chn)
HAND_ON(kd_mpi_venc_stop_chn)
HAND_ON(kd_mpi_venc_destroy_chn)
HAND_ON(kd_mpi_venc_send_frame)
HAND_ON(kd_mpi_venc_get_stream)
HAND_ON(kd_mpi_venc_release_stream)
HAND_ON(kd_mpi_venc_enable_idr)
HAND_ON(kd_mpi_venc_request_idr)
HAND_ON(kd_mpi_venc_set_rotation)
HAND_ON(kd_mpi_venc_set_mirror)
HAND_ON(kd_mpi_venc_set_dblk)
HAND_ON(kd_mpi_venc_set_h264_entropy)
HAND_ON(kd_mpi_venc_set_h265_sao)
HAND_ON(kd_mpi_vb_set_config)
HAND_ON(kd_mpi_vb_init)
HAND_ON(kd_mpi_vb_exit)
HAND_ON(kd_mpi_vb_create_pool)
HAND_ON(kd_mpi_vb_destory_pool)
HAND_ON(kd_mpi_vb_get_block)
HAND_ON(kd_mpi_vb_release_block)
HAND_ON(kd_mpi_vb_handle_to_phyaddr)
HAND_ON(kd_mpi_sys_mmap)
HAND_ON(kd_mpi_sys_munmap)

int32_t kd_mpi_venc_create_chn(uint32_t chn, uint32_t *attr)
{
    /* Type, size and count of the stream buffers, width, height, profile. */
    if (attr[2] != 15 || attr[3] != 320 || attr[4] != 240) {
        fputs("the attributes are not of the older layout\n", stderr);
        abort();
    }
    return (int32_t)((call *)find("kd_mpi_venc_create_chn"))(chn, (long)attr, 0, 0, 0, 0);
}
