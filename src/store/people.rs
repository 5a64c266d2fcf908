//! Users and friendships in the database. A part of store.rs.
//!
//! Rules: a login name is compared in small letters, a friendship is one row, whoever asked. Not here: who hears of it
//! (server/people.rs).

use super::driver::{Connection, Failure, Value};
use super::{
    Asked, FRIEND, GROUP, Group, SAID, Store, Trouble, USER, ask, groups, no_such_user, pair, require_user,
    the_row, user,
};
use crate::clock::now_ms;
use crate::limits::MAX_FOUND;
use crate::message::{Changes, Code, NewUser, Refusal, User};

/// What came of messageHandle.
pub enum Answered {
    /// Nothing, and the asker does not hear of it.
    Refused,
    /// A friendship with this user.
    Friends(u64),
    /// This user is in the group now.
    Joined(u64, Group),
}

impl Store {
    /// A new user, with the digest of the password; the uid. `loginNameTaken`.
    pub fn add_user(&self, new: &NewUser, digest: &str) -> Result<u64, Refusal> {
        let key = [login_key(&new.login_name)];
        let values = [
            digest.into(),
            new.login_name.as_str().into(),
            key[0].clone(),
            new.username.as_str().into(),
            new.sex.into(),
            new.pic_url.as_str().into(),
            now_ms().into(),
        ];
        let taken = format!("loginName: {} is taken, choose another", new.login_name);
        self.write("user", move |db| {
            let by_key = "SELECT id FROM users WHERE loginKey = ?";
            if !db.rows(by_key, &key)?.is_empty() {
                return Err(Refusal::new(Code::LoginNameTaken, taken.clone()).into());
            }
            let insert = "INSERT INTO users (pwd, loginName, loginKey, username, sex, picUrl, updateTime) \
                          VALUES (?, ?, ?, ?, ?, ?, ?)";
            db.run(insert, &values)?;
            Ok(the_row(db, by_key, &key)?.number(0))
        })
    }

    /// modifyUser: the user before and after. `digest`: of the new password. `noSuchUser`.
    pub fn modify_user(
        &self,
        uid: u64,
        changes: &Changes,
        digest: Option<String>,
    ) -> Result<(User, User), Refusal> {
        let changes = changes.clone();
        let select = format!("SELECT {USER}, u.pwd FROM users u WHERE u.id = ?");
        self.write("profile", move |db| {
            let rows = db.rows(&select, &[uid.into()])?;
            let row = rows.first().ok_or_else(|| no_such_user(uid))?;
            let before = user(row);
            let after = User {
                username: changes.username.clone().unwrap_or_else(|| before.username.clone()),
                sex: changes.sex.unwrap_or(before.sex),
                pic_url: changes.pic_url.clone().unwrap_or_else(|| before.pic_url.clone()),
                ..before.clone()
            };
            let pwd = digest.clone().unwrap_or_else(|| row.text(5));
            let User { username, sex, pic_url, .. } = &after;
            let values =
                [username.as_str().into(), (*sex).into(), pic_url.as_str().into(), pwd.as_str().into()];
            let sql =
                "UPDATE users SET username = ?, sex = ?, picUrl = ?, pwd = ?, updateTime = ? WHERE id = ?";
            db.run(sql, &[&values[..], &[now_ms().into(), uid.into()]].concat())?;
            Ok((before, after))
        })
    }

    /// The user of a login name, in any case, and the digest of the password.
    pub fn user_and_digest(&self, login_name: &str) -> Result<Option<(User, String)>, Refusal> {
        let sql = format!("SELECT {USER}, u.pwd FROM users u WHERE u.loginKey = ?");
        let rows = self.rows(&sql, &[login_key(login_name)])?;
        Ok(rows.first().map(|row| (user(row), row.text(5))))
    }

    /// The user of a uid. `noSuchUser`.
    pub fn user(&self, uid: u64) -> Result<User, Refusal> {
        let rows = self.rows(&format!("SELECT {USER} FROM users u WHERE u.id = ?"), &[uid.into()])?;
        rows.first().map(user).ok_or_else(|| no_such_user(uid))
    }

    /// Users whose login name contains `part`, taken literally, in any case; by name, at most `MAX_FOUND`. Who is called
    /// just so is always among them.
    pub fn search_users(&self, part: &str) -> Result<Vec<User>, Refusal> {
        let sql = format!(
            "SELECT {USER} FROM users u WHERE INSTR(u.loginKey, ?) > 0 ORDER BY u.loginKey LIMIT {MAX_FOUND}"
        );
        let mut found: Vec<User> = self.rows(&sql, &[login_key(part)])?.iter().map(user).collect();
        if found.len() == MAX_FOUND
            && let Some((exact, _)) = self.user_and_digest(part)?
            && !found.contains(&exact)
        {
            found.pop();
            found.insert(0, exact);
        }
        Ok(found)
    }

    /// The friends of a user, by login name.
    pub fn friends(&self, uid: u64) -> Result<Vec<User>, Refusal> {
        let sql = format!(
            "SELECT {USER}, u.loginKey FROM friends f JOIN users u ON u.id = f.friendId WHERE f.uid = ? \
             UNION ALL SELECT {USER}, u.loginKey FROM friends f JOIN users u ON u.id = f.uid \
             WHERE f.friendId = ? ORDER BY loginKey"
        );
        Ok(self.rows(&sql, &[uid.into(), uid.into()])?.iter().map(user).collect())
    }

    /// Whether `uid` may ask `friend_id` to be friends: `badRequest` for oneself, `noSuchUser`, `already`.
    pub fn can_add_friend(&self, uid: u64, friend_id: u64) -> Result<(), Refusal> {
        self.read(|db| may_be_asked(db, uid, friend_id))
    }

    /// Asks `friend_id` to be friends.
    pub fn ask_friend(&self, uid: u64, friend_id: u64) -> Result<Asked, Refusal> {
        self.write("request", move |db| {
            may_be_asked(db, uid, friend_id)?;
            Ok(ask(db, uid, friend_id, FRIEND, None)?)
        })
    }

    /// messageHandle of a request to `uid`. `noSuchMessage`, `already`, `tooMany` where the group is full.
    pub fn answer_request(&self, uid: u64, id: u64, accept: bool) -> Result<Answered, Refusal> {
        self.write("answer", move |db| {
            let sql =
                "SELECT fromUid, handle, type, gId FROM message WHERE id = ? AND toUid = ? AND type <> ?";
            let rows = db.rows(sql, &[id, uid, SAID].map(Value::from))?;
            let Some(row) = rows.first() else {
                let text = format!("msgId: there is no request {id} to you");
                return Err(Refusal::new(Code::NoSuchMessage, text).into());
            };
            if row.number(1) != 0 {
                return Err(Refusal::new(Code::Already, format!("request {id} is answered already")).into());
            }
            let (asker, now, g_id) = (row.number(0), now_ms(), row.number(3));
            if !accept {
                let refuse = "UPDATE message SET handle = 2, handleTime = ? WHERE id = ?";
                db.run(refuse, &[now.into(), id.into()])?;
                return Ok(Answered::Refused);
            }
            match row.number(2) {
                FRIEND => {
                    befriend(db, asker, uid, now)?;
                    Ok(Answered::Friends(asker))
                }
                GROUP => Ok(Answered::Joined(uid, groups::join(db, uid, g_id, now)?)),
                _ => Ok(Answered::Joined(asker, groups::join(db, asker, g_id, now)?)),
            }
        })
    }

    /// Ends a friendship. `notFriends`, `noSuchUser`.
    pub fn delete_friend(&self, uid: u64, friend_id: u64) -> Result<(), Refusal> {
        self.write("friendship ended", move |db| {
            require_user(db, friend_id)?;
            let delete = "DELETE FROM friends WHERE uid = ? AND friendId = ?";
            if db.run(delete, &pair(uid, friend_id).map(Value::from))? == 0 {
                return Err(Refusal::new(Code::NotFriends, "friendId: not a friend of yours").into());
            }
            Ok(())
        })
    }
}

/// Login names are compared in small letters; Rust folds them, so that both engines agree.
fn login_key(login_name: &str) -> Value {
    Value::Text(login_name.to_lowercase())
}

/// `badRequest` for oneself, `noSuchUser`; `name` is the argument's.
pub fn are_friends(db: &mut Connection, uid: u64, other: u64, name: &str) -> Result<bool, Trouble> {
    if uid == other {
        return Err(Refusal::bad(format!("{name}: that is yourself")).into());
    }
    require_user(db, other)?;
    let sql = "SELECT id FROM friends WHERE uid = ? AND friendId = ?";
    Ok(!db.rows(sql, &pair(uid, other).map(Value::from))?.is_empty())
}

fn may_be_asked(db: &mut Connection, uid: u64, friend_id: u64) -> Result<(), Trouble> {
    if are_friends(db, uid, friend_id, "friendId")? {
        return Err(Refusal::new(Code::Already, "friendId: a friend of yours already").into());
    }
    Ok(())
}

/// Makes two users friends, and answers every open request between them.
fn befriend(db: &mut Connection, asker: u64, uid: u64, now: u64) -> Result<(), Failure> {
    let accept = "UPDATE message SET handle = 1, handleTime = ? \
                  WHERE fromUid = ? AND toUid = ? AND type = ? AND handle = 0";
    for (from, to) in [(asker, uid), (uid, asker)] {
        db.run(accept, &[now.into(), from.into(), to.into(), FRIEND.into()])?;
    }
    let [smaller, greater] = pair(asker, uid);
    let insert = "INSERT INTO friends (uid, friendId, updateTime) VALUES (?, ?, ?)"; // friends have no open request
    db.run(insert, &[smaller, greater, now].map(Value::from)).map(drop)
}
