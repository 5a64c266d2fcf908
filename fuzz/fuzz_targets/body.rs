//! Fed: a client's body, JSON or FILE_CHUNK; and the same bytes as the arguments of a form.
//!
//! Must hold:
//! - what is taken, encoded and parsed once more, is the same request, and obeys limits.rs;
//! - blanks around the JSON change nothing; neither do the bytes behind a FILE_CHUNK;
//! - a refusal has one of two codes, and a text that repeats little of what came;
//! - a new user whom the chat takes is taken over HTTP too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use minim::fields::{Fields, parse, split_chunk};
use minim::http::parse_form;
use minim::limits::{MAX_FILE_NAME, MAX_IDS, MAX_MSG_TEXT, MAX_NAME, MAX_NUMBER, MAX_PWD};
use minim::message::{Code, FromClient, NewUser, Refusal, encode};

/// Characters that no refusal exceeds, whatever it answers.
const LONGEST_REFUSAL: usize = 300;

fuzz_target!(|body: &[u8]| {
    a_body(body);
    a_chunk(body);
    arguments(body);
});

fn a_body(body: &[u8]) {
    let (number, outcome) = parse(body);
    assert!(number.is_none_or(|number| number < MAX_NUMBER));
    match outcome {
        Ok(request) => {
            check(&request);
            assert_eq!(
                parse(&encode(&request)),
                (number.filter(|_| has_number(&request)), Ok(request.clone()))
            );
            assert_eq!(parse(&[&b" \t\r\n"[..], body, b"\n "].concat()), (number, Ok(request)));
        }
        Err(refusal) => check_refusal(&refusal),
    }
}

/// What stands before the line feed says whether it is a chunk; what stands behind it is the file's.
fn a_chunk(body: &[u8]) {
    let (json, raw) = split_chunk(body);
    if json.len() == body.len() {
        assert!(raw.is_empty());
        return;
    }
    assert_eq!([json, b"\n", raw].concat(), body);
    assert!(!json.contains(&b'\n'));
    assert_eq!(split_chunk(json), (json, &[][..]));
    if let Ok(request) = parse(json).1 {
        assert!(matches!(request, FromClient::FileChunk { .. }));
    }
}

fn arguments(body: &[u8]) {
    let json = Fields::from_json(body).unwrap_or_default();
    let strict = json.new_user();
    let lenient = Fields::from_arguments(Vec::new(), json).and_then(|fields| fields.new_user());
    assert!(strict.is_err() || strict == lenient);

    let Ok(fields) = Fields::from_arguments(parse_form(body).unwrap_or_default(), Fields::default()) else {
        return;
    };
    match fields.new_user() {
        Ok(user) => check_user(&user),
        Err(refusal) => check_refusal(&refusal),
    }
    match fields.changes() {
        Ok(changes) => {
            changes.username.iter().for_each(|name| check_name(name));
            changes.pwd.iter().for_each(|new| check_pwd(&new.pwd));
            assert!(changes.sex.is_none_or(|sex| sex <= 2));
        }
        Err(refusal) => check_refusal(&refusal),
    }
    let ids = fields.numbers_or_none("ids").unwrap_or_default();
    assert!(ids.len() <= MAX_IDS && ids.iter().all(|id| *id < MAX_NUMBER));
}

fn check(request: &FromClient) {
    match request {
        FromClient::Register { user, .. } => check_user(user),
        FromClient::Login { login_name, pwd, .. } => {
            check_name(login_name);
            check_pwd(pwd);
        }
        FromClient::ChatSendMsg(message) => {
            assert!((1..=MAX_MSG_TEXT).contains(&message.msg_text.len()));
            assert!(["TEXT", "EMOJI"].contains(&message.msg_type.as_str()));
            assert!(message.to_id < MAX_NUMBER);
        }
        FromClient::ChatReceived { ids } => {
            assert!(ids.len() <= MAX_IDS && ids.iter().all(|id| *id < MAX_NUMBER));
        }
        FromClient::FileUpload(upload) => {
            let name = &upload.file.file_name;
            assert!((1..=MAX_FILE_NAME).contains(&name.len()) && name != "." && name != "..");
            assert!(!name.contains(['/', '\\', '\0']));
            assert!(upload.file.file_md5.len() == 32 && upload.file.file_size < MAX_NUMBER);
        }
        FromClient::FileDownload { offset, .. } | FromClient::FileChunk { offset } => {
            assert!(*offset < MAX_NUMBER)
        }
        _ => {}
    }
}

/// Whether such a request is numbered; in others a number is no field of theirs, and is passed over.
fn has_number(request: &FromClient) -> bool {
    use FromClient::{ChatReceived, FileChunk, Ping, Pong};
    !matches!(request, ChatReceived { .. } | FileChunk { .. } | Ping | Pong)
}

fn check_user(user: &NewUser) {
    check_name(&user.login_name);
    check_name(&user.username);
    check_pwd(&user.pwd);
    assert!(user.sex <= 2);
}

fn check_name(name: &str) {
    assert!((1..=MAX_NAME).contains(&name.chars().count()) && name.trim() == name);
    assert!(!name.contains(char::is_control));
}

fn check_pwd(pwd: &str) {
    assert!((1..=MAX_PWD).contains(&pwd.chars().count()) && !pwd.contains(char::is_control));
}

fn check_refusal(refusal: &Refusal) {
    assert!(matches!(refusal.code, Code::BadRequest | Code::TooLarge));
    assert!(refusal.text.chars().count() < LONGEST_REFUSAL, "{}", refusal.text);
}
