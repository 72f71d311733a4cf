#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""A fleet on one machine: recorders in network namespaces of their own with simulated boards, and one each of
mosquitto, Swift (its S3 API), PostgreSQL and Prometheus, while things go wrong. `make fleet` runs it as root. The
servers, which would have machines of their own, get the processor first.

    scripts/fleet.py [--minutes 10] [--events 1000] [--recorders 3] [--boards 20] [--broker-away 10] [--write] PROGRAM

Exits with 1 if an event has not its clip in the store, once and whole, or index and store do not agree, or something
grew. While the broker is away, which it is for `--broker-away` seconds, events come by HTTP. `--write` puts what was
measured into docs/fleet.md.
"""

import argparse
import collections
import hashlib
import json
import os
import platform
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

HUB = "kfleet-hub"
BRIDGE = "10.77.0.1"
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MQTT, S3, POSTGRES, PROMETHEUS = 1883, 8333, 5432, 9090
TOKEN = "fleet"
# A trigger that came to nothing (its recorder was killed) is sent again, as its source would.
AGAIN = 30
# How long (s) a server may take for an answer.
PATIENCE = 60
# How long (s) nothing new may arrive at the end.
SETTLE = 120
# From how many seconds on the broker's absence is what a run is about: docs/fleet.md has that apart.
LONG = 60
# Runs a server ahead of the recorders, as if on a machine of its own.
AHEAD = ["nice", "-n", "-10"]


def say(text):
    print(f"{time.strftime('%T')} {text}", flush=True)


def namespace(number):
    return f"kfleet-{number}"


def address(number):
    return f"10.77.0.{10 + number}"


def run(*command, **options):
    return subprocess.run(command, check=True, **options)


def remove_network(recorders):
    for name in [HUB, *map(namespace, range(1, recorders + 1))]:
        subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL, check=False)


def make_network(recorders):
    """A bridge in a namespace, where the servers are, and a namespace for each recorder."""
    remove_network(recorders)
    run("ip", "netns", "add", HUB)
    run("ip", "-n", HUB, "link", "set", "lo", "up")
    run("ip", "-n", HUB, "link", "add", "hub", "type", "bridge")
    run("ip", "-n", HUB, "address", "add", f"{BRIDGE}/24", "dev", "hub")
    run("ip", "-n", HUB, "link", "set", "hub", "up")
    for number in range(1, recorders + 1):
        name = namespace(number)
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", HUB, "link", "add", f"to{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "-n", HUB, "link", "set", f"to{number}", "master", "hub")
        run("ip", "-n", HUB, "link", "set", f"to{number}", "up")
        run("ip", "-n", name, "address", "add", f"{address(number)}/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")


class Program:
    """A program that can be ended and run again; what it says is in a file."""

    def __init__(self, name, folder, command, ready=None):
        self.name, self.command, self.ready = name, command, ready
        self.log = os.path.join(folder, f"{name}.log")
        self.folder = folder
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=self.folder,
                                            stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while self.ready and self.ready not in self.said(begin):
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{self.name} does not start:\n{self.said(begin)[-3000:]}")
            time.sleep(0.05)

    def said(self, begin=0):
        with open(self.log, errors="replace") as log:
            log.seek(begin)
            return log.read()

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(90)


class Recorder(Program):
    def __init__(self, number, folder, program, boards, password):
        self.number, self.boards = number, boards
        own = os.path.join(folder, f"recorder{number}")
        os.makedirs(own, exist_ok=True)
        with open(os.path.join(own, "config.toml"), "w") as file:
            file.write(self.config(password))
        command = ["ip", "netns", "exec", namespace(number), program, "config.toml"]
        super().__init__(f"recorder{number}", own, command, "http://")

    @property
    def site(self):
        return f"r{self.number}"

    def config(self, password):
        head = f"""
directory = "clips"
site = "{self.site}"
[http]
listen = "{address(self.number)}:8080"
behind-proxy = true
password = '{password}'
token = "{hashlib.sha256(TOKEN.encode()).hexdigest()}"
[mqtt]
host = "{BRIDGE}"
[index]
url = "postgres://recorder@{BRIDGE}:{POSTGRES}/postgres"
[store]
endpoint = "http://{BRIDGE}:{S3}"
bucket = "clips"
access-key = "test:tester"
secret-key = "testing"
delete = true
"""
        camera = """
[[camera]]
name = "c{:02}"
source = "k210:sim:"
encode = "none"
container = "mkv"
before = 5
after = 2
memory = 16
"""
        return head + "".join(camera.format(number) for number in range(self.boards))

    def used(self):
        """CPU seconds, and MiB of memory."""
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        with open(f"/proc/{self.process.pid}/status") as file:
            rss = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        return seconds, rss / 1024

    def state(self):
        request = urllib.request.Request(f"http://{address(self.number)}:8080/api/state",
                                         headers={"Authorization": f"Bearer {TOKEN}"})
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return json.load(answer)
            except OSError:
                # It has just begun, or the machine is busy.
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)

    def trigger(self, camera, event):
        """Has an event by HTTP; true if the recorder says that it has it."""
        request = urllib.request.Request(
            f"http://{address(self.number)}:8080/api/cameras/{camera}/trigger?event={event}", method="POST",
            headers={"Authorization": f"Bearer {TOKEN}"})
        try:
            with urllib.request.urlopen(request, timeout=10):
                return True
        except OSError:
            return False

    def untold(self):
        """How many of its events wait for the broker."""
        outbox = sqlite3.connect(os.path.join(self.folder, "clips/.outbox.sqlite"))
        return outbox.execute("SELECT count(*) FROM letters").fetchone()[0]

    def sent(self):
        """Bytes that it has sent through its network."""
        path = f"/sys/class/net/to{self.number}/statistics/rx_bytes"
        with open(path) as file:
            return int(file.read())


def start_servers(folder):
    """Those that a fleet has one of each."""
    with open(os.path.join(folder, "mosquitto.conf"), "w") as file:
        file.write(f"listener {MQTT} {BRIDGE}\nallow_anonymous true\npersistence true\n"
                   f"persistence_location {folder}/\nmax_queued_messages 0\nuser root\n")
    with open(os.path.join(folder, "prometheus.yml"), "w") as file:
        targets = ", ".join(f"'{address(n)}:8080'" for n in range(1, 1 + ARGS.recorders))
        file.write("global: {scrape_interval: 5s, scrape_timeout: 4s}\nscrape_configs:\n- job_name: recorders\n"
                   f"  authorization: {{credentials: {TOKEN}}}\n  static_configs: [{{targets: [{targets}]}}]\n")
    servers = {}
    mosquitto = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    servers["mosquitto"] = Program("mosquitto", folder, [*AHEAD, mosquitto, "-c", "mosquitto.conf"], "running")
    script = os.path.join(ROOT, "recorder/tests/s3_server.py")
    command = [*AHEAD, "/usr/bin/python3", script, os.path.join(folder, "swift"), f"{BRIDGE}:{S3}", "clips"]
    servers["swift"] = Program("swift", folder, command, "Swift is ready")
    versions = "/usr/lib/postgresql"
    programs = os.path.join(versions, max(os.listdir(versions), key=int), "bin")
    data = os.path.join(folder, "postgres")
    os.makedirs(data)
    shutil.chown(data, "postgres", "postgres")
    other = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"]
    run(*other, f"{programs}/initdb", "--username=recorder", "--auth=trust", "-D", f"{data}/data",
        stdout=subprocess.DEVNULL, cwd=data)
    with open(f"{data}/data/pg_hba.conf", "a") as file:
        file.write("host all all 10.77.0.0/24 trust\n")
    command = [*AHEAD, *other, f"{programs}/postgres", "-D", f"{data}/data", "-c", f"listen_addresses={BRIDGE}", "-c",
               "unix_socket_directories=", "-p", str(POSTGRES)]
    servers["postgres"] = Program("postgres", folder, command, "ready to accept connections")
    command = [*AHEAD, "prometheus", "--config.file=prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
               f"--web.listen-address={BRIDGE}:{PROMETHEUS}"]
    servers["prometheus"] = Program("prometheus", folder, command, "ready to receive web requests")
    return servers


class Source:
    """Where events come from, and who hears what came of them."""

    def __init__(self, recorders, boards, count):
        import paho.mqtt.client as mqtt
        random.seed(7)
        self.recorders = {recorder.site: recorder for recorder in recorders}
        self.events = {}
        for number in range(count):
            site = f"r{random.randint(1, len(recorders))}"
            self.events[f"e{number:05}"] = (site, f"c{random.randrange(boards):02}")
        self.sent, self.finished, self.uploaded = {}, {}, {}
        # Those that a recorder has said by HTTP that it has; nobody waits for it meanwhile.
        self.taken, self.posts = set(), ThreadPoolExecutor(8)
        self.again = 0
        self.heard = collections.Counter()
        self.sequences = collections.defaultdict(list)
        # paho 2 wants to be told that it is called as paho 1 was.
        versions = getattr(mqtt, "CallbackAPIVersion", None)
        self.client = mqtt.Client(*([versions.VERSION1] if versions else []), "fleet", clean_session=False)
        self.client.max_queued_messages_set(0)
        self.client.on_connect = lambda client, *_: client.subscribe("kendryte/+/+/event", 2)
        self.client.on_message = lambda _client, _data, message: self.hear(message)
        self.client.reconnect_delay_set(1, 2)
        self.client.connect(BRIDGE, MQTT, keepalive=10)
        self.client.loop_start()

    def trigger(self, event):
        site, camera = self.events[event]
        self.sent[event] = time.monotonic()
        if self.client.is_connected():
            self.client.publish(f"kendryte/{site}/{camera}/trigger", event, qos=2)
        else:
            self.posts.submit(self.post, event)

    def post(self, event):
        site, camera = self.events[event]
        if self.recorders[site].trigger(camera, event):
            self.taken.add(event)

    def hear(self, message):
        told = json.loads(message.payload)
        self.heard[told["type"]] += 1
        self.sequences[message.topic.split("/")[1]].append(told["sequence"])
        clip = told.get("clip") or {}
        if told["type"] in ("finished", "uploaded") and clip.get("event"):
            kept = self.finished if told["type"] == "finished" else self.uploaded
            kept.setdefault(clip["event"], []).append(clip["name"])

    def send_again(self):
        late = time.monotonic() - AGAIN
        for event, sent in list(self.sent.items()):
            if event not in self.finished and event not in self.taken and sent < late:
                self.trigger(event)
                self.again += 1


def swift_token():
    request = urllib.request.Request(f"http://{BRIDGE}:{S3}/auth/v1.0",
                                     headers={"X-Auth-User": "test:tester", "X-Auth-Key": "testing"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return answer.headers["X-Auth-Token"]


def swift_get(token, path):
    request = urllib.request.Request(f"http://{BRIDGE}:{S3}/v1/AUTH_test/{path}", headers={"X-Auth-Token": token})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return answer.read()


def list_store(token):
    names, marker = [], ""
    while True:
        page = json.loads(swift_get(token, f"clips?format=json&marker={urllib.parse.quote(marker)}"))
        if not page:
            return names
        names += [entry["name"] for entry in page]
        marker = names[-1]


def look_at_clip(folder, token, facts_name):
    """Fetches a clip; returns what is known of it and what is wrong with it."""
    facts = json.loads(swift_get(token, "clips/" + urllib.parse.quote(facts_name)))
    name = facts_name.removesuffix(".json")
    body = swift_get(token, "clips/" + urllib.parse.quote(name))
    wrong = []
    if len(body) != facts["bytes"] or hashlib.sha256(body).hexdigest() != facts["sha256"]:
        wrong.append(f"{name} is not what was sent")
    path = os.path.join(folder, name.replace("/", "_"))
    with open(path, "wb") as file:
        file.write(body)
    command = ["ffprobe", "-v", "error", "-count_packets", "-select_streams", "v", "-show_entries",
               "stream=nb_read_packets", "-of", "default=nokey=1:noprint_wrappers=1", path]
    probed = subprocess.run(command, capture_output=True, text=True, check=False)
    os.remove(path)
    if probed.stderr or probed.stdout.strip() != str(facts["frames"]) or not facts["frames"]:
        wrong.append(f"{name}: {probed.stdout.strip()} of {facts['frames']} frames {probed.stderr.strip()}")
    return facts, name, wrong


def rows_of_index():
    command = ["psql", "-h", BRIDGE, "-p", str(POSTGRES), "-U", "recorder", "-At", "-F", "\t", "postgres", "-c",
               "SELECT site, camera, name, event, sha256, here FROM clips WHERE event IS NOT NULL"]
    text = run(*command, capture_output=True, text=True).stdout
    return [line.split("\t") for line in text.splitlines()]


def ask_prometheus(query):
    address = f"http://{BRIDGE}:{PROMETHEUS}/api/v1/query?query={urllib.parse.quote(query)}"
    with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
        return [float(entry["value"][1]) for entry in json.load(answer)["data"]["result"]]


def out_of_order(site, sequences, killed):
    """What is wrong with the numbers of what a recorder told. One that was `killed` may have told one twice."""
    pairs = list(zip(sequences, sequences[1:]))
    back = [pair for pair in pairs if pair[1] < pair[0]]
    again = [pair for pair in pairs if pair[1] == pair[0]]
    # What came before the source listened was told to nobody.
    missing = sorted(set(range(min(sequences), max(sequences) + 1)) - set(sequences))
    wrong = []
    if back:
        wrong.append(f"{site} was not told in order, {len(back)} times of {len(sequences)}: {back}")
    if len(again) > killed:
        wrong.append(f"{site} was told twice: {again}")
    if missing:
        wrong.append(f"{site} did not tell {len(missing)} of {max(sequences)}: {missing[:20]}")
    return wrong


def check(folder, source, recorders):
    """What is wrong at the end, a line each, and how many bytes are in the store."""
    wrong = []
    token = swift_token()
    names = list_store(token)
    scratch = os.path.join(folder, "clips")
    os.makedirs(scratch)
    facts_names = [name for name in names if name.endswith(".json")]
    with ThreadPoolExecutor(2) as pool:
        looked = list(pool.map(lambda name: look_at_clip(scratch, token, name), facts_names))
    stored, size = collections.defaultdict(list), 0
    for facts, name, bad in looked:
        wrong += bad
        size += facts["bytes"]
        stored[facts["event"]].append((*name.split("/"), facts["sha256"]))
    for event, (site, camera) in source.events.items():
        clips = stored.pop(event, [])
        if len(clips) != 1 or clips[0][:2] != (site, camera):
            wrong.append(f"{event} of {site}/{camera} has {clips}")
        if len(source.finished.get(event, [])) == 0 or len(source.uploaded.get(event, [])) == 0:
            wrong.append(f"{event} was not told of")
    wrong += [f"nobody asked for {event}: {clips}" for event, clips in stored.items()]
    clips = {name.removesuffix(".json") for name in facts_names}
    for name in names:
        # By which recorders of one name would find each other.
        if name.endswith("/.recorder"):
            continue
        if name.removesuffix(".jpg").removesuffix(".json") not in clips:
            wrong.append(f"{name} is alone in the store")
    index = {(row[0], row[1], row[2], row[4]) for row in rows_of_index()}
    there = {(*name.split("/"), facts["sha256"]) for facts, name, _ in looked}
    if index != there:
        wrong.append(f"index and store differ: {sorted(index ^ there)[:5]}")
    for recorder in recorders:
        left = [name for _, _, files in os.walk(os.path.join(recorder.folder, "clips")) for name in files
                if name.endswith((".mkv", ".mkv.json", ".mkv.jpg"))]
        # A recording that a kill cut off has no facts, and stays for who wants to mend it.
        whole = [name for name in left if name.endswith(".json")]
        if whole:
            wrong.append(f"{recorder.site} still has {whole[:5]}")
        if recorder.untold():
            wrong.append(f"{recorder.site} has {recorder.untold()} untold")
    killed = recorders[0].site
    for site, sequences in source.sequences.items():
        wrong += out_of_order(site, sequences, site == killed)
    return wrong, size


def incidents(minutes, recorders, servers, untold):
    """What goes wrong, and when: seconds from the beginning, what is said, what is done. How many events waited for
    the broker is put into `untold`."""
    whole = minutes * 60
    cut = min(120, whole * 0.2)
    killed, lonely = recorders[0], recorders[min(1, len(recorders) - 1)]

    def link(state):
        run("ip", "-n", HUB, "link", "set", f"to{lonely.number}", state)

    def end(name, how):
        return lambda: servers[name].end(how)

    def broker_again():
        untold.append(sum(recorder.untold() for recorder in recorders))
        servers["mosquitto"].start()

    return [
        (whole * 0.20, f"{killed.name} is killed", lambda: killed.end(signal.SIGKILL)),
        (whole * 0.20 + 5, f"{killed.name} runs again", killed.start),
        (whole * 0.35, f"{lonely.name} has no network for {cut:.0f} s", lambda: link("down")),
        (whole * 0.35 + cut, f"{lonely.name} has its network again", lambda: link("up")),
        (whole * 0.65, f"mosquitto ends for {ARGS.broker_away:g} s", end("mosquitto", signal.SIGTERM)),
        (whole * 0.65 + ARGS.broker_away, "mosquitto runs again", broker_again),
        (whole * 0.75, "swift is killed", end("swift", signal.SIGKILL)),
        (whole * 0.75 + 10, "swift runs again", servers["swift"].start),
        (whole * 0.85, "postgres ends", end("postgres", signal.SIGINT)),
        (whole * 0.85 + 10, "postgres runs again", servers["postgres"].start),
    ]


def wait_until_running(recorders):
    deadline = time.monotonic() + 120
    for recorder in recorders:
        while any(camera["state"] != "running" for camera in recorder.state()["cameras"]):
            if time.monotonic() > deadline:
                sys.exit(f"{recorder.name}: not all cameras run")
            time.sleep(0.5)


def have_events(source, minutes, happenings):
    """Sends all events, evenly, while things go wrong."""
    began = time.monotonic()
    waiting = [(minutes * 60 * number / len(source.events), event) for number, event in enumerate(source.events)]
    happenings = sorted(happenings, key=lambda it: it[0])
    looked = began
    while waiting or happenings:
        now = time.monotonic() - began
        while waiting and waiting[0][0] <= now:
            source.trigger(waiting.pop(0)[1])
        if happenings and happenings[0][0] <= now:
            _, text, act = happenings.pop(0)
            say(f"{text} ({len(source.finished)} finished, {len(source.uploaded)} uploaded)")
            act()
        if time.monotonic() > looked + 5:
            source.send_again()
            looked = time.monotonic()
        time.sleep(0.02)


def settle(source, recorders):
    """Waits until all has arrived, for as long as something does."""
    arrived, deadline = 0, time.monotonic() + SETTLE
    while time.monotonic() < deadline:
        if len(source.uploaded) > arrived:
            arrived, deadline = len(source.uploaded), time.monotonic() + SETTLE
        source.send_again()
        missing = [event for event in source.events if event not in source.uploaded]
        backlog = sum(recorder.state()["store"]["backlog"]["clips"] for recorder in recorders)
        behind = [recorder for recorder in recorders if not recorder.state()["shared-index"]]
        if not missing and not backlog and not behind:
            # What has just been uploaded is deleted here, and told to the index of all machines.
            time.sleep(3)
            return
        time.sleep(2)
    say(f"not settled: {len(missing)} events missing, {backlog} clips to upload")


def most(values):
    """The most of what was measured; of nothing there is no figure."""
    return max(values) if values else None


def mean(values):
    return sum(values) / len(values) if values else None


def measure(folder, servers, recorders, source):
    wait_until_running(recorders)
    say(f"{len(recorders)} recorders with {ARGS.boards} boards each run")
    time.sleep(10)
    begin = {recorder: (recorder.used(), recorder.sent(), recorder.process.pid) for recorder in recorders}
    began = time.monotonic()
    untold = []
    have_events(source, ARGS.minutes, incidents(ARGS.minutes, recorders, servers, untold))
    settle(source, recorders)
    lasted = time.monotonic() - began
    cpu, memory, grown = [], [], []
    for recorder in recorders:
        (seconds, before), sent, pid = begin[recorder]
        now, after = recorder.used()
        memory.append(after)
        if recorder.process.pid == pid:
            cpu.append((now - seconds) / lasted)
            grown.append(after - before)
    bytes_sent = sum(recorder.sent() - begin[recorder][1] for recorder in recorders)
    # Of the last scrape.
    samples = sum(ask_prometheus("scrape_samples_scraped"))
    # Whose boards would take the processor from those who look at a thousand clips.
    for recorder in recorders:
        recorder.end()
    say("checking")
    wrong, size = check(folder, source, recorders)
    # The rings fill in the first seconds; what is more than their limit would be a leak.
    if grown and max(grown) > 0.25 * max(memory) + 20:
        wrong.append(f"memory grew by {max(grown):.0f} MiB")
    scraped = ask_prometheus("count(count_over_time(up[1h]))")
    if not scraped or scraped[0] != len(recorders):
        wrong.append(f"Prometheus knows {scraped} recorders")
    cameras = len(recorders) * ARGS.boards
    backlog = {unit: ask_prometheus(f"max_over_time(kendryte_upload_backlog_{unit}[1h])") for unit in ("clips", "bytes")}
    if ARGS.broker_away >= LONG and not (sum(untold) and source.taken):
        wrong.append("nothing happened while the broker was away")
    wrong += [f"Prometheus knows no backlog of {unit}" for unit, of_each in backlog.items() if not of_each]
    found = {
        "lasted": lasted, "cameras": cameras, "again": source.again, "store": size,
        "clip": size / len(source.events) if source.events else None,
        "cpu": mean([used / ARGS.boards for used in cpu]), "memory": sum(memory) / cameras,
        "grown": most(grown), "sent": bytes_sent, "messages": sum(source.heard.values()),
        "backlog": most(backlog["clips"]), "disk": most(backlog["bytes"]),
        "samples": samples, "untold": sum(untold), "http": len(source.taken),
    }
    return found, wrong


def keep_logs(programs):
    logs = os.path.join(ROOT, "target/fleet")
    shutil.rmtree(logs, ignore_errors=True)
    os.makedirs(logs)
    for program in programs:
        shutil.copy(program.log, logs)
    say(f"what they said is in {logs}")


def inside():
    folder = tempfile.mkdtemp(prefix="fleet-")
    os.chmod(folder, 0o755)
    servers, recorders, source = {}, [], None
    # Of what else the machine does, which slows what is measured.
    load = os.getloadavg()[0]
    # Whatever ends it early is an error too.
    well = False
    try:
        hashed = run(ARGS.program, "--hash-password", input="fleet-password", capture_output=True, text=True)
        servers = start_servers(folder)
        for number in range(1, ARGS.recorders + 1):
            recorders.append(Recorder(number, folder, ARGS.program, ARGS.boards, hashed.stdout.strip()))
        source = Source(recorders, ARGS.boards, ARGS.events)
        found, wrong = measure(folder, servers, recorders, source)
        found["load"] = load
        for line in wrong[:40]:
            say(line)
        say(json.dumps(found))
        say(f"{len(wrong)} things are wrong" if wrong else "each event has its clip, once and whole")
        unknown = [name for name, figure in found.items() if figure is None]
        if ARGS.write and unknown:
            # A recorder that was killed tells nothing of a whole run.
            wrong.append(f"nobody measured {', '.join(unknown)}: the page stays as it is")
            say(wrong[-1])
        if ARGS.write and not wrong:
            write(found)
        well = not wrong
        return 0 if well else 1
    finally:
        if not well:
            keep_logs([*servers.values(), *recorders])
        if source:
            source.client.loop_stop()
            source.posts.shutdown(cancel_futures=True)
        for program in [*recorders, *servers.values()]:
            if program.process.poll() is None:
                program.process.terminate()
        for program in [*recorders, *servers.values()]:
            try:
                program.process.wait(60)
            except subprocess.TimeoutExpired:
                program.process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def per_thousand(found):
    """What a thousand cameras are for each server, at the rate of events of this run."""
    factor = 1000 / found["cameras"]
    rate = ARGS.events / (ARGS.minutes * 60) * factor
    messages = found["messages"] / found["lasted"] * factor
    bits = found["sent"] * 8 / found["lasted"] * factor / 1e6
    samples = found["samples"] * factor
    return [
        ("recorders", f"{found['cpu'] * 1000:.1f} cores, {found['memory'] * 1000 / 1024:.1f} GiB of memory",
         "cameras that encode themselves; x264 for each would be far more"),
        ("MQTT broker", f"{messages:.0f} messages/s of QoS 2",
         "mosquitto keeps `max_queued_messages` (1000) for a client that is away; here there was no limit"),
        ("S3 store", f"{rate:.1f} clips/s, {bits:.0f} Mbit/s; of each 5 requests",
         "Amazon S3 takes 3500 writes/s for a prefix"),
        ("PostgreSQL", f"{rate * 3:.1f} rows written/s; 2 connections a recorder at most",
         "`max_connections` is 100: beyond 45 recorders it is raised, or pgbouncer stands in front"),
        ("Prometheus", f"{samples:.0f} series, {samples / 15:.0f} samples/s at one scrape in 15 s",
         "a server takes more than 100 000 samples/s"),
    ]


def write(found):
    """Puts what was measured into docs/fleet.md, between its markers."""
    path = os.path.join(ROOT, "docs/fleet.md")
    with open(path) as file:
        text = file.read()
    commit = run("git", "-C", ROOT, "rev-parse", "--short", "HEAD", capture_output=True, text=True).stdout.strip()
    with open("/proc/cpuinfo") as file:
        models = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    machine = f"{os.cpu_count()} cores ({models[0] if models else platform.machine()}), Linux {platform.release()}"
    # cargo's name for what is built for development.
    slow = "Built without optimisation: processor time is more than a release takes. " * ("/debug/" in ARGS.program)
    head = (f"{time.strftime('%F')}, commit {commit}, {machine}: {ARGS.recorders} recorders with {ARGS.boards} boards "
            f"each, {ARGS.events} events in {ARGS.minutes:g} minutes")
    if ARGS.broker_away >= LONG:
        name = "broker away"
        lines = textwrap.wrap(
            f"{head}, the broker away for {ARGS.broker_away:g} s: {found['http']} events came by HTTP, "
            f"{found['untold']} messages waited at the recorders when it was back, and were told in order, each once. "
            "All events were found in the store, once and whole.", 120)
    else:
        name = "measured"
        lines = [f"{head}, all of them found in the store, once and whole. {slow}The machine's load was "
                 f"{found['load']:.0f} before it began.", "", *table(found)]
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, rest = text.split(begin, 1)
    tail = rest.split(end, 1)[1]
    with open(path, "w") as file:
        file.write(f"{head}{begin}\n" + "\n".join(lines) + f"\n{end}{tail}")
    say(f"wrote {path}")


def table(found):
    return [
        "| | |",
        "|---|---|",
        f"| time until all had arrived | {found['lasted']:.0f} s |",
        f"| triggers that their source had to send again | {found['again']} |",
        f"| most clips that waited for the store at a recorder | {found['backlog']:.0f} |",
        f"| disk that they took | {found['disk'] / 1e6:.1f} MB |",
        f"| a clip, on average | {found['clip'] / 1e3:.0f} kB |",
        f"| a camera: processor | {found['cpu'] * 100:.1f} % of a core, the simulated board included |",
        f"| a camera: memory | {found['memory']:.1f} MiB |",
        f"| a camera: sent to the servers | {found['sent'] / found['lasted'] / found['cameras'] / 1e3:.1f} kB/s |",
        f"| most that a recorder's memory grew | {found['grown']:.0f} MiB |",
        "",
        f"Carried to a thousand cameras, each with {ARGS.events / ARGS.minutes / found['cameras']:.1f} events a minute "
        "as here:",
        "",
        "| | has to bear | its limit |",
        "|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in per_thousand(found)),
    ]


def main():
    if os.geteuid() != 0:
        sys.exit("network namespaces are root's: run it as root")
    if ARGS.inside:
        sys.exit(inside())
    ARGS.program = os.path.abspath(ARGS.program)
    make_network(ARGS.recorders)
    try:
        again = ["ip", "netns", "exec", HUB, sys.executable, os.path.abspath(__file__), "--inside", *sys.argv[1:]]
        sys.exit(subprocess.run(again, check=False).returncode)
    finally:
        remove_network(ARGS.recorders)


PARSER = argparse.ArgumentParser(description="A fleet of recorders on one machine")
PARSER.add_argument("program", help="kendryte-recorder")
PARSER.add_argument("--minutes", type=float, default=10)
PARSER.add_argument("--events", type=int, default=1000)
PARSER.add_argument("--recorders", type=int, default=3)
PARSER.add_argument("--boards", type=int, default=20)
PARSER.add_argument("--broker-away", type=float, default=10, help="seconds")
PARSER.add_argument("--write", action="store_true")
PARSER.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
ARGS = PARSER.parse_args()
if min(ARGS.minutes, ARGS.events, ARGS.recorders, ARGS.boards) <= 0:
    PARSER.error("with nothing to do nothing would be found wrong")
ARGS.program = os.path.abspath(ARGS.program)

if __name__ == "__main__":
    main()
