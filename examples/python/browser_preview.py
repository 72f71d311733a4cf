# SPDX-License-Identifier: MIT OR Apache-2.0
"""Records, and shows the camera in a browser meanwhile: picamera2's mjpeg_server.py with a recording.

usage: browser_preview.py [FILE [SECONDS [PORT [ADDRESS]]]]   ADDRESS 0.0.0.0: to other machines too
"""

import http.server
import sys
import threading

from pipeline import CAMERA, Pipeline

file = sys.argv[1] if len(sys.argv) > 1 else "preview.avi"
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else None
port = int(sys.argv[3]) if len(sys.argv) > 3 else 8000
address = sys.argv[4] if len(sys.argv) > 4 else "127.0.0.1"


class Latest:
    """The newest picture, for any number of browsers."""

    def __init__(self):
        self.number, self.picture, self.over = 0, b"", False
        self.changed = threading.Condition()

    def put(self, sink):
        buffer = sink.emit("pull-sample").get_buffer()
        with self.changed:
            self.number += 1
            self.picture = buffer.extract_dup(0, buffer.get_size())
            self.changed.notify_all()
        return 0  # Gst.FlowReturn.OK

    def end(self):
        with self.changed:
            self.over = True
            self.changed.notify_all()

    def after(self, number):
        with self.changed:
            self.changed.wait_for(lambda: self.number > number or self.over)
            return (None, b"") if self.over else (self.number, self.picture)


latest = Latest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path in ("/", "/stream") else 404)
        if self.path != "/stream":
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>camera</title><img src=stream>")
            return
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
        self.end_headers()
        number, picture = latest.after(0)
        try:
            while number is not None:
                head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                self.wfile.write(head.encode() + picture + b"\r\n")
                number, picture = latest.after(number)
        except OSError:
            pass  # The browser has gone.

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer((address, port), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://{address}:{server.server_port}/", flush=True)

camera = Pipeline(
    f"{CAMERA} ! videoconvert ! jpegenc ! tee name=t ! queue ! avimjpegmux"
    f' ! filesink location="{file}"  t. ! queue leaky=downstream max-size-buffers=1'
    " ! appsink name=preview emit-signals=true sync=false max-buffers=1 drop=true"
)
camera["preview"].connect("new-sample", latest.put)
camera.play()
camera.wait(seconds)
latest.end()
camera.stop()
