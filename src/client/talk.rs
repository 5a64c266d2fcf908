//! The commands about messages: who is talked to, what is unread, one message to somebody, many lines as one message.
//!
//! Rules: what is shown whole is read, by pages, each with its CHAT_RECEIVED; what the screen does not take stays unread.
//! Not here: how a text is sent (client.rs: `send_text`). Start with `open`.

use std::time::Instant;

use crate::client::arguments::{needs, show_rows, text_of};
use crate::client::conversation::{Conversation, Session, message_line};
use crate::client::groups::{fetch_members, take_conversation};
use crate::client::history::fetch;
use crate::client::records::Record;
use crate::client::words::Values;
use crate::client::{Client, Failure, away};
use crate::limits::{MAX_RECORDS, OPEN_PAGE, WAIT_DEADLINE, patiently};
use crate::message::Code;

/// A line that is no command goes to the open conversation.
pub fn text(client: &mut Client, text: &str) -> Result<(), Failure> {
    let open = client.session()?.open;
    let with = open.ok_or_else(|| client.failure("noneOpen", &[]))?;
    client.send_text(with, text)
}

/// `/msg WHO|GROUP TEXT`.
pub fn msg(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let (with, text) = take_conversation(client, rest)?;
    match text.trim_start() {
        "" => Err(needs(client, "TEXT")),
        text => client.send_text(with, text),
    }
}

/// `/paste`: lines up to one that is `.` alone become one message. All of them are read, whatever is wrong with one; the end of the
/// input ends it too.
pub fn paste(client: &mut Client, _: &str) -> Result<(), Failure> {
    if client.look.is_terminal {
        client.answer("ask.paste", &[]);
    }
    let mut lines = Vec::new();
    while let Some(line) = client.next_line() {
        let line = text_of(client, line);
        if line.as_ref().is_ok_and(|line| line == ".") {
            break;
        }
        lines.push(line);
    }
    let lines: Result<Vec<String>, Failure> = lines.into_iter().collect();
    match lines?.join("\n") {
        pasted if pasted.is_empty() => Err(needs(client, "TEXT")),
        pasted => text(client, &pasted),
    }
}

/// `/open [WHO|GROUP]`: plain text goes there from here on; what is unread there is shown.
pub fn open(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let with = match rest {
        "" => oldest_unread(client)?,
        _ => take_conversation(client, rest)?.0,
    };
    let unread = if with.is_friend { open_friend(client, with)? } else { open_group(client, with)? };
    client.complete_records(with);
    let words = client.words;
    for (page, messages) in unread.chunks(OPEN_PAGE).enumerate() {
        let shown = with_texts(client, with, messages).and_then(|messages| {
            let session = client.session()?;
            let line = |(envelope, text): &Record| message_line(words, session, envelope, text);
            let lines = messages.iter().map(line).collect();
            Ok(client.show(lines))
        });
        if !matches!(shown, Ok(true)) {
            let session = client.session_mut()?;
            let rest = unread[page * OPEN_PAGE..].iter().cloned();
            rest.for_each(|message| session.keep_unread(with, message));
            return shown.map(drop);
        }
    }
    Ok(())
}

/// Unread messages with their texts: those that were not kept are fetched.
fn with_texts(client: &Client, with: Conversation, messages: &[Record]) -> Result<Vec<Record>, Failure> {
    let mut messages = messages.to_vec();
    let lacks_text = |(_, text): &&Record| text.is_empty();
    while let Some((last, _)) = messages.iter().rfind(lacks_text) {
        let page = fetch(client, with, last.id.saturating_add(1), MAX_RECORDS as usize, &[])?;
        let found = page.iter().any(|(envelope, text)| envelope.id == last.id && !text.is_empty());
        if !found {
            return Err(client.refused(Code::NoSuchMessage, &[("ID", &last.id)]));
        }
        for (envelope, text) in messages.iter_mut().filter(|(_, text)| text.is_empty()) {
            let same = page.iter().find(|(other, _)| other.id == envelope.id);
            text.push_str(same.map_or("", |(_, text)| text));
        }
    }
    Ok(messages)
}

/// Opens the conversation with a friend; also with somebody else who has written. What is unread in it.
fn open_friend(client: &mut Client, with: Conversation) -> Result<Vec<Record>, Failure> {
    let words = client.words;
    if client.session()?.people.get(&with.to_id).is_some_and(|person| person.is_online.is_none()) {
        client.fence(); // a new friend's state is on its way
    }
    let session = client.session_mut()?;
    let unread = session.take_unread(with);
    let (username, who) = (session.username(with.to_id), session.who(with.to_id));
    let person = session.people.get(&with.to_id).cloned().unwrap_or_default();
    if !person.is_friend && unread.is_empty() {
        return Err(client.refused(Code::NotFriends, &[("USERNAME", &username), ("WHO", &who)]));
    }
    session.open = Some(with);
    let state = words.say(if person.is_online == Some(true) { "row.online" } else { "row.offline" }, &[]);
    let values: Values = &[("USERNAME", &username), ("NAME", &who), ("STATE", &state), ("N", &unread.len())];
    client.answer("talking", values);
    Ok(unread)
}

/// Opens a group. What is unread in it.
fn open_group(client: &mut Client, with: Conversation) -> Result<Vec<Record>, Failure> {
    let members = match fetch_members(client, with.to_id) {
        Err(_) if client.session()?.unread_in(with) > 0 => Vec::new(), // we have left it; what was said before can be read
        members => members?,
    };
    let online = members.iter().filter(|member| member.online).count();
    let session = client.session_mut()?;
    let unread = session.take_unread(with);
    session.open = Some(with);
    let (group, members) = (session.group_name(with.to_id), members.len());
    let values: Values = &[
        ("GNAME", &group),
        ("GID", &with.to_id),
        ("MEMBERS", &members),
        ("ONLINE", &online),
        ("N", &unread.len()),
    ];
    client.answer("talkingGroup", values);
    Ok(unread)
}

fn oldest_unread(client: &Client) -> Result<Conversation, Failure> {
    let unread = client.session()?.unread.iter();
    let oldest = unread.min_by_key(|(_, waiting)| waiting.first().map(|(envelope, _)| envelope.id));
    oldest.map(|(with, _)| *with).ok_or_else(|| client.failure("nothingUnread", &[]))
}

/// `/close`.
pub fn close(client: &mut Client, _: &str) -> Result<(), Failure> {
    let session = client.session_mut()?;
    let closed = session.open.take().map(|with| session.conversation_name(with));
    let who = closed.ok_or_else(|| client.failure("noneOpen", &[]))?;
    client.answer("closed", &[("WHO", &who)]);
    Ok(())
}

/// Of each conversation with unread messages: who, and how many.
pub fn unread_rows(session: &Session) -> Vec<Vec<String>> {
    let row =
        |with: &Conversation| vec![session.conversation_name(*with), session.unread_in(*with).to_string()];
    session.unread.keys().map(row).collect()
}

/// `/unread`.
pub fn unread(client: &mut Client, _: &str) -> Result<(), Failure> {
    let session = client.session()?;
    let (rows, number) = (unread_rows(session), session.unread_in_all());
    show_rows(client, &rows);
    client.answer("unread", &[("N", &number)]);
    Ok(())
}

/// `/wait TEXT`, for scripts: until a row with this text stands behind the one that the last /wait found.
pub fn wait(client: &mut Client, text: &str) -> Result<(), Failure> {
    if text.is_empty() {
        return Err(needs(client, "TEXT"));
    }
    let patience = patiently(WAIT_DEADLINE, client.config.patience);
    let deadline = Instant::now() + patience;
    let place = |client: &Client| client.log.iter().position(|row| row.contains(text));
    while place(client).is_none() && client.step(Some(deadline)) {}
    let found = place(client).and_then(|place| client.log.drain(..=place).next_back());
    match found {
        Some(row) => client.answer("seen", &[("LINE", &row.strip_prefix("  ").unwrap_or(&row))]),
        None => client.fail(client.failure("notSeen", &[("N", &away::seconds(patience)), ("TEXT", &text)])),
    }
    client.log.pop_back(); // what it says itself does not count
    Ok(())
}
