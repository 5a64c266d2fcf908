//! The fields of a request, whether they come as JSON over chat or as arguments over HTTP: one place that says
//! what each may be (PROTOCOL.md, 4: limits).
//!
//! Rules: a field that is missing, of another kind or outside its limits is a `badRequest` that names it and says
//! what would be right. What a client sent is never repeated in full. Not here: whether a user may do it.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::limits::{MAX_FILE_NAME, MAX_IDS, MAX_MSG_TEXT, MAX_NAME, MAX_NUMBER, MAX_PWD};
use crate::message::{Code, NewUser, Refusal};

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
        serde_json::from_slice(body)
            .map_err(|error| Refusal::bad(format!("no JSON object: {error}")))
    }

    /// From the arguments of HTTP and, behind them, the members of a JSON body.
    pub fn from_arguments(pairs: Vec<(String, String)>, json: Fields) -> Result<Fields, Refusal> {
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
        value.ok_or_else(|| Refusal::bad(format!("{name}: must be a text")))
    }

    /// A whole number from 0 to 2^53 - 1.
    pub fn number(&self, name: &str) -> Result<u64, Refusal> {
        let number = match self.value(name)? {
            Value::String(digits) if self.lenient => whole_number(digits),
            other => other.as_u64(),
        };
        let number = number.filter(|&number| number < MAX_NUMBER);
        number.ok_or_else(|| {
            Refusal::bad(format!("{name}: must be a whole number from 0 to 2^53 - 1"))
        })
    }

    /// true or false.
    pub fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.value(name)? {
            Value::Bool(flag) => Ok(*flag),
            Value::String(text) if self.lenient && text == "true" => Ok(true),
            Value::String(text) if self.lenient && text == "false" => Ok(false),
            _ => Err(Refusal::bad(format!("{name}: must be true or false"))),
        }
    }

    /// A loginName, username or gname: 1 to `MAX_NAME` characters, none of which plays with a terminal or hides.
    pub fn name(&self, name: &str) -> Result<String, Refusal> {
        let text = self.text(name)?;
        let hidden = |c: char| {
            c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                    | '\u{2060}'..='\u{2069}' | '\u{feff}')
        };
        if !(1..=MAX_NAME).contains(&text.chars().count()) {
            return Err(Refusal::bad(format!("{name}: must have 1 to {MAX_NAME} characters")));
        }
        if text.contains(hidden) || text.trim() != text {
            let wrong = "control or invisible characters, or a blank at an end";
            return Err(Refusal::bad(format!("{name}: must not have {wrong}")));
        }
        Ok(text.to_owned())
    }

    /// A pwd: 1 to `MAX_PWD` characters, no control characters.
    pub fn pwd(&self, name: &str) -> Result<String, Refusal> {
        let text = self.text(name)?;
        if !(1..=MAX_PWD).contains(&text.chars().count()) || text.contains(char::is_control) {
            let right = format!("1 to {MAX_PWD} characters and no control characters");
            return Err(Refusal::bad(format!("{name}: must have {right}")));
        }
        Ok(text.to_owned())
    }

    /// What REGISTER says of a user, also over HTTP.
    pub fn new_user(&self) -> Result<NewUser, Refusal> {
        let sex = self.number("sex")?;
        if sex > 2 {
            return Err(Refusal::bad("sex: must be 0 (not said), 1 (male) or 2 (female)"));
        }
        if self.has("picUrl") && !self.text("picUrl")?.is_empty() {
            return Err(Refusal::bad(
                "picUrl: must be empty, or what this server gave for a picture",
            ));
        }
        Ok(NewUser {
            login_name: self.name("loginName")?,
            pwd: self.pwd("pwd")?,
            username: self.name("username")?,
            sex,
            pic_url: String::new(),
        })
    }

    /// A msgText: 1 to `MAX_MSG_TEXT` bytes; a longer one is `tooLarge`.
    pub fn msg_text(&self, name: &str) -> Result<String, Refusal> {
        let text = self.text(name)?;
        if text.len() > MAX_MSG_TEXT {
            let text = format!("{name}: {} bytes, at most {MAX_MSG_TEXT}", text.len());
            return Err(Refusal { code: Code::TooLarge, text, limit: Some(MAX_MSG_TEXT as u64) });
        }
        if text.is_empty() || text.contains(|c: char| c.is_control() && c != '\n' && c != '\t') {
            let right = "1 byte or more, and no control characters but line feed and tab";
            return Err(Refusal::bad(format!("{name}: must have {right}")));
        }
        Ok(text.to_owned())
    }

    /// One of a few words.
    pub fn one_of(&self, name: &str, words: &[&str]) -> Result<String, Refusal> {
        let text = self.text(name)?;
        if !words.contains(&text) {
            return Err(Refusal::bad(format!("{name}: must be {}", words.join(" or "))));
        }
        Ok(text.to_owned())
    }

    /// A list of at most `MAX_IDS` ids.
    pub fn ids(&self, name: &str) -> Result<Vec<u64>, Refusal> {
        let list = self.value(name)?.as_array().filter(|list| list.len() <= MAX_IDS);
        let id = |value: &Value| value.as_u64().filter(|&id| id < MAX_NUMBER);
        let ids: Option<Vec<u64>> = list.and_then(|list| list.iter().map(id).collect());
        ids.ok_or_else(|| Refusal::bad(format!("{name}: must be a list of at most {MAX_IDS} ids")))
    }

    /// A fileName: 1 to `MAX_FILE_NAME` bytes, no path.
    pub fn file_name(&self, name: &str) -> Result<String, Refusal> {
        let text = self.text(name)?;
        let forbidden = |c: char| c == '/' || c == '\\' || c.is_control();
        let length_is_right = (1..=MAX_FILE_NAME).contains(&text.len());
        if !length_is_right || text == "." || text == ".." || text.contains(forbidden) {
            let right =
                format!("a name of 1 to {MAX_FILE_NAME} bytes, no path, no control characters");
            return Err(Refusal::bad(format!("{name}: must be {right}")));
        }
        Ok(text.to_owned())
    }

    /// A fileMd5: 32 lower-case hexadecimal digits.
    pub fn file_md5(&self, name: &str) -> Result<String, Refusal> {
        let text = self.text(name)?;
        if text.len() != 32 || text.contains(|c| !matches!(c, '0'..='9' | 'a'..='f')) {
            return Err(Refusal::bad(format!("{name}: must be 32 lower-case hexadecimal digits")));
        }
        Ok(text.to_owned())
    }
}

/// Digits alone: `parse` would take a sign too.
fn whole_number(digits: &str) -> Option<u64> {
    let only_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| only_digits)
}

/// A name from outside, short enough for an answer.
fn shortened(name: &str) -> String {
    name.chars().take(MAX_NAME).collect()
}

/// serde_json alone would keep the second of two members of one name, and would not say where a number is too large.
impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
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
                    let value = members.next_value();
                    let value =
                        value.map_err(|error| de::Error::custom(format!("{short}: {error}")))?;
                    if fields.values.insert(name, value).is_some() {
                        return Err(de::Error::custom(format!("{short}: given twice")));
                    }
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Members)
    }
}
