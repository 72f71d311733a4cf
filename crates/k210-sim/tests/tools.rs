// SPDX-License-Identifier: MIT OR Apache-2.0
//! What programs that copy files to and from boards do: scripts at the raw prompt, `uos`, and bytes
//! over the terminal.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the test"
)]

use std::time::{Duration, Instant};

use k210_link::transport::Transport;
use k210_sim::{BootMode, Config, Port};

/// Long enough that only a board that hangs reaches it.
const FAILSAFE: Duration = Duration::from_secs(20);

const CTRL_A: u8 = 1;
const CTRL_B: u8 = 2;
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;

/// A program at the board's raw prompt.
struct Tool {
    port: Port,
}

impl Tool {
    fn new() -> Tool {
        let port = k210_sim::open(Config {
            boot: BootMode::Raw,
            ..Config::default()
        });
        let mut tool = Tool {
            port: port.unwrap(),
        };
        tool.write(&[CTRL_A]);
        tool.read_until(b"raw REPL; CTRL-B to exit\r\n>");
        tool
    }

    fn write(&mut self, data: &[u8]) {
        self.port.write_all(data, FAILSAFE).unwrap();
    }

    fn read(&mut self, count: usize) -> Vec<u8> {
        let mut data = vec![0; count];
        let mut filled = 0;
        while filled < count {
            filled += self
                .port
                .read(&mut data[filled..], FAILSAFE)
                .unwrap_or_else(|error| {
                    panic!(
                        "{error} after {:?}",
                        data[..filled].escape_ascii().to_string()
                    )
                });
        }
        data
    }

    /// What comes before `end`.
    fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        let deadline = Instant::now() + FAILSAFE;
        let mut data = Vec::new();
        while !data.ends_with(end) {
            data.extend(self.read(1));
            assert!(Instant::now() < deadline, "{}", data.escape_ascii());
        }
        data.truncate(data.len() - end.len());
        data
    }

    fn start(&mut self, script: &str) {
        self.write(script.as_bytes());
        self.write(&[CTRL_D]);
        assert_eq!(self.read(2), b"OK");
    }

    /// What a script that was started has printed, and its exception.
    fn finish(&mut self) -> (String, String) {
        let text = |data: Vec<u8>| String::from_utf8(data).unwrap().replace("\r\n", "\n");
        let printed = text(self.read_until(&[CTRL_D]));
        let error = text(self.read_until(&[CTRL_D]));
        assert_eq!(self.read(1), b">");
        (printed, error)
    }

    fn run(&mut self, script: &str) -> String {
        self.start(script);
        let (printed, error) = self.finish();
        assert_eq!(error, "", "{script}");
        printed
    }

    /// The last line of a script's exception.
    fn fail(&mut self, script: &str) -> String {
        self.start(script);
        let (_, error) = self.finish();
        error.trim_end().lines().last().unwrap_or("").to_owned()
    }

    fn board(&self) -> &k210_sim::Board {
        self.port.board().unwrap()
    }
}

/// What each expression gives, or its exception.
fn tell(setup: &str, expressions: &[&str]) -> Vec<String> {
    let mut script = format!("{setup}\n");
    for expression in expressions {
        script += &format!(
            "try:\n    print('>', {expression})\n\
             except Exception as error:\n    print('>', type(error).__name__, error)\n"
        );
    }
    let text = k210_sim::run_script(&script, 100_000).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("> "));
    lines.map(str::to_owned).collect()
}

fn assert_told(setup: &str, table: &[(&str, &str)]) {
    let expressions: Vec<&str> = table.iter().map(|(expression, _)| *expression).collect();
    let told = tell(setup, &expressions);
    for (index, (expression, wanted)) in table.iter().enumerate() {
        assert_eq!(
            told.get(index).map(String::as_str),
            Some(*wanted),
            "{expression} in {told:?}"
        );
    }
}

/// Bytes of every value.
fn all_bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n * 7 + n / 256) as u8).collect()
}

/// Takes a file by the terminal, and acknowledges each piece.
const RECEIVE: &str = "\
import sys, micropython, uos
def receive(name, left):
    piece = bytearray(256)
    with open(name, 'wb') as file:
        while left:
            sys.stdout.write('\\x06')
            size = min(left, len(piece))
            have = 0
            while have < size:
                part = bytearray(size - have)
                got = sys.stdin.buffer.readinto(part)
                piece[have:have + got] = part[:got]
                have += got
            file.write(piece[:size])
            uos.sync()
            left -= size
";

/// Gives a file, and waits after each piece for its acknowledgement.
const GIVE: &str = "\
import sys
def give(name):
    with open(name, 'rb') as file:
        while True:
            piece = file.read(256)
            if not piece:
                break
            sys.stdout.buffer.write(piece)
            while sys.stdin.read(1) != '\\x06':
                pass
";

#[test]
fn files_with_every_byte_go_both_ways() {
    let mut tool = Tool::new();
    tool.run(RECEIVE);
    tool.run(GIVE);
    for (name, count) in [("none", 0), ("one", 1), ("some", 256), ("many", 5000)] {
        let data = all_bytes(count);
        tool.start(&format!(
            "micropython.kbd_intr(-1)\nreceive('{name}', {count})"
        ));
        for piece in data.chunks(256) {
            assert_eq!(tool.read(1), [6]);
            tool.write(piece);
        }
        assert_eq!(tool.finish(), (String::new(), String::new()));
        assert_eq!(tool.board().read_file(name).unwrap(), data);
        tool.start(&format!("give('/flash/{name}')"));
        let mut came = Vec::new();
        while came.len() < count {
            came.extend(tool.read((count - came.len()).min(256)));
            tool.write(&[6]);
        }
        assert_eq!(came, data);
        assert_eq!(tool.finish(), (String::new(), String::new()));
    }
}

#[test]
fn a_ctrl_c_among_the_bytes_interrupts_unless_it_is_off() {
    let mut tool = Tool::new();
    // It says when it is at work: Ctrl-C is nothing before.
    let wait = "import sys\nsys.stdout.write('+')\ntry:\n    got = sys.stdin.buffer.read(3)\n    \
                for _ in range(1000):\n        pass\n    print(got)\n\
                except KeyboardInterrupt:\n    print('interrupted', got)\n";
    // The byte is read all the same; the exception comes at the next chance.
    tool.start(wait);
    assert_eq!(tool.read(1), b"+");
    tool.write(&[b'a', b'b', CTRL_C]);
    assert_eq!(tool.finish().0, "interrupted b'ab\\x03'\n");
    tool.start(&format!(
        "import micropython\nmicropython.kbd_intr(-1)\n{wait}"
    ));
    assert_eq!(tool.read(1), b"+");
    tool.write(&[b'a', CTRL_C, b'b']);
    assert_eq!(tool.finish().0, "b'a\\x03b'\n");
    // It is on again for the next script, and a script that waits ends by it.
    tool.start("import sys\nsys.stdout.write('+')\nwhile True:\n    sys.stdin.read(1)\n");
    assert_eq!(tool.read(1), b"+");
    tool.write(&[CTRL_C]);
    let (_, error) = tool.finish();
    assert!(error.ends_with("KeyboardInterrupt: \n"), "{error:?}");
}

#[test]
fn the_terminal_changes_line_ends_and_its_buffer_does_not() {
    let mut tool = Tool::new();
    tool.start("import sys\nprint(sys.stdin.readline(), sys.stdin.buffer.read(2), end='')");
    tool.write(b"line\rx\r");
    assert_eq!(tool.finish().0, "line\n b'x\\r'");
    tool.start("sys.stdout.write('a\\n'), sys.stdout.buffer.write(b'b\\n')");
    assert_eq!(tool.read_until(&[CTRL_D]), b"a\r\nb\n");
    assert_eq!(tool.read(2), [CTRL_D, b'>']);
    assert_eq!(
        tool.fail("sys.stdin.write('x')"),
        "OSError: [Errno 1] EPERM"
    );
    assert_eq!(tool.fail("sys.stdout.read(1)"), "OSError: [Errno 1] EPERM");
    let flush = tool.fail("sys.stdout.flush()");
    assert!(flush.starts_with("AttributeError: "), "{flush}");
    tool.start("print(input('name? '))");
    assert_eq!(tool.read(6), b"name? ");
    tool.write(b"mx\x7fe\r");
    assert!(tool.finish().0.ends_with("\nme\n"));
    tool.start("input()");
    tool.write(&[CTRL_D]);
    assert!(tool.finish().1.ends_with("EOFError: \n"));
    // Text is read by characters.
    tool.start("print(len(sys.stdin.read(3)))");
    tool.write("äöü".as_bytes());
    assert_eq!(tool.finish().0, "3\n");
}

#[test]
fn the_current_directory_lasts_until_a_soft_reset() {
    let mut tool = Tool::new();
    tool.run("import uos\nopen('a', 'w').close()\nuos.chdir('/')");
    assert_eq!(
        tool.run("print(uos.getcwd(), uos.listdir())"),
        "/ ['flash']\n"
    );
    assert_eq!(tool.fail("open('a')"), "OSError: [Errno 1] EPERM");
    assert_eq!(tool.run("print(uos.stat('flash/a')[0])"), "32768\n");
    // It goes where nothing is, and says so.
    assert_eq!(tool.fail("uos.chdir('/sd')"), "OSError: [Errno 19] ENODEV");
    assert_eq!(tool.fail("open('a')"), "OSError: [Errno 19] ENODEV");
    assert_eq!(tool.fail("uos.getcwd()"), "OSError: [Errno 19] ENODEV");
    tool.write(&[CTRL_D]);
    tool.read_until(b"soft reboot\r\n");
    tool.read_until(b"CTRL-B to exit\r\n>");
    assert_eq!(
        tool.run("import uos\nprint(uos.getcwd(), uos.listdir())"),
        "/flash ['a', 'main.py']\n"
    );
    tool.write(&[CTRL_B]);
    tool.read_until(b">>> ");
}

#[test]
fn the_file_system_is_flat() {
    assert_told(
        "import os, uos",
        &[
            ("os is uos, hasattr(os, 'sep')", "True False"),
            ("uos.getcwd(), uos.listdir()", "/flash []"),
            ("open('a', 'w').write('12345')", "5"),
            ("uos.ilistdir('/')", "[('flash', 16384, 0)]"),
            ("uos.ilistdir()", "[('a', 32768, 0, 5)]"),
            ("uos.ilistdir(b'')", "[(b'a', 32768, 0, 5)]"),
            ("uos.listdir('/flash/no/such')", "['a']"),
            ("uos.listdir('/sd')", "OSError [Errno 19] ENODEV"),
            (
                "uos.mkdir('/flash/d')",
                "NotImplementedError SPIFFS not support",
            ),
            ("uos.mkdir('/flash')", "OSError [Errno 17] EEXIST"),
            ("uos.mkdir('/sd')", "OSError [Errno 19] ENODEV"),
            ("uos.rmdir('/flash/d')", "OSError [Errno 5] EIO"),
            ("uos.rmdir('/')", "OSError [Errno 1] EPERM"),
            ("uos.remove('/flash/none')", "OSError [Errno 2] ENOENT"),
            ("uos.remove('x' * 200)", "OSError [Errno 22] EINVAL"),
            ("uos.rename('a', '/b')", "OSError [Errno 1] EPERM"),
            ("uos.rename('a', 'b'), uos.listdir()", "None ['b']"),
            ("uos.stat('/flash')[0], uos.stat('./x')[0]", "16384 16384"),
            ("uos.stat('b')[6], uos.stat(b'b')[6]", "5 5"),
            ("uos.stat('a')", "OSError [Errno 2] ENOENT"),
            ("uos.stat('/a')", "OSError [Errno 19] ENODEV"),
            (
                "uos.statvfs('/flash')",
                "(131072, 131072, 21, 21, 21, 0, 0, 0, 0, 128)",
            ),
            ("uos.statvfs('/')", "(0, 0, 0, 0, 0, 0, 0, 0, 0, 128)"),
            ("open('/flash')", "OSError [Errno 2] ENOENT"),
            ("open('/')", "OSError [Errno 1] EPERM"),
            ("open('b', 'a').write('6'), uos.stat('b')[6]", "1 6"),
            ("open('none', 'a')", "OSError [Errno 2] ENOENT"),
            ("uos.chdir('..'), uos.getcwd()", "None /flash"),
            ("len(uos.urandom(9)), uos.dupterm(None)", "9 None"),
            ("uos.umount('/sd')", "OSError [Errno 22] EINVAL"),
            (
                "uos.umount('/flash'), uos.getcwd(), uos.listdir()",
                "None / []",
            ),
            ("uos.listdir('/flash')", "OSError [Errno 19] ENODEV"),
        ],
    );
    let text = k210_sim::run_script("import uos\nuos.remove('none')\n", 100).unwrap();
    assert!(
        text.starts_with("[MaixPy]:SPIFFS Error Code -10002\r\n"),
        "{text}"
    );
    let format = "import uos\nopen('a', 'w')\nprint(uos.flash_format(), uos.listdir())\n";
    let text = k210_sim::run_script(format, 100).unwrap();
    assert!(
        text.ends_with("[MAIXPY]:Spiffs Mount successful \r\nTrue []\r\n"),
        "{text}"
    );
}

#[test]
fn files_have_places_and_descriptors() {
    assert_told(
        "import uos\nf = open('a', 'w+')\nsmall = bytearray(3)",
        &[
            (
                "f.write('hello'), f.seek(1), f.write(b'EL'), f.seek(0), f.read()",
                "5 1 2 0 hELlo",
            ),
            (
                "f.write('abcdef', 2), f.write('abcdef', 1, 2), f.seek(-1, 2), f.read()",
                "2 2 8 c",
            ),
            (
                "f.seek(2), f.readinto(small), small, f.tell()",
                "2 3 bytearray(b'Llo') 5",
            ),
            (
                "f.readinto(small, 1), small, f.readinto(b'abc')",
                "TypeError object with buffer protocol required",
            ),
            ("f.seek(-1)", "OSError [Errno 22] EINVAL"),
            ("f.seek(100), f.tell(), f.read()", "-10003 9 "),
            ("f.flush(), f.close(), f.close()", "None None None"),
            ("f.read()", "OSError [Errno 5] EIO"),
            ("f.write('x')", "OSError [Errno 5] EIO"),
            ("open('a').write('x')", "OSError [Errno 5] EIO"),
            ("open('a', '').read()", "OSError [Errno 5] EIO"),
            ("open('a', 'rb').read(2), open('a', 'x').read()", "b'hE' "),
            (
                "open('a'), open('a'), open('a')",
                "OSError [Errno 2] ENOENT",
            ),
            (
                "[open('a') for _ in range(2)] and uos.remove('a')",
                "OSError 24",
            ),
            (
                "open('t', 'w').write('one\\ntwo\\n'), open('t').readlines()",
                "8 ['one\\n', 'two\\n']",
            ),
            (
                "[line for line in open('t')], open('t').readline(2)",
                "['one\\n', 'two\\n'] on",
            ),
            (
                "open('u', 'w').write('äöü'), open('u').read(2), open('u', 'rb').read(2)",
                "6 äö b'\\xc3\\xa4'",
            ),
            (
                "open('u').read(10 ** 7)",
                "MemoryError memory allocation failed, allocating 10000000 bytes",
            ),
            ("open(mode='r')", "TypeError 'file' argument required"),
            (
                "open('r', 'w').write('1'), open('r').__exit__()",
                "TypeError function takes 3 positional arguments but 0 were given",
            ),
            ("uos.rename('t', 't')", "OSError [Errno 2] ENOENT"),
            ("uos.listdir()", "['a', 'r', 'u']"),
        ],
    );
    let removed = "import uos\nf = open('a', 'w+')\nuos.remove('a')\n\
                   try:\n    f.read()\nexcept OSError as e:\n    print(e)\n\
                   try:\n    f.close()\nexcept OSError as e:\n    print(e)\n";
    let text = k210_sim::run_script(removed, 100).unwrap();
    assert_eq!(text, "[Errno 5] EIO\r\n[Errno 5] EIO\r\n");
}

#[test]
fn a_full_flash_says_so_and_goes_on() {
    let script = "import uos\nn = 0\npiece = b'x' * 65536\nfile = open('big', 'wb')\n\
                  try:\n    while True:\n        n += file.write(piece)\n\
                  except OSError as e:\n    print(e, n, uos.stat('big')[6] == n)\n\
                  file.close()\nprint(uos.statvfs('/flash')[2:5])\n\
                  uos.remove('big')\nprint(open('small', 'w').write('x'))\n";
    let text = k210_sim::run_script(script, 10_000).unwrap();
    assert_eq!(text, "[Errno 5] EIO 2752512 True\r\n(21, 0, 0)\r\n1\r\n");
}

#[test]
fn the_system_is_described_by_named_tuples() {
    assert_told(
        "import sys, os\nname = os.uname()",
        &[
            (
                "name.sysname, name.release, name[4]",
                "MaixPy 0.6.3 Sipeed_M1 with kendryte-k210",
            ),
            (
                "name.version, len(name), tuple(name)[0]",
                "v0.6.3 on 2024-01-16 5 MaixPy",
            ),
            (
                "name.nothing",
                "AttributeError 'tuple' object has no attribute 'nothing'",
            ),
            (
                "sys.implementation",
                "(name='micropython', version=(0, 6, 3))",
            ),
            (
                "sys.implementation.version, sys.version_info",
                "(0, 6, 3) (3, 4, 0)",
            ),
            (
                "sys.stdin, sys.stdout.buffer, sys.modules",
                "<io.FileIO 0> <io.FileIO 0> {}",
            ),
            ("sys.stdout.close() is sys.stdout", "True"),
        ],
    );
    let script = "import sys\ntry:\n    1 / 0\nexcept ZeroDivisionError as e:\n    \
                  with open('t', 'w') as f:\n        sys.print_exception(e, f)\n    \
                  print(open('t').read(), end='')\n";
    let text = k210_sim::run_script(script, 100).unwrap();
    assert_eq!(text, "ZeroDivisionError: divide by zero\r\n");
    // Nobody types anything to a script alone; it ends there.
    let script = "import sys\nprint(1)\nsys.stdin.read(1)\nprint(2)\n";
    assert_eq!(k210_sim::run_script(script, 100).unwrap(), "1\r\n");
}

#[test]
fn byte_arrays_change_and_views_show_them() {
    assert_told(
        "b = bytearray(b'hello')\nv = memoryview(b)[1:4]\nimport hashlib, ubinascii, ustruct",
        &[
            (
                "b[0], b[-1], b[1:3], len(b), b == b'hello', b'h' in b",
                "104 111 bytearray(b'el') 5 True True",
            ),
            ("len(v), v[0], bytes(v), bytes(v[1:])", "3 101 b'ell' b'll'"),
            (
                "b.append(33), b.extend(b'??'), b",
                "None None bytearray(b'hello!??')",
            ),
            (
                "b + b'x', b'x' + b, bytes(b)[:2]",
                "bytearray(b'hello!??x') b'xhello!??' b'he'",
            ),
            (
                "b'abc'[0:0] or setattr(b, 'x', 1)",
                "AttributeError 'bytearray' object has no attribute 'x'",
            ),
            (
                "bytearray(3), bytearray(), bytearray([1, 2]), b.decode()",
                "bytearray(b'\\x00\\x00\\x00') bytearray(b'') bytearray(b'\\x01\\x02') hello!??",
            ),
            (
                "bytearray(10 ** 9)",
                "MemoryError memory allocation failed, allocating 1000000000 bytes",
            ),
            (
                "b[::2]",
                "NotImplementedError only slices with step=1 (aka None) are supported",
            ),
            ("b[99]", "IndexError bytearray index out of range"),
            (
                "ubinascii.hexlify(v), ustruct.unpack('<H', v[:2])",
                "b'656c6c' (27749,)",
            ),
            (
                "ubinascii.hexlify(hashlib.sha256(v).digest())[:8]",
                "b'baea9650'",
            ),
        ],
    );
    let script = "b = bytearray(b'hello')\nv = memoryview(b)\nb[0] = 74\nv[1:3] = b'EL'\n\
                  b[3:] = b'p-shop'\nb[0:1] = b''\nb += b'!'\nprint(b)\n\
                  try:\n    memoryview(b'x')[0] = 1\nexcept TypeError as e:\n    print(e)\n\
                  try:\n    v[0:1] = b'ab'\nexcept ValueError as e:\n    print(e)\n\
                  for x in bytearray(b'ab'):\n    print(x)\n";
    let text = k210_sim::run_script(script, 100).unwrap();
    assert_eq!(
        text,
        "bytearray(b'ELp-shop!')\r\n'memoryview' object does not support item assignment\r\n\
         lhs and rhs should be compatible\r\n97\r\n98\r\n"
    );
}

#[test]
fn sets_hold_each_thing_once() {
    assert_told(
        "s = set()\ns.add(1)\ns.update([2, 1.0, 'a'], ('a',))",
        &[
            (
                "s, len(s), 2 in s, 3 in s, set()",
                "{1, 2, 'a'} 3 True False set()",
            ),
            (
                "s | {5}, s & {2, 7}, s - {2}, s ^ {2, 9}",
                "{1, 2, 'a', 5} {2} {1, 'a'} {1, 'a', 9}",
            ),
            (
                "s == {'a', 2, 1}, {1} < s, s <= {1}, sorted({3, 1, 2})",
                "True True False [1, 2, 3]",
            ),
            (
                "s.discard(9), s.remove('a'), s.copy(), s.pop(), s",
                "None None {1, 2} 1 {2}",
            ),
            (
                "{1, 2, 1.0, True}, set('abca'), {(1, 2), (1.0, 2)}",
                "{1, 2} {'a', 'b', 'c'} {(1, 2)}",
            ),
            ("s.remove(9)", "KeyError 9"),
            ("{[]}", "TypeError unsupported type for __hash__: 'list'"),
            (
                "s + s",
                "TypeError unsupported types for __add__: 'set', 'set'",
            ),
            ("len(set(range(20000)) & set(range(10000, 30000)))", "10000"),
        ],
    );
}

#[test]
fn a_uart_is_read_for_as_long_as_it_is_told() {
    let mut tool = Tool::new();
    let setup = "from machine import UART\nimport time\nu = UART.repl_uart()\nb = bytearray(4)\n\
                 def timed(f):\n    t = time.ticks_ms()\n    r = f()\n    \
                 return r, time.ticks_ms() - t\n";
    tool.run(setup);
    assert_eq!(tool.run("print(u.readchar(), u.any())"), "-1 0\n");
    let text = tool.run("r, t = timed(lambda: u.readinto(b))\nprint(r, t >= 10)");
    assert_eq!(text, "None True\n");
    // What comes while a script waits for a first byte.
    tool.run("u.init(115200, timeout_char=20000)");
    tool.start("r, t = timed(lambda: u.readinto(b, 1))\nprint(r, b, t < 20000)");
    tool.write(b"x");
    assert_eq!(tool.finish().0, "1 bytearray(b'x\\x00\\x00\\x00') True\n");
    tool.start("print(u.readline(), u.read(1), u.any())");
    tool.write(b"line\ny");
    assert_eq!(tool.finish().0, "b'line\\n' b'y' 0\n");
    tool.start("n = u.write(b'abcdef', 1, 3)\nprint(n)");
    assert_eq!(tool.finish().0, "bcd3\n");
    tool.run("u.init(115200)");
    assert_eq!(
        tool.run("print(u.read(), u.read(5), u.readline())"),
        "None None None\n"
    );
    assert_eq!(
        tool.run("print(u)"),
        "[MAIXPY]UART5:( baudrate=115200, bits=8, parity=None, stop=1)\n"
    );
    // Once it is down nothing is read, and what is written goes nowhere.
    assert_eq!(
        tool.run("u.deinit()\nprint(u.read(1), u.write(b'lost'))"),
        "b'' 0\n"
    );
}

/// What editors put on a board to look at it: a class of functions with a namespace of its own.
#[test]
fn classes_are_namespaces() {
    let script = "\
import builtins
def twice(f):
    return lambda *args: (f(*args), f(*args))
class tools:
    import builtins
    try:
        import uos as os
    except builtins.ImportError:
        import os
    @builtins.classmethod
    def show(cls, x):
        cls.builtins.print(cls.__name__, cls.builtins.repr(x), cls.os.getcwd())
    @staticmethod
    def add(a, b):
        return a + b
    @classmethod
    @twice
    def kind(cls):
        return cls.__name__
class more(tools):
    pass
@twice
def one():
    return 1
tools.show('x')
more().show(1)
print(tools.add(1, 2), more().add(3, 4), one(), more.kind())
print('tools' in builtins.dir(), 'one' in globals(), 'len' in dir(builtins), len(locals()) > 3)
print(eval(' 1 + 2'), exec('z = 5'), z, eval('z'))
for bad in ['1 +', 'x = 1', 'no', 'return 1']:
    try:
        eval(bad)
    except (SyntaxError, NameError) as error:
        print(type(error).__name__, end=' ')
print()
def deep(n):
    return eval('deep(n + 1)') if False else exec('deep(0)')
try:
    deep(0)
except RuntimeError as error:
    print(error)
f = tools.show
for _ in range(5000):
    tools.show = classmethod(f)
    f = tools.show
try:
    f(1)
except TypeError as error:
    print('too many')
";
    let text = k210_sim::run_script(script, 100_000).unwrap();
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            "tools 'x' /flash",
            "more 1 /flash",
            "3 7 (1, 1) ('more', 'more')",
            "True True True True",
            "3 None 5 5",
            "SyntaxError SyntaxError NameError SyntaxError ",
            "maximum recursion depth exceeded",
            "too many",
        ]
    );
    let text = k210_sim::run_script("@ 1\nx = 2\n", 10).unwrap();
    assert!(text.contains("SyntaxError: invalid syntax"), "{text}");
    let text = k210_sim::run_script("help('modules')\n", 10).unwrap();
    assert!(
        text.starts_with("Maix  ") && text.ends_with("Plus any modules on the filesystem\r\n"),
        "{text}"
    );
}
