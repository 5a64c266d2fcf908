//! The HTTP interface: a table from path to function, and what happens around each (PROTOCOL.md, 7).
//!
//! Rules: who acts is the session's user, never an argument. The order of the checks is that of `respond`; the first that
//! fails decides. A page of another origin is turned away: the brief changes things by GET, which any page can make a
//! browser send. Not here: the grammar of HTTP (http.rs), the rules of chat (people.rs).
//! Start with `serve`; a new path is one line in `TABLE` and one function below it.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use crate::channel::{PlainChannel, SealedChannel};
use crate::config::Http;
use crate::fields::Fields;
use crate::http::{self, Authority, Channel, Connection, HttpError, RequestHead, Response};
use crate::limits::{
    BACKLOG_PAGE, HEADER_DEADLINE, LINGER_DEADLINE, MAX_ARGUMENTS_BODY, MAX_HTTP_CONNECTIONS,
    MAX_HTTP_CONNECTIONS_EACH, MAX_LISTED, MAX_LISTED_BYTES, MAX_NUMBER, MAX_PICTURE, MAX_RECORDS,
    MAX_SEARCHED_TEXT, RECORDS,
};
use crate::message::{Code, Refusal, encode};
use crate::server::sessions::Session;
use crate::server::{Server, groups, people, pictures};
use crate::socket::Socket;
use crate::store::{Waiting, Wanted};
use crate::wire::{self, hello_as_server};

/// The whole life of an HTTP connection, plain or, behind the hello, sealed.
pub fn serve(server: Arc<Server>, socket: Socket, _: u64) {
    let address = socket.peer().ip();
    let Some(_seat) = server.http_connections.take(address, MAX_HTTP_CONNECTIONS, MAX_HTTP_CONNECTIONS_EACH)
    else {
        let full = Response::error(503, "tooMany", "too many HTTP connections, try again", None);
        return socket.last_word(&full.to_octets(false, true), server.config.deadline(LINGER_DEADLINE));
    };
    let Some((mut connection, is_sealed)) = open(&server, socket) else { return };
    loop {
        let response = match connection.read_head() {
            Ok(None) => return,
            Ok(Some(_)) if !is_sealed && server.config.http == Http::Sealed => {
                let refusal = Refusal::new(Code::Forbidden, "this server takes sealed HTTP alone");
                Ok(Response { close: true, ..Response::from(&refusal) })
            }
            Ok(Some(head)) => {
                let respond = AssertUnwindSafe(|| respond(&server, address, &mut connection, &head));
                catch_unwind(respond).unwrap_or_else(|_| Ok(bug())) // it has been said on standard error
            }
            Err(error) => Err(error),
        };
        match response {
            Ok(response) if connection.write_response(&response) => {}
            Ok(_) => return,
            Err(error) => return connection.refuse(error),
        }
    }
}

/// The hello, if the peer begins with one; else what it has sent so far is the beginning of plain HTTP.
fn open(server: &Server, socket: Socket) -> Option<(Connection, bool)> {
    let (accepted, patience) = (Instant::now(), server.config.patience);
    let deadline = server.config.deadline(HEADER_DEADLINE);
    let hello = hello_as_server(&socket, server.config.passphrase.as_bytes(), deadline);
    let (channel, came, is_sealed): (Box<dyn Channel>, Vec<u8>, bool) = match hello {
        Ok((sender, receiver)) => {
            (Box::new(SealedChannel { socket, sender, receiver }.with_http()), Vec::new(), true)
        }
        Err(wire::Error::NotMinim(came)) => (Box::new(PlainChannel::new(socket, &came)), came, false),
        Err(_) => return None, // the peer is told nothing
    };
    Some((Connection::new(channel, came, accepted, patience), is_sealed))
}

/// One request from its head to its response; an error is one of the message itself.
fn respond(
    server: &Server,
    address: IpAddr,
    connection: &mut Connection,
    head: &RequestHead,
) -> Result<Response, HttpError> {
    let route = match find_route(server, head) {
        Ok(route) => route,
        Err(response) => {
            connection.discard_body(MAX_ARGUMENTS_BODY);
            return Ok(response);
        }
    };
    let session = head.header.cookie("sid").and_then(|sid| server.sessions.use_session(sid));
    let is_upload = matches!(route.function, Upload(_));
    let wrong_type = head.method == "POST" && !is_upload && content_type(head).is_none();
    let is_stranger = session.is_none() && !matches!(route.function, Open(_));
    if is_stranger && is_upload || (is_stranger || wrong_type) && connection.waits_to_be_asked() {
        let refusal = if wrong_type { unsupported_type() } else { Response::from(&not_logged_in()) };
        return Ok(Response { close: true, ..refusal }); // such a body is not read
    }
    let body = connection.read_body(if is_upload { MAX_PICTURE } else { MAX_ARGUMENTS_BODY })?;
    let session = session.and_then(|session| server.sessions.use_session(&session.id)); // a body may take long
    if wrong_type && !body.is_empty() {
        return Ok(unsupported_type());
    }
    let form = (head.method == "POST" && !is_upload).then_some(&body[..]);
    let call = || arguments(head, form).map(|fields| Call { server, address, head, body: &body, fields });
    let outcome = match (&route.function, session) {
        (Open(function), _) => call().and_then(|call| function(&call)),
        (LoggedIn(function) | Upload(function), Some(session)) => {
            call().and_then(|call| function(&call, &session))
        }
        (LoggedIn(_) | Upload(_), None) => Err(not_logged_in()),
    };
    Ok(outcome.unwrap_or_else(|refusal| Response::from(&refusal)))
}

/// The route of a request, or why there is none for it: whose name it used, from which site, method, path.
fn find_route(server: &Server, head: &RequestHead) -> Result<&'static Route, Response> {
    if !is_our_name(server, head) {
        return Err(forbidden("Host or target: not an address of this server, nor a name of --httpHost"));
    }
    if comes_from_another_origin(head) {
        return Err(forbidden("a page of another origin (scheme, host or port) may not ask here"));
    }
    if !http::METHODS.contains(&head.method.as_str()) {
        return Err(Response::error(501, "badRequest", "this method is not known here", None));
    }
    if head.path == "*" {
        return Err(Response::new(204, Vec::new()).with("Allow", "GET, HEAD, POST, OPTIONS"));
    }
    let segments = head.path_segments().map_err(Response::from)?;
    let is_wanted = |route: &&Route| {
        let parts: Vec<&str> = route.path.split('/').skip(1).collect();
        let fits = |(part, segment): (&&str, &String)| part == segment || part.starts_with('{');
        parts.len() == segments.len() && parts.iter().zip(&segments).all(fits)
    };
    let Some(route) = TABLE.iter().find(is_wanted) else {
        let refusal = Refusal::new(Code::NotFound, "there is nothing under this path");
        return Err(Response::from(&refusal));
    };
    if !route.methods.contains(&head.method.as_str()) {
        let text = "this path does not take this method";
        let response = Response::error(405, "badRequest", text, None);
        return Err(response.with("Allow", &route.methods.join(", ")));
    }
    Ok(route)
}

/// One path. What stands in braces is any segment.
struct Route {
    path: &'static str,
    methods: &'static [&'static str],
    function: Function,
}

/// What a path does: for anybody, or for the user of a session.
enum Function {
    Open(fn(&Call) -> Result<Response, Refusal>),
    LoggedIn(fn(&Call, &Session) -> Result<Response, Refusal>),
    /// As `LoggedIn`, with a body that is no arguments.
    Upload(fn(&Call, &Session) -> Result<Response, Refusal>),
}
use Function::{LoggedIn, Open, Upload};

/// What reads. POST is accepted for all that takes arguments.
const READS: &[&str] = &["GET", "HEAD", "POST"];
/// What changes something, and is a GET in the brief, against RFC 9110 §9.2.1 (a MUST: caches, crawlers and `<img>` of other
/// pages may send a GET). HEAD must not do it either.
const CHANGES: &[&str] = &["GET", "POST"];
/// What is no more than a file.
const STATIC: &[&str] = &["GET", "HEAD"];
/// What carries a password, or changes something and is not in the brief: nothing forces us to GET.
const POST: &[&str] = &["POST"];

#[rustfmt::skip]
const TABLE: &[Route] = &[
    Route { path: "/register",              methods: CHANGES, function: Open(register) },
    Route { path: "/checkLoginName",        methods: READS,   function: Open(check_login_name) },
    Route { path: "/login",                 methods: POST,    function: Open(login) },
    Route { path: "/logout",                methods: POST,    function: LoggedIn(logout) },
    Route { path: "/modifyUser",            methods: POST,    function: LoggedIn(modify_user) },
    Route { path: "/uploadPicture",         methods: POST,    function: Upload(upload_picture) },
    Route { path: "/static/headPic/{DATE}/{UUID.EXT}", methods: STATIC, function: Open(head_picture) },
    Route { path: "/searchUserByLoginname", methods: READS,   function: LoggedIn(search_user_by_loginname) },
    Route { path: "/getFriendsById",        methods: READS,   function: LoggedIn(get_friends_by_id) },
    Route { path: "/canAddFriends",         methods: READS,   function: LoggedIn(can_add_friends) },
    Route { path: "/addFriendsOrGroup",     methods: CHANGES, function: LoggedIn(add_friends_or_group) },
    Route { path: "/delete_friend",         methods: CHANGES, function: LoggedIn(delete_friend) },
    Route { path: "/getUsernameByUid",      methods: READS,   function: LoggedIn(get_username_by_uid) },
    Route { path: "/createGroup",           methods: CHANGES, function: LoggedIn(create_group) },
    Route { path: "/getGroups",             methods: READS,   function: LoggedIn(get_groups) },
    Route { path: "/getGroupMembers",       methods: READS,   function: LoggedIn(get_group_members) },
    Route { path: "/getGroupSize",          methods: READS,   function: LoggedIn(get_group_size) },
    Route { path: "/getGroupMemberCount",   methods: READS,   function: LoggedIn(get_group_size) },
    Route { path: "/getGnameByGid",         methods: READS,   function: LoggedIn(get_gname_by_gid) },
    Route { path: "/modifyGroupName",       methods: CHANGES, function: LoggedIn(modify_group_name) },
    Route { path: "/removeMember",          methods: CHANGES, function: LoggedIn(remove_member) },
    Route { path: "/deleteGroup",           methods: CHANGES, function: LoggedIn(delete_group) },
    Route { path: "/quitGroup",             methods: CHANGES, function: LoggedIn(quit_group) },
    Route { path: "/getNoHandleMessages",   methods: READS,   function: LoggedIn(get_no_handle_messages) },
    Route { path: "/messageHandle",         methods: CHANGES, function: LoggedIn(message_handle) },
    Route { path: "/downloadFileSuccess",   methods: CHANGES, function: LoggedIn(download_file_success) },
    Route { path: "/getChatRecords",        methods: READS,   function: LoggedIn(get_chat_records) },
];

/// What a function of the table gets.
struct Call<'a> {
    server: &'a Server,
    address: IpAddr,
    head: &'a RequestHead,
    body: &'a [u8],
    /// The arguments of query and body.
    fields: Fields,
}

fn register(call: &Call) -> Result<Response, Refusal> {
    let uid = people::register(call.server, &call.fields.new_user()?, call.address)?;
    data(&json!({ "uid": uid }))
}

fn check_login_name(call: &Call) -> Result<Response, Refusal> {
    let found = call.server.store.user_and_digest(&call.fields.name("loginName")?)?;
    data(&json!({ "available": found.is_none() }))
}

fn login(call: &Call) -> Result<Response, Refusal> {
    let (login_name, pwd) = (call.fields.name("loginName")?, call.fields.pwd("pwd")?);
    let (user, checked) = people::check_password(call.server, &login_name, &pwd, call.address)?;
    let session = people::begin_session(call.server, user.uid, false, checked)?;
    let cookie = format!("sid={}; Path=/; HttpOnly; SameSite=Strict", session.id);
    Ok(data(&user)?.with("Set-Cookie", &cookie))
}

fn logout(call: &Call, session: &Session) -> Result<Response, Refusal> {
    people::end_session(call.server, session, "loggedOut", "logged out over HTTP");
    Ok(done()?.with("Set-Cookie", "sid=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"))
}

fn modify_user(call: &Call, session: &Session) -> Result<Response, Refusal> {
    let changes = call.fields.changes()?;
    data(&people::modify_user(call.server, session.uid, &changes, call.address)?)
}

fn upload_picture(call: &Call, _: &Session) -> Result<Response, Refusal> {
    data(&json!({ "picUrl": pictures::store(call.server, call.body)? }))
}

/// A picture never changes under its name: who has it keeps it. RFC 9110 §13.1.1, §13.1.2, §13.2.
fn head_picture(call: &Call) -> Result<Response, Refusal> {
    let path = call.head.path_segments().unwrap_or_default().join("/");
    let picture = pictures::load(call.server, &format!("/{path}"))
        .ok_or_else(|| Refusal::new(Code::NotFound, "there is no such picture"))?;
    let tag = format!("\"{}\"", picture.uuid);
    let forever = |response: Response| {
        response.with("ETag", &tag).with("Cache-Control", "public, max-age=31536000, immutable")
    };
    let names_it = |field: &str, is_ours: &dyn Fn(&str) -> bool| {
        call.head.header.entity_tags(field).map(|tags| tags.iter().any(|one| one == "*" || is_ours(one)))
    };
    if names_it("If-Match", &|one| one == tag) == Some(false) {
        return Ok(Response::error(412, "badRequest", "If-Match names another picture", None));
    }
    let weakly = |one: &str| one.strip_prefix("W/").unwrap_or(one) == tag;
    if names_it("If-None-Match", &weakly) == Some(true) {
        return Ok(forever(Response::new(304, Vec::new())));
    }
    Ok(forever(Response::new(200, picture.octets).with("Content-Type", picture.content_type)))
}

fn search_user_by_loginname(call: &Call, _: &Session) -> Result<Response, Refusal> {
    let part = call.fields.text("loginName")?;
    if part.is_empty() {
        return Err(Refusal::bad("loginName: must have at least one character"));
    }
    data(&call.server.store.search_users(part)?)
}

fn get_friends_by_id(call: &Call, session: &Session) -> Result<Response, Refusal> {
    data(&people::friends(call.server, session.uid)?)
}

fn can_add_friends(call: &Call, session: &Session) -> Result<Response, Refusal> {
    let friend_id = call.fields.number("friendId")?;
    match call.server.store.can_add_friend(session.uid, friend_id) {
        Ok(()) => data(&json!({ "canAdd": true })),
        Err(Refusal { code: Code::BadRequest | Code::Already, text, .. }) => {
            data(&json!({ "canAdd": false, "why": text }))
        }
        Err(other) => Err(other),
    }
}

fn add_friends_or_group(call: &Call, session: &Session) -> Result<Response, Refusal> {
    let friend_id = call.fields.optional("friendId", Fields::number)?;
    let id = match (call.fields.optional("gId", Fields::number)?, friend_id) {
        (Some(g_id), friend_id) => groups::ask(call.server, session.uid, g_id, friend_id)?,
        (None, Some(friend_id)) => people::ask_friend(call.server, session.uid, friend_id)?,
        (None, None) => return Err(Refusal::bad("friendId: missing, and gId too")),
    };
    data(&json!({ "id": id }))
}

fn delete_friend(call: &Call, session: &Session) -> Result<Response, Refusal> {
    people::delete_friend(call.server, session.uid, call.fields.number("friendId")?)?;
    done()
}

fn get_username_by_uid(call: &Call, _: &Session) -> Result<Response, Refusal> {
    let user = call.server.store.user(call.fields.number("uid")?)?;
    data(&json!({ "username": user.username }))
}

fn create_group(call: &Call, session: &Session) -> Result<Response, Refusal> {
    let gname = call.fields.name("gname")?;
    let friends = call.fields.numbers_or_none("members")?;
    let g_id = groups::create(call.server, session.uid, &gname, &friends)?;
    data(&json!({ "gId": g_id }))
}

fn get_groups(call: &Call, session: &Session) -> Result<Response, Refusal> {
    data(&groups::list(call.server, session.uid)?)
}

fn get_group_members(call: &Call, session: &Session) -> Result<Response, Refusal> {
    data(&groups::members(call.server, session.uid, call.fields.number("gId")?)?)
}

fn get_group_size(call: &Call, _: &Session) -> Result<Response, Refusal> {
    let group = call.server.store.group(call.fields.number("gId")?)?;
    data(&json!({ "size": group.members.len() }))
}

fn get_gname_by_gid(call: &Call, _: &Session) -> Result<Response, Refusal> {
    let group = call.server.store.group(call.fields.number("gId")?)?;
    data(&json!({ "gname": group.gname }))
}

fn modify_group_name(call: &Call, session: &Session) -> Result<Response, Refusal> {
    let (g_id, gname) = (call.fields.number("gId")?, call.fields.name("gname")?);
    groups::rename(call.server, session.uid, g_id, &gname)?;
    done()
}

fn remove_member(call: &Call, session: &Session) -> Result<Response, Refusal> {
    let (g_id, member) = (call.fields.number("gId")?, call.fields.number("uid")?);
    groups::remove_member(call.server, session.uid, g_id, member)?;
    done()
}

fn delete_group(call: &Call, session: &Session) -> Result<Response, Refusal> {
    groups::delete(call.server, session.uid, call.fields.number("gId")?)?;
    done()
}

fn quit_group(call: &Call, session: &Session) -> Result<Response, Refusal> {
    groups::quit(call.server, session.uid, call.fields.number("gId")?)?;
    done()
}

fn get_no_handle_messages(call: &Call, session: &Session) -> Result<Response, Refusal> {
    let kind = match call.fields.optional("type", Fields::text)? {
        None => Waiting::All,
        Some("REQUEST") => Waiting::Requests,
        Some(_) => return Err(Refusal::bad("type: must be REQUEST, or left out")),
    };
    let (mut list, mut last_id, mut bytes) = (Vec::new(), 0, 0);
    while list.len() < MAX_LISTED && bytes < MAX_LISTED_BYTES {
        let page = BACKLOG_PAGE.min(MAX_LISTED - list.len());
        let waiting = call.server.store.unhandled(session.uid, kind, last_id, page)?;
        let Some((id, _)) = waiting.last() else { break };
        last_id = *id;
        bytes += waiting.iter().map(|(_, message)| encode(message).len()).sum::<usize>();
        list.extend(waiting.into_iter().map(|(_, message)| message));
    }
    data(&list)
}

fn message_handle(call: &Call, session: &Session) -> Result<Response, Refusal> {
    let (id, accept) = (call.fields.number("msgId")?, call.fields.flag("accept")?);
    people::answer_request(call.server, session.uid, id, accept)?;
    done()
}

fn download_file_success(call: &Call, session: &Session) -> Result<Response, Refusal> {
    call.server.store.file_arrived(session.uid, call.fields.number("msgId")?)?;
    done()
}

fn get_chat_records(call: &Call, session: &Session) -> Result<Response, Refusal> {
    let fields = &call.fields;
    let limit = fields.number_or("limit", RECORDS)?;
    if !(1..=MAX_RECORDS).contains(&limit) {
        return Err(Refusal::bad(format!("limit: must be from 1 to {MAX_RECORDS}")));
    }
    let text = fields.optional("text", Fields::text)?;
    if text == Some("") {
        return Err(Refusal::bad("text: must have 1 character or more, or be left out"));
    }
    if text.is_some_and(|text| text.chars().count() > MAX_SEARCHED_TEXT) {
        return Err(Refusal::bad(format!("text: must have at most {MAX_SEARCHED_TEXT} characters")));
    }
    let types = ["TEXT", "EMOJI", "PICTURE", "FILE"];
    let wanted = Wanted {
        is_friend: fields.flag("isFriend")?,
        to_id: fields.number("toId")?,
        before_id: fields.number_or("beforeId", MAX_NUMBER)?,
        limit: limit as usize,
        from_id: fields.optional("fromId", Fields::number)?,
        from_time: fields.optional("fromTime", Fields::number)?,
        to_time: fields.optional("toTime", Fields::number)?,
        text: text.map(str::to_owned),
        msg_type: fields.optional("msgType", |fields, name| fields.one_of(name, &types))?,
    };
    data(&call.server.store.records(session.uid, &wanted)?)
}

/// `{"ok":true,"data":…}`
fn data(value: &impl Serialize) -> Result<Response, Refusal> {
    Ok(Response::json(200, [br#"{"ok":true,"data":"#, &encode(value)[..], b"}"].concat()))
}

/// `{"ok":true}`
fn done() -> Result<Response, Refusal> {
    Ok(Response::json(200, br#"{"ok":true}"#.to_vec()))
}

fn unsupported_type() -> Response {
    let text = "a body must be application/x-www-form-urlencoded or application/json, in UTF-8";
    Response::error(415, "badRequest", text, None)
}

/// The answer where a function has panicked.
fn bug() -> Response {
    Response { close: true, ..Response::error(500, "badRequest", "the server has a bug", None) }
}

fn not_logged_in() -> Refusal {
    Refusal::new(Code::NotLoggedIn, "log in first: POST /login")
}

fn forbidden(text: &str) -> Response {
    Response::from(&Refusal::new(Code::Forbidden, text))
}

impl From<&Refusal> for Response {
    fn from(refusal: &Refusal) -> Response {
        Response::error(refusal.code.status(), &refusal.code.to_string(), &refusal.text, refusal.limit)
    }
}

/// Whether the request names us as we know ourselves: an IP address, localhost, or a name of `--httpHost`. A page of an
/// attacker can have any other name lead here (DNS rebinding), and would then be of the same site as we.
fn is_our_name(server: &Server, head: &RequestHead) -> bool {
    let Some(Authority { host, .. }) = &head.authority else { return true }; // HTTP/1.0
    let names = &server.config.http_host;
    let is_named = host == "localhost" || names.iter().any(|name| host.eq_ignore_ascii_case(name));
    is_named || host.parse::<IpAddr>().is_ok()
}

/// Whether a browser says that a page of another origin made it ask. Programs without these fields pass.
fn comes_from_another_origin(head: &RequestHead) -> bool {
    let ends_authority = ['/', '?', '#'];
    let is_ours = |url: &str| {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let authority = Authority::parse(rest.split(ends_authority).next().unwrap_or_default());
        scheme.eq_ignore_ascii_case("http") && authority.is_some() && authority == head.authority
    };
    let is_relative = |url: &str| {
        !url.starts_with("//") && !url.split(ends_authority).next().is_some_and(|first| first.contains(':'))
    };
    let same_site = |value: &str| value == "same-origin" || value == "none";
    let fields = &head.header;
    fields.all("Origin").any(|value| !is_ours(value))
        || fields.all("Referer").any(|value| !is_ours(value) && !is_relative(value))
        || fields.all("Sec-Fetch-Site").any(|value| !same_site(value))
}

#[derive(PartialEq)]
enum ContentType {
    Form,
    Json,
}

/// The kind of a body; none where it is another, or in another encoding than UTF-8.
fn content_type(head: &RequestHead) -> Option<ContentType> {
    let (media_type, parameters) = head.header.media_type()?;
    if parameters.iter().any(|(name, value)| name == "charset" && value != "utf-8") {
        return None;
    }
    match media_type.as_str() {
        "application/x-www-form-urlencoded" => Some(ContentType::Form),
        "application/json" => Some(ContentType::Json),
        _ => None,
    }
}

/// The arguments: those of the query, and those of a body that has some.
fn arguments(head: &RequestHead, body: Option<&[u8]>) -> Result<Fields, Refusal> {
    let wrong = |error: HttpError| Refusal::bad(error.outcome().2);
    let mut pairs = http::parse_form(&head.query).map_err(wrong)?;
    let mut members = Fields::default();
    match body {
        Some(json) if content_type(head) == Some(ContentType::Json) => members = Fields::from_json(json)?,
        Some(form) => pairs.extend(http::parse_form(form).map_err(wrong)?),
        None => {}
    }
    Fields::from_arguments(pairs, members)
}
