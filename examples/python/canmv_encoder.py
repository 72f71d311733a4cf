# SPDX-License-Identifier: MIT OR Apache-2.0
"""CanMV's routine for the K230's encoder: 100 frames of H.265 into venc_chn_00.265.

    encoder.SetOutBufs(venc_chn, 15, width, height)
    encoder.Create(venc_chn, ChnAttrStr(encoder.PAYLOAD_TYPE_H265, encoder.H265_PROFILE_MAIN, width, height))
    encoder.Start(venc_chn)
    encoder.GetStream(venc_chn, streamData); ...; encoder.ReleaseStream(venc_chn, streamData)
    encoder.Stop(venc_chn); encoder.Destroy(venc_chn)

Create and Start are going to PLAYING, Stop and Destroy going to NULL. A sample is what GetStream
fills, and dropping it is ReleaseStream.

usage: canmv_encoder.py [DIRECTORY [FRAMES]]
"""

import os
import sys

from pipeline import Pipeline

directory = sys.argv[1] if len(sys.argv) > 1 else "."
frames = int(sys.argv[2]) if len(sys.argv) > 2 else 100
venc_chn = 0
width, height = 1280, 720

encoder = Pipeline(
    f"videotestsrc is-live=true ! video/x-raw,format=NV12,width={width},height={height},framerate=30/1"
    f" ! k230venc channel={venc_chn} output-buffers=15 gop-length=30 ! video/x-h265,profile=main"
    " ! appsink name=stream sync=false max-buffers=15"
)
encoder.play()
out_file = os.path.join(directory, f"venc_chn_{venc_chn:02d}.265")
print("save stream to file:", out_file)
with open(out_file, "wb") as fo:
    for _ in range(frames):
        sample = encoder["stream"].emit("pull-sample")  # GetStream
        if sample is None:
            encoder.wait(0)
            break
        data = sample.get_buffer()
        fo.write(data.extract_dup(0, data.get_size()))
        print("stream size:", data.get_size())
        del data, sample  # ReleaseStream
encoder.close()
