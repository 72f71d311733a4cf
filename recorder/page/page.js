// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';

const $ = id => document.getElementById(id);

/** The cameras' cards by name, and the clips' by address. */
const cameras = new Map();
const clips = new Map();
/** How many clips are shown. */
let limit = 60;
/** What the list of clips depends on; it is asked for again when this changes. */
let shownFor = '';
/** The clips that were saved from this page and are not whole yet. */
const awaited = new Set();

const time = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

function size(bytes) {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1e3)} kB`;
}

function length(milliseconds) {
  const seconds = Math.round(milliseconds / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

function say(text) {
  $('status').textContent = text;
}

function clone(id) {
  return $(id).content.firstElementChild.cloneNode(true);
}

/** Asks the program; its own words say what is wrong. */
async function ask(path, options) {
  const answer = await fetch(path, options);
  if (answer.status === 401) location.assign('/login');
  if (answer.ok) return answer.json();
  const { error } = await answer.json().catch(() => ({ error: answer.statusText }));
  throw new Error(error);
}

// ---- The live pictures

const inSight = new Set();
const sight = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) inSight.add(target); else inSight.delete(target);
  }
});

const pause = milliseconds => new Promise(done => setTimeout(done, milliseconds));

/** Shows a camera's pictures, one after the other, while somebody can see them. */
async function watch(name, image) {
  let tag = null;
  while (image.isConnected) {
    if (!document.hidden && inSight.has(image)) {
      try {
        const answer = await fetch(`/live/${name}/picture.jpg`, { cache: 'no-cache' });
        if (answer.ok && answer.headers.get('ETag') !== tag) {
          tag = answer.headers.get('ETag');
          const address = URL.createObjectURL(await answer.blob());
          const before = image.src;
          image.src = address;
          await image.decode().catch(() => {});
          URL.revokeObjectURL(before);
        }
      } catch {
        // The state says what is wrong.
        await pause(1000);
      }
    }
    await pause(80);
  }
}

// ---- Cameras

const STATES = { starting: 'Starting', running: 'Live', failed: 'Not there', stopped: 'Stopped' };

function showCamera(camera) {
  let card = cameras.get(camera.name);
  if (!card) {
    card = clone('camera-card');
    card.querySelector('h3').textContent = camera.title;
    const image = card.querySelector('img');
    image.alt = `${camera.title}, live`;
    card.querySelector('.one').addEventListener('click', () => save([camera]));
    cameras.set(camera.name, card);
    $('cameras').append(card);
    $('camera').append(new Option(camera.title, camera.name));
    sight.observe(image);
    watch(camera.name, image);
  }
  const state = card.querySelector('.state');
  state.textContent = STATES[camera.state];
  state.dataset.state = camera.state;
  card.querySelector('.recording').hidden = camera.recording.length === 0;
  card.querySelector('.kept').textContent =
    `${Math.min(camera.kept, camera.keep).toFixed(0)} of ${camera.keep} s kept, ${camera.fps.toFixed(0)} frames/s`;
  const error = camera.error ?? camera['recording-error'];
  const text = card.querySelector('.error');
  text.hidden = !error;
  text.textContent = error ?? '';
}

function forget(name) {
  cameras.get(name).remove();
  cameras.delete(name);
  for (const option of [...$('camera').options]) if (option.value === name) option.remove();
}

let latest = [];

/** What there is to say of the store. */
function upload(store) {
  if (!store) return '';
  if (store.error) return `, store: ${store.error}`;
  const { clips, bytes } = store.backlog;
  return clips ? `, ${clips} to upload (${size(bytes)})` : ', all uploaded';
}

function showState({ cameras: list, disk, store, session }) {
  latest = list;
  $('sign-out').hidden = !session;
  list.forEach(showCamera);
  const names = new Set(list.map(camera => camera.name));
  [...cameras.keys()].filter(name => !names.has(name)).forEach(forget);
  const live = list.filter(camera => camera.state === 'running').length;
  $('summary').textContent =
    `${live} of ${list.length} live` + (disk ? `, ${size(disk.free)} free` : '') + upload(store);
  $('no-cameras').hidden = list.length > 0;
  const seconds = [...new Set(list.map(camera => camera.keep))];
  $('save').textContent = seconds.length === 1 ? `Save the last ${seconds[0]} s` : 'Save';
  $('save').disabled = live === 0;
  for (const [name, card] of cameras) {
    const one = card.querySelector('.one');
    const camera = list.find(camera => camera.name === name);
    one.hidden = list.length < 2;
    one.disabled = camera.state !== 'running';
    one.textContent = `Save ${camera.title}`;
  }
}

/** Saves what cameras have seen. */
async function save(which) {
  say('Saving…');
  const results = await Promise.allSettled(which.map(camera =>
    ask(`/api/cameras/${camera.name}/trigger`, { method: 'POST' })));
  for (const { value } of results) if (value) awaited.add(`/clips/${value.camera}/${value.name}`);
  const failed = results.find(result => result.status === 'rejected');
  if (failed) say(`Not saved: ${failed.reason.message}.`);
  await refresh();
}

// ---- Clips

function address(clip) {
  return `/clips/${clip.camera}/${clip.name}`;
}

function titleOf(name) {
  return latest.find(camera => camera.name === name)?.title ?? name;
}

function clipCard(clip) {
  const card = clone('clip-card');
  const when = new Date(clip.start);
  const title = `${titleOf(clip.camera)}, ${time.format(when)}`;
  const stamp = card.querySelector('time');
  stamp.dateTime = when.toISOString();
  stamp.textContent = time.format(when);
  card.querySelector('.what').textContent = [
    titleOf(clip.camera), clip.length ? length(clip.length) : null, size(clip.bytes),
    clip.event ? null : 'continuous',
  ].filter(Boolean).join(' · ');
  const play = card.querySelector('.play');
  play.setAttribute('aria-label', `Play ${title}`);
  play.addEventListener('click', () => {
    const video = document.createElement('video');
    video.controls = true;
    video.autoplay = true;
    video.src = address(clip);
    video.setAttribute('aria-label', title);
    video.addEventListener('error', () => say('This browser does not play it; download it instead.'));
    play.replaceWith(video);
    video.focus();
  });
  if (clip.event) {
    const image = play.querySelector('img');
    image.addEventListener('error', () => image.removeAttribute('src'));
    image.src = `${address(clip)}/picture.jpg`;
  }
  const download = card.querySelector('.download');
  download.href = `${address(clip)}?download`;
  download.setAttribute('aria-label', `Download ${title}`);
  const pin = card.querySelector('.pin');
  pin.setAttribute('aria-label', `Pin ${title}`);
  pin.addEventListener('click', () => mark(clip, title, pin.getAttribute('aria-pressed') !== 'true'));
  const remove = card.querySelector('.delete');
  remove.setAttribute('aria-label', `Delete ${title}`);
  remove.addEventListener('click', () => askToDelete(clip, title));
  return card;
}

/** What may be another thing each time that the list is asked for. */
function showMarks(card, { pinned, here, sha256 }) {
  const stored = card.querySelector('.stored');
  stored.hidden = !sha256;
  stored.textContent = here ? 'Uploaded' : 'In the store';
  card.querySelector('.pinned').hidden = !pinned;
  const pin = card.querySelector('.pin');
  pin.setAttribute('aria-pressed', pinned);
  const remove = card.querySelector('.delete');
  remove.disabled = pinned;
  remove.title = pinned ? 'Unpin it first' : '';
}

/** Has a clip stay, whatever the limits are, or not any more. */
async function mark(clip, title, pinned) {
  try {
    await ask(`/api${address(clip)}/${pinned ? 'pin' : 'unpin'}`, { method: 'POST' });
    say(pinned ? `Pinned ${title}: no limit deletes it.` : `${title} is pinned no more.`);
    shownFor = '';
    await refresh();
  } catch (error) {
    say(`Not ${pinned ? 'pinned' : 'unpinned'}: ${error.message}.`);
  }
}

async function askToDelete(clip, title) {
  $('ask-text').textContent = title;
  $('ask').returnValue = 'keep';
  $('ask').showModal();
  await new Promise(done => $('ask').addEventListener('close', done, { once: true }));
  if ($('ask').returnValue !== 'delete') return;
  try {
    await ask(`/api${address(clip)}`, { method: 'DELETE' });
    say(`Deleted ${title}.`);
    shownFor = '';
    await refresh();
    $('clips-title').tabIndex = -1;
    $('clips-title').focus();
  } catch (error) {
    say(`Not deleted: ${error.message}.`);
  }
}

/** The clips that the fields ask for. Cards that stay are left alone: one may be playing. */
async function showClips() {
  const wanted = new URLSearchParams({ limit });
  if ($('camera').value) wanted.set('camera', $('camera').value);
  if ($('day').value) {
    const day = new Date(`${$('day').value}T00:00`);
    wanted.set('from', day.getTime());
    day.setDate(day.getDate() + 1);
    wanted.set('to', day.getTime());
  }
  const list = await ask(`/api/clips?${wanted}`);
  const addresses = new Set(list.map(address));
  for (const [key, card] of clips) {
    if (addresses.has(key)) continue;
    card.remove();
    clips.delete(key);
  }
  let next = $('clips').firstElementChild;
  for (const clip of list) {
    const key = address(clip);
    const card = clips.get(key) ?? clipCard(clip);
    clips.set(key, card);
    showMarks(card, clip);
    if (card === next) next = next.nextElementSibling;
    else $('clips').insertBefore(card, next);
    if (awaited.delete(key)) say(`Saved ${length(clip.length)} of ${titleOf(clip.camera)}.`);
  }
  $('no-clips').hidden = list.length > 0;
  $('no-clips').textContent = $('day').value || $('camera').value ? 'None.' : 'None yet.';
  $('more').hidden = list.length < limit;
}

async function refresh() {
  try {
    const state = await ask('/api/state');
    showState(state);
    if ($('status').textContent.startsWith('The recorder does not')) say('');
    const now = JSON.stringify([state.changes, limit, $('camera').value, $('day').value]);
    if (now !== shownFor) {
      await showClips();
      shownFor = now;
    }
  } catch (error) {
    say(`The recorder does not answer: ${error.message}`);
  }
}

$('save').addEventListener('click', () => save(latest.filter(camera => camera.state === 'running')));
$('camera').addEventListener('change', refresh);
$('day').addEventListener('change', refresh);
$('more').addEventListener('click', () => { limit += 60; refresh(); });

(async () => {
  for (;;) {
    if (!document.hidden) await refresh();
    await pause(1000);
  }
})();
