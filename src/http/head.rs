//! The lines of a head: what stands in them, and what they say of the message (RFC 9112 §2 to §6).
//!
//! Rules: what two programs could read in two ways is refused. Names of fields, hosts and codings have no case, methods have
//! one. Not here: where a line ends (http.rs).

use std::net::Ipv6Addr;

use super::form::percent_decode;
use super::{BLANKS, Head, HttpError, Result, number, octets, refused};
use crate::limits::MAX_METHOD;

/// The methods of RFC 9110 §9 and RFC 5789. Another gets 501; one of these that a path doesn't take, 405.
#[rustfmt::skip]
pub const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Request line and header of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// As it came: its case matters, and it may be none of `METHODS`.
    pub method: String,
    /// As it came, percent-encoded; `*` only with OPTIONS, `/` where CONNECT names host and port.
    pub path: String,
    /// What stood behind the first `?`, for `parse_form`; may hold octets from 0x80.
    pub query: Vec<u8>,
    /// 0 is HTTP/1.0, all others are served as HTTP/1.1.
    pub minor: u8,
    /// That of an absolute target, else of Host. `None`: HTTP/1.0 without Host.
    pub authority: Option<Authority>,
    /// The header.
    pub header: Header,
    /// Where its body ends.
    pub framing: Framing,
    /// The client may wait with the body until it is asked for it (RFC 9110 §10.1.1).
    pub expects_continue: bool,
}

impl Head for RequestHead {
    const FOLDING: bool = false;

    /// request-line = method SP request-target SP HTTP-version        RFC 9112 §3
    fn begin(line: &str) -> Result<RequestHead> {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let [method, target, version] = words[..] else {
            return refused(400, "a request line has three words, one space between");
        };
        if !is_token(method) {
            return refused(400, "a character that no method has");
        }
        if method.len() > MAX_METHOD {
            return refused(501, "no method is so long");
        }
        let (major, minor) = http_version(version)?;
        if major != 1 {
            return refused(505, "this is an HTTP/1.1 server");
        }
        let mut head = RequestHead { method: method.to_owned(), minor, ..RequestHead::default() };
        head.set_target(target)?;
        Ok(head)
    }

    fn complete(&mut self, header: Header) -> Result<()> {
        self.framing = framing(&header, self.minor, true)?;
        let host = host(&header, self.minor)?;
        self.authority = self.authority.take().or(host); // an absolute target overrules Host (RFC 9112 §3.2.2)
        self.expects_continue = expects_continue(&header)? && self.minor > 0;
        self.header = header;
        Ok(())
    }
}

impl RequestHead {
    /// The path split at `/`, then decoded once: `%2F` is a part of its segment and separates nothing.
    pub fn path_segments(&self) -> Result<Vec<String>> {
        let segments = self.path.split('/').skip(1).map(percent_decode);
        segments
            .collect::<std::result::Result<_, _>>()
            .map_err(|why| HttpError::BadArgument(format!("path: {why}")))
    }

    /// request-target = origin-form / absolute-form / authority-form / asterisk-form        RFC 9112 §3.2
    /// origin-form    = absolute-path [ "?" query ]
    /// absolute-form  = "http://" authority path-abempty [ "?" query ]
    /// authority-form = uri-host ":" port                               CONNECT alone
    /// asterisk-form  = "*"                                             OPTIONS alone
    fn set_target(&mut self, target: &str) -> Result<()> {
        let (before, query) = target.split_once('?').unwrap_or((target, ""));
        if !before.chars().all(|c| c.is_ascii_graphic()) || target.contains(['#', '\t']) {
            return refused(400, "an octet in the target must be percent-encoded");
        }
        let is_digit = |c: char| c.is_ascii_digit(); // CONNECT must name a port (RFC 9110 §9.3.6)
        let (scheme, rest) = before.split_at_checked(7).unwrap_or(("", ""));
        let (authority, path) = match before {
            _ if before.starts_with('/') => (None, before),
            "*" if self.method == "OPTIONS" && target == "*" => (None, before),
            _ if scheme.eq_ignore_ascii_case("http://") => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                (Some(authority), path)
            }
            _ if self.method == "CONNECT" && target.contains(':') && target.ends_with(is_digit) => {
                (Some(target), "")
            }
            _ => return refused(400, "a target is /path or http://host/path"),
        };
        let authority =
            authority.map(|text| Authority::parse(text).filter(|authority| !authority.host.is_empty()));
        if authority == Some(None) {
            return refused(400, "a target names host or host:port");
        }
        self.authority = authority.flatten();
        self.path = if path.is_empty() { "/" } else { path }.to_owned();
        self.query = octets(query);
        Ok(())
    }
}

/// Status line and header of one response.
#[derive(Debug, Default)]
pub struct ResponseHead {
    /// 0 is HTTP/1.0.
    pub minor: u8,
    /// 100 to 999.
    pub status: u16,
    /// The header.
    pub header: Header,
}

impl Head for ResponseHead {
    const FOLDING: bool = true;

    /// status-line = HTTP-version SP 3DIGIT SP [ reason-phrase ]        RFC 9112 §4
    fn begin(line: &str) -> Result<ResponseHead> {
        let mut words = line.splitn(3, ' ');
        let (major, minor) = http_version(words.next().unwrap_or(""))?;
        let status = words.next().filter(|word| word.len() == 3 && major == 1);
        match status.and_then(|digits| number(digits, 10)) {
            Some(status @ 100..) => {
                Ok(ResponseHead { minor, status: status as u16, ..ResponseHead::default() })
            }
            _ => refused(400, "a status line is HTTP/1.1, three digits, a reason"),
        }
    }

    fn complete(&mut self, header: Header) -> Result<()> {
        self.header = header;
        Ok(())
    }
}

impl ResponseHead {
    /// Where its body ends, as the answer to a request with that method.
    pub fn framing(&self, method: &str) -> Result<Framing> {
        match self.status {
            100..=199 | 204 | 304 => Ok(Framing::Length(0)),
            _ if method == "HEAD" => Ok(Framing::Length(0)),
            _ => framing(&self.header, self.minor, false),
        }
    }
}

/// token = 1*tchar        RFC 9110 §5.6.2
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_tchar)
}

/// tchar = "!" / "#" / … / DIGIT / ALPHA
pub fn is_tchar(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter)
}

/// HTTP-version = %s"HTTP" "/" DIGIT "." DIGIT        RFC 9112 §2.3
fn http_version(word: &str) -> Result<(u8, u8)> {
    match word.strip_prefix("HTTP/").map(str::as_bytes) {
        Some([major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9']) => Ok((major - b'0', minor - b'0')),
        _ => refused(400, "a version is HTTP/ digit . digit"),
    }
}

/// uri-host [ ":" port ], no user information          RFC 9110 §4.2, §7.2; RFC 3986 §3.2.2 and §3.2.3
/// uri-host = "[" IPv6address "]" / IPv4address / reg-name        IPvFuture is left out: nobody has it
/// reg-name = *( unreserved / pct-encoded / sub-delims )
/// port     = *DIGIT
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authority {
    /// In small letters, without brackets; may be empty, which names nobody.
    pub host: String,
    /// 80 where none is said (RFC 9110 §4.2.1).
    pub port: u16,
}

impl Authority {
    /// None: this is no authority.
    pub fn parse(text: &str) -> Option<Authority> {
        let is_named = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=%".contains(c);
        let (host, port) = match text.rfind([':', ']']) {
            Some(at) if text[at..].starts_with(':') => (&text[..at], &text[at + 1..]),
            _ => (text, ""),
        };
        let port = if port.is_empty() { 80 } else { u16::try_from(number(port, 10)?).ok()? };
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().ok().map(|_| address),
            None => Some(host).filter(|host| host.chars().all(is_named) && has_good_escapes(host)),
        };
        Some(Authority { host: host?.to_ascii_lowercase(), port })
    }
}

/// pct-encoded = "%" HEXDIG HEXDIG        RFC 3986 §2.1
fn has_good_escapes(text: &str) -> bool {
    let is_good = |piece: &str| piece.get(..2).is_some_and(|digits| number(digits, 16).is_some());
    text.split('%').skip(1).all(is_good)
}

/// One line of Host, well formed (RFC 9112 §3.2); whose name it is, others decide.
fn host(header: &Header, minor: u8) -> Result<Option<Authority>> {
    let hosts: Vec<&str> = header.all("Host").collect();
    let host = match hosts[..] {
        [] if minor == 0 => return Ok(None),
        [host] => Authority::parse(host),
        _ => None,
    };
    if host.is_some() { Ok(host) } else { refused(400, "a request has one Host: host or host:port") }
}

fn expects_continue(header: &Header) -> Result<bool> {
    let expectations: Vec<&str> = header.all("Expect").collect();
    match expectations[..] {
        [] => Ok(false),
        [one] if one.eq_ignore_ascii_case("100-continue") => Ok(true),
        _ => refused(417, "Expect can only be 100-continue"),
    }
}

/// Where a body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many octets; 0: there is no body.
    Length(usize),
    /// Behind its last chunk and trailer.
    Chunked,
    /// With the connection, in a response alone.
    UntilClose,
}

impl Default for Framing {
    fn default() -> Framing {
        Framing::Length(0)
    }
}

/// Two answers to the question where a request ends are how one is smuggled past the other (RFC 9112 §11.2).
fn framing(header: &Header, minor: u8, request: bool) -> Result<Framing> {
    let codings: Vec<&str> = header.all("Transfer-Encoding").collect();
    let lengths: Vec<&str> = header.all("Content-Length").collect();
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    match (&codings[..], &lengths[..]) {
        ([], []) if request => Ok(Framing::Length(0)),
        ([], []) => Ok(Framing::UntilClose),
        // 1*DIGIT (RFC 9110 §8.6). What overflows becomes the largest number, which no limit allows.
        ([], [text]) if is_number(text) => Ok(Framing::Length(text.parse().unwrap_or(usize::MAX))),
        ([], _) => refused(400, "Content-Length stands once and has digits alone"),
        (_, [_, ..]) if request => refused(400, "Content-Length with Transfer-Encoding"),
        _ if minor == 0 => refused(400, "Transfer-Encoding in HTTP/1.0"),
        ([coding], _) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        // Without chunked at its end nobody knows where the request ends: 400 (§6.3 rule 4). Else a coding that we lack.
        ([.., last], _) if ends_in_chunked(last) => refused(501, "Transfer-Encoding can only be chunked"),
        _ => refused(400, "Transfer-Encoding must end in chunked"),
    }
}

fn ends_in_chunked(codings: &str) -> bool {
    let last = codings.rsplit(',').next().unwrap_or_default();
    last.trim_matches(BLANKS).eq_ignore_ascii_case("chunked")
}

/// The fields of a header in the order in which they came; a map would lose the second of two `Host`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Name as it came, value without the blanks around it; one char is one octet.
    pub lines: Vec<(String, String)>,
}

impl Header {
    /// The values of all lines with that name, in any case.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let lines = self.lines.iter();
        let named = lines.filter(move |(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    /// Whether a list, perhaps in several lines, has that member in any case (RFC 9110 §5.6.1).
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        let is_it = |member: &str| member.trim_matches(BLANKS).eq_ignore_ascii_case(token);
        self.all(name).any(|value| value.split(',').any(is_it))
    }

    /// If-None-Match = "*" / #entity-tag        RFC 9110 §13.1.2, and If-Match likewise
    /// The tags as they stand there, or `*`; none of them where the list is broken. None: there is no such field.
    pub fn entity_tags(&self, name: &str) -> Option<Vec<String>> {
        let values: Vec<&str> = self.all(name).collect();
        let list = values.join(",");
        let star = (list.trim_matches(BLANKS) == "*").then(|| vec!["*".to_owned()]);
        (!values.is_empty()).then(|| star.or_else(|| entity_tags(&list)).unwrap_or_default())
    }

    /// `media-type = type "/" subtype *( OWS ";" OWS [ parameter ] )`      RFC 9110 §8.3.1, §5.6.6
    /// parameter  = token "=" ( token / quoted-string )                    a quoted-string with `\` is refused
    /// Content-Type, in small letters: the type, and the parameters. None: there is none, or not just one.
    pub fn media_type(&self) -> Option<(String, Vec<(String, String)>)> {
        let values: Vec<String> = self.all("Content-Type").map(str::to_ascii_lowercase).collect();
        let [value] = &values[..] else { return None };
        let (media_type, mut rest) = value.split_at(value.find(';').unwrap_or(value.len()));
        let mut parameters = Vec::new();
        while let Some(parameter) = rest.strip_prefix(';') {
            rest = parameter.trim_start_matches(BLANKS);
            if rest.is_empty() || rest.starts_with(';') {
                continue;
            }
            let (name, behind) = rest.split_once('=').filter(|(name, _)| is_token(name))?;
            let (value, behind) = match behind.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').filter(|(value, _)| !value.contains('\\'))?,
                None => behind.split_at(behind.find(|c| !is_tchar(c)).unwrap_or(behind.len())),
            };
            parameters.push((name.to_owned(), value.to_owned()));
            rest = behind.trim_start_matches(BLANKS);
        }
        rest.is_empty().then(|| (media_type.trim_matches(BLANKS).to_owned(), parameters))
    }

    /// cookie-string = cookie-pair *( ";" SP cookie-pair )        RFC 6265 §4.2.1
    /// The first of that name; junk is skipped.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let mut pairs = self.all("Cookie").flat_map(|value| value.split(';'));
        pairs.find_map(|pair| pair.trim_matches(BLANKS).strip_prefix(name)?.strip_prefix('='))
    }
}

/// `entity-tag = [ weak ] opaque-tag`           RFC 9110 §8.8.3
/// `weak       = %s"W/"`
/// `opaque-tag = DQUOTE *etagc DQUOTE`          a comma is an etagc
fn entity_tags(mut rest: &str) -> Option<Vec<String>> {
    let mut tags = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']); // a list may have empty members (§5.6.1.2)
        if rest.is_empty() {
            return Some(tags);
        }
        let opaque = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
        let (_, behind) = opaque.split_once('"')?;
        tags.push(rest[..rest.len() - behind.len()].to_owned());
        rest = behind.trim_start_matches(BLANKS);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
}

/// field-line = field-name ":" OWS field-value OWS        RFC 9112 §5
/// A blank before the colon would show Content-Length to one program and hide it from another (§5.1).
pub fn field_line(line: &str) -> Result<(String, String)> {
    match line.split_once(':') {
        Some((name, value)) if is_token(name) => Ok((name.into(), value.trim_matches(BLANKS).into())),
        _ => refused(400, "a field line is a name, a colon at once, a value"),
    }
}
