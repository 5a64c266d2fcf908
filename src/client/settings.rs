//! The commands about the program itself, and what goes to everybody: how things stand, trace, language, width, notices.
//!
//! Not here: what can be set at the start alone (config.rs).

use crate::client::arguments::{needs, show_rows};
use crate::client::screen::Line;
use crate::client::words::Words;
use crate::client::{Client, Failure};
use crate::clock::{Civil, civil};
use crate::config::Lang;
use crate::harmless::harmless_name;
use crate::lan;
use crate::limits::{MAX_NOTICE, MAX_WIDTH, MIN_WIDTH};
use crate::trace::LEVELS;

/// `/status`: a name and a value in each row.
pub fn status(client: &mut Client, _: &str) -> Result<(), Failure> {
    let words = client.words;
    let none = || words.say("row.unknown", &[]);
    let (session, connection) = (client.session.as_ref(), client.connection.as_ref());
    let since = |ms: u64| {
        let Civil { year, month, day, hour, minute, .. } = civil(ms, client.config.offset());
        format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}")
    };
    let each_way =
        |(sent, received): (u64, u64)| words.say("status.eachWay", &[("N", &sent), ("M", &received)]);
    let open = session.and_then(|session| Some(session.conversation_name(session.open?)));
    let rows = [
        ("status.server", client.address().to_string()),
        ("status.user", session.map_or_else(none, |session| harmless_name(&session.me.login_name))),
        ("status.since", session.map_or_else(none, |session| since(session.since))),
        ("status.conversation", open.unwrap_or_else(none)),
        (
            "status.frames",
            connection
                .map_or_else(none, |connection| each_way((connection.sender.sequence, connection.received))),
        ),
        ("status.bytes", connection.map_or_else(none, |connection| each_way(connection.socket.bytes()))),
        ("status.unread", session.map_or(0, |session| session.unread_in_all()).to_string()),
        ("status.transfers", client.active_transfers().to_string()),
        ("status.trace", client.config.trace.level().name().to_owned()),
        ("status.width", client.look.width.to_string()),
    ];
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|(key, value)| vec![words.say(key, &[]), value]).collect();
    show_rows(client, &rows);
    Ok(())
}

/// `/trace off|steps|frames|rounds`: how much of the wire is shown from here on.
pub fn trace(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let level = LEVELS.iter().find(|(name, _)| *name == rest).ok_or_else(|| needs(client, "LEVEL"))?;
    client.config.trace.set_level(level.1);
    client.answer("trace", &[("LEVEL", &level.0)]);
    Ok(())
}

/// `/lang en|zh`. Times stay in the zone in which they are.
pub fn lang(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let lang = match rest {
        "en" => Lang::En,
        "zh" => Lang::Zh,
        _ => return Err(needs(client, "LANG")),
    };
    client.words = Words(lang);
    client.answer("lang", &[]);
    Ok(())
}

/// `/width [N]`: into so many columns rows are broken that come while a line is typed.
pub fn width(client: &mut Client, rest: &str) -> Result<(), Failure> {
    if !rest.is_empty() {
        let columns = rest.parse().ok().filter(|columns| (MIN_WIDTH..=MAX_WIDTH).contains(columns));
        client.look.width = columns.ok_or_else(|| needs(client, "WIDTH"))?;
        client.screen.set_width(client.look.width);
    }
    let columns = client.look.width;
    client.answer("width", &[("N", &columns)]);
    Ok(())
}

/// `/notice [TEXT]`: tells it to everybody on the LAN; alone, what was told so far.
pub fn notice(client: &mut Client, text: &str) -> Result<(), Failure> {
    let session = client.session()?;
    if text.is_empty() {
        let said =
            |(from, text): &(String, String)| client.words.say("notice", &[("FROM", from), ("TEXT", text)]);
        let lines: Vec<Line> = session.notices.iter().map(|one| Line::new("  ", &said(one))).collect();
        let number = lines.len();
        client.show(lines);
        client.answer("notices", &[("N", &number)]);
        return Ok(());
    }
    if text.len() > MAX_NOTICE {
        return Err(client.failure("noticeSize", &[("M", &MAX_NOTICE), ("N", &text.len())]));
    }
    lan::broadcast(&client.config, &session.me.username, text).map_err(Failure::Said)?;
    client.answer("noticeSent", &[]);
    Ok(())
}
