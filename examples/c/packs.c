/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Reads the meta GstK230VencPacks: a structure with the field "packs", a GstValueArray whose values are boxed
 * GstStructures with "type" (gchararray), "size" (guint) and "header" (gboolean).
 */
#include "packs.h"

guint
packs_foreach (GstBuffer * buffer, PackFunc func, gpointer user_data)
{
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, "GstK230VencPacks");
  const GValue *packs;
  gsize at = 0;
  guint n, count;

  if (meta == NULL)
    return 0;
  packs = gst_structure_get_value (gst_custom_meta_get_structure (meta), "packs");
  if (packs == NULL || !GST_VALUE_HOLDS_ARRAY (packs))
    return 0;
  count = gst_value_array_get_size (packs);
  for (n = 0; n < count; n++) {
    const GstStructure *structure = gst_value_get_structure (gst_value_array_get_value (packs, n));
    Pack pack = { gst_structure_get_string (structure, "type"), at, 0, FALSE };

    gst_structure_get (structure, "size", G_TYPE_UINT, &pack.size, "header", G_TYPE_BOOLEAN, &pack.header, NULL);
    func (&pack, user_data);
    at += pack.size;
  }
  return count;
}
