#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""OpenStack Swift with its S3 API in one process: proxy, account, container and object server.

    s3_server.py FOLDER [ADDRESS:]PORT BUCKET...

Keeps what it stores in FOLDER, makes the buckets, says `Swift is ready` and runs until it is ended. Debian's
packages are swift-proxy, swift-account, swift-container and swift-object. Keys are `test:tester` and `testing`.
"""

import os
import sys

import eventlet
import eventlet.event

eventlet.monkey_patch()

from eventlet import wsgi  # noqa: E402
from swift.common import utils  # noqa: E402
from swift.common.ring.builder import RingBuilder  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402

PROXY = """
[DEFAULT]
swift_dir = {folder}
[pipeline:main]
pipeline = catch_errors cache listing_formats bulk s3api tempauth slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
paste.filter_factory = cache:filter_factory
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""

SERVER = """
[DEFAULT]
swift_dir = {folder}
devices = {folder}
mount_check = false
disable_fallocate = true
user = {user}
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""

CONF = """
[swift-hash]
swift_hash_path_suffix = kendryte
[storage-policy:0]
name = gold
default = yes
"""

# What memcached is for Swift, for one process.
CACHE = '''
class Cache:
    def __init__(self):
        self.known = {}

    def get(self, key, **_):
        return self.known.get(key)

    def set(self, key, value, **_):
        self.known[key] = value

    def incr(self, key, delta=1, **_):
        self.known[key] = self.known.get(key, 0) + delta
        return self.known[key]

    def delete(self, key, **_):
        self.known.pop(key, None)


def filter_factory(_global, **_local):
    cache = Cache()

    def wrap(app):
        def call(env, start):
            env["swift.cache"] = cache
            return app(env, start)
        return call
    return wrap
'''


def write(folder, name, text):
    with open(os.path.join(folder, name), "w") as file:
        file.write(text)


def serve(folder, kind, listener):
    app = loadapp(os.path.join(folder, f"{kind}.conf"), global_conf={"log_name": kind})
    quiet = open(os.devnull, "w")
    pool = eventlet.GreenPool(200)
    eventlet.spawn(wsgi.server, listener, app, log=quiet, custom_pool=pool, capitalize_response_headers=False)
    return app


def ring(folder, kind, port):
    """One device, one replica, saved where the servers look for it."""
    builder = RingBuilder(4, 1, 0)
    builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "disk", "weight": 1.0,
                     "replication_ip": "127.0.0.1", "replication_port": port, "meta": ""})
    builder.rebalance()
    builder.get_ring().save(os.path.join(folder, f"{kind}.ring.gz"))


def make_bucket(app, name):
    """As an S3 client would, by Swift's own interface."""
    from swift.common.swob import Request

    request = Request.blank("/auth/v1.0", headers={"X-Auth-User": "test:tester", "X-Auth-Key": "testing"})
    token = request.get_response(app).headers["X-Auth-Token"]
    request = Request.blank(f"/v1/AUTH_test/{name}", method="PUT", headers={"X-Auth-Token": token})
    answer = request.get_response(app)
    if answer.status_int // 100 != 2:
        sys.exit(f"no bucket {name}: {answer.status}")


def main():
    folder, where, *buckets = sys.argv[1:]
    folder = os.path.abspath(folder)
    address, _, port = where.rpartition(":")
    os.makedirs(os.path.join(folder, "disk"), exist_ok=True)
    sys.path.insert(0, folder)
    write(folder, "cache.py", CACHE)
    write(folder, "swift.conf", CONF)
    import pwd
    user = pwd.getpwuid(os.getuid()).pw_name
    listeners = {}
    for kind in ("account", "container", "object"):
        listeners[kind] = eventlet.listen(("127.0.0.1", 0))
        ring(folder, kind, listeners[kind].getsockname()[1])
        write(folder, f"{kind}.conf", SERVER.format(folder=folder, kind=kind, user=user))
    write(folder, "proxy.conf", PROXY.format(folder=folder))
    utils.set_swift_dir(folder)
    for kind, listener in listeners.items():
        serve(folder, kind, listener)
    proxy = serve(folder, "proxy", eventlet.listen((address or "127.0.0.1", int(port))))
    for bucket in buckets:
        make_bucket(proxy, bucket)
    print("Swift is ready", flush=True)
    eventlet.event.Event().wait()


if __name__ == "__main__":
    main()
