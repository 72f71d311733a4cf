/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * packs.c against the element, with GStreamer's own library for tests of elements (gst-check).
 */
#include <gst/check/gstcheck.h>
#include <gst/check/gstharness.h>

#include "packs.h"

#define FRAMES 5
#define BYTES (320 * 240 * 3 / 2)

typedef struct {
  gsize bytes;
  guint headers, keys, others;
} Seen;

static void
note (const Pack * pack, gpointer user_data)
{
  Seen *seen = user_data;

  /* They follow one another without a gap. */
  g_assert_cmpuint (pack->at, ==, seen->bytes);
  seen->bytes += pack->size;
  if (g_str_equal (pack->type, "header"))
    seen->headers++;
  else if (g_str_equal (pack->type, "I"))
    seen->keys++;
  else if (g_str_equal (pack->type, "P"))
    seen->others++;
  g_assert_cmpint (pack->header, ==, g_str_equal (pack->type, "header"));
}

static GstHarness *
encoder (const gchar * caps)
{
  GstHarness *h = gst_harness_new ("k230venc");

  gst_harness_set_src_caps_str (h, "video/x-raw,format=NV12,width=320,height=240,framerate=30/1");
  gst_harness_set_sink_caps_str (h, caps);
  return h;
}

static void
push (GstHarness * h, guint frames)
{
  guint n;

  for (n = 0; n < frames; n++) {
    GstBuffer *buffer = gst_buffer_new_allocate (NULL, BYTES, NULL);

    gst_buffer_memset (buffer, 0, 16 * n, BYTES);
    GST_BUFFER_PTS (buffer) = gst_util_uint64_scale (n, GST_SECOND, 30);
    GST_BUFFER_DURATION (buffer) = gst_util_uint64_scale (1, GST_SECOND, 30);
    fail_unless_equals_int (gst_harness_push (h, buffer), GST_FLOW_OK);
  }
  fail_unless (gst_harness_push_event (h, gst_event_new_eos ()));
}

GST_START_TEST (test_packs_of_h264)
{
  GstHarness *h = encoder ("video/x-h264,stream-format=byte-stream,alignment=au");
  guint n;

  push (h, FRAMES);
  for (n = 0; n < FRAMES; n++) {
    GstBuffer *buffer = gst_harness_pull (h);
    Seen seen = { 0, 0, 0, 0 };

    fail_unless (buffer != NULL);
    fail_unless (packs_foreach (buffer, note, &seen) > 0);
    /* The packs are all of the buffer. */
    fail_unless_equals_uint64 (seen.bytes, gst_buffer_get_size (buffer));
    fail_unless_equals_int (seen.headers > 0, n == 0);
    fail_unless_equals_int (seen.keys, n == 0);
    fail_unless_equals_int (seen.others, n > 0);
    gst_buffer_unref (buffer);
  }
  gst_harness_teardown (h);
}
GST_END_TEST;

GST_START_TEST (test_other_buffers_have_none)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, 16, NULL);
  Seen seen = { 0, 0, 0, 0 };

  fail_unless_equals_int (packs_foreach (buffer, note, &seen), 0);
  gst_buffer_unref (buffer);
}
GST_END_TEST;

static Suite *
packs_suite (void)
{
  Suite *suite = suite_create ("packs");
  TCase *tests = tcase_create ("packs");

  tcase_set_timeout (tests, 120);
  tcase_add_test (tests, test_packs_of_h264);
  tcase_add_test (tests, test_other_buffers_have_none);
  suite_add_tcase (suite, tests);
  return suite;
}

GST_CHECK_MAIN (packs);
