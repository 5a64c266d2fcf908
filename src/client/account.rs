//! The commands about one's account: register, log in, log out; and the questions that a terminal is asked.
//!
//! Rules: all is asked before a connection is made: nobody types a password within `LOGIN_DEADLINE`. A password stands
//! in no answer and no error, and the screen conceals or erases what was typed.
//! Start with `log_in`.

use serde_json::Value;

use crate::client::arguments::{needs, text_of, words_of};
use crate::client::groups::fetch_groups;
use crate::client::people::{fetch_friends, fetch_requests};
use crate::client::talk::unread_rows;
use crate::client::words::Values;
use crate::client::{Client, Failure};
use crate::harmless::harmless_name;
use crate::message::{Code, FromClient, FromServer, NewUser};

/// `/register [NAME PASSWORD [USERNAME [SEX]]]`.
pub fn register(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let words = words_of(rest);
    let user = match words[..] {
        [name, pwd, ..] => {
            let sex = sex_of(client, words.get(3).unwrap_or(&""))?;
            new_user(name, pwd, words.get(2).unwrap_or(&name), sex)
        }
        _ if client.look.is_terminal => ask_new_user(client, words.first().copied())?,
        _ => {
            let (name, pwd) = name_and_password(client, &words)?;
            new_user(&name, &pwd, &name, 0)
        }
    };
    let (name, pwd) = (user.login_name.clone(), user.pwd.clone());
    let shown = harmless_name(&name);
    let request = FromClient::Register { client_no: client.client_no(), user };
    let mut link = client.open(client.config.chat_port, "C")?;
    let answer = client.ask(&mut link, &request);
    let answer = answer.map_err(|failure| client.explain(failure, &[("NAME", &shown)]))?;
    if let FromServer::Ack { id: Some(uid), .. } = answer {
        client.answer("registered", &[("NAME", &shown), ("N", &uid)]);
    }
    if client.session.is_none() { log_in(client, &name, &pwd) } else { Ok(()) }
}

fn new_user(login_name: &str, pwd: &str, username: &str, sex: u64) -> NewUser {
    let (login_name, pwd, username) = (login_name.to_owned(), pwd.to_owned(), username.to_owned());
    NewUser { login_name, pwd, username, sex, pic_url: String::new() }
}

/// 0 not said, 1 male, 2 female (ISO/IEC 5218).
pub fn sex_of(client: &Client, word: &str) -> Result<u64, Failure> {
    match word {
        "" => Ok(0),
        "m" | "男" => Ok(1),
        "f" | "女" => Ok(2),
        _ => Err(needs(client, "SEX")),
    }
}

/// Asks all that REGISTER needs.
fn ask_new_user(client: &mut Client, mut given: Option<&str>) -> Result<NewUser, Failure> {
    let name = loop {
        let name = login_name(client, given.take())?;
        let shown = harmless_name(&name);
        let answer: Result<Value, Failure> = client.http_get("/checkLoginName", &[("loginName", &name)]);
        match answer {
            Ok(answer) if answer["available"] == true => {
                client.answer("ask.free", &[("NAME", &shown)]);
                break name;
            }
            Ok(_) => client.fail(client.refused(Code::LoginNameTaken, &[("NAME", &shown)])),
            Err(refused @ Failure::Refused(_)) => client.fail(refused),
            Err(_) => break name, // HTTP is elsewhere: REGISTER will say
        }
    };
    let username = question(client, "ask.username", false)?;
    let username = if username.is_empty() { &name } else { &username };
    let sex = loop {
        let word = question(client, "ask.sex", false)?;
        match sex_of(client, &word) {
            Ok(sex) => break sex,
            Err(failure) => client.fail(failure),
        }
    };
    client.answer("ask.worth", &[]);
    let pwd = ask_new_password(client)?;
    Ok(new_user(&name, &pwd, username, sex))
}

/// Asks for a password until it was typed twice alike.
pub fn ask_new_password(client: &mut Client) -> Result<String, Failure> {
    loop {
        let pwd = ask_password(client, "ask.password")?;
        if ask_password(client, "ask.passwordAgain")? == pwd {
            return Ok(pwd);
        }
        client.fail(client.failure("passwordsDiffer", &[]));
    }
}

/// Asks one thing at the terminal: the line that is typed.
fn question(client: &mut Client, key: &str, is_concealed: bool) -> Result<String, Failure> {
    client.screen.prompt(format!("  {} ", client.words.say(key, &[])), is_concealed);
    let line = client.next_line().ok_or(Failure::Ended)?;
    client.screen.typed(false);
    text_of(client, line)
}

/// Asks for a password; the first time it is said what concealing is worth.
pub fn ask_password(client: &mut Client, key: &str) -> Result<String, Failure> {
    if !client.look.has_escapes {
        return question(client, &format!("{key}.shown"), false);
    }
    if !client.is_warned {
        client.answer("ask.concealed", &[]);
        client.is_warned = true;
    }
    question(client, key, true)
}

fn login_name(client: &mut Client, given: Option<&str>) -> Result<String, Failure> {
    let name = match given {
        Some(name) => name.to_owned(),
        None if client.look.is_terminal => question(client, "ask.loginName", false)?,
        None => String::new(),
    };
    if name.is_empty() { Err(needs(client, "NAME")) } else { Ok(name) }
}

/// The first two words of a command. Where one is missing a terminal is asked; a script has its password in the environment.
fn name_and_password(client: &mut Client, words: &[&str]) -> Result<(String, String), Failure> {
    let name = login_name(client, words.first().copied())?;
    let pwd = match words.get(1) {
        Some(pwd) => (*pwd).to_owned(),
        None if client.look.is_terminal => ask_password(client, "ask.password")?,
        None => std::env::var("MINIM_PASSWORD").unwrap_or_default(),
    };
    if pwd.is_empty() { Err(needs(client, "PASSWORD")) } else { Ok((name, pwd)) }
}

/// `/login [NAME [PASSWORD]]`.
pub fn login(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let (name, pwd) = name_and_password(client, &words_of(rest))?;
    log_in(client, &name, &pwd)
}

/// LOGIN, and then what there is: friends, unread messages, open requests.
fn log_in(client: &mut Client, name: &str, pwd: &str) -> Result<(), Failure> {
    client.leave(false);
    client.log_in(name, pwd)?;
    let me = &client.session()?.me;
    let (name, username, uid) = (harmless_name(&me.login_name), harmless_name(&me.username), me.uid);
    client.answer("loggedIn", &[("NAME", &name), ("USERNAME", &username), ("N", &uid)]);

    let friends = fetch_friends(client)?;
    let groups = fetch_groups(client)?;
    let (requests, lines) = fetch_requests(client)?;
    client.fence(); // its PONG comes behind all that waited
    let session = client.session()?;
    let (unread, rows) = (session.unread_in_all(), unread_rows(session));
    let online = friends.iter().filter(|friend| friend.online).count();
    let (friends, groups, requests) = (friends.len(), groups.len(), requests.len());
    let numbers: Values = &[
        ("FRIENDS", &friends),
        ("ONLINE", &online),
        ("GROUPS", &groups),
        ("UNREAD", &unread),
        ("REQUESTS", &requests),
    ];
    client.answer("summary", numbers);
    if !rows.is_empty() {
        let list: Vec<String> = rows.iter().map(|row| row.join(" ")).collect();
        client.answer("summary.unread", &[("LIST", &client.words.list(&list))]);
    }
    client.show(lines);
    Ok(())
}

/// `/logout`.
pub fn logout(client: &mut Client, _: &str) -> Result<(), Failure> {
    client.leave(false);
    client.answer("loggedOut", &[]);
    Ok(())
}

/// `/quit`.
pub fn quit(client: &mut Client, _: &str) -> Result<(), Failure> {
    client.leave(true);
    client.answer("goodbye", &[]);
    client.exit_code.get_or_insert(0);
    Ok(())
}
