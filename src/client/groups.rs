//! The commands about groups, and what the server tells of them.
//!
//! Rules: GROUP is `#GNAME` or `#GID`, and where it is left out the open one. The names of one's groups are known from LOGIN on
//! and learn from GROUP_CHANGED; everything else is asked anew each time.
//! Start with `find_group`, which makes a gId of GROUP, and `changed`.

use serde_json::Value;

use crate::client::arguments::{needs, show_rows, take_word, words_of};
use crate::client::conversation::{Conversation, Session};
use crate::client::people::{find, person_row, take_who};
use crate::client::words::Values;
use crate::client::{Client, Failure};
use crate::harmless::harmless_name;
use crate::message::{Code, FromServer, GroupRow, Member};

/// The gId of `#GNAME` or `#GID`; a number is a gId where one of ours has it, or one that we left with something unread, else a name.
fn find_group(client: &Client, group: &str) -> Result<u64, Failure> {
    let Session { groups, unread, .. } = client.session()?;
    let name = without_sign(group);
    let is_known = |to_id: u64| {
        groups.contains_key(&to_id) || unread.contains_key(&Conversation { is_friend: false, to_id })
    };
    let by_number = name.parse().ok().filter(|g_id| is_known(*g_id));
    let named: Vec<u64> = groups.iter().filter(|(_, gname)| *gname == name).map(|(g_id, _)| *g_id).collect();
    let shown = shown_name(name);
    match (by_number, &named[..]) {
        (Some(g_id), _) | (None, &[g_id]) => Ok(g_id),
        (None, []) => Err(client.refused(Code::NoSuchGroup, &[("GNAME", &shown)])),
        _ => {
            let list: Vec<String> = named.iter().map(|g_id| format!("#{g_id}")).collect();
            Err(client.failure("several", &[("WHO", &shown), ("LIST", &client.words.list(&list))]))
        }
    }
}

/// A group's name as it is shown.
pub fn shown_name(gname: &str) -> String {
    format!("#{}", harmless_name(gname))
}

/// A group's name or number as it was typed, without the sign before it.
fn without_sign(group: &str) -> &str {
    group.trim_start_matches(['#', '＃'])
}

/// Whether a word names a group: people have no such names here.
fn is_group(word: &str) -> bool {
    word.starts_with(['#', '＃'])
}

/// The GROUP that is meant: `word`, or without one the open group.
fn group_or_open(client: &Client, word: Option<&str>) -> Result<u64, Failure> {
    match (word, client.session()?.open) {
        (Some(word), _) => find_group(client, word),
        (None, Some(Conversation { is_friend: false, to_id })) => Ok(to_id),
        _ => Err(needs(client, "GROUP")),
    }
}

/// The WHO or GROUP that a command begins with, and what stands behind it.
pub fn take_conversation<'a>(client: &mut Client, rest: &'a str) -> Result<(Conversation, &'a str), Failure> {
    if let Some((word, behind)) = take_word(rest).filter(|(word, _)| is_group(word)) {
        return Ok((Conversation { is_friend: false, to_id: find_group(client, word)? }, behind));
    }
    let (to_id, behind) = take_who(client, rest)?;
    Ok((Conversation { is_friend: true, to_id }, behind))
}

/// /getGroups: their names are known from then on.
pub fn fetch_groups(client: &mut Client) -> Result<Vec<GroupRow>, Failure> {
    let groups: Vec<GroupRow> = client.http_get("/getGroups", &[])?;
    let session = client.session_mut()?;
    session.groups = groups.iter().map(|group| (group.g_id, group.gname.clone())).collect();
    Ok(groups)
}

/// One GET about a group. What it refuses is said in words that name the group, and whom it is about.
fn ask(
    client: &mut Client,
    path: &str,
    g_id: u64,
    more: &[(&str, &str)],
    uid: Option<u64>,
) -> Result<Value, Failure> {
    let number = g_id.to_string();
    let answer = client.http_get(path, &[&[("gId", number.as_str())], more].concat());
    answer.map_err(|failure| {
        let Some(session) = &client.session else { return failure };
        let group = session.group_name(g_id);
        let uid = uid.unwrap_or(session.me.uid);
        let (username, who) = (session.username(uid), session.who(uid));
        let values: Values = &[("GNAME", &group), ("USERNAME", &username), ("WHO", &who)];
        match &failure {
            Failure::Refused(refusal) if refusal.code == Code::Already => {
                client.failure("refused.alreadyMember", values)
            }
            _ => client.explain(failure, values),
        }
    })
}

/// `/groups`.
pub fn groups(client: &mut Client, _: &str) -> Result<(), Failure> {
    let groups = fetch_groups(client)?;
    let mut rows = Vec::new();
    for group in &groups {
        if !client.session()?.people.contains_key(&group.owner) && client.session()?.me.uid != group.owner {
            let answer: Value = client.http_get("/getUsernameByUid", &[("uid", &group.owner.to_string())])?;
            client.session_mut()?.meet(group.owner, "", answer["username"].as_str().unwrap_or_default());
        }
        let session = client.session()?;
        let unread = session.unread_in(Conversation { is_friend: false, to_id: group.g_id });
        rows.push(vec![
            group.g_id.to_string(),
            session.group_name(group.g_id),
            client.words.say("row.members", &[("N", &group.size)]),
            client.words.say("row.ownedBy", &[("USERNAME", &session.username(group.owner))]),
            client.words.say("unread", &[("N", &unread)]),
        ]);
    }
    show_rows(client, &rows);
    client.answer("groups", &[("N", &groups.len())]);
    Ok(())
}

/// `/create GNAME [WHO…]`.
pub fn create(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let (gname, behind) = take_word(rest).ok_or_else(|| needs(client, "GNAME"))?;
    let gname = without_sign(gname);
    let mut uids = Vec::new();
    for who in words_of(behind) {
        uids.push(find(client, who)?.to_string());
    }
    let made: Value = client.http_get("/createGroup", &[("gname", gname), ("members", &uids.join(","))])?;
    let g_id = made["gId"].as_u64().unwrap_or_default();
    client.session_mut()?.groups.insert(g_id, gname.to_owned());
    let name = client.session()?.group_name(g_id);
    client.answer("created", &[("GNAME", &name), ("GID", &g_id), ("N", &uids.len())]);
    client.fence();
    Ok(())
}

/// `/invite WHO… [GROUP]`.
pub fn invite(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let mut words = words_of(rest);
    let last = words.pop_if(|word| is_group(word));
    if words.is_empty() {
        return Err(needs(client, "WHO"));
    }
    let g_id = group_or_open(client, last)?;
    for who in words {
        let uid = find(client, who)?;
        let asked = ask(client, "/addFriendsOrGroup", g_id, &[("friendId", &uid.to_string())], Some(uid))?;
        let session = client.session()?;
        let (username, group) = (session.username(uid), session.group_name(g_id));
        client.answer("invited", &[("USERNAME", &username), ("GNAME", &group), ("ID", &asked["id"])]);
    }
    Ok(())
}

/// `/join GID`.
pub fn join(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let number = without_sign(rest).parse().ok();
    let g_id: u64 = number.ok_or_else(|| needs(client, "GID"))?;
    let found = ask(client, "/getGnameByGid", g_id, &[], None)?;
    let group = shown_name(found["gname"].as_str().unwrap_or_default());
    let asked = ask(client, "/addFriendsOrGroup", g_id, &[], None)?;
    client.answer("askedToJoin", &[("GNAME", &group), ("ID", &asked["id"])]);
    Ok(())
}

/// The members of a group, who are known from then on.
pub fn fetch_members(client: &mut Client, g_id: u64) -> Result<Vec<Member>, Failure> {
    let found = ask(client, "/getGroupMembers", g_id, &[], None)?;
    let members: Vec<Member> = serde_json::from_value(found).unwrap_or_default();
    let session = client.session_mut()?;
    for Member { user, .. } in &members {
        session.meet(user.uid, &user.login_name, &user.username);
    }
    Ok(members)
}

/// `/members [GROUP]`.
pub fn members(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let g_id = group_or_open(client, take_word(rest).map(|(word, _)| word))?;
    let members = fetch_members(client, g_id)?;
    let mut rows = Vec::new();
    for member in &members {
        let mut row = person_row(client, &member.user)?;
        row.extend(member.owner.then(|| client.words.say("row.owner", &[])));
        rows.push(row);
    }
    show_rows(client, &rows);
    let online = members.iter().filter(|member| member.online).count();
    client.answer("members", &[("N", &members.len()), ("ONLINE", &online)]);
    Ok(())
}

/// `/rename [GROUP] GNAME`.
pub fn rename(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let words = words_of(rest);
    let (group, gname) = match words[..] {
        [group, gname] if is_group(group) => (Some(group), gname),
        [gname] => (None, gname),
        _ => return Err(needs(client, "GNAME")),
    };
    let g_id = group_or_open(client, group)?;
    let old = client.session()?.group_name(g_id);
    let gname = without_sign(gname);
    ask(client, "/modifyGroupName", g_id, &[("gname", gname)], None)?;
    client.answer("renamed", &[("OLD", &old), ("GNAME", &shown_name(gname))]);
    client.fence();
    Ok(())
}

/// `/remove WHO [GROUP]`.
pub fn remove(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let (uid, behind) = take_who(client, rest)?;
    let g_id = group_or_open(client, take_word(behind).map(|(word, _)| word))?;
    ask(client, "/removeMember", g_id, &[("uid", &uid.to_string())], Some(uid))?;
    let session = client.session()?;
    let (username, group) = (session.username(uid), session.group_name(g_id));
    client.answer("removed", &[("USERNAME", &username), ("GNAME", &group)]);
    client.fence();
    Ok(())
}

/// `/leave [GROUP]`.
pub fn leave(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let g_id = group_or_open(client, take_word(rest).map(|(word, _)| word))?;
    end(client, "/quitGroup", g_id, "left")
}

/// `/dissolve GROUP`: the name must be typed.
pub fn dissolve(client: &mut Client, rest: &str) -> Result<(), Failure> {
    let (group, _) = take_word(rest).ok_or_else(|| needs(client, "GROUP"))?;
    let g_id = find_group(client, group)?;
    end(client, "/deleteGroup", g_id, "dissolved")
}

fn end(client: &mut Client, path: &str, g_id: u64, key: &str) -> Result<(), Failure> {
    let group = client.session()?.group_name(g_id);
    ask(client, path, g_id, &[], None)?;
    client.answer(key, &[("GNAME", &group)]);
    client.fence();
    Ok(())
}

/// GROUP_CHANGED: what it means to us, in one line, or in none for one's own leaving.
pub fn changed(client: &mut Client, change: &FromServer) {
    let FromServer::GroupChanged { what, g_id, gname, uid, username, .. } = change else { return };
    let Some(session) = &mut client.session else { return };
    let is_me = *uid == session.me.uid;
    if !is_me && !session.people.contains_key(uid) {
        session.meet(*uid, "", username);
    }
    let is_new = what == "created" || (what == "joined" && is_me);
    if !is_new && !session.groups.contains_key(g_id) {
        return; // one's own leaving was told before
    }
    session.groups.insert(*g_id, gname.clone());
    let (group, name) = (session.group_name(*g_id), session.username(*uid));
    if what == "deleted" || (is_me && (what == "left" || what == "removed")) {
        session.groups.remove(g_id);
        session.open.take_if(|open| *open == Conversation { is_friend: false, to_id: *g_id });
    }
    let key = match (what.as_str(), is_me) {
        ("created", _) | ("joined", true) => "group.mine",
        ("left", true) => return,
        ("removed", true) => "group.removedMe",
        ("joined" | "left" | "removed" | "renamed" | "owner" | "deleted", _) => &format!("group.{what}"),
        _ => return, // of a later version
    };
    client.event(key, &[("GNAME", &group), ("GID", g_id), ("USERNAME", &name)]);
}

impl Session {
    /// `#GNAME`, or `#GID` where the name is not known.
    pub fn group_name(&self, g_id: u64) -> String {
        match self.groups.get(&g_id) {
            Some(gname) => shown_name(gname),
            None => format!("#{g_id}"),
        }
    }

    /// What can be typed for a conversation, and what it is called: a login name, or `#GNAME`.
    pub fn conversation_name(&self, with: Conversation) -> String {
        if with.is_friend { self.who(with.to_id) } else { self.group_name(with.to_id) }
    }
}
