#!/usr/bin/env bash
# Records five seconds from the simulated board looking at real footage, with sound, plays them, makes a
# contact sheet, says what came of it and whether the board would play it. Everything goes to demo/.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
footage=tests/data/bigbuckbunny.webm

"$cargo" build --release --locked --lib --example record --example play --example contact_sheet
run() {
    "$cargo" run --quiet --release --locked --example "$@"
}

mkdir -p demo
printf '\nA simulated K210 board looks at Big Buck Bunny ((c) Blender Foundation, CC BY 3.0).\n\n'
run record -- --device "sim:$footage" --sound "$footage" --seconds 5 \
    --profile k210 --summary demo/summary.txt demo/capture.avi
run play -- demo/capture.avi
run contact_sheet -- demo/capture.avi demo/contact-sheet.png
printf '\n%s\n' "$(cat demo/summary.txt)"
"$cargo" run --quiet --release --locked --package avi-mjpeg --bin avi-repair -- --check-k210 demo/capture.avi \
    | tail -n 1
