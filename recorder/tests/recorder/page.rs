// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page as people see it, in headless Chromium. What it looks like is left in `target/tmp/page`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::support::{Program, Recorder, ball, streams};

/// The windows that it has to fit.
const WINDOWS: [(u32, u32); 2] = [(1280, 800), (390, 844)];

fn picture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("page")
        .join(format!("{name}.png"))
}

/// Whether all of an element is to be seen without scrolling.
fn above_the_fold(browser: &Browser, id: &str) -> bool {
    let script = format!(
        "const box = document.getElementById('{id}').getBoundingClientRect();
         return box.width > 0 && box.top >= 0 && box.left >= 0
             && box.bottom <= innerHeight && box.right <= innerWidth;"
    );
    browser.run(&script) == Value::Bool(true)
}

/// The demonstration in a folder of its own.
fn demonstration() -> Recorder {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--demo", "--listen", "127.0.0.1:0"];
    let program = Program::start(&mut Recorder::command(folder.path(), &arguments));
    Recorder { program, folder }
}

#[test]
fn the_demonstration_saves_plays_and_deletes() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let mut recorder = demonstration();
    browser.look(1280, 800, "light");
    browser.open(&format!("http://127.0.0.1:{}/", recorder.port()));
    browser.wait("document.querySelector('.live').naturalWidth == 320");
    browser.wait("parseInt(document.querySelector('.kept').textContent) >= 3");
    assert_eq!(
        browser.run("return document.getElementById('save').innerText"),
        "Save the last 30 s"
    );
    // The first stop of the Tab key is the button; U+E004 and U+E007 are Tab and Enter.
    browser.key("\u{e004}");
    assert_eq!(browser.run("return document.activeElement.id"), "save");
    browser.key("\u{e007}");
    browser.wait("document.querySelectorAll('#clips .card').length == 1");
    browser.wait("document.getElementById('status').textContent.startsWith('Saved ')");
    browser.wait("document.querySelector('.play img').naturalWidth == 320");
    for (width, height) in WINDOWS {
        for scheme in ["light", "dark"] {
            browser.look(width, height, scheme);
            assert!(above_the_fold(&browser, "save"), "{width}x{height}");
            let wide = "return document.documentElement.scrollWidth <= innerWidth";
            assert_eq!(browser.run(wide), true, "{width}x{height} scrolls sideways");
            browser.keep_picture(&picture(&format!("demo-{width}x{height}-{scheme}")));
            let barriers = browser.barriers();
            assert!(barriers.is_empty(), "{scheme}: {barriers:#?}");
        }
    }
    let played = browser.run_to_end(
        "document.querySelector('.play').click();
         const video = document.querySelector('#clips video');
         video.muted = true;
         video.onerror = () => done('error: ' + video.error.message);
         video.ontimeupdate = () => { if (video.currentTime > 1) done(video.videoWidth); };",
    );
    assert_eq!(played, 320);
    let file = recorder.files("demo", ".mp4").pop().unwrap();
    let streams = streams(&file);
    let codecs: Vec<_> = streams.iter().map(|(codec, _)| codec.as_str()).collect();
    assert_eq!(codecs, ["h264", "aac"]);
    assert!(streams[0].1 >= 25, "{streams:?}");
    pins_when_told(&browser);
    deletes_when_told(&browser, &recorder);
}

/// Pins the one clip, which cannot be deleted then, and unpins it.
fn pins_when_told(browser: &Browser) {
    let card = "document.querySelector('#clips .card')";
    browser.run(&format!("{card}.querySelector('.pin').focus()"));
    browser.key("\u{e007}");
    browser.wait(&format!("!{card}.querySelector('.pinned').hidden"));
    browser.wait(&format!("{card}.querySelector('.delete').disabled"));
    browser.wait("document.getElementById('status').textContent.startsWith('Pinned ')");
    browser.keep_picture(&picture("demo-pinned"));
    let barriers = browser.barriers();
    assert!(barriers.is_empty(), "{barriers:#?}");
    assert_eq!(
        browser.run("return document.activeElement.className"),
        "pin"
    );
    browser.key("\u{e007}");
    browser.wait(&format!("{card}.querySelector('.pinned').hidden"));
    browser.wait(&format!("!{card}.querySelector('.delete').disabled"));
}

/// Deletes the one clip, by the keyboard, after it was asked.
fn deletes_when_told(browser: &Browser, recorder: &Recorder) {
    let open = "document.querySelector('#clips .delete').focus()";
    browser.run(open);
    browser.key("\u{e007}");
    browser.wait("document.getElementById('ask').open");
    browser.keep_picture(&picture("demo-delete"));
    let barriers = browser.barriers();
    assert!(barriers.is_empty(), "{barriers:#?}");
    // What is chosen is to keep it.
    browser.key("\u{e007}");
    browser.wait("!document.getElementById('ask').open");
    assert_eq!(recorder.files("demo", ".mp4").len(), 1);
    browser.run(open);
    browser.key("\u{e007}");
    browser.wait("document.getElementById('ask').open");
    browser.key("\u{e004}");
    browser.key("\u{e007}");
    browser.wait("document.querySelectorAll('#clips .card').length == 0");
    browser.wait("document.getElementById('status').textContent.startsWith('Deleted ')");
    assert_eq!(recorder.files("demo", ""), Vec::<PathBuf>::new());
}

#[test]
fn many_cameras_have_a_button_each_and_one_for_all() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let gone = "[[camera]]\nname = 'gone'\nsource = 'filesrc location=/none/x'\n";
    let titled = ball("door").replace("before", "title = 'Front door <b>'\nbefore");
    let config = [&ball("gate"), &titled, &ball("yard"), gone]
        .map(|it| it as &str)
        .concat();
    let mut recorder = Recorder::start(&config);
    browser.look(1280, 800, "light");
    browser.open(&format!("http://127.0.0.1:{}/", recorder.port()));
    browser.wait("document.querySelectorAll('[data-state=running]').length == 3");
    browser.wait(
        "[...document.querySelectorAll('.live')].filter(it => it.naturalWidth == 160).length == 3",
    );
    // What is wrong is said where it is wrong.
    browser.wait("document.querySelector('[data-state=failed]')");
    let card = "[...document.querySelectorAll('#cameras .card')].find(it => it.querySelector('h3').textContent == 'gone')";
    browser.wait(&format!(
        "{card}.querySelector('.error').textContent.includes('/none/x')"
    ));
    assert_eq!(
        browser.run(&format!("return {card}.querySelector('button').disabled")),
        true
    );
    // Titles are text.
    browser.wait("document.body.innerText.includes('Front door <b>')");
    browser.run("document.getElementById('save').click()");
    browser.wait("document.querySelectorAll('#clips .card').length == 3");
    let button = "[...document.querySelectorAll('.one')].find(it => it.textContent == 'Save gate')";
    browser.run(&format!("{button}.click()"));
    browser.wait("document.querySelectorAll('#clips .card').length == 4");
    for (width, height) in WINDOWS {
        browser.look(width, height, "light");
        assert!(above_the_fold(&browser, "save"), "{width}x{height}");
        browser.keep_picture(&picture(&format!("cameras-{width}x{height}")));
    }
    // By camera and by day.
    let choose = |id: &str, value: &str| {
        browser.run(&format!(
            "const it = document.getElementById('{id}'); it.value = '{value}';
             it.dispatchEvent(new Event('change'));"
        ))
    };
    choose("camera", "gate");
    browser.wait("document.querySelectorAll('#clips .card').length == 2");
    choose("day", "2001-01-01");
    browser.wait("document.querySelectorAll('#clips .card').length == 0");
    assert_eq!(
        browser.run("return document.getElementById('no-clips').innerText"),
        "None."
    );
    choose("day", "");
    choose("camera", "");
    let barriers = browser.barriers();
    assert!(barriers.is_empty(), "{barriers:#?}");
    browser.wait("document.querySelectorAll('#clips .card').length == 4");
    names_everything(&browser);
}

/// What a screen reader needs: each control has a name, each picture says what it is.
fn names_everything(browser: &Browser) {
    let nameless = browser.run(
        "const name = it => it.getAttribute('aria-label') || it.innerText
             || [...it.labels ?? []].map(label => label.innerText).join('');
         const controls = [...document.querySelectorAll('main button, main a, select, input, header button')];
         const pictures = [...document.querySelectorAll('.live')];
         return [...controls.filter(it => it.checkVisibility() && !name(it).trim()),
                 ...pictures.filter(it => !it.alt)].map(it => it.outerHTML);",
    );
    assert_eq!(nameless, json!([]));
    let headings = browser.run(
        "return [...document.querySelectorAll('h1, h2, h3')].filter(it => it.checkVisibility())
             .map(it => Number(it.tagName[1]));",
    );
    let levels: Vec<u64> = headings
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_u64)
        .collect();
    assert_eq!(levels[0], 1);
    assert!(
        levels.windows(2).all(|two| two[1] <= two[0] + 1),
        "{levels:?}"
    );
}
