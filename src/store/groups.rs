//! Groups in the database: members, requests, succession. A part of store.rs.
//!
//! Rules: a group is there while it has members, and its owner (`groupChat.createUid`) is one of them. The row of a group
//! that is no more stays, since messages name it. Each function is one transaction, and says who is to hear of it.
//! Not here: messages of a group (store/messages.rs), who hears of what in which words (server/groups.rs).

use super::driver::{Connection, Failure, Row, Value};
use super::people::are_friends;
use super::{Asked, COLUMNS, GROUP, JOIN, MESSAGES, SAID, Store, Trouble, USER, ask, pushed, the_row, user};
use crate::clock::now_ms;
use crate::limits::GROUP_MEMBERS;
use crate::message::{Code, FromServer, Member, Refusal};

/// A group, and who is or was just now in it: those who hear of a change.
pub struct Group {
    /// Its number.
    pub g_id: u64,
    /// Its name.
    pub gname: String,
    /// The owner's uid.
    pub owner: u64,
    /// Uids, who joined first stands first.
    pub members: Vec<u64>,
}

/// How a group goes on without a member who left.
pub enum Succession {
    /// As before.
    Same,
    /// With another owner, to whom the open requests go now.
    Owner(u64, Vec<FromServer>),
    /// Not at all: that was the last one.
    Dissolved,
}

impl Store {
    /// createGroup: the new group of `uid`, and what each of `friends` is asked. `badRequest`, `noSuchUser`, `notFriends`.
    pub fn create_group(
        &self,
        uid: u64,
        gname: &str,
        friends: &[u64],
    ) -> Result<(Group, Vec<(u64, FromServer)>), Refusal> {
        let (gname, mut friends) = (gname.to_owned(), friends.to_vec());
        friends.sort_unstable();
        friends.dedup();
        self.write("group", move |db| {
            for &friend in &friends {
                require_friend(db, uid, friend, "members")?;
            }
            let now = now_ms();
            let values = [uid.into(), gname.as_str().into(), now.into()];
            db.run("INSERT INTO groupChat (createUid, gname, updateTime) VALUES (?, ?, ?)", &values)?;
            let newest = "SELECT id FROM groupChat WHERE createUid = ? ORDER BY id DESC LIMIT 1";
            let g_id = the_row(db, newest, &[uid.into()])?.number(0);
            add_member(db, g_id, uid, now)?;
            let group = Group { g_id, gname: gname.clone(), owner: uid, members: vec![uid] };
            let mut requests = Vec::new();
            for &friend in &friends {
                requests.extend(ask(db, uid, friend, GROUP, Some(g_id))?.1);
            }
            Ok((group, requests))
        })
    }

    /// A member invites a friend. `noSuchGroup`, `notMember`, `noSuchUser`, `notFriends`, `already`.
    pub fn invite(&self, uid: u64, g_id: u64, friend_id: u64) -> Result<Asked, Refusal> {
        self.write("request", move |db| {
            let group = group(db, g_id)?;
            group.require_member(uid)?;
            require_friend(db, uid, friend_id, "friendId")?;
            group.require_stranger(friend_id)?;
            Ok(ask(db, uid, friend_id, GROUP, Some(g_id))?)
        })
    }

    /// Asks the owner to be let in. `noSuchGroup`, `already`.
    pub fn ask_to_join(&self, uid: u64, g_id: u64) -> Result<Asked, Refusal> {
        self.write("request", move |db| {
            let group = group(db, g_id)?;
            group.require_stranger(uid)?;
            Ok(ask(db, uid, group.owner, JOIN, Some(g_id))?)
        })
    }

    /// modifyGroupName: the group under its new name. `noSuchGroup`, `notMember`, `notOwner`.
    pub fn rename_group(&self, uid: u64, g_id: u64, gname: &str) -> Result<Group, Refusal> {
        let gname = gname.to_owned();
        self.write("group name", move |db| {
            let group = own_group(db, uid, g_id)?;
            let sql = "UPDATE groupChat SET gname = ?, updateTime = ? WHERE id = ?";
            db.run(sql, &[gname.as_str().into(), now_ms().into(), g_id.into()])?;
            Ok(Group { gname: gname.clone(), ..group })
        })
    }

    /// removeMember: the group as it was before. `noSuchGroup`, `notMember`, `notOwner`, `badRequest` for oneself.
    pub fn remove_member(&self, uid: u64, g_id: u64, member: u64) -> Result<Group, Refusal> {
        self.write("member removed", move |db| {
            let group = own_group(db, uid, g_id)?;
            if member == uid {
                return Err(Refusal::bad("uid: that is yourself, use /quitGroup").into());
            }
            if !group.members.contains(&member) {
                return Err(Refusal::new(Code::NotMember, format!("uid: {member} is no member")).into());
            }
            remove(db, g_id, member)?;
            Ok(group)
        })
    }

    /// deleteGroup: the group as it was. `noSuchGroup`, `notMember`, `notOwner`.
    pub fn delete_group(&self, uid: u64, g_id: u64) -> Result<Group, Refusal> {
        self.write("group deleted", move |db| {
            let group = own_group(db, uid, g_id)?;
            db.run("DELETE FROM groupMembers WHERE gId = ?", &[g_id.into()])?;
            end_requests(db, g_id)?;
            Ok(group)
        })
    }

    /// quitGroup: the group as it was, and how it goes on. When the owner quits, the member who joined first owns it.
    /// `noSuchGroup`, `notMember`.
    pub fn quit_group(&self, uid: u64, g_id: u64) -> Result<(Group, Succession), Refusal> {
        self.write("member left", move |db| {
            let group = group(db, g_id)?;
            group.require_member(uid)?;
            remove(db, g_id, uid)?;
            let Some(&next) = group.members.iter().find(|&&member| member != uid) else {
                end_requests(db, g_id)?;
                return Ok((group, Succession::Dissolved));
            };
            if group.owner != uid {
                return Ok((group, Succession::Same));
            }
            let own = "UPDATE groupChat SET createUid = ?, updateTime = ? WHERE id = ?";
            db.run(own, &[next.into(), now_ms().into(), g_id.into()])?;
            let hand_over =
                "UPDATE message SET toUid = ? WHERE gId = ? AND type = ? AND toUid = ? AND handle = 0";
            db.run(hand_over, &[next, g_id, JOIN, uid].map(Value::from))?;
            let open = format!(
                "SELECT {COLUMNS} {MESSAGES} WHERE m.gId = ? AND m.type = ? AND m.toUid = ? AND m.handle = 0 \
                 ORDER BY m.id"
            );
            let requests = db.rows(&open, &[g_id, JOIN, next].map(Value::from))?;
            Ok((group, Succession::Owner(next, requests.iter().map(pushed).collect())))
        })
    }

    /// A group, for whoever knows its number. `noSuchGroup`.
    pub fn group(&self, g_id: u64) -> Result<Group, Refusal> {
        self.read(|db| group(db, g_id))
    }

    /// The groups of a user, in order of gId.
    pub fn groups(&self, uid: u64) -> Result<Vec<Group>, Refusal> {
        let sql = "SELECT gm.gId, gm.uId, g.gname, g.createUid FROM groupMembers mine \
                   JOIN groupMembers gm ON gm.gId = mine.gId JOIN groupChat g ON g.id = mine.gId \
                   WHERE mine.uId = ? ORDER BY gm.gId, gm.id";
        let mut groups: Vec<Group> = Vec::new();
        for row in self.rows(sql, &[uid.into()])? {
            let (g_id, member) = (row.number(0), row.number(1));
            match groups.last_mut().filter(|group| group.g_id == g_id) {
                Some(group) => group.members.push(member),
                None => {
                    let (gname, owner) = (row.text(2), row.number(3));
                    groups.push(Group { g_id, gname, owner, members: vec![member] });
                }
            }
        }
        Ok(groups)
    }

    /// getGroupMembers, for a member: who joined first stands first. Who is online the database does not know. `noSuchGroup`,
    /// `notMember`.
    pub fn group_members(&self, uid: u64, g_id: u64) -> Result<Vec<Member>, Refusal> {
        let sql = format!(
            "SELECT {USER}, gm.joinTime FROM groupMembers gm JOIN users u ON u.id = gm.uId \
             WHERE gm.gId = ? ORDER BY gm.id"
        );
        self.read(|db| {
            let group = group(db, g_id)?;
            group.require_member(uid)?;
            let member = |row: &Row| {
                let user = user(row);
                Member { online: false, join_time: row.number(5), owner: user.uid == group.owner, user }
            };
            Ok(db.rows(&sql, &[g_id.into()])?.iter().map(member).collect())
        })
    }
}

impl Group {
    /// `notMember`.
    pub(super) fn require_member(&self, uid: u64) -> Result<(), Refusal> {
        let text = format!("you are no member of group {}", self.g_id);
        if self.members.contains(&uid) { Ok(()) } else { Err(Refusal::new(Code::NotMember, text)) }
    }

    /// `already`.
    fn require_stranger(&self, uid: u64) -> Result<(), Refusal> {
        let text = format!("{uid} is a member of group {} already", self.g_id);
        if self.members.contains(&uid) { Err(Refusal::new(Code::Already, text)) } else { Ok(()) }
    }
}

/// A group that is there. `noSuchGroup`.
pub(super) fn group(db: &mut Connection, g_id: u64) -> Result<Group, Trouble> {
    let found = db.rows("SELECT gname, createUid FROM groupChat WHERE id = ?", &[g_id.into()])?;
    let members = db.rows("SELECT uId FROM groupMembers WHERE gId = ? ORDER BY id", &[g_id.into()])?;
    match found.first() {
        Some(row) if !members.is_empty() => {
            let members = members.iter().map(|row| row.number(0)).collect();
            Ok(Group { g_id, gname: row.text(0), owner: row.number(1), members })
        }
        _ => Err(Refusal::new(Code::NoSuchGroup, format!("there is no group {g_id}")).into()),
    }
}

fn own_group(db: &mut Connection, uid: u64, g_id: u64) -> Result<Group, Trouble> {
    let group = group(db, g_id)?;
    group.require_member(uid)?;
    if group.owner != uid {
        return Err(Refusal::new(Code::NotOwner, format!("group {g_id} is not yours")).into());
    }
    Ok(group)
}

/// Who is or was a member has records of a group, also when that is no more. `noSuchGroup`, `notMember`.
pub(super) fn require_reader(db: &mut Connection, uid: u64, g_id: u64) -> Result<(), Trouble> {
    let row = "SELECT id FROM message WHERE gId = ? AND type = ? AND toUid = ? LIMIT 1";
    if !db.rows(row, &[g_id, SAID, uid].map(Value::from))?.is_empty() {
        return Ok(());
    }
    Ok(group(db, g_id)?.require_member(uid)?)
}

/// An accepted request: `uid` is a member from now on, and nothing more waits between the two. The group with its new
/// member. `noSuchGroup`, `already`, `tooMany`.
pub(super) fn join(db: &mut Connection, uid: u64, g_id: u64, now: u64) -> Result<Group, Trouble> {
    let mut group = group(db, g_id)?;
    group.require_stranger(uid)?;
    if group.members.len() >= GROUP_MEMBERS {
        let text = format!("group {g_id} is full: it has {GROUP_MEMBERS} members");
        return Err(Refusal::new(Code::TooMany, text).into());
    }
    add_member(db, g_id, uid, now)?;
    for (kind, column) in [(GROUP, "toUid"), (JOIN, "fromUid")] {
        let accept = format!(
            "UPDATE message SET handle = 1, handleTime = ? WHERE gId = ? AND type = ? AND {column} = ? AND handle = 0"
        );
        db.run(&accept, &[now, g_id, kind, uid].map(Value::from))?;
    }
    group.members.push(uid);
    Ok(group)
}

fn add_member(db: &mut Connection, g_id: u64, uid: u64, now: u64) -> Result<(), Failure> {
    let insert = "INSERT INTO groupMembers (gId, uId, joinTime) VALUES (?, ?, ?)";
    db.run(insert, &[g_id, uid, now].map(Value::from)).map(drop)
}

/// With a member their open invitations end: who is invited by them could let them in again.
fn remove(db: &mut Connection, g_id: u64, uid: u64) -> Result<(), Failure> {
    db.run("DELETE FROM groupMembers WHERE gId = ? AND uId = ?", &[g_id, uid].map(Value::from))?;
    let refuse = "UPDATE message SET handle = 2, handleTime = ? WHERE gId = ? AND type = ? AND fromUid = ? AND handle = 0";
    db.run(refuse, &[now_ms(), g_id, GROUP, uid].map(Value::from)).map(drop)
}

/// Nobody can be let into a group that is no more.
fn end_requests(db: &mut Connection, g_id: u64) -> Result<(), Failure> {
    for kind in [GROUP, JOIN] {
        let refuse =
            "UPDATE message SET handle = 2, handleTime = ? WHERE gId = ? AND type = ? AND handle = 0";
        db.run(refuse, &[now_ms(), g_id, kind].map(Value::from))?;
    }
    Ok(())
}

/// `badRequest` for oneself, `noSuchUser`, `notFriends`; `name` is the argument's.
fn require_friend(db: &mut Connection, uid: u64, friend_id: u64, name: &str) -> Result<(), Trouble> {
    if !are_friends(db, uid, friend_id, name)? {
        let text = format!("{name}: {friend_id} is not a friend of yours");
        return Err(Refusal::new(Code::NotFriends, text).into());
    }
    Ok(())
}
