//! What is asked over HTTP: the same TCP steps once more, each time on a connection of its own.
//!
//! Rules: sealed, unless `--http plain` says otherwise: then all can be seen on the wire, the cookie too.
//! Not here: the grammar of HTTP (http.rs), the frames around it (wire.rs). Start with `exchange`.

use std::net::SocketAddr;
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::channel::PlainChannel;
use crate::client::{Client, Failure};
use crate::config::Http;
use crate::http::{Channel, Connection, Response, percent_encode, write_request};
use crate::limits::MAX_HTTP_ANSWER;
use crate::message::{Code, Refusal};

impl Client {
    /// One GET: the answer's `data`.
    pub(super) fn http_get<T: DeserializeOwned>(
        &self,
        path: &str,
        arguments: &[(&str, &str)],
    ) -> Result<T, Failure> {
        let query = if arguments.is_empty() { String::new() } else { format!("?{}", form(arguments)) };
        self.data(path, self.exchange("GET", &format!("{path}{query}"), &[], b"")?)
    }

    /// The same by POST, for what changes something or holds a password: an URL stands in logs, a body does not.
    pub(super) fn http_post<T: DeserializeOwned>(
        &self,
        path: &str,
        arguments: &[(&str, &str)],
    ) -> Result<T, Failure> {
        let fields = [("Content-Type", "application/x-www-form-urlencoded")];
        self.data(path, self.exchange("POST", path, &fields, form(arguments).as_bytes())?)
    }

    /// POST of a body that is no arguments.
    pub(super) fn http_upload<T: DeserializeOwned>(&self, path: &str, octets: &[u8]) -> Result<T, Failure> {
        self.data(path, self.exchange("POST", path, &[], octets)?)
    }

    /// GET of what is no answer in JSON: its octets.
    pub(super) fn http_download(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let response = self.exchange("GET", path, &[], b"")?;
        match response.status {
            200 => Ok(response.body),
            _ => self.data(path, response),
        }
    }

    /// What an answer says: its `data`, or why not.
    fn data<T: DeserializeOwned>(&self, path: &str, response: Response) -> Result<T, Failure> {
        let mut answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        if answer["ok"] == true
            && let Ok(data) = serde_json::from_value(answer["data"].take())
        {
            return Ok(data);
        }
        let code = serde_json::from_value(answer["error"].take()).unwrap_or(Code::BadRequest);
        let text = answer["text"].as_str().unwrap_or_default().to_owned();
        let failure = Failure::from(Refusal { code, text, limit: answer["limit"].as_u64() });
        match code {
            Code::NotFound | Code::Forbidden => Err(self.explain(failure, &[("PATH", &path)])),
            _ => Err(failure),
        }
    }

    /// Connect, send the request, receive the response.
    fn exchange(
        &self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, Failure> {
        if self.session.is_some() && self.connection.is_none() {
            return Err(self.failure("away", &[("NAME", &self.command)]));
        }
        let (config, session) = (&self.config, self.session.as_ref());
        let port = session.map_or(config.http_port, |session| session.http_port);
        let channel: Box<dyn Channel> = match config.http {
            Http::Plain => Box::new(PlainChannel::new(self.connect(port, "H")?, b"")),
            Http::Both | Http::Sealed => Box::new(self.open(port, "H")?.with_http()),
        };
        let host = SocketAddr::new(config.server_ip, port).to_string();
        let cookie = format!("sid={}", session.map_or("", |session| &session.session_id));
        let fields = [&[("Cookie", &*cookie), ("Connection", "close")], fields].concat();
        let request = write_request(method, target, &host, &fields, body);

        let mut connection = Connection::new(channel, Vec::new(), Instant::now(), config.patience);
        let sent = connection.send(&request);
        let response =
            sent.and_then(|()| connection.read_response(method, MAX_HTTP_ANSWER, config.http == Http::Plain));
        response.map_err(|_| self.no_answer())
    }
}

/// Arguments as a query, or as a body of `application/x-www-form-urlencoded`.
fn form(arguments: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{name}={}", percent_encode(value));
    arguments.iter().map(pair).collect::<Vec<_>>().join("&")
}
