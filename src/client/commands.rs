//! What can be typed: the table of commands, and how a line becomes one of them.
//!
//! Rules: a command begins with `/`, also `／`, and `、` before a known name (Chinese input methods write those on that
//! key); `//text` sends `/text`. A word that is not known is never guessed, only suggested. Each command answers what
//! happened, or fails with one line that says what, why, and what helps.
//! Not here: what the commands do (account.rs, profile.rs, people.rs, groups.rs, talk.rs, history.rs, files.rs, settings.rs,
//! emoji.rs), the words (words.txt). Start with `COMMANDS` and `do_line`: a new command is a row, a function, and its lines
//! `help.`, `usage.`, `example.` and `wire.` and the answer in words.txt.

use crate::client::arguments::{show_rows, text_of, words_of};
use crate::client::{
    Client, Failure, account, emoji, files, groups, history, people, profile, settings, talk,
};

/// One command.
struct Command {
    name: &'static str,
    alias: &'static str,
    /// One letter, or empty.
    short: &'static str,
    needs_login: bool,
    /// Takes what stands behind the name, without blanks around it.
    run: fn(&mut Client, &str) -> Result<(), Failure>,
}

#[rustfmt::skip]
const COMMANDS: &[Command] = &[
    Command { name: "register", alias: "注册",   short: "",  needs_login: false, run: account::register },
    Command { name: "login",    alias: "登录",   short: "",  needs_login: false, run: account::login },
    Command { name: "logout",   alias: "注销",   short: "",  needs_login: true,  run: account::logout },
    Command { name: "quit",     alias: "退出",   short: "q", needs_login: false, run: account::quit },
    Command { name: "profile",  alias: "资料",   short: "",  needs_login: true,  run: profile::profile },
    Command { name: "set",      alias: "修改",   short: "",  needs_login: true,  run: profile::set },
    Command { name: "password", alias: "改密码", short: "",  needs_login: true,  run: profile::password },
    Command { name: "avatar",   alias: "头像",   short: "",  needs_login: true,  run: profile::avatar },
    Command { name: "search",   alias: "搜索",   short: "",  needs_login: true,  run: people::search },
    Command { name: "friends",  alias: "好友",   short: "f", needs_login: true,  run: people::friends },
    Command { name: "add",      alias: "加好友", short: "",  needs_login: true,  run: people::add },
    Command { name: "delete",   alias: "删好友", short: "",  needs_login: true,  run: people::delete },
    Command { name: "requests", alias: "申请",   short: "",  needs_login: true,  run: people::requests },
    Command { name: "accept",   alias: "同意",   short: "",  needs_login: true,  run: people::accept },
    Command { name: "reject",   alias: "拒绝",   short: "",  needs_login: true,  run: people::reject },
    Command { name: "open",     alias: "打开",   short: "o", needs_login: true,  run: talk::open },
    Command { name: "close",    alias: "关闭",   short: "",  needs_login: true,  run: talk::close },
    Command { name: "msg",      alias: "私信",   short: "m", needs_login: true,  run: talk::msg },
    Command { name: "paste",    alias: "粘贴",   short: "",  needs_login: false, run: talk::paste },
    Command { name: "groups",   alias: "群",     short: "g", needs_login: true,  run: groups::groups },
    Command { name: "create",   alias: "建群",   short: "",  needs_login: true,  run: groups::create },
    Command { name: "invite",   alias: "邀请",   short: "",  needs_login: true,  run: groups::invite },
    Command { name: "join",     alias: "加群",   short: "",  needs_login: true,  run: groups::join },
    Command { name: "members",  alias: "成员",   short: "",  needs_login: true,  run: groups::members },
    Command { name: "rename",   alias: "改群名", short: "",  needs_login: true,  run: groups::rename },
    Command { name: "remove",   alias: "移出",   short: "",  needs_login: true,  run: groups::remove },
    Command { name: "leave",    alias: "退群",   short: "",  needs_login: true,  run: groups::leave },
    Command { name: "dissolve", alias: "解散",   short: "",  needs_login: true,  run: groups::dissolve },
    Command { name: "history",  alias: "记录",   short: "",  needs_login: true,  run: history::history },
    Command { name: "unread",   alias: "未读",   short: "u", needs_login: true,  run: talk::unread },
    Command { name: "emoji",    alias: "表情",   short: "",  needs_login: false, run: emoji::list },
    Command { name: "file",     alias: "文件",   short: "",  needs_login: true,  run: files::file },
    Command { name: "picture",  alias: "图片",   short: "",  needs_login: true,  run: files::picture },
    Command { name: "files",    alias: "文件列表", short: "", needs_login: true, run: files::files },
    Command { name: "get",      alias: "下载",   short: "",  needs_login: true,  run: files::get },
    Command { name: "cancel",   alias: "取消",   short: "",  needs_login: true,  run: files::cancel },
    Command { name: "notice",   alias: "通知",   short: "",  needs_login: true,  run: settings::notice },
    Command { name: "status",   alias: "状态",   short: "",  needs_login: false, run: settings::status },
    Command { name: "trace",    alias: "跟踪",   short: "",  needs_login: false, run: settings::trace },
    Command { name: "lang",     alias: "语言",   short: "",  needs_login: false, run: settings::lang },
    Command { name: "width",    alias: "宽度",   short: "",  needs_login: false, run: settings::width },
    Command { name: "wait",     alias: "等待",   short: "",  needs_login: false, run: talk::wait },
    Command { name: "help",     alias: "帮助",   short: "h", needs_login: false, run: help },
];

/// What a line asks for.
enum Typed<'a> {
    Nothing,
    Command(&'static Command, &'a str),
    Unknown(&'a str),
    Text(&'a str),
}

fn parse_line(line: &str) -> Typed<'_> {
    let Some(first) = line.chars().next().filter(|_| !line.trim().is_empty()) else {
        return Typed::Nothing;
    };
    let behind = &line[first.len_utf8()..];
    let (word, rest) = behind.split_once(char::is_whitespace).unwrap_or((behind, ""));
    match (first, command(word)) {
        ('/' | '／', _) if behind.starts_with(['/', '／']) => Typed::Text(behind),
        ('/' | '／' | '、', Some(command)) => Typed::Command(command, rest.trim()),
        ('/' | '／', None) => Typed::Unknown(word),
        _ => Typed::Text(line),
    }
}

fn command(word: &str) -> Option<&'static Command> {
    let is_meant = |command: &&Command| [command.name, command.alias, command.short].contains(&word);
    COMMANDS.iter().find(is_meant).filter(|_| !word.is_empty())
}

/// Does what a line asks for, and shows how it failed if it did.
pub fn do_line(client: &mut Client, line: Vec<u8>) {
    let text = text_of(client, line);
    let typed = text.as_ref().map_or(Typed::Nothing, |text| parse_line(text));
    let held_password = matches!(&typed, Typed::Command(command, rest)
        if ["login", "register", "password"].contains(&command.name) && words_of(rest).len() > 1);
    client.screen.typed(held_password);
    let outcome = match typed {
        Typed::Command(command, rest) => run_command(client, command, rest),
        Typed::Unknown(word) => Err(unknown_command(client, word)),
        Typed::Text(line) => talk::text(client, line),
        Typed::Nothing => text.map(drop),
    };
    if let Err(failure) = outcome {
        client.fail(failure);
    }
}

fn run_command(client: &mut Client, command: &Command, rest: &str) -> Result<(), Failure> {
    client.command = command.name;
    if command.needs_login {
        client.session()?;
    }
    (command.run)(client, rest)
}

fn unknown_command(client: &Client, word: &str) -> Failure {
    let most = if word.chars().count() < 5 { 1 } else { 2 };
    let nearest = COMMANDS.iter().min_by_key(|command| edit_distance(word, command.name));
    match nearest.filter(|command| edit_distance(word, command.name) <= most) {
        Some(command) => client.failure("unknown.near", &[("WORD", &word), ("OTHER", &command.name)]),
        None => client.failure("unknown", &[("WORD", &word)]),
    }
}

/// How many letters must be inserted, deleted, changed or swapped with their neighbour to make one word of the other.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(20).collect(), b.chars().collect());
    let mut distance = vec![vec![0; b.len() + 1]; a.len() + 1]; // between the first i letters and the first j
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            if i == 0 || j == 0 {
                distance[i][j] = i + j;
                continue;
            }
            let change = distance[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            distance[i][j] = change.min(distance[i - 1][j] + 1).min(distance[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                distance[i][j] = distance[i][j].min(distance[i - 2][j - 2] + 1);
            }
        }
    }
    distance[a.len()][b.len()]
}

/// `/help [COMMAND]`.
fn help(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let words = client.words;
    let word = rest.trim_start_matches(['/', '／']);
    if word.is_empty() {
        let row = |command: &Command| {
            let short = if command.short.is_empty() { String::new() } else { format!("/{}", command.short) };
            let meaning = words.say(&format!("help.{}", command.name), &[]);
            vec![format!("/{}", command.name), short, format!("/{}", command.alias), meaning]
        };
        let rows: Vec<Vec<String>> = COMMANDS.iter().map(row).collect();
        show_rows(client, &rows);
        client.answer("help.text", &[]);
        return Ok(());
    }
    if ["typing", "输入"].contains(&word) {
        for key in ["typing.keys", "typing.long", "typing.chinese", "typing.hidden"] {
            client.answer(key, &[]);
        }
        return Ok(());
    }
    let command = command(word).ok_or_else(|| unknown_command(client, word))?;
    let usage = words.say(&format!("usage.{}", command.name), &[]);
    for part in ["usage", "help", "example", "wire"] {
        client.answer(&format!("{part}.{}", command.name), &[]);
    }
    for word in ["WHO", "GROUP", "PATH", "FOLDER"] {
        if usage.contains(word) {
            client.answer(&format!("help.{word}"), &[]);
        }
    }
    Ok(())
}
