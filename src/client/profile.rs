//! The commands about what others see of one, and one's password.
//!
//! Rules: what is changed goes by POST. A picture is looked at before it is sent, and before it is stored; nothing that
//! exists is ever overwritten by one. Not here: the account itself (account.rs). Start with `profile`.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::Value;

use crate::client::account::{ask_new_password, ask_password, sex_of};
use crate::client::arguments::{needs, show_rows, take_word, words_of};
use crate::client::files::{cannot_read, local_path, shown, size_of, why_of};
use crate::client::people::{fetch_friends, person_row, take_who};
use crate::client::picture::measure;
use crate::client::words::Values;
use crate::client::{Client, Failure, downloads};
use crate::harmless::harmless_name;
use crate::limits::MAX_PICTURE;
use crate::message::{Code, User};

/// `/profile [WHO]`.
pub fn profile(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let user = user_or_me(client, rest)?;
    let row = person_row(client, &user)?;
    show_rows(client, &[row]);
    Ok(())
}

/// All that is known of WHO, or of oneself. Of somebody whose login name is not known that is the username alone.
fn user_or_me(client: &mut Client, rest: &str) -> Result<User, Failure> {
    let me = client.session()?.me.clone();
    let uid = if rest.is_empty() { me.uid } else { take_who(client, rest)?.0 };
    if uid == me.uid {
        return Ok(me);
    }
    let friends = fetch_friends(client)?;
    if let Some(friend) = friends.into_iter().find(|friend| friend.user.uid == uid) {
        return Ok(friend.user);
    }
    let known = client.session()?.people.get(&uid).cloned().unwrap_or_default();
    if !known.login_name.is_empty() {
        let found: Vec<User> =
            client.http_get("/searchUserByLoginname", &[("loginName", &known.login_name)])?;
        return found
            .into_iter()
            .find(|user| user.uid == uid)
            .ok_or_else(|| client.refused(Code::NoSuchUser, &[("WHO", &rest)]));
    }
    let named = client.http_get("/getUsernameByUid", &[("uid", &uid.to_string())]);
    let named: Value = named.map_err(|failure| client.explain(failure, &[("WHO", &rest)]))?;
    let username = named["username"].as_str().unwrap_or_default().to_owned();
    Ok(User { uid, username, ..User::default() })
}

/// `/set username|sex VALUE`.
pub fn set(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let (field, value) = take_word(rest).unwrap_or_default();
    let value = take_word(value).map_or("", |(value, _)| value);
    match field {
        "username" | "昵称" if !value.is_empty() => modify(client, &[("username", value)])?,
        "username" | "昵称" => return Err(needs(client, "USERNAME")),
        "sex" | "性别" if !value.is_empty() => {
            let sex = sex_of(client, value)?.to_string();
            modify(client, &[("sex", &sex)])?;
        }
        "sex" | "性别" => return Err(needs(client, "SEX")),
        _ => return Err(needs(client, "FIELD")),
    }
    let me = &client.session()?.me;
    let sex = client.words.say(&format!("sex.{}", me.sex), &[]);
    let value = if ["sex", "性别"].contains(&field) { sex } else { harmless_name(&me.username) };
    client.answer("set", &[("FIELD", &field), ("VALUE", &value)]);
    Ok(())
}

/// POST /modifyUser; who is logged in is so from then on.
fn modify(client: &mut Client, changes: &[(&str, &str)]) -> Result<(), Failure> {
    let me: User = client.http_post("/modifyUser", changes)?;
    client.session_mut()?.me = me;
    Ok(())
}

/// `/password [OLD NEW]`. The server ends all sessions of the user: this one goes on with the new password.
pub fn password(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let (old, new) = match words_of(rest)[..] {
        [old, new] => (old.to_owned(), new.to_owned()),
        [] if client.look.is_terminal => {
            let old = ask_password(client, "ask.oldPassword")?;
            (old, ask_new_password(client)?)
        }
        _ => return Err(needs(client, "OLDNEW")),
    };
    modify(client, &[("oldPwd", &old), ("pwd", &new)])?;
    let session = client.session_mut()?;
    session.pwd = new;
    client.close(); // the KICKED on this connection is our own doing
    if client.log_in_again().is_err() {
        client.connection_lost(None);
    }
    client.answer("passwordChanged", &[]);
    Ok(())
}

/// `/avatar PATH`, `/avatar show [WHO]`.
pub fn avatar(client: &mut Client, rest: &str) -> Result<(), Failure> {
    match take_word(rest) {
        None => Err(needs(client, "PATH")),
        Some(("show" | "查看", who)) if !rest.starts_with('"') => show_avatar(client, who.trim()),
        Some((quoted, "")) => set_avatar(client, &local_path(quoted)),
        Some(_) => set_avatar(client, &local_path(rest)), // a path with spaces needs no quotes here
    }
}

fn set_avatar(client: &mut Client, path: &Path) -> Result<(), Failure> {
    let size = size_of(path).map_err(|error| cannot_read(client, path, error.kind()))?;
    if size > MAX_PICTURE as u64 {
        return Err(client.refused(Code::TooLarge, &[("N", &size), ("LIMIT", &MAX_PICTURE)]));
    }
    let octets = fs::read(path).map_err(|error| cannot_read(client, path, error.kind()))?;
    let Some((format, width, height)) = measure(&octets) else {
        return Err(client.failure("noPicture", &[("PATH", &shown(path))]));
    };
    let stored: Value = client.http_upload("/uploadPicture", &octets)?;
    modify(client, &[("picUrl", stored["picUrl"].as_str().unwrap_or_default())])?;
    let size = format!("{width}x{height}");
    client.answer("avatar.set", &[("FORMAT", &format), ("SIZE", &size), ("N", &octets.len())]);
    Ok(())
}

fn show_avatar(client: &mut Client, who: &str) -> Result<(), Failure> {
    let user = user_or_me(client, who)?;
    let username = harmless_name(&user.username);
    let name = user.pic_url.rsplit('/').next().unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-./".contains(c);
    if name.is_empty() || name.starts_with('.') || !user.pic_url.chars().all(is_plain) {
        return Err(client.failure("avatar.none", &[("USERNAME", &username)]));
    }
    let octets = client.http_download(&user.pic_url)?;
    let Some((format, width, height)) = measure(&octets) else {
        return Err(client.failure("noPicture", &[("PATH", &user.pic_url)]));
    };
    let (stem, _) = name.rsplit_once('.').unwrap_or((name, ""));
    let name = &format!("{stem}.{}", if format == "JPEG" { "jpg".to_owned() } else { format.to_lowercase() });
    let saved = downloads::create(&downloads::folder(&client.config), name)
        .and_then(|(mut file, path)| file.write_all(&octets).map(|()| path));
    let path = saved.map_err(|error| {
        let why = why_of(client.words, error.kind());
        client.failure("cannotWrite", &[("PATH", &name), ("WHY", &why)])
    })?;
    let (size, bytes, path) = (format!("{width}x{height}"), octets.len(), path.display());
    let values: Values =
        &[("USERNAME", &username), ("FORMAT", &format), ("SIZE", &size), ("N", &bytes), ("PATH", &path)];
    client.answer("avatar.shown", values);
    Ok(())
}
