/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef PACKS_H
#define PACKS_H

#include <gst/gst.h>

/* A part of what the encoder gave at once: parameter sets, or a picture. */
typedef struct {
  const gchar *type; /* "header", "I" or "P"; as long as the buffer */
  gsize at;          /* its first byte in the buffer */
  guint size;        /* bytes */
  gboolean header;   /* parameter sets */
} Pack;

typedef void (*PackFunc) (const Pack * pack, gpointer user_data);

/* Calls func for each pack of a buffer of k230venc, in order; how many there are. 0 for any other buffer. */
guint packs_foreach (GstBuffer * buffer, PackFunc func, gpointer user_data);

#endif
