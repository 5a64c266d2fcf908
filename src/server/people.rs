//! Users and friendships: the rules, whether they are asked over chat or HTTP, and who hears of a change.
//!
//! Rules: first the database, then the queues of those who are online; a change that concerns someone online reaches
//! them at once. Unknown name or wrong password: the same answer, after the same work (where `--passwordRounds` stays).
//! Not here: groups (groups.rs), the SQL (store/people.rs).

use std::net::IpAddr;
use std::time::Instant;

use crate::md5_check::{password_digest, password_matches};
use crate::message::{Changes, Code, Friend, FromServer, NewPwd, NewUser, Refusal, User};
use crate::server::online::{ELSEWHERE, PASSWORD_CHANGED};
use crate::server::sessions::Session;
use crate::server::{Server, groups, pictures};
use crate::store::{Answered, Asked};

/// REGISTER: the uid of the new user. `loginNameTaken`.
pub fn register(server: &Server, user: &NewUser, address: IpAddr) -> Result<u64, Refusal> {
    pictures::require_ours(server, &user.pic_url)?;
    let digest = digest_in_turn(server, &user.pwd, address);
    server.store.add_user(user, &digest)
}

fn digest_in_turn(server: &Server, pwd: &str, address: IpAddr) -> String {
    let _turn = server.digests.take(address);
    password_digest(pwd, server.config.password_rounds)
}

/// modifyUser: the user as they are now. Friends hear of a new username. A new password wants the old one, and ends all
/// sessions of the user. `badLogin`, `tooManyTries`.
pub fn modify_user(server: &Server, uid: u64, changes: &Changes, address: IpAddr) -> Result<User, Refusal> {
    pictures::require_ours(server, changes.pic_url.as_deref().unwrap_or_default())?;
    let Some(NewPwd { pwd, old_pwd }) = &changes.pwd else {
        let _one_at_a_time = server.one_change();
        return change(server, uid, changes, None);
    };
    let login_name = server.store.user(uid)?.login_name;
    let (_, checked) = check_password(server, &login_name, old_pwd, address)?;
    let digest = digest_in_turn(server, pwd, address);
    let _one_at_a_time = server.one_change();
    if server.sessions.all_ended_since(uid, checked) {
        return Err(bad_login()); // another change came first
    }
    change(server, uid, changes, Some(digest))
}

/// A new password by the operator's will, without the old one.
pub fn set_password(server: &Server, uid: u64, pwd: &str) -> Result<(), Refusal> {
    let digest = password_digest(pwd, server.config.password_rounds);
    let _one_at_a_time = server.one_change();
    change(server, uid, &Changes::default(), Some(digest)).map(|_| ())
}

/// Changes a user; the caller holds `one_change`. With a new digest all their sessions end, also where the database fell
/// silent: then nobody knows whether it is in force.
fn change(server: &Server, uid: u64, changes: &Changes, digest: Option<String>) -> Result<User, Refusal> {
    let has_new_password = digest.is_some();
    let changed = server.store.modify_user(uid, changes, digest);
    let may_be_done = changed.as_ref().map_or_else(|refusal| refusal.code == Code::DatabaseDown, |_| true);
    if has_new_password && may_be_done {
        let (code, text) = PASSWORD_CHANGED;
        server.sessions.end_all(uid).iter().for_each(|session| kick(server, session, code, text));
    }
    let (before, after) = changed?;
    if before.username != after.username {
        tell_state(server, uid);
    }
    Ok(after)
}

/// The user of a login name, if this is their password: else `badLogin`, whatever was wrong; `tooManyTries`. And the moment
/// before it was looked up which password is right.
pub fn check_password(
    server: &Server,
    login_name: &str,
    pwd: &str,
    address: IpAddr,
) -> Result<(User, Instant), Refusal> {
    let checked = server.brake.guard(&login_name.to_lowercase(), address, || {
        let now = Instant::now();
        let found = server.store.user_and_digest(login_name)?;
        let digest = found.as_ref().map_or(&server.nobodys_digest, |(_, digest)| digest);
        let _turn = server.digests.take(address);
        let is_right = password_matches(pwd, digest);
        Ok(found.filter(|_| is_right).map(|(user, _)| (user, now)))
    })?;
    checked.ok_or_else(bad_login)
}

fn bad_login() -> Refusal {
    Refusal::new(Code::BadLogin, "wrong loginName or pwd")
}

/// A session for a user whose password was right when it was `checked`; another of theirs may end by it. `badLogin`: the
/// password was changed since.
pub fn begin_session(server: &Server, uid: u64, is_chat: bool, checked: Instant) -> Result<Session, Refusal> {
    let connected = server.online_users.session_of(uid).map(|session| session.id);
    let begun = server.sessions.begin(uid, is_chat, checked, connected.as_deref());
    let (session, replaced, unused) = begun.ok_or_else(bad_login)?;
    if let Some(replaced) = replaced {
        let (code, text) = ELSEWHERE;
        server.transfers.kick(&replaced, code, text); // its chat connection hears it from `online_users`
    }
    if let Some(unused) = unused {
        kick(server, &unused, "unused", "too many sessions: this one was unused longest");
    }
    Ok(session)
}

/// Ends a session and the connection that lives by it.
pub fn end_session(server: &Server, session: &Session, code: &str, text: &str) {
    server.sessions.end(&session.id);
    kick(server, session, code, text);
}

fn kick(server: &Server, session: &Session, code: &str, text: &str) {
    server.transfers.kick(session, code, text);
    if server.online_users.kick(session, code, text) {
        tell_state(server, session.uid);
    }
}

/// Tells the friends of a user whether they are online, and what they are called. When the database is away nobody is told.
pub fn tell_state(server: &Server, uid: u64) {
    let (Ok(user), Ok(friends)) = (server.store.user(uid), server.store.friends(uid)) else { return };
    let uids: Vec<u64> = friends.iter().map(|friend| friend.uid).collect();
    server.online_users.deliver_state(&user, &uids);
}

/// The friends of a user, with who is online and how many of their messages wait.
pub fn friends(server: &Server, uid: u64) -> Result<Vec<Friend>, Refusal> {
    let unread = server.store.unread(uid)?;
    let mut friends = Vec::new();
    for user in server.store.friends(uid)? {
        let unread = unread.get(&(true, user.uid)).copied().unwrap_or(0);
        friends.push(Friend { online: server.online_users.is_online(user.uid), unread, user });
    }
    Ok(friends)
}

/// Asks somebody to be friends: the id of the request, which they hear of at once.
pub fn ask_friend(server: &Server, uid: u64, friend_id: u64) -> Result<u64, Refusal> {
    Ok(tell_request(server, server.store.ask_friend(uid, friend_id)?))
}

/// The id of a request; whoever gets it hears of it at once.
pub fn tell_request(server: &Server, (id, request): Asked) -> u64 {
    if let Some((to, request)) = request {
        server.online_users.deliver(to, &request);
    }
    id
}

/// messageHandle: accepts or refuses a request to `uid`. The asker hears nothing of a refusal.
pub fn answer_request(server: &Server, uid: u64, id: u64, accept: bool) -> Result<(), Refusal> {
    let _one_at_a_time = server.one_change();
    match server.store.answer_request(uid, id, accept)? {
        Answered::Refused => {}
        Answered::Friends(asker) => tell_friendship(server, uid, asker, "added"),
        Answered::Joined(member, group) => groups::tell(server, &group, "joined", member, uid),
    }
    Ok(())
}

/// Ends a friendship.
pub fn delete_friend(server: &Server, uid: u64, friend_id: u64) -> Result<(), Refusal> {
    let _one_at_a_time = server.one_change();
    server.store.delete_friend(uid, friend_id)?;
    tell_friendship(server, uid, friend_id, "removed");
    Ok(())
}

/// FRIENDS_CHANGED to both, and behind `added` the state of the other. What is stored stays stored when the database
/// goes away just now: then both learn it at their next login.
fn tell_friendship(server: &Server, uid: u64, other: u64, what: &str) {
    for (to, about) in [(uid, other), (other, uid)] {
        let Ok(user) = server.store.user(about) else { return };
        let (login_name, username) = (user.login_name.clone(), user.username.clone());
        let changed = FromServer::FriendsChanged { what: what.to_owned(), uid: about, login_name, username };
        server.online_users.deliver(to, &changed);
        if what == "added" {
            server.online_users.deliver_state(&user, &[to]);
        }
    }
}
