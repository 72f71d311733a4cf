/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * CanMV's Encoder in C: encodes pictures and says what is in each stream buffer, as streamData.pack_cnt,
 * data_size and stream_type do there. The bytes go to FILE.
 *
 * usage: encode [FILE [FRAMES]]        built and run by: make run
 */
#include <stdio.h>
#include <stdlib.h>

#include <gst/app/gstappsink.h>
#include <gst/gst.h>

#include "packs.h"

static void
print_pack (const Pack * pack, gpointer user_data)
{
  (void) user_data;
  printf (" %s: %u bytes at %" G_GSIZE_FORMAT ";", pack->type, pack->size, pack->at);
}

/* What ended the stream too early, if something did. */
static gboolean
print_error (GstElement * pipeline)
{
  GstBus *bus = gst_element_get_bus (pipeline);
  GstMessage *message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  gboolean failed = message != NULL;

  if (failed) {
    GError *error = NULL;

    gst_message_parse_error (message, &error, NULL);
    fprintf (stderr, "%s\n", error->message);
    g_error_free (error);
    gst_message_unref (message);
  }
  gst_object_unref (bus);
  return failed;
}

int
main (int argc, char **argv)
{
  const char *path = argc > 1 ? argv[1] : "venc_chn_00.265";
  int frames = argc > 2 ? atoi (argv[2]) : 100;
  char *description;
  GstElement *pipeline, *sink;
  GstSample *sample;
  GError *error = NULL;
  gboolean failed;
  FILE *file;

  gst_init (&argc, &argv);
  description = g_strdup_printf ("videotestsrc num-buffers=%d ! "
      "video/x-raw,format=NV12,width=1280,height=720,framerate=30/1 ! k230venc gop-length=30 ! "
      "video/x-h265,profile=main ! appsink name=sink sync=false max-buffers=15", frames);
  pipeline = gst_parse_launch (description, &error);
  g_free (description);
  if (error != NULL) {
    fprintf (stderr, "%s\n", error->message);
    g_error_free (error);
    g_clear_object (&pipeline);
    return 1;
  }
  file = fopen (path, "wb");
  if (file == NULL) {
    perror (path);
    gst_object_unref (pipeline);
    return 1;
  }

  sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while ((sample = gst_app_sink_pull_sample (GST_APP_SINK (sink))) != NULL) {
    GstBuffer *buffer = gst_sample_get_buffer (sample);
    GstMapInfo map;

    if (gst_buffer_map (buffer, &map, GST_MAP_READ)) {
      printf ("%" GST_TIME_FORMAT ":", GST_TIME_ARGS (GST_BUFFER_PTS (buffer)));
      packs_foreach (buffer, print_pack, NULL);
      printf ("\n");
      fwrite (map.data, 1, map.size, file);
      gst_buffer_unmap (buffer, &map);
    }
    gst_sample_unref (sample);  /* ReleaseStream */
  }
  failed = print_error (pipeline);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (sink);
  gst_object_unref (pipeline);
  if (fclose (file) != 0) {
    perror (path);
    failed = TRUE;
  }
  return failed;
}
