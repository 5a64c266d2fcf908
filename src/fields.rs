//! What comes from clients, checked field by field: one place that says what each field may be, whether it comes as JSON
//! over chat or as an argument over HTTP (PROTOCOL.md, 4.2).
//!
//! Rules: a field that is missing, of another kind or outside its limits is a `badRequest` that names it and says
//! what would be right. What a client sent is never repeated in full. Not here: whether a user may do it.
//! Start with `parse`.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::harmless;
use crate::limits::{
    MAX_ARGUMENTS, MAX_FILE_NAME, MAX_IDS, MAX_MSG_TEXT, MAX_NAME, MAX_NUMBER, MAX_PWD, MAX_REPEATED,
};
use crate::message::{Changes, ChatSendMsg, Code, File, FileUpload, FromClient, NewPwd, NewUser, Refusal};

/// A client's body, every field checked, and beside it the request's number where there is one.
pub fn parse(body: &[u8]) -> (Option<u64>, Result<FromClient, Refusal>) {
    match Fields::from_json(body) {
        Ok(fields) => (fields.number("clientNo").ok(), request(&fields)),
        Err(refusal) => (None, Err(refusal)),
    }
}

/// A body's JSON, and the raw bytes behind its line feed, which a FILE_CHUNK alone has.
pub fn split_chunk(body: &[u8]) -> (&[u8], &[u8]) {
    let end = body.iter().position(|byte| *byte == b'\n').unwrap_or(body.len());
    let is_chunk = Fields::from_json(&body[..end])
        .is_ok_and(|fields| fields.text("type").is_ok_and(|kind| kind == "FILE_CHUNK"));
    if is_chunk { (&body[..end], body.get(end + 1..).unwrap_or_default()) } else { (body, &[]) }
}

fn request(fields: &Fields) -> Result<FromClient, Refusal> {
    let kind = fields.text("type")?;
    let client_no = || fields.number("clientNo");
    Ok(match kind {
        "REGISTER" => FromClient::Register { client_no: client_no()?, user: fields.new_user()? },

        "LOGIN" => FromClient::Login {
            client_no: client_no()?,
            login_name: fields.name("loginName")?,
            pwd: fields.pwd("pwd")?,
        },

        "RESUME" => {
            FromClient::Resume { client_no: client_no()?, session_id: fields.text("sessionId")?.to_owned() }
        }

        "LOGOUT" => FromClient::Logout { client_no: client_no()? },

        "CHAT_SEND_MSG" => FromClient::ChatSendMsg(ChatSendMsg {
            client_no: client_no()?,
            is_friend: fields.flag("isFriend")?,
            to_id: fields.number("toId")?,
            send_time: 0,
            msg_type: fields.one_of("msgType", &["TEXT", "EMOJI"])?,
            msg_text: fields.msg_text()?,
        }),

        "CHAT_RECEIVED" => FromClient::ChatReceived { ids: fields.ids()? },

        "FILE_UPLOAD" => FromClient::FileUpload(FileUpload {
            client_no: client_no()?,
            is_friend: fields.flag("isFriend")?,
            to_id: fields.number("toId")?,
            file: File {
                file_name: fields.file_name()?,
                file_size: fields.number("fileSize")?,
                file_md5: fields.file_md5()?,
            },
            msg_type: fields.one_of("msgType", &["PICTURE", "FILE"])?,
        }),

        "FILE_DOWNLOAD" => FromClient::FileDownload {
            client_no: client_no()?,
            msg_id: fields.number("msgId")?,
            offset: fields.number("offset")?,
        },

        "FILE_CHUNK" => FromClient::FileChunk { offset: fields.number("offset")? },

        "FILE_END" => FromClient::FileEnd { client_no: client_no()? },

        "PING" => FromClient::Ping,

        "PONG" => FromClient::Pong,

        _ => return Err(Refusal::bad("type: this server knows no such request")),
    })
}

/// The fields of one request, taken out by name.
#[derive(Debug, Default)]
pub struct Fields {
    values: Map<String, Value>,
    /// HTTP: a number or a boolean may come as a text too, since forms have nothing else.
    lenient: bool,
}

impl Fields {
    /// From one JSON object. A name given twice is refused: two readers could take two different ones.
    pub fn from_json(body: &[u8]) -> Result<Fields, Refusal> {
        let text = std::str::from_utf8(body).map_err(|_| Refusal::bad("text that is not UTF-8"))?; // also in what is passed over
        let mut json = serde_json::Deserializer::from_str(text);
        let fields = json.deserialize_map(Members).and_then(|fields| json.end().map(|()| fields));
        fields.map_err(|error| Refusal::bad(shortened(&format!("no JSON object: {error}"))))
    }

    /// From the arguments of HTTP and, behind them, the members of a JSON body.
    pub fn from_arguments(pairs: Vec<(String, String)>, json: Fields) -> Result<Fields, Refusal> {
        if pairs.len() + json.values.len() > MAX_ARGUMENTS {
            return Err(Refusal::bad("too many arguments"));
        }
        let mut fields = Fields { values: json.values, lenient: true };
        for (name, value) in pairs {
            if fields.has(&name) {
                return Err(Refusal::bad(format!("{}: given twice", shortened(&name))));
            }
            fields.values.insert(name, Value::String(value));
        }
        Ok(fields)
    }

    /// Whether the field is there.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    fn value(&self, name: &str) -> Result<&Value, Refusal> {
        self.values.get(name).ok_or_else(|| Refusal::bad(format!("{name}: missing")))
    }

    /// A text of any length and content.
    pub fn text(&self, name: &str) -> Result<&str, Refusal> {
        let value = self.value(name)?.as_str();
        value.ok_or_else(|| must(name, "be a text"))
    }

    /// A whole number from 0 to 2^53 - 1.
    pub fn number(&self, name: &str) -> Result<u64, Refusal> {
        let number = match self.value(name)? {
            Value::String(digits) if self.lenient => whole_number(digits),
            other => other.as_u64(),
        };
        let number = number.filter(|&number| number < MAX_NUMBER);
        number.ok_or_else(|| must(name, "be a whole number from 0 to 2^53 - 1"))
    }

    /// A number that may be left out.
    pub fn number_or(&self, name: &str, default: u64) -> Result<u64, Refusal> {
        Ok(self.optional(name, Fields::number)?.unwrap_or(default))
    }

    /// What `read` makes of a field, where that is there.
    pub fn optional<'a, T>(
        &'a self,
        name: &str,
        read: impl Fn(&'a Fields, &str) -> Result<T, Refusal>,
    ) -> Result<Option<T>, Refusal> {
        if self.has(name) { read(self, name).map(Some) } else { Ok(None) }
    }

    /// Whole numbers with commas between them, at most `MAX_IDS`; none where the field is missing or empty.
    pub fn numbers_or_none(&self, name: &str) -> Result<Vec<u64>, Refusal> {
        let text = self.optional(name, Fields::text)?.unwrap_or_default();
        let pieces = text.split(',').filter(|_| !text.is_empty());
        let number = |piece: &str| whole_number(piece.trim()).filter(|&number| number < MAX_NUMBER);
        let numbers: Option<Vec<u64>> = pieces.map(number).collect();
        let numbers = numbers.filter(|numbers| numbers.len() <= MAX_IDS);
        numbers
            .ok_or_else(|| must(name, format!("be at most {MAX_IDS} whole numbers with commas between them")))
    }

    /// true or false.
    pub fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.value(name)? {
            Value::Bool(flag) => Ok(*flag),
            Value::String(text) if self.lenient && text == "true" => Ok(true),
            Value::String(text) if self.lenient && text == "false" => Ok(false),
            _ => Err(must(name, "be true or false")),
        }
    }

    /// A loginName, username or gname: 1 to `MAX_NAME` characters, none of which plays with a terminal or hides.
    pub fn name(&self, name: &str) -> Result<String, Refusal> {
        let text = self.text(name)?;
        if !(1..=MAX_NAME).contains(&text.chars().count()) {
            return Err(must(name, format!("have 1 to {MAX_NAME} characters")));
        }
        if text.contains(is_hidden) || text.trim() != text {
            return Err(must(name, "not have control or invisible characters, or a blank at an end"));
        }
        Ok(text.to_owned())
    }

    /// A pwd: 1 to `MAX_PWD` characters, no control characters.
    pub fn pwd(&self, name: &str) -> Result<String, Refusal> {
        let text = self.text(name)?;
        if !(1..=MAX_PWD).contains(&text.chars().count()) || text.contains(char::is_control) {
            let right = format!("have 1 to {MAX_PWD} characters and no control characters");
            return Err(must(name, right));
        }
        Ok(text.to_owned())
    }

    /// What REGISTER says of a user, also over HTTP.
    pub fn new_user(&self) -> Result<NewUser, Refusal> {
        Ok(NewUser {
            login_name: self.name("loginName")?,
            pwd: self.pwd("pwd")?,
            username: self.name("username")?,
            sex: self.sex("sex")?,
            pic_url: self.optional("picUrl", Fields::text)?.unwrap_or_default().to_owned(),
        })
    }

    /// What /modifyUser is to change of a user.
    pub fn changes(&self) -> Result<Changes, Refusal> {
        let changes = Changes {
            username: self.optional("username", Fields::name)?,
            sex: self.optional("sex", Fields::sex)?,
            pic_url: self.optional("picUrl", Fields::text)?.map(str::to_owned),
            pwd: self.optional("pwd", |fields, name| {
                Ok(NewPwd { pwd: fields.pwd(name)?, old_pwd: fields.pwd("oldPwd")? })
            })?,
        };
        if changes == Changes::default() {
            return Err(Refusal::bad("username, sex, picUrl, pwd: one of them must be there"));
        }
        Ok(changes)
    }

    fn sex(&self, name: &str) -> Result<u64, Refusal> {
        let sex = self.number(name)?;
        if sex > 2 { Err(must(name, "be 0 (not said), 1 (male) or 2 (female)")) } else { Ok(sex) }
    }

    /// 1 to `MAX_MSG_TEXT` bytes; a longer text is `tooLarge`.
    fn msg_text(&self) -> Result<String, Refusal> {
        let text = self.text("msgText")?;
        if text.len() > MAX_MSG_TEXT {
            let text = format!("msgText: {} bytes, at most {MAX_MSG_TEXT}", text.len());
            return Err(Refusal { code: Code::TooLarge, text, limit: Some(MAX_MSG_TEXT as u64) });
        }
        if text.is_empty() || text.contains(|c: char| c.is_control() && c != '\n' && c != '\t') {
            let right = "have 1 byte or more, and no control characters but line feed and tab";
            return Err(must("msgText", right));
        }
        Ok(text.to_owned())
    }

    /// One of some words.
    pub fn one_of(&self, name: &str, words: &[&str]) -> Result<String, Refusal> {
        let text = self.text(name)?;
        if !words.contains(&text) {
            return Err(must(name, format!("be {}", words.join(" or "))));
        }
        Ok(text.to_owned())
    }

    fn ids(&self) -> Result<Vec<u64>, Refusal> {
        let list = self.value("ids")?.as_array().filter(|list| list.len() <= MAX_IDS);
        let id = |value: &Value| value.as_u64().filter(|&id| id < MAX_NUMBER);
        let ids: Option<Vec<u64>> = list.and_then(|list| list.iter().map(id).collect());
        ids.ok_or_else(|| must("ids", format!("be a list of at most {MAX_IDS} ids")))
    }

    fn file_name(&self) -> Result<String, Refusal> {
        let text = self.text("fileName")?;
        let is_forbidden = |c: char| c == '/' || c == '\\' || c.is_control();
        let length_is_right = (1..=MAX_FILE_NAME).contains(&text.len());
        if !length_is_right || text == "." || text == ".." || text.contains(is_forbidden) {
            let right = format!("be 1 to {MAX_FILE_NAME} bytes, no path, no control characters");
            return Err(must("fileName", right));
        }
        Ok(text.to_owned())
    }

    fn file_md5(&self) -> Result<String, Refusal> {
        let text = self.text("fileMd5")?;
        if text.len() != 32 || text.contains(|c| !matches!(c, '0'..='9' | 'a'..='f')) {
            return Err(must("fileMd5", "be 32 lower-case hexadecimal digits"));
        }
        Ok(text.to_owned())
    }
}

fn must(name: &str, right: impl fmt::Display) -> Refusal {
    Refusal::bad(format!("{name}: must {right}"))
}

/// Control characters, and those that no reader sees or that turn a row around. Texts may have the joiners of emoji, names not.
fn is_hidden(c: char) -> bool {
    c.is_control() || harmless::is_hidden(c) || matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}')
}

/// Digits alone: `parse` would take a sign too.
fn whole_number(digits: &str) -> Option<u64> {
    let only_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| only_digits)
}

/// The beginning of a text from outside, short enough for an answer.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_REPEATED).collect()
}

/// Takes a JSON object apart. serde_json alone would keep the second of two members of one name, and would not say in
/// which member a number is too large.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = members.next_key::<String>()? {
            let short = shortened(&name);
            if fields.values.len() == MAX_ARGUMENTS {
                return Err(A::Error::custom(format!("more than {MAX_ARGUMENTS} members")));
            }
            let value = members.next_value_seed(Shallow { takes_lists: true });
            let value = value.map_err(|error| A::Error::custom(format!("{short}: {error}")))?;
            if fields.values.insert(name, value).is_some() {
                return Err(A::Error::custom(format!("{short}: given twice")));
            }
        }
        Ok(fields)
    }
}

/// Takes one value: a text, a number, true, false, null, or a list of those. What lies deeper, and what is behind more than
/// `MAX_IDS` of a list, is read over, and null stands for it: no field of ours has that, and a tree of small objects takes
/// a hundred times the memory of its JSON.
struct Shallow {
    takes_lists: bool,
}

impl<'de> DeserializeSeed<'de> for Shallow {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shallow {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while self.takes_lists && list.len() <= MAX_IDS {
            let Some(element) = elements.next_element_seed(Shallow { takes_lists: false })? else {
                return Ok(Value::Array(list));
            };
            list.push(element);
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(if self.takes_lists { Value::Array(list) } else { Value::Null })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Null)
    }
}
