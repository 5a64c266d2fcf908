//! Every limit of minim: name, unit, reason, and who enforces it. A teacher changes this file first.
//!
//! Deadlines of a connection are multiplied by `--patience` where they are used; `patiently` does it.

use std::time::Duration;

/// Longest frame after LOGIN, in bytes behind the length field: room for 15 file chunks. wire.rs.
pub const MAX_FRAME: usize = 1024 * 1024;
/// Longest frame before LOGIN and in the sealed HTTP channel: a stranger gets little memory. wire.rs, channel.rs.
pub const MAX_FRAME_BEFORE_LOGIN: usize = 8 * 1024;
/// One `recv` takes at most so many bytes, of whatever frames, whatever length was announced. wire.rs.
pub const RECEIVE_PIECE: usize = 16 * 1024;
/// The same of plain HTTP, whose requests are short: it is cleared before each call. channel.rs.
pub const HTTP_PIECE: usize = 4 * 1024;
/// From accept to LOGIN: a silent stranger holds a thread no longer. server/chat.rs.
pub const LOGIN_DEADLINE: Duration = Duration::from_secs(10);
/// Who has received nothing for so long sends PING. server/chat.rs, client.rs.
pub const PING_AFTER: Duration = Duration::from_secs(30);
/// Who has received nothing for so long closes: the other PC sleeps, or its cable is out. Same two, client/carrier.rs.
pub const IDLE_DEADLINE: Duration = Duration::from_secs(90);
/// Behind a last word (KICKED, ERROR): read on for so long, so that no reset destroys it. server/chat.rs, server/api.rs,
/// server/files.rs, server/operator.rs, http/connection.rs.
pub const LINGER_DEADLINE: Duration = Duration::from_secs(1);
/// Until a TCP connection stands. client.rs, client/carrier.rs.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Until an answer has come. client.rs.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// Between two tries of `accept` when the system is out of descriptors. server.rs.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Chat connections before LOGIN or RESUME; one more is closed at accept. server/chat.rs.
pub const MAX_STRANGERS: usize = 1024;
/// Of these at most so many from one address: who has one alone cannot keep others out. server/chat.rs.
pub const MAX_STRANGERS_EACH: usize = MAX_STRANGERS / 2;
/// Most that `--maxClients` takes: two threads each. config.rs.
pub const MAX_CLIENTS: u64 = 7000;
/// Stack of a connection's threads, in bytes: a debug build needs most. server.rs, which starts them.
pub const STACK_SIZE: usize = 512 * 1024;
/// Frames that may wait for one slow client before it is cut off; bodies are shared. server/online.rs.
pub const OUTBOX_FRAMES: usize = 128;
/// Bytes of bodies that may wait for one slow client. server/online.rs.
pub const OUTBOX_BYTES: usize = 1024 * 1024;
/// Rows read at a time from what waits for a user: half a MiB of the longest texts. server/chat.rs, server/api.rs.
pub const BACKLOG_PAGE: usize = 32;

/// Raw bytes of one FILE_CHUNK. server/files.rs, server/chat.rs, client/carrier.rs.
pub const FILE_CHUNK_SIZE: usize = 64 * 1024;
/// Bytes of a part that are read for its MD5 before its connection is looked at again. server/files.rs.
pub const HASHED_AT_ONCE: u64 = 8 * 1024 * 1024;
/// Connections of RESUME that one session may have at the same time. server/files.rs.
pub const MAX_TRANSFERS: usize = 32;
/// So long after it came a stored file is removed. server/files.rs.
pub const FILE_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// So long after its last byte the part of an upload is removed. server/files.rs.
pub const PART_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// Between two looks for what is to be removed. server.rs.
pub const TIDY_EVERY: Duration = Duration::from_secs(60 * 60);

/// Characters of a loginName, username or gname. fields.rs.
pub const MAX_NAME: usize = 50;
/// Characters of a pwd. fields.rs.
pub const MAX_PWD: usize = 128;
/// Bytes of a msgText. fields.rs.
pub const MAX_MSG_TEXT: usize = 16_384;
/// Bytes of a fileName. fields.rs.
pub const MAX_FILE_NAME: usize = 255;
/// Ids in one CHAT_RECEIVED. fields.rs.
pub const MAX_IDS: usize = 500;
/// Ids and clientNo are smaller: a JSON number is exact up to here in every language. fields.rs.
pub const MAX_NUMBER: u64 = 1 << 53;
/// Bytes of a head picture. server/api.rs, server/pictures.rs, client/profile.rs, client/files.rs.
pub const MAX_PICTURE: usize = 1024 * 1024;
/// Members of a group: each of its messages is stored once for each of them. store/groups.rs.
pub const GROUP_MEMBERS: usize = 500;

/// Longest datagram, in bytes: with its headers it fits into one frame of Ethernet. socket.rs, lan.rs.
pub const MAX_DATAGRAM: usize = 1_400;
/// Longest text of a notice, in bytes. lan.rs, client/settings.rs.
pub const MAX_NOTICE: usize = 1_000;
/// Of one address one notice in this time is heard. lan.rs.
pub const NOTICE_PAUSE: Duration = Duration::from_secs(1);
/// Addresses of which notices are heard within that time: who invents addresses must not keep everybody busy. lan.rs.
pub const NOTICE_ADDRESSES: usize = 20;
/// Answers to WHO in a second: a whole class may look at once, and nobody is flooded through us. lan.rs.
pub const WHO_ANSWERS: usize = 100;
/// Who looks for a server waits so long. lan.rs.
pub const FIND_DEADLINE: Duration = Duration::from_millis(2_500);
/// Behind a failed recvfrom, and between two looks whether all clients have gone. lan.rs, server/operator.rs.
pub const SHORT_PAUSE: Duration = Duration::from_millis(50);
/// Rows of ciphertext that are shown of one frame. trace/parts.rs.
pub const SHOWN_ROWS: usize = 8;
/// Bytes of a body that are shown. trace/parts.rs.
pub const SHOWN_BODY: usize = 4 * 1024;
/// Letters of a `type` that is shown: a longer one could be a text. trace/parts.rs.
pub const SHOWN_KIND: usize = 20;
/// The demo waits so long for what is to be seen, and at the end for its threads. demo.rs.
pub const DEMO_DEADLINE: Duration = Duration::from_secs(10);
/// Before the demo waits for Enter. demo.rs.
pub const DEMO_QUIET: Duration = Duration::from_millis(300);
/// Transfers of one client at the same time. client/transfers.rs.
pub const MAX_ACTIVE: usize = 16;
/// Pictures that are fetched by themselves in one session: who sends more fills no disk. client/files.rs.
pub const AUTOMATIC_PICTURES: u64 = 100;
/// Bytes of a name's ending that stays behind its ` (2)`. client/downloads.rs.
pub const MAX_ENDING: usize = 20;
/// How far a transfer is, is said so often. client/transfers.rs.
pub const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// `/files` looks so far back in each conversation. client/files.rs.
pub const RECORDS_LOOKED_AT: usize = 200;
/// Files that `/files` lists. client/files.rs.
pub const SHOWN_FILES: usize = 50;
/// A connection through `tap` ends after so long. tap.rs.
pub const TAP_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// Notices that a client can show again. client/conversation.rs.
pub const NOTICES_KEPT: usize = 20;
/// Characters of a client's own words that an answer repeats to it. fields.rs.
pub const MAX_REPEATED: usize = 200;

/// Iterations of a password's digest, unless `--passwordRounds` says otherwise: each guess costs a thief as many. config.rs.
pub const PASSWORD_ROUNDS: u32 = 10_000;
/// Most iterations that a stored password may ask for: a forged row must not keep a thread busy for half an hour.
/// md5_check.rs.
pub const MAX_PASSWORD_ROUNDS: u32 = 100_000;
/// Wrong passwords that one address may give for one login name before it is braked. server/sessions.rs.
pub const FREE_TRIES: u32 = 5;
/// Longest pause of the brake, in seconds, after 1, 2, 4 … server/sessions.rs.
pub const LONGEST_BRAKE: u64 = 60;
/// Names and addresses that the brake remembers; those with the fewest wrong passwords go first. server/sessions.rs.
pub const BRAKE_ENTRIES: usize = 10_000;
/// Sessions of one user. server/sessions.rs.
pub const SESSIONS_PER_USER: usize = 8;
/// A session without request and connection ends after so long. server/sessions.rs.
pub const SESSION_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a statement waits for a database file that another program holds, and a reader for a connection of the pool.
/// store/sqlite.rs, store/readers.rs.
pub const DATABASE_BUSY_DEADLINE: Duration = Duration::from_secs(5);
/// Connections to the database that read at the same time; one more writes. store/readers.rs.
pub const DATABASE_READERS: usize = 4;
/// Jobs in one transaction, at most: the first of them waits for the last. store/writer.rs.
pub const DATABASE_BATCH: usize = 256;
/// Rows in one statement: the longest messages fit into a packet of 1 MiB, XAMPP's `max_allowed_packet`. From 200 on, MySQL
/// guesses how many rows each has (its `eq_range_index_dive_limit`), and may read the whole table. store/mysql.rs.
pub const DATABASE_ROWS: usize = 32;
/// Statements that a connection keeps prepared: more than 3 for each number of rows up to `DATABASE_ROWS`.
/// store/sqlite.rs, store/mysql.rs.
pub const DATABASE_STATEMENTS: usize = 256;
/// How often what waits at LOGIN is looked through for what came meanwhile; then all is queued. server/chat.rs.
pub const BACKLOG_ROUNDS: usize = 3;
/// Password digests that are computed for one address at the same time: others are not to wait for them. server/turns.rs.
pub const DIGESTS_EACH: usize = 4;
/// Between two looks whether the database is back, while somebody's backlog waits for it. server/chat.rs, client/conversation.rs.
pub const DATABASE_AGAIN: Duration = Duration::from_secs(1);
/// For connecting to a database server. store/mysql.rs.
pub const DATABASE_CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// For sending to a database server, and for its answer: longer than any lock is waited for. store/mysql.rs.
pub const DATABASE_DEADLINE: Duration = Duration::from_secs(10);
/// How long a statement waits for a row or table that another program holds in a database server; whole seconds, and so
/// short because all who write wait with it. store/mysql.rs.
pub const DATABASE_LOCK_DEADLINE: Duration = Duration::from_secs(1);
/// A database server that has not heard of the writing connection for so long frees its lock. store/mysql.rs.
pub const DATABASE_WRITER_LIFE: Duration = Duration::from_secs(60);
/// So often the writing connection is used at least: well within its life. store/writer.rs.
pub const DATABASE_PING: Duration = Duration::from_secs(20);
/// Rows of a search for users. store/people.rs.
pub const MAX_FOUND: usize = 50;
/// Messages of each partner that a search in a conversation looks at, the newest first. store/messages.rs.
pub const MAX_SEARCHED: usize = 20_000;
/// Characters of the text that such a search looks for: to look for a long one takes long. server/api.rs.
pub const MAX_SEARCHED_TEXT: usize = 100;
/// Rows of /getChatRecords, at most. server/api.rs, client/history.rs.
pub const MAX_RECORDS: u64 = 100;
/// Rows of /getChatRecords where no limit is asked for, and of /history. server/api.rs, client/history.rs.
pub const RECORDS: u64 = 20;
/// Rows of /getNoHandleMessages. server/api.rs.
pub const MAX_LISTED: usize = 500;
/// Bytes of /getNoHandleMessages: no further page is read behind so many. server/api.rs.
pub const MAX_LISTED_BYTES: usize = 256 * 1024;

/// Messages that a reader may be ahead of its client, which waits for HTTP or for its output. client.rs.
pub const EVENTS_AHEAD: usize = 128;
/// Messages that a client keeps while the server is away. client.rs.
pub const MAX_UNSENT: usize = 100;
/// Lines of one text that the screen shows. client/conversation.rs.
pub const MAX_SHOWN_LINES: usize = 20;

/// Longest method, in octets: the longest defined one has 17 (UPDATEREDIRECTREF); longer gets 501. http/head.rs.
pub const MAX_METHOD: usize = 32;
/// Longest request line or status line, in octets without its CRLF: RFC 9112 §3 wants at least 8,000. http.rs.
pub const MAX_REQUEST_LINE: usize = 8_192;
/// Longest head, in octets, start line and fields together: a cookie of 4 KiB and fifty fields pass. http.rs.
pub const MAX_HEAD: usize = 32 * 1024;
/// Field lines in one head: browsers send about fifteen; each costs two allocations. http.rs.
pub const MAX_FIELDS: usize = 100;
/// Empty lines before a request line: old clients put one behind a body (RFC 9112 §2.2), not a stream of them. http.rs.
pub const MAX_EMPTY_LINES: usize = 4;
/// Longest body of arguments, in octets: no path of ours needs a tenth of it. server/api.rs.
pub const MAX_ARGUMENTS_BODY: usize = 64 * 1024;
/// Longest line of a chunk's size and extensions, in octets: extensions are ignored, so nobody needs long ones. http.rs.
pub const MAX_CHUNK_LINE: usize = 256;
/// Sizes, extensions and line ends of one body, in octets: a body in chunks of one octet is an attack. http.rs.
pub const MAX_CHUNK_OVERHEAD: usize = 64 * 1024;
/// Longest trailer, in octets: its fields are checked and dropped. http.rs.
pub const MAX_TRAILER: usize = 8 * 1024;
/// Names in query and form together: the longest request has a tenth of it. http/form.rs for each, fields.rs for both, and for a body of JSON.
pub const MAX_ARGUMENTS: usize = 64;
/// Requests on one connection: the last answer closes, so that no client holds its thread for ever. http/connection.rs.
pub const MAX_REQUESTS: usize = 10_000;
/// Interim responses (1xx) that a client skips before the final one: a server could send them for ever. http/connection.rs.
pub const MAX_INTERIM_RESPONSES: usize = 8;
/// From accept, later from a request's first octet, to the end of its head: one octet a second is an attack. http/connection.rs.
pub const HEADER_DEADLINE: Duration = Duration::from_secs(10);
/// From the end of a head to the end of its body: a picture on a slow wireless link takes this long. http/connection.rs.
pub const BODY_DEADLINE: Duration = Duration::from_secs(30);
/// From an answer to the first octet of the next request: an idle connection costs a thread. http/connection.rs.
pub const HTTP_IDLE_DEADLINE: Duration = Duration::from_secs(30);
/// For sending one answer: who reads nothing for so long is gone. http/connection.rs.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// Octets read on after our last word: what a fast link carries in that second. http/connection.rs.
pub const LINGER_BYTES: usize = 32 * 1024 * 1024;
/// HTTP connections at once, one thread each: one more gets 503. server/api.rs.
pub const MAX_HTTP_CONNECTIONS: usize = 1_024;
/// Of these at most so many from one address. server/api.rs.
pub const MAX_HTTP_CONNECTIONS_EACH: usize = MAX_HTTP_CONNECTIONS / 2;

/// Longest answer of HTTP that a client takes, in bytes: about 10,000 friends. client/web.rs.
pub const MAX_HTTP_ANSWER: usize = 4 * 1024 * 1024;
/// Names that are tried for a file that is saved: NAME, NAME (2) and so on. client/downloads.rs.
pub const MAX_COPIES: usize = 1000;
/// Messages that one /history shows, at most. client/history.rs.
pub const MAX_HISTORY: usize = 500;
/// A file of records is read in pieces of so many bytes, from its end. client/records.rs.
pub const RECORDS_PIECE: u64 = 64 * 1024;
/// Neighbours in a file of records that may stand in another order than their ids: an ACK and a push pass each other.
/// client/records.rs.
pub const RECORDS_DISORDER: usize = 64;
/// Messages that a file of records may lack; where it lacks more it is put aside. client/records.rs.
pub const MAX_GAP: usize = 100_000;
/// Messages that one write of /open shows, and one CHAT_RECEIVED then names. client/talk.rs.
pub const OPEN_PAGE: usize = 100;
/// Columns of a row, at least and at most. client/screen.rs, client/settings.rs.
pub const MIN_WIDTH: usize = 20;
/// See `MIN_WIDTH`.
pub const MAX_WIDTH: usize = 1000;
/// Columns where nobody says how many: two consoles often share a screen. client/screen.rs.
pub const USUAL_WIDTH: usize = 60;
/// Batches of lines that wait for a stopped screen (Ctrl-S); what comes then is dropped or stays unread. client/screen.rs.
pub const SCREEN_BATCHES: usize = 1000;
/// Bytes of unread texts that a client keeps, the texts alone; further ones are fetched when they are opened.
/// client/conversation.rs.
pub const MAX_UNREAD_BYTES: usize = 16 * 1024 * 1024;
/// Ids that a client remembers, so that none is shown twice. client/conversation.rs.
pub const MAX_SEEN: usize = 100_000;
/// Rows behind the last found one that /wait can still find. client/screen.rs.
pub const MAX_LOG: usize = 10_000;
/// Pauses before a lost connection is tried again, in seconds; the last again and again. client/away.rs.
pub const RECONNECT_PAUSES: [u64; 6] = [1, 2, 4, 8, 16, 30];
/// After so long without a connection a client says so once more. client/away.rs.
pub const AWAY_TOLD_AFTER: Duration = Duration::from_secs(60);
/// What is unsent at /quit gets so long; a script without connection gives up. client.rs, client/away.rs.
pub const LEAVE_DEADLINE: Duration = Duration::from_secs(10);
/// The longest that /wait waits. client/talk.rs.
pub const WAIT_DEADLINE: Duration = Duration::from_secs(10);

/// A deadline of a connection, multiplied by `--patience` (config.rs keeps that between 0.001 and 1,000,000).
pub fn patiently(deadline: Duration, patience: f64) -> Duration {
    deadline.mul_f64(patience)
}
