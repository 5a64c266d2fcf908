//! The vocabulary: every message of the chat protocol, in both directions (PROTOCOL.md, 4). The dictionary of both sides.
//!
//! Rules: names are those of the course brief: `from_id` here is `fromId` in JSON. What comes from a client is checked
//! field by field (fields.rs) before anyone acts on it; what comes from the server is taken as serde finds it.
//! Not here: who may do what (server/), what is stored (store.rs).
//! A new message type is a variant below, how it is read (fields.rs: `request`), and a `match` arm at each side.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a client sends. A `client_no` is answered with the same number.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
#[allow(missing_docs)] // the fields are the vocabulary of PROTOCOL.md, 4
pub enum FromClient {
    /// A new account. Answer: ACK with the uid as `id`.
    Register {
        client_no: u64,
        #[serde(flatten)]
        user: NewUser,
    },
    /// Answer: LOGIN_OK, and then what waited. The password is in clear here; the frame around it is sealed.
    Login { client_no: u64, login_name: String, pwd: String },
    /// A second connection for file transfers, with the session of LOGIN_OK. Answer: ACK.
    Resume { client_no: u64, session_id: String },
    /// Ends the session. Answer: ACK, then the server closes.
    Logout { client_no: u64 },
    /// A text to a friend or a group. Answer: ACK with id and sendTime, once it is stored.
    ChatSendMsg(ChatSendMsg),
    /// These messages to me were shown; at most `MAX_IDS`. No answer.
    ChatReceived { ids: Vec<u64> },
    /// A file is to be sent. Answer: FILE_READY.
    FileUpload(FileUpload),
    /// A file is wanted, from byte `offset` on. Answer: FILE_READY, FILE_CHUNKs, FILE_END.
    FileDownload { client_no: u64, msg_id: u64, offset: u64 },
    /// A piece of a file, from byte `offset` on; its bytes stand behind the JSON and a line feed.
    FileChunk { offset: u64 },
    /// All pieces were sent. Answer: ACK with id.
    FileEnd { client_no: u64 },
    /// Are you there? Answer: PONG.
    Ping,
    /// Yes.
    Pong,
}

/// What REGISTER says of a new user.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewUser {
    /// Unique without regard to case.
    pub login_name: String,
    /// 1 to `MAX_PWD` characters.
    pub pwd: String,
    /// The name that others see.
    pub username: String,
    /// 0 not said, 1 male, 2 female (ISO/IEC 5218).
    pub sex: u64,
    /// Empty, or what /uploadPicture gave.
    pub pic_url: String,
}

/// A text on its way to the server.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatSendMsg {
    /// The request's number: the same again is the same message.
    pub client_no: u64,
    /// True: `to_id` is a friend's uid. False: a gId.
    pub is_friend: bool,
    /// Whom it is for.
    pub to_id: u64,
    /// The client's clock; the server's is the one that counts, so it is not even read.
    pub send_time: u64,
    /// TEXT or EMOJI.
    pub msg_type: String,
    /// 1 to `MAX_MSG_TEXT` bytes of UTF-8.
    pub msg_text: String,
}

/// The announcement of a file: PICTURE or FILE, its size in bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct FileUpload {
    pub client_no: u64,
    pub is_friend: bool,
    pub to_id: u64,
    #[serde(flatten)]
    pub file: File,
    pub msg_type: String,
}

/// What the server sends: answers, which repeat `client_no`, and what comes by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
#[allow(missing_docs)] // the fields are the vocabulary of PROTOCOL.md, 4
pub enum FromServer {
    /// Done as asked.
    Ack {
        client_no: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        send_time: Option<u64>,
    },
    /// Not done, and why. `client_no` is null where the request had none.
    Error {
        client_no: Option<u64>,
        #[serde(flatten)]
        refusal: Refusal,
    },
    /// Logged in. `last_id`: the newest id among what waits, or 0.
    LoginOk {
        client_no: u64,
        #[serde(flatten)]
        user: User,
        session_id: String,
        http_port: u16,
        last_id: u64,
    },
    /// A transfer can go on at `offset`.
    FileReady {
        client_no: u64,
        offset: u64,
        #[serde(flatten)]
        file: Option<File>,
    },
    /// A piece of a file, its bytes behind the JSON and a line feed.
    FileChunk { offset: u64 },
    /// All pieces were sent.
    FileEnd { client_no: u64 },
    /// Somebody wrote.
    ChatSendMsg {
        #[serde(flatten)]
        envelope: Envelope,
        msg_text: String,
    },
    /// Somebody sent a file; `file_path` is for the curious.
    ChatSendFile {
        #[serde(flatten)]
        envelope: Envelope,
        #[serde(flatten)]
        stored: StoredFile,
    },
    /// Somebody asks: FRIEND, GROUP (you are invited), JOIN (wants to join your group).
    Request {
        id: u64,
        from_id: u64,
        from_name: String,
        from_login_name: String,
        kind: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        g_id: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        gname: Option<String>,
        send_time: u64,
    },
    /// A friend came or went, or is called otherwise now.
    FriendState { uid: u64, username: String, online: bool },
    /// `what`: added or removed.
    FriendsChanged { what: String, uid: u64, login_name: String, username: String },
    /// `what`: created, joined, left, removed, renamed, owner, deleted.
    GroupChanged { what: String, g_id: u64, gname: String, uid: u64, username: String, by_uid: u64 },
    /// A notice to everybody online.
    Broadcast { from: String, text: String, send_time: u64 },
    /// This connection and its session end.
    Kicked { code: String, text: String },
    /// Are you there?
    Ping,
    /// Yes.
    Pong,
    /// A type of a later version; clients ignore it.
    #[serde(other)]
    Unknown,
}

/// Who wrote what kind of message to whom, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// The id of the recipient's row.
    pub id: u64,
    /// The sender's uid.
    pub from_id: u64,
    /// The sender's username.
    pub from_name: String,
    /// False: `to_id` is a group.
    pub is_friend: bool,
    /// A uid or a gId.
    pub to_id: u64,
    /// Milliseconds since 1970, by the server's clock.
    pub send_time: u64,
    /// TEXT, EMOJI, PICTURE or FILE.
    pub msg_type: String,
}

/// A file's name, size in bytes, and MD5.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct File {
    pub file_name: String,
    pub file_size: u64,
    pub file_md5: String,
}

/// A file, and where the server keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredFile {
    /// What it is.
    #[serde(flatten)]
    pub file: File,
    /// Below the server's data folder; for the curious, no request takes it.
    pub file_path: String,
}

/// What others may know of a user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct User {
    pub uid: u64,
    pub login_name: String,
    pub username: String,
    pub sex: u64,
    pub pic_url: String,
}

/// What /modifyUser is to change; the rest stays.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Changes {
    pub username: Option<String>,
    pub sex: Option<u64>,
    pub pic_url: Option<String>,
    pub pwd: Option<NewPwd>,
}

/// A new password, for which the old one must be right.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct NewPwd {
    pub pwd: String,
    pub old_pwd: String,
}

/// A row of /getFriendsById.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Friend {
    /// Who.
    #[serde(flatten)]
    pub user: User,
    /// Whether a chat connection of theirs stands.
    pub online: bool,
    /// Messages of theirs that wait for me.
    pub unread: u64,
}

/// A row of /getGroups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupRow {
    /// Its number.
    pub g_id: u64,
    /// Its name.
    pub gname: String,
    /// The owner's uid.
    pub owner: u64,
    /// How many members it has.
    pub size: usize,
    /// How many of them are online.
    pub online: usize,
    /// Its messages that wait for me.
    pub unread: u64,
}

/// A row of /getGroupMembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Who.
    #[serde(flatten)]
    pub user: User,
    /// Whether a chat connection of theirs stands.
    pub online: bool,
    /// Since when they are in it, in milliseconds since 1970.
    pub join_time: u64,
    /// True for one of them.
    pub owner: bool,
}

/// A row of /getChatRecords: a message as it was pushed, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// What was pushed.
    #[serde(flatten)]
    pub message: FromServer,
    /// 0 waits, 1 handled.
    pub handle: u64,
    /// When it was handled, in milliseconds since 1970.
    pub handle_time: Option<u64>,
}

/// Error codes, and in `status` what they are in HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Code {
    BadRequest,
    FileDamaged,
    NotLoggedIn,
    BadLogin,
    NotFriends,
    NotMember,
    NotOwner,
    Forbidden,
    NoSuchUser,
    NoSuchGroup,
    NoSuchMessage,
    NoSuchFile,
    NotFound,
    LoginNameTaken,
    Already,
    TooLarge,
    TooMany,
    TooManyTries,
    DiskFull,
    DatabaseDown,
}

/// As it stands in ERROR: `notFriends`.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

impl Code {
    /// The status code of HTTP (RFC 9110 §15; 429: RFC 6585 §4) that says the same.
    pub fn status(self) -> u16 {
        match self {
            Code::BadRequest | Code::FileDamaged => 400,
            Code::NotLoggedIn | Code::BadLogin => 401,
            Code::NotFriends | Code::NotMember | Code::NotOwner | Code::Forbidden => 403,
            Code::NoSuchUser | Code::NoSuchGroup | Code::NoSuchMessage | Code::NoSuchFile => 404,
            Code::NotFound => 404,
            Code::LoginNameTaken | Code::Already => 409,
            Code::TooLarge => 413,
            Code::TooMany | Code::TooManyTries => 429,
            Code::DiskFull | Code::DatabaseDown => 503,
        }
    }
}

/// Why a request is not done: a code for programs, a text for people, and for some codes a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind.
    pub code: Code,
    /// What was wrong and what would be right.
    pub text: String,
    /// `tooLarge`: bytes. `tooManyTries`: seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

impl Refusal {
    /// A refusal without limit.
    pub fn new(code: Code, text: impl Into<String>) -> Refusal {
        Refusal { code, text: text.into(), limit: None }
    }

    /// A `badRequest`.
    pub fn bad(text: impl Into<String>) -> Refusal {
        Refusal::new(Code::BadRequest, text)
    }
}

/// A body as bytes: what goes into a frame.
pub fn encode(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).unwrap_or_default() // cannot fail: all keys are texts, no map of ours has others
}
