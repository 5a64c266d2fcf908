//! What is asked over HTTP: the same TCP steps once more, each time on a connection of its own.
//!
//! Rules: sealed, unless `--http plain` says otherwise: then all can be seen on the wire, the cookie too.
//! Not here: the grammar of HTTP (http.rs), the frames around it (wire.rs). Start with `http_get`.

use std::net::SocketAddr;
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::channel::{PlainChannel, SealedChannel};
use crate::client::{Client, Failure, Link};
use crate::config::Http;
use crate::http::{Channel, Connection, percent_encode, write_request};
use crate::limits::MAX_HTTP_ANSWER;
use crate::message::{Code, Refusal};

impl Client {
    /// One GET: the answer's `data`.
    pub(super) fn http_get<T: DeserializeOwned>(
        &self,
        path: &str,
        arguments: &[(&str, &str)],
    ) -> Result<T, Failure> {
        if self.session.is_some() && self.connection.is_none() {
            return Err(self.failure("away", &[("NAME", &self.command)]));
        }
        let mut answer = self.http_answer(path, arguments)?;
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

    /// Connect, send the request, receive the response: its body.
    fn http_answer(&self, path: &str, arguments: &[(&str, &str)]) -> Result<Value, Failure> {
        let (config, session) = (&self.config, self.session.as_ref());
        let port = session.map_or(config.http_port, |session| session.http_port);
        let channel: Box<dyn Channel> = match config.http {
            Http::Plain => Box::new(PlainChannel(self.connect(port)?)),
            Http::Both | Http::Sealed => {
                let Link { socket, sender, receiver } = self.open(port)?;
                Box::new(SealedChannel { socket, sender, receiver })
            }
        };
        let pair = |(name, value): &(&str, &str)| format!("{name}={}", percent_encode(value));
        let query: Vec<String> = arguments.iter().map(pair).collect();
        let host = SocketAddr::new(config.server_ip, port).to_string();
        let sid = session.map_or("", |session| &session.session_id);
        let fields = [("Cookie", &*format!("sid={sid}")), ("Connection", "close")];
        let request = write_request("GET", &format!("{path}?{}", query.join("&")), &host, &fields, b"");

        let mut connection = Connection::new(channel, Vec::new(), Instant::now(), config.patience);
        let sent = connection.send(&request);
        let response = sent.and_then(|()| connection.read_response("GET", MAX_HTTP_ANSWER, false));
        match response {
            Ok(response) => Ok(serde_json::from_slice(&response.body).unwrap_or_default()),
            Err(_) => Err(self.no_answer()),
        }
    }
}
