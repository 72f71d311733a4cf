# SPDX-License-Identifier: MIT OR Apache-2.0
"""The parts of docs/reliability.md that the soak programs write themselves."""

import datetime
import os
import platform
import re
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
PAGE = os.path.join(ROOT, "docs", "reliability.md")
# What is done of the soak of a day; committed, so that others go on with it.
DAY = os.path.join(ROOT, "tests", "soak", "day.tsv")


def first_line(*command):
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, cwd=ROOT)
    return result.stdout.split("\n")[0].strip()


# All but the documentation and figures.
SOURCES = (".", ":!docs", ":!" + os.path.relpath(DAY, ROOT))


def commit():
    """The commit that is measured, and whether the sources have been changed since."""
    changed = first_line("git", "status", "--porcelain", "--untracked-files=no", "--", *SOURCES)
    return first_line("git", "rev-parse", "--short=10", "HEAD") + " with changes" * bool(changed)


def has_changed_since(before):
    """Whether the sources are others than when `commit` said that. Changes of changes do not show."""
    commit_before, _, changed = before.partition(" ")
    return not changed and bool(first_line("git", "diff", "--name-only", commit_before, "--", *SOURCES))


def machine():
    """What it was measured on."""
    with open("/etc/os-release") as release:
        system = re.search(r'^PRETTY_NAME="(.*)"', release.read(), re.M)[1]
    gstreamer = first_line("gst-launch-1.0", "--version").split()[-1]
    ffmpeg = first_line("ffmpeg", "-version").split()[2]
    return (f"{os.cpu_count()} cores, {system}, Linux {platform.release()}, GStreamer {gstreamer}, "
            f"ffmpeg {ffmpeg}")


def stamp():
    """Date, commit and machine of a measurement."""
    return f"{datetime.date.today()}, commit {commit()}; {machine()}"


def tell(name, how, table, write):
    """Prints a measurement; with `write` the page has it too, with how it was made."""
    print(table)
    if write:
        replace(name, f"{stamp()}; {how}\n\n{table}")


def replace(name, text, page=PAGE):
    """Puts a text between the markers of that name."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    with open(page) as lines:
        head, found, rest = lines.read().partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        sys.exit(f"{page} has no place for what is called '{name}'")
    with open(page + ".new", "w") as new:
        new.write(f"{head}{begin}{text.rstrip()}\n{end}{tail}")
    os.replace(page + ".new", page)
