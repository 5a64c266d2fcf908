//! `/history`: old messages of the open conversation, filtered, page by page.
//!
//! Rules: what is recorded here is read here, older or filtered messages come from the server; nothing counts as read.
//! Times are typed as they are shown, in `--timeZone`; a day or a minute that ends a filter belongs to it.
//! Not here: what comes by itself (conversation.rs). Start with `history`.

use crate::client::arguments::{needs, take_word};
use crate::client::conversation::{Conversation, message_rows};
use crate::client::files::file_text;
use crate::client::people::find;
use crate::client::records::Record;
use crate::client::screen::Line;
use crate::client::{Client, Failure};
use crate::clock::{Civil, civil, now_ms, since_1970};
use crate::limits::{MAX_HISTORY, MAX_NUMBER, MAX_RECORDS, RECORDS};
use crate::message::FromServer;

/// What `/history` asks for, and `/history more` goes on with.
#[derive(Clone)]
pub struct Wanted {
    with: Conversation,
    number: usize,
    /// As /getChatRecords calls them.
    filters: Vec<(&'static str, String)>,
    before_id: u64,
}

/// `/history [N] [FILTER…]`, `/history more`.
pub fn history(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let open = client.session()?.open;
    let with = open.ok_or_else(|| client.failure("noneOpen", &[]))?;
    let wanted = match rest {
        "more" | "更多" => {
            let earlier = client.session()?.earlier.clone().filter(|earlier| earlier.with == with);
            earlier.ok_or_else(|| client.failure("nothingEarlier", &[]))?
        }
        _ => parse(client, with, rest)?,
    };
    let (mut messages, failure) = find_messages(client, &wanted)?;
    let before = messages.len().saturating_sub(wanted.number);
    messages.drain(..before); // there are earlier ones, so much is known
    show(client, &messages)?;
    match failure {
        Some(_) if client.connection.is_none() && !messages.is_empty() => {
            return Err(client.failure("history.away", &[("N", &messages.len())]));
        }
        Some(failure) => return Err(failure), // that was not all, and the rest cannot be had
        None => {}
    }
    let key = if before > 0 { "history.earlier" } else { "history" };
    client.answer(key, &[("N", &messages.len())]);
    let oldest = messages.first().filter(|_| before > 0);
    let earlier = oldest.map(|(oldest, _)| Wanted { before_id: oldest.id, ..wanted });
    client.session_mut()?.earlier = earlier;
    Ok(())
}

fn parse(client: &mut Client, with: Conversation, mut rest: &str) -> Result<Wanted, Failure> {
    let mut wanted =
        Wanted { with, number: RECORDS as usize, filters: Vec::new(), before_id: MAX_NUMBER - 1 };
    if let Some((word, behind)) = take_word(rest)
        && !word.contains(':')
    {
        let number = word.parse().ok().filter(|number| (1..=MAX_HISTORY).contains(number));
        (wanted.number, rest) = (number.ok_or_else(|| needs(client, "N"))?, behind);
    }
    while let Some((key, value)) = rest.trim_start().split_once(':') {
        let (word, behind) = match take_word(value).unwrap_or_default() {
            (_, more) if key == "text" && !more.trim().is_empty() => (value.trim(), ""),
            word_and_rest => word_and_rest,
        };
        wanted.filters.push(filter(client, key, word)?);
        rest = behind;
    }
    if rest.trim().is_empty() { Ok(wanted) } else { Err(needs(client, "FILTER")) }
}

/// One filter, as the server calls it.
fn filter(client: &mut Client, key: &str, word: &str) -> Result<(&'static str, String), Failure> {
    let zone = client.config.offset();
    let moment = |is_end: bool| {
        let moment = time(word, zone, is_end);
        moment.map(|moment| moment.to_string()).ok_or_else(|| needs(client, "TIME"))
    };
    match (key, word) {
        ("since", _) => Ok(("fromTime", moment(false)?)),
        ("until", _) => Ok(("toTime", moment(true)?)),
        ("from", _) if !word.is_empty() => Ok(("fromId", find(client, word)?.to_string())),
        ("text", _) if !word.is_empty() => Ok(("text", word.to_owned())),
        ("type", "text" | "emoji" | "picture" | "file") => Ok(("msgType", word.to_ascii_uppercase())),
        ("type", _) => Err(needs(client, "TYPE")),
        _ => Err(needs(client, "FILTER")),
    }
}

/// `21:30` (today), `2026-11-24`, `2026-11-24T21:30`, as milliseconds since 1970: the first of that minute or day, or the last.
fn time(text: &str, zone: i64, is_end: bool) -> Option<u64> {
    let (date, clock) = match text.split_once('T') {
        Some((date, clock)) => (Some(date), Some(clock)),
        None if text.contains(':') => (None, Some(text)),
        None => (Some(text), None),
    };
    let today = civil(now_ms(), zone);
    let [year, month, day] = match date {
        Some(date) => numbers(date, '-')?,
        None => [today.year, today.month, today.day],
    };
    let [hour, minute] = clock.map_or(Some([0, 0]), |clock| numbers(clock, ':'))?;
    let first = since_1970(Civil { year, month, day, hour, minute, second: 0, weekday: 0 }, zone)?;
    let length = if clock.is_some() { 60_000 } else { 86_400_000 };
    Some(if is_end { first + length - 1 } else { first })
}

fn numbers<const N: usize>(text: &str, between: char) -> Option<[i64; N]> {
    let is_number = |digits: &&str| digits.len() <= 4 && digits.chars().all(|c| c.is_ascii_digit());
    let numbers: Option<Vec<i64>> =
        text.split(between).map(|digits| Some(digits).filter(is_number)?.parse().ok()).collect();
    numbers?.try_into().ok()
}

/// One message more than are wanted, where there are so many: then it is known that there are earlier ones. Those that are
/// recorded here are read here, unless they are to be filtered; the failure is that of asking for the others.
fn find_messages(client: &mut Client, wanted: &Wanted) -> Result<(Vec<Record>, Option<Failure>), Failure> {
    let number = wanted.number + 1;
    let mut found = Vec::new();
    if wanted.filters.is_empty() && client.complete_records(wanted.with).is_some() {
        found = client.log_of(wanted.with)?.newest(wanted.before_id, number).unwrap_or_default();
    }
    while found.len() < number {
        let limit = (number - found.len()).min(MAX_RECORDS as usize);
        let before_id = found.first().map_or(wanted.before_id, |(envelope, _)| envelope.id);
        let page = match fetch(client, wanted.with, before_id, limit, &wanted.filters) {
            Ok(page) => page,
            Err(failure) => return Ok((found, Some(failure))),
        };
        let is_last = page.len() < limit;
        found.splice(..0, page);
        if is_last {
            break;
        }
    }
    Ok((found, None))
}

/// /getChatRecords: the newest `limit` messages below `before_id`, oldest first. Of a file the text is `name/size/MD5`.
pub fn fetch(
    client: &Client,
    with: Conversation,
    before_id: u64,
    limit: usize,
    filters: &[(&str, String)],
) -> Result<Vec<Record>, Failure> {
    let (is_friend, to_id) = (with.is_friend.to_string(), with.to_id.to_string());
    let (before_id, limit) = (before_id.to_string(), limit.to_string());
    let mut arguments =
        vec![("isFriend", &*is_friend), ("toId", &to_id), ("limit", &limit), ("beforeId", &before_id)];
    arguments.extend(filters.iter().map(|(name, value)| (*name, &**value)));
    let page: Vec<FromServer> = client.http_get("/getChatRecords", &arguments)?;
    let record = |message| match message {
        FromServer::ChatSendMsg { envelope, msg_text } => Some((envelope, msg_text)),
        FromServer::ChatSendFile { envelope, stored } => Some((envelope, file_text(&stored.file))),
        _ => None,
    };
    Ok(page.into_iter().filter_map(record).collect())
}

/// `  #ID NAME: TEXT`
fn show(client: &mut Client, messages: &[Record]) -> Result<(), Failure> {
    let mut lines = Vec::new();
    for (envelope, msg_text) in messages {
        let session = client.session_mut()?;
        if !session.people.contains_key(&envelope.from_id) {
            session.meet(envelope.from_id, "", &envelope.from_name);
        }
        let rows = message_rows(client.words, client.session()?, envelope, msg_text);
        let (mark, sent) = (format!("  #{} ", envelope.id), Some(envelope.send_time));
        lines.push(Line { mark, rows, sent, id: None });
    }
    client.show(lines);
    Ok(())
}
