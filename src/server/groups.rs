//! Groups: what a user may do with one, and who hears of it.
//!
//! Rules: first the database, then the queues of those who are online. GROUP_CHANGED goes to all members before and after
//! a change; one change is told before the next one is made, so that nobody hears of two in the wrong order.
//! Not here: the SQL and who may (store/groups.rs), messages to a group (chat.rs).

use crate::message::{FromServer, GroupRow, Member, Refusal};
use crate::server::{Server, people};
use crate::store::{Group, Succession};

/// createGroup: the gId. `created` goes to the creator alone, a REQUEST to each friend.
pub fn create(server: &Server, uid: u64, gname: &str, friends: &[u64]) -> Result<u64, Refusal> {
    let _one_at_a_time = server.one_change();
    let (group, requests) = server.store.create_group(uid, gname, friends)?;
    tell(server, &group, "created", uid, uid);
    for (to, request) in &requests {
        server.online_users.deliver(*to, request);
    }
    Ok(group.g_id)
}

/// addFriendsOrGroup with a gId: a member invites a friend, or, without one, somebody asks the owner. The id of the request.
pub fn ask(server: &Server, uid: u64, g_id: u64, friend_id: Option<u64>) -> Result<u64, Refusal> {
    let _one_at_a_time = server.one_change();
    let asked = match friend_id {
        Some(friend_id) => server.store.invite(uid, g_id, friend_id)?,
        None => server.store.ask_to_join(uid, g_id)?,
    };
    Ok(people::tell_request(server, asked))
}

/// modifyGroupName.
pub fn rename(server: &Server, uid: u64, g_id: u64, gname: &str) -> Result<(), Refusal> {
    let _one_at_a_time = server.one_change();
    let group = server.store.rename_group(uid, g_id, gname)?;
    tell(server, &group, "renamed", uid, uid);
    Ok(())
}

/// removeMember.
pub fn remove_member(server: &Server, uid: u64, g_id: u64, member: u64) -> Result<(), Refusal> {
    let _one_at_a_time = server.one_change();
    let group = server.store.remove_member(uid, g_id, member)?;
    tell(server, &group, "removed", member, uid);
    Ok(())
}

/// deleteGroup.
pub fn delete(server: &Server, uid: u64, g_id: u64) -> Result<(), Refusal> {
    let _one_at_a_time = server.one_change();
    let group = server.store.delete_group(uid, g_id)?;
    tell(server, &group, "deleted", uid, uid);
    Ok(())
}

/// quitGroup: `left`, then `owner` with the open requests for the new one, or `deleted` when that was the last member.
pub fn quit(server: &Server, uid: u64, g_id: u64) -> Result<(), Refusal> {
    let _one_at_a_time = server.one_change();
    let (group, succession) = server.store.quit_group(uid, g_id)?;
    tell(server, &group, "left", uid, uid);
    match succession {
        Succession::Same => {}
        Succession::Dissolved => tell(server, &group, "deleted", uid, uid),
        Succession::Owner(next, requests) => {
            tell(server, &group, "owner", next, uid);
            requests.iter().for_each(|request| server.online_users.deliver(next, request));
        }
    }
    Ok(())
}

/// The groups of a user, with how many are online and how many messages wait.
pub fn list(server: &Server, uid: u64) -> Result<Vec<GroupRow>, Refusal> {
    let unread = server.store.unread(uid)?;
    let row = |group: Group| {
        let Group { g_id, gname, owner, members } = group;
        let online = members.iter().filter(|&&member| server.online_users.is_online(member)).count();
        let unread = unread.get(&(false, g_id)).copied().unwrap_or(0);
        GroupRow { g_id, gname, owner, size: members.len(), online, unread }
    };
    Ok(server.store.groups(uid)?.into_iter().map(row).collect())
}

/// The members of a group, with who is online.
pub fn members(server: &Server, uid: u64, g_id: u64) -> Result<Vec<Member>, Refusal> {
    let mut members = server.store.group_members(uid, g_id)?;
    for member in &mut members {
        member.online = server.online_users.is_online(member.user.uid);
    }
    Ok(members)
}

/// GROUP_CHANGED to the members of `group`. `uid`: whom it is about. What is stored stays stored when the database goes away
/// just now: then they learn it at their next login.
pub fn tell(server: &Server, group: &Group, what: &str, uid: u64, by_uid: u64) {
    let Ok(about) = server.store.user(uid) else { return };
    let (what, gname, username) = (what.to_owned(), group.gname.clone(), about.username);
    let changed = FromServer::GroupChanged { what, g_id: group.g_id, gname, uid, username, by_uid };
    group.members.iter().for_each(|&member| server.online_users.deliver(member, &changed));
}
