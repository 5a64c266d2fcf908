//! The HTTP interface: a table from path to function, and what happens around each (PROTOCOL.md, 7).
//!
//! Rules: who acts is the session's user, never an argument. The order of the checks is that of `answer`; the first that
//! fails decides. A page of another site is turned away: the brief changes things by GET, which any page can make a
//! browser send. Not here: the grammar of HTTP (http.rs), the rules of chat (people.rs).
//! Start with `TABLE`: a new path is one line there and one function below.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use crate::config::Http;
use crate::fields::Fields;
use crate::http::{self, Connection, HttpError, RequestHead, Response};
use crate::limits::{
    HEADER_DEADLINE, MAX_ARGUMENTS, MAX_ARGUMENTS_BODY, MAX_HTTP_CONNECTIONS, patiently,
};
use crate::message::{Code, Refusal, encode};
use crate::server::sessions::Session;
use crate::server::{Server, people};
use crate::socket::Socket;
use crate::wire::{self, PlainChannel, SealedChannel, hello_as_server};

/// One path.
struct Route {
    path: &'static str,
    /// GET and HEAD; POST is accepted everywhere.
    methods: &'static [&'static str],
    needs_session: bool,
    function: fn(&Call) -> Result<Reply, Refusal>,
}

/// What reads.
const READS: &[&str] = &["GET", "HEAD", "POST"];
/// What changes something, and is a GET in the brief. HEAD must not do it.
const CHANGES: &[&str] = &["GET", "POST"];
/// What carries a password.
const POST: &[&str] = &["POST"];

#[rustfmt::skip]
const TABLE: &[Route] = &[
    Route { path: "/register",              methods: CHANGES, needs_session: false, function: register },
    Route { path: "/checkLoginName",        methods: READS,   needs_session: false, function: check_login_name },
    Route { path: "/login",                 methods: POST,    needs_session: false, function: login },
    Route { path: "/logout",                methods: POST,    needs_session: true,  function: logout },
    Route { path: "/searchUserByLoginname", methods: READS,   needs_session: true,  function: search_user },
    Route { path: "/getFriendsById",        methods: READS,   needs_session: true,  function: get_friends },
    Route { path: "/canAddFriends",         methods: READS,   needs_session: true,  function: can_add_friends },
    Route { path: "/addFriendsOrGroup",     methods: CHANGES, needs_session: true,  function: add_friends_or_group },
    Route { path: "/delete_friend",         methods: CHANGES, needs_session: true,  function: delete_friend },
    Route { path: "/getNoHandleMessages",   methods: READS,   needs_session: true,  function: get_no_handle_messages },
    Route { path: "/messageHandle",         methods: CHANGES, needs_session: true,  function: message_handle },
];

/// What a function of the table gets.
struct Call<'a> {
    server: &'a Server,
    address: IpAddr,
    fields: Fields,
    /// None only where the route needs no session.
    session: Option<Session>,
}

/// What a function of the table gives back.
#[derive(Default)]
struct Reply {
    /// JSON.
    data: Option<Vec<u8>>,
    /// A new value of the cookie `sid`, with its attributes.
    cookie: Option<String>,
}

fn data(value: &impl Serialize) -> Result<Reply, Refusal> {
    Ok(Reply { data: Some(encode(value)), cookie: None })
}

impl Call<'_> {
    /// The session; `answer` lets nobody without one this far.
    fn session(&self) -> Result<&Session, Refusal> {
        let refused = || Refusal::new(Code::NotLoggedIn, "log in first: POST /login");
        self.session.as_ref().ok_or_else(refused)
    }

    fn uid(&self) -> Result<u64, Refusal> {
        self.session().map(|session| session.uid)
    }
}

fn register(call: &Call) -> Result<Reply, Refusal> {
    let uid = people::register(call.server, &call.fields.new_user()?)?;
    data(&json!({ "uid": uid }))
}

fn check_login_name(call: &Call) -> Result<Reply, Refusal> {
    let is_taken = call.server.store.has_login_name(&call.fields.name("loginName")?)?;
    data(&json!({ "available": !is_taken }))
}

fn login(call: &Call) -> Result<Reply, Refusal> {
    let (login_name, pwd) = (call.fields.name("loginName")?, call.fields.pwd("pwd")?);
    let user = people::check_password(call.server, &login_name, &pwd, call.address)?;
    let session = people::begin_session(call.server, user.uid, false);
    let cookie = Some(format!("sid={}; Path=/; HttpOnly; SameSite=Strict", session.id));
    Ok(Reply { data: Some(encode(&user)), cookie })
}

fn logout(call: &Call) -> Result<Reply, Refusal> {
    people::end_session(call.server, call.session()?, "loggedOut", "logged out over HTTP");
    let cookie = Some("sid=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0".to_owned());
    Ok(Reply { data: None, cookie })
}

fn search_user(call: &Call) -> Result<Reply, Refusal> {
    let part = call.fields.text("loginName")?;
    if part.is_empty() {
        return Err(Refusal::bad("loginName: must have at least one character"));
    }
    data(&call.server.store.search_users(part)?)
}

fn get_friends(call: &Call) -> Result<Reply, Refusal> {
    data(&people::friends(call.server, call.uid()?)?)
}

fn can_add_friends(call: &Call) -> Result<Reply, Refusal> {
    let friend_id = call.fields.number("friendId")?;
    match call.server.store.can_add_friend(call.uid()?, friend_id) {
        Ok(()) => data(&json!({ "canAdd": true })),
        Err(Refusal { code: Code::BadRequest | Code::Already, text, .. }) => {
            data(&json!({ "canAdd": false, "why": text }))
        }
        Err(other) => Err(other),
    }
}

fn add_friends_or_group(call: &Call) -> Result<Reply, Refusal> {
    if call.fields.has("gId") {
        let text = format!("there is no group {}", call.fields.number("gId")?);
        return Err(Refusal::new(Code::NoSuchGroup, text));
    }
    let id = people::ask_friend(call.server, call.uid()?, call.fields.number("friendId")?)?;
    data(&json!({ "id": id }))
}

fn delete_friend(call: &Call) -> Result<Reply, Refusal> {
    people::delete_friend(call.server, call.uid()?, call.fields.number("friendId")?)?;
    Ok(Reply::default())
}

fn get_no_handle_messages(call: &Call) -> Result<Reply, Refusal> {
    let requests_alone = call.fields.has("type");
    if requests_alone && call.fields.text("type")? != "REQUEST" {
        return Err(Refusal::bad("type: must be REQUEST, or left out"));
    }
    data(&call.server.store.no_handle_messages(call.uid()?, requests_alone)?)
}

fn message_handle(call: &Call) -> Result<Reply, Refusal> {
    let (id, accept) = (call.fields.number("msgId")?, call.fields.flag("accept")?);
    people::answer_request(call.server, call.uid()?, id, accept)?;
    Ok(Reply::default())
}

/// The whole life of an HTTP connection, plain or, behind the hello, sealed.
pub fn serve(server: &Arc<Server>, socket: Socket) {
    let accepted = Instant::now();
    let patience = server.config.patience;
    let deadline = accepted + patiently(HEADER_DEADLINE, patience);
    let address = socket.peer().ip();
    let seat = server.http_connections.take(MAX_HTTP_CONNECTIONS);
    if seat.is_none() {
        let full = Response::error(503, "tooMany", "too many HTTP connections, try again", None);
        let _ = socket.send(&full.to_octets(false, true), deadline);
        return;
    }
    let hello = hello_as_server(&socket, server.config.passphrase.as_bytes(), deadline);
    let (mut connection, is_sealed) = match hello {
        Ok((sender, receiver)) => {
            let channel = SealedChannel { socket, sender, receiver };
            (Connection::new(Box::new(channel), Vec::new(), accepted, patience), true)
        }
        Err(wire::Error::NotMinim(came)) => {
            (Connection::new(Box::new(PlainChannel(socket)), came, accepted, patience), false)
        }
        Err(_) => return, // the peer is told nothing
    };
    loop {
        let head = match connection.read_head() {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(error) => return connection.refuse(error),
        };
        let may_come = is_sealed || server.config.http != Http::Sealed;
        let answer = match may_come {
            true => answer(server, address, &mut connection, &head),
            false => Ok(Response {
                close: true,
                ..refused(&forbidden("this server takes sealed HTTP alone"))
            }),
        };
        match answer {
            Ok(answer) if connection.write_response(&answer) => continue,
            Ok(_) => return,
            Err(error) => return connection.refuse(error),
        }
    }
}

/// One request from its head to its answer; an error is one of the message itself.
fn answer(
    server: &Server,
    address: IpAddr,
    connection: &mut Connection,
    head: &RequestHead,
) -> Result<Response, HttpError> {
    let route = match find_route(server, head) {
        Ok(route) => route,
        Err(answer) => {
            connection.discard_body(MAX_ARGUMENTS_BODY);
            return Ok(answer);
        }
    };
    let body = connection.read_body(MAX_ARGUMENTS_BODY)?;
    let body = if head.method == "POST" { body } else { Vec::new() };
    if !body.is_empty() && content_type(head).is_none() {
        let text = "a body must be application/x-www-form-urlencoded or application/json, in UTF-8";
        return Ok(Response::error(415, "badRequest", text, None));
    }
    let session = head.fields.cookie("sid").and_then(|id| server.sessions.find(id));
    if route.needs_session && session.is_none() {
        return Ok(refused(&Refusal::new(Code::NotLoggedIn, "log in first: POST /login")));
    }
    let reply = arguments(head, &body)?
        .and_then(|fields| (route.function)(&Call { server, address, fields, session }));
    Ok(match reply {
        Ok(reply) => reply_as_answer(reply),
        Err(refusal) => refused(&refusal),
    })
}

/// The route of a request, or why there is none for it: whose name it used, from which site, method, path.
fn find_route(server: &Server, head: &RequestHead) -> Result<&'static Route, Response> {
    if !is_our_name(server, head) {
        return Err(refused(&forbidden(
            "Host: not an address of this server, nor a name of --httpHost",
        )));
    }
    if comes_from_another_site(head) {
        return Err(refused(&forbidden("a page of another site may not ask here")));
    }
    if !http::METHODS.contains(&head.method.as_str()) {
        return Err(Response::error(501, "badRequest", "this method is not known here", None));
    }
    if head.path == "*" {
        return Err(Response::new(204, Vec::new()).with("Allow", "GET, HEAD, POST, OPTIONS"));
    }
    let segments = head.path_segments().map_err(Response::from)?;
    let path = format!("/{}", segments.join("/"));
    let is_wanted = |route: &&Route| route.path == path && segments.len() == 1;
    let Some(route) = TABLE.iter().find(is_wanted) else {
        return Err(refused(&Refusal::new(Code::NotFound, "there is nothing under this path")));
    };
    if !route.methods.contains(&head.method.as_str()) {
        let text = "this path does not take this method";
        return Err(
            Response::error(405, "badRequest", text, None).with("Allow", &route.methods.join(", "))
        );
    }
    Ok(route)
}

/// Whether `Host` names us as we know ourselves: an IP address, localhost, or a name of `--httpHost`. A page of an
/// attacker can have any other name lead here (DNS rebinding), and would then be of the same site as we.
fn is_our_name(server: &Server, head: &RequestHead) -> bool {
    let Some(authority) = &head.authority else { return true }; // HTTP/1.0
    let host = host_of(authority);
    let is_address = host.parse::<IpAddr>().is_ok();
    let names = &server.config.http_host;
    is_address
        || host.eq_ignore_ascii_case("localhost")
        || names.iter().any(|name| host.eq_ignore_ascii_case(name))
}

/// The host of `host` or `host:port`, without the brackets of an IPv6 address.
fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// Whether a browser says that a page of another origin made it ask. Programs without these fields pass.
fn comes_from_another_site(head: &RequestHead) -> bool {
    let ours = head.authority.as_deref().unwrap_or_default();
    let is_ours = |value: &str| {
        let rest = value.strip_prefix("http://");
        let authority = rest.map(|rest| rest.split('/').next().unwrap_or_default());
        authority
            .is_some_and(|authority| with_port(authority).eq_ignore_ascii_case(&with_port(ours)))
    };
    let same_site = |value: &str| value == "same-origin" || value == "none";
    let fields = &head.fields;
    fields.all("Origin").any(|value| !is_ours(value))
        || fields.all("Referer").any(|value| !is_ours(value))
        || fields.all("Sec-Fetch-Site").any(|value| !same_site(value))
}

/// An authority with its port, which is 80 where none is said.
fn with_port(authority: &str) -> String {
    let behind_brackets = authority.rsplit(']').next().unwrap_or_default();
    if behind_brackets.contains(':') { authority.to_owned() } else { format!("{authority}:80") }
}

#[derive(PartialEq)]
enum ContentType {
    Form,
    Json,
}

/// The kind of a body; none where it is another, or in another encoding than UTF-8.
fn content_type(head: &RequestHead) -> Option<ContentType> {
    let value = head.fields.all("Content-Type").next()?.to_ascii_lowercase();
    let (kind, parameters) = value.split_once(';').unwrap_or((&value, ""));
    let charset =
        parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("charset="));
    if charset.is_some_and(|charset| charset.trim_matches('"') != "utf-8") {
        return None;
    }
    match kind.trim() {
        "application/x-www-form-urlencoded" => Some(ContentType::Form),
        "application/json" => Some(ContentType::Json),
        _ => None,
    }
}

/// The arguments: those of the query, and those of the body.
fn arguments(head: &RequestHead, body: &[u8]) -> Result<Result<Fields, Refusal>, HttpError> {
    let mut pairs = http::parse_form(&head.query)?;
    let is_json = content_type(head) == Some(ContentType::Json);
    if is_json && head.method == "POST" {
        let members = Fields::from_json(body);
        return Ok(members.and_then(|members| Fields::from_arguments(pairs, members)));
    }
    pairs.extend(http::parse_form(body)?);
    if pairs.len() > MAX_ARGUMENTS {
        return Err(HttpError::BadArgument("too many arguments"));
    }
    Ok(Fields::from_arguments(pairs, Fields::default()))
}

fn reply_as_answer(reply: Reply) -> Response {
    let mut body = br#"{"ok":true"#.to_vec();
    if let Some(data) = reply.data {
        body.extend_from_slice(br#","data":"#);
        body.extend(data);
    }
    body.push(b'}');
    let answer = Response::json(200, body);
    match reply.cookie {
        Some(cookie) => answer.with("Set-Cookie", &cookie),
        None => answer,
    }
}

fn forbidden(text: &str) -> Refusal {
    Refusal::new(Code::Forbidden, text)
}

fn refused(refusal: &Refusal) -> Response {
    let code = json!(refusal.code);
    Response::error(
        refusal.code.status(),
        code.as_str().unwrap_or_default(),
        &refusal.text,
        refusal.limit,
    )
}
