//! The commands about people: looking for them, friends, requests.
//!
//! Rules: what is asked over HTTP is asked anew each time; what is known of people (conversation.rs) learns from it.
//! Start with `find`, which makes a uid of WHO.

use serde_json::Value;

use crate::client::arguments::{needs, show_rows, take_word};
use crate::client::conversation::{Conversation, request_line};
use crate::client::screen::Line;
use crate::client::{Client, Failure};
use crate::harmless::harmless_name;
use crate::message::{Code, Friend, FromServer, Refusal, User};

/// The uid of WHO: `@UID`, a login name in any case, else a username that only one known person has.
pub fn find(client: &mut Client, who: &str) -> Result<u64, Failure> {
    let people = &client.session()?.people;
    let key = who.to_lowercase();
    let uid = who.strip_prefix('@').and_then(|digits| digits.parse().ok());
    let known = people.iter().find(|(_, person)| person.login_name.to_lowercase() == key);
    if let Some(uid) = uid.or(known.map(|(uid, _)| *uid)) {
        return Ok(uid);
    }
    let named: Vec<u64> =
        people.iter().filter(|(_, person)| person.username == who).map(|(uid, _)| *uid).collect();
    let strangers: Vec<User> = match client.http_get("/searchUserByLoginname", &[("loginName", who)]) {
        Err(failure) if named.is_empty() => return Err(failure),
        found => found.unwrap_or_default(),
    };
    let session = client.session_mut()?;
    if let Some(user) = strangers.iter().find(|user| user.login_name.to_lowercase() == key) {
        session.meet(user.uid, &user.login_name, &user.username);
        return Ok(user.uid);
    }
    let names: Vec<String> = named.iter().map(|uid| format!("{} (@{uid})", session.who(*uid))).collect();
    let shown = harmless_name(who);
    match named[..] {
        [] => Err(client.refused(Code::NoSuchUser, &[("WHO", &shown)])),
        [uid] => Ok(uid),
        _ => Err(client.failure("several", &[("WHO", &shown), ("LIST", &client.words.list(&names))])),
    }
}

/// The WHO that a command begins with, and what stands behind it.
pub fn take_who<'a>(client: &mut Client, rest: &'a str) -> Result<(u64, &'a str), Failure> {
    let (who, rest) = take_word(rest).ok_or_else(|| needs(client, "WHO"))?;
    Ok((find(client, who)?, rest))
}

/// /getFriendsById: who the friends are, and who of them is online.
pub fn fetch_friends(client: &mut Client) -> Result<Vec<Friend>, Failure> {
    let friends: Vec<Friend> = client.http_get("/getFriendsById", &[])?;
    let session = client.session_mut()?;
    session.people.values_mut().for_each(|person| person.is_friend = false);
    for Friend { user, online, .. } in &friends {
        let person = session.meet(user.uid, &user.login_name, &user.username);
        (person.is_friend, person.is_online) = (true, Some(*online));
    }
    Ok(friends)
}

/// uid, login name, username, sex, online or offline, me or friend; of strangers the last two are not known.
pub fn person_row(client: &Client, user: &User) -> Result<Vec<String>, Failure> {
    let session = client.session()?;
    let person = session.people.get(&user.uid).filter(|person| person.is_friend);
    let (state, relation) = match person {
        _ if user.uid == session.me.uid => ("row.online", "row.me"),
        Some(friend) if friend.is_online == Some(true) => ("row.online", "row.friend"),
        Some(_) => ("row.offline", "row.friend"),
        None => ("row.unknown", "row.unknown"),
    };
    let say = |key: &str| client.words.say(key, &[]);
    let username = harmless_name(&user.username);
    let (login_name, sex) = match user.login_name.as_str() {
        "" => (say("row.unknown"), say("row.unknown")), // somebody of whom the username alone is known
        name => (harmless_name(name), say(&format!("sex.{}", user.sex))),
    };
    Ok(vec![user.uid.to_string(), login_name, username, sex, say(state), say(relation)])
}

/// `/search TEXT`.
pub fn search(client: &mut Client, text: &str) -> Result<(), Failure> {
    if text.is_empty() {
        return Err(needs(client, "TEXT"));
    }
    let found: Vec<User> = client.http_get("/searchUserByLoginname", &[("loginName", text)])?;
    let rows: Result<Vec<_>, _> = found.iter().map(|user| person_row(client, user)).collect();
    show_rows(client, &rows?);
    client.answer("found", &[("N", &found.len())]);
    Ok(())
}

/// `/friends`.
pub fn friends(client: &mut Client, _: &str) -> Result<(), Failure> {
    let friends = fetch_friends(client)?;
    let mut rows = Vec::new();
    for friend in &friends {
        let mut row = person_row(client, &friend.user)?;
        let with = Conversation { is_friend: true, to_id: friend.user.uid };
        let unread = client.session()?.unread_in(with);
        row.push(client.words.say("unread", &[("N", &unread)]));
        rows.push(row);
    }
    show_rows(client, &rows);
    let online = friends.iter().filter(|friend| friend.online).count();
    client.answer("friends", &[("N", &friends.len()), ("ONLINE", &online)]);
    Ok(())
}

/// `/add WHO`.
pub fn add(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let (uid, _) = take_who(client, rest)?;
    let session = client.session()?;
    let (username, who) = (session.username(uid), session.who(uid));
    let is_friend = session.people.get(&uid).is_some_and(|person| person.is_friend);
    let friend_id = uid.to_string();
    let may = client.http_get("/canAddFriends", &[("friendId", &friend_id)]);
    let may: Value = may.map_err(|failure| client.explain(failure, &[("WHO", &who)]))?;
    if may["canAdd"] == false && is_friend {
        return Err(client.failure("refused.alreadyFriends", &[("USERNAME", &username)]));
    }
    if may["canAdd"] == false {
        return Err(Refusal::bad(may["why"].as_str().unwrap_or_default()).into());
    }
    let asked = client.http_get("/addFriendsOrGroup", &[("friendId", &friend_id)]);
    let asked: Value = asked.map_err(|failure| client.explain(failure, &[("WHO", &who)]))?;
    client.answer("asked", &[("USERNAME", &username), ("ID", &asked["id"])]);
    Ok(())
}

/// `/delete WHO`.
pub fn delete(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let (uid, _) = take_who(client, rest)?;
    let session = client.session()?;
    let (username, who) = (session.username(uid), session.who(uid));
    let deleted: Result<Value, _> = client.http_get("/delete_friend", &[("friendId", &uid.to_string())]);
    deleted.map_err(|failure| client.explain(failure, &[("USERNAME", &username), ("WHO", &who)]))?;
    client.answer("deleted", &[("USERNAME", &username)]);
    client.fence();
    Ok(())
}

/// The requests that wait for an answer, and a line for each.
pub fn fetch_requests(client: &mut Client) -> Result<(Vec<u64>, Vec<Line>), Failure> {
    let requests: Vec<FromServer> = client.http_get("/getNoHandleMessages", &[("type", "REQUEST")])?;
    let words = client.words;
    let session = client.session_mut()?;
    let (mut ids, mut lines) = (Vec::new(), Vec::new());
    for request in &requests {
        let FromServer::Request { id, .. } = request else { continue };
        session.is_first_sight(*id); // it is pushed at LOGIN too
        ids.push(*id);
        lines.extend(request_line(words, session, request));
    }
    Ok((ids, lines))
}

/// `/requests`.
pub fn requests(client: &mut Client, _: &str) -> Result<(), Failure> {
    let (ids, lines) = fetch_requests(client)?;
    client.show(lines);
    client.answer("requests", &[("N", &ids.len())]);
    Ok(())
}

/// `/accept [ID]`.
pub fn accept(client: &mut Client, rest: &str) -> Result<(), Failure> {
    answer_request(client, rest, "true", "accepted")
}

/// `/reject [ID]`.
pub fn reject(client: &mut Client, rest: &str) -> Result<(), Failure> {
    answer_request(client, rest, "false", "rejected")
}

fn answer_request(client: &mut Client, rest: &str, accept: &str, key: &str) -> Result<(), Failure> {
    let id = match rest.strip_prefix('#').unwrap_or(rest) {
        "" => only_request(client)?,
        id => id.parse().map_err(|_| needs(client, "ID"))?,
    };
    let arguments = [("msgId", &*id.to_string()), ("accept", accept)];
    let handled: Result<Value, _> = client.http_get("/messageHandle", &arguments);
    handled.map_err(|failure| client.explain(failure, &[("ID", &id)]))?;
    client.answer(key, &[("ID", &id)]);
    client.fence();
    Ok(())
}

/// The id of the one request that waits.
fn only_request(client: &mut Client) -> Result<u64, Failure> {
    match fetch_requests(client)?.0[..] {
        [] => Err(client.failure("noRequest", &[])),
        [id] => Ok(id),
        ref ids => {
            let list: Vec<String> = ids.iter().map(|id| format!("#{id}")).collect();
            Err(client.failure("severalRequests", &[("LIST", &client.words.list(&list))]))
        }
    }
}
