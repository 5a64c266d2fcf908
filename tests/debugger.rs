//! The walk of DEBUGGING.md, by gdb itself: eight stops in their order, with what the handout says is on the screen. Where there
//! is no gdb, or no rust-gdb, this is left out, and says so.

#![cfg(all(target_os = "linux", feature = "sqlite"))]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{Folder, MINIM, Program};

#[test]
fn the_eight_stops_are_reached_in_order_and_show_what_the_handout_says() {
    let mut probe = Command::new("rust-gdb");
    probe.args(["-batch", "-ex", "show version"]).stdout(Stdio::null()).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        eprintln!("left out: there is no rust-gdb here");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = root.join("debug/breakpoints.gdb");
    let folder = Folder::new();
    let mut gdb = Command::new("rust-gdb");
    gdb.args(["-batch", "-nx", "-x"]).arg(script).args(["-ex", "run"]);
    gdb.args(["-ex", "continue"].repeat(7)).args(["-ex", "info threads"]);
    gdb.args(["--args", MINIM, "demo", "--fast", "--trace", "rounds", "--patience", "1000"]);
    gdb.env("TMPDIR", folder.path()).env("LC_ALL", "C.UTF-8"); // else gdb shows Chinese as numbers
    let (_, lines, errors) = Program::run(folder.path(), gdb).finish();
    let ours: Vec<&String> = lines.iter().filter(|line| !line.contains(" | ")).collect(); // not what the demo says
    let output = ours.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n");
    if output.contains("ptrace: Operation not permitted")
        || errors.contains("ptrace: Operation not permitted")
    {
        eprintln!("left out: gdb may not look here");
        return;
    }
    let mut rest = output.as_str();
    for (stop, shown) in [
        (1, &["{is_friend: true, to_id: 2}", "\"Hello, 你好!\""][..]),
        (2, &[" = 146", " = 2", "CHAT_SEND_MSG"]),
        (3, &[" = 0x", "minim::des::round", "minim::trace::parts::round_rows"]),
        (4, &[" = 180", " = 2"]),
        (5, &[" = 1", " = 2", "\"Hello, 你好!\""]),
        (6, &[" = 1", "Content::Text(\"Hello, 你好!\")"]),
        (7, &[" = 2", "from_name: \"Alice\"", "finish_messages"]),
        (8, &["{\"Alice: Hello, 你好!\"}", "Some(3)"]),
    ] {
        let title = format!("== stop {stop}: ");
        let start = rest.find(&title).unwrap_or_else(|| panic!("no stop {stop}: {output}\n{errors}"));
        rest = &rest[start + title.len()..];
        let part = rest.split("== stop ").next().expect("a part");
        for value in shown {
            assert!(part.contains(value), "stop {stop} does not show {value:?}: {part}");
        }
    }
    for name in
        ["\"main\"", "\"client 3\"", "\"write 3\"", "\"store\"", "\"screen\"", "\"reader\"", "\"accept h\""]
    {
        assert!(output.contains(name), "no thread {name}: {output}");
    }
}
