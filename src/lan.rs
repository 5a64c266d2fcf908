//! UDP on the LAN: finding a server, and telling something to everybody (PROTOCOL.md, 6).
//!
//! Rules: a datagram is one JSON object and arrives whole, twice or not at all; nothing is promised, so nothing is
//! acknowledged, and what makes no sense is passed over without an answer. No secret goes over UDP: everybody hears it.
//! Not here: who gets to see a notice (server.rs, client). Start with `serve`.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::limits::{
    FIND_DEADLINE, MAX_DATAGRAM, MAX_NAME, MAX_NOTICE, NOTICE_ADDRESSES, NOTICE_PAUSE, SHORT_PAUSE,
    WHO_ANSWERS,
};
use crate::message::encode;
use crate::socket::DatagramSocket;

/// What is said over UDP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
#[allow(missing_docs)] // the vocabulary of PROTOCOL.md, 6
pub enum Datagram {
    /// Which servers are there?
    Who,
    /// A server: what it is called and its TCP ports; its address is that of the datagram.
    Here { name: String, chat_port: u16, http_port: u16 },
    /// Something for everybody. `from`: a user's name.
    Notice { from: String, text: String },
}

/// A server that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// What it is called.
    pub name: String,
    /// Its address.
    pub ip: IpAddr,
    /// Its TCP port of the chat.
    pub chat_port: u16,
    /// Its TCP port of HTTP.
    pub http_port: u16,
}

impl Config {
    /// From here on this server is meant.
    pub fn take(&mut self, found: &Found) {
        (self.server_ip, self.chat_port, self.http_port) = (found.ip, found.chat_port, found.http_port);
    }
}

/// None: it is no datagram of ours.
fn parse(bytes: &[u8]) -> Option<Datagram> {
    let datagram = serde_json::from_slice(bytes).ok().filter(|_| bytes.len() <= MAX_DATAGRAM)?;
    let is_name = |name: &str| (1..=MAX_NAME).contains(&name.chars().count());
    match &datagram {
        Datagram::Notice { from, text } => {
            (is_name(from) && (1..=MAX_NOTICE).contains(&text.len())).then_some(datagram)
        }
        Datagram::Here { name, .. } => is_name(name).then_some(datagram),
        Datagram::Who => Some(datagram),
    }
}

/// The socket on which a server, or `listen`, hears. A server on a loopback address is heard on this PC alone.
pub fn open(config: &Config, port: u16) -> io::Result<DatagramSocket> {
    let ip = if config.server_ip.is_loopback() { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
    DatagramSocket::bind(SocketAddr::new(ip.into(), port), &config.trace)
}

/// Hears datagrams for ever: answers WHO with `here`, and hands each NOTICE on, with the sender's address.
pub fn serve(socket: &DatagramSocket, here: Option<&Datagram>, mut notice: impl FnMut(&str, IpAddr, &str)) {
    let mut heard = HashMap::new();
    let (mut second, mut answers) = (Instant::now(), 0);
    let mut last = None; // who has several addresses sends to several of ours: from one port, at once
    loop {
        let (bytes, sender) = match socket.recv_from(None) {
            Ok(received) => received,
            Err(_) => {
                std::thread::sleep(SHORT_PAUSE); // an answer to somebody who has gone, or no memory: never at full speed
                continue;
            }
        };
        match (parse(&bytes), here) {
            (Some(Datagram::Who), Some(here)) => {
                if second.elapsed() >= Duration::from_secs(1) {
                    (second, answers) = (Instant::now(), 0);
                }
                answers += 1;
                if answers > WHO_ANSWERS {
                    continue; // an answer is longer than the question, and its receiver may be invented
                }
                let _ = socket.send_to(&encode(here), sender); // who asked has gone, or asks again
            }
            (Some(Datagram::Notice { from, text }), _) => {
                let this = (sender.port(), from, text);
                let is_copy = last
                    .as_ref()
                    .is_some_and(|(at, last): &(Instant, _)| *last == this && at.elapsed() < NOTICE_PAUSE);
                if is_first(&mut heard, sender.ip()) && !is_copy {
                    notice(&this.1, sender.ip(), &this.2);
                    last = Some((Instant::now(), this));
                }
            }
            _ => {}
        }
    }
}

/// Of one address one notice in `NOTICE_PAUSE` is heard, and none of more than `NOTICE_ADDRESSES` at once.
fn is_first(heard: &mut HashMap<IpAddr, Instant>, sender: IpAddr) -> bool {
    heard.retain(|_, at| at.elapsed() < NOTICE_PAUSE);
    let is_first = !heard.contains_key(&sender) && heard.len() < NOTICE_ADDRESSES;
    if is_first {
        heard.insert(sender, Instant::now());
    }
    is_first
}

/// Sends a datagram to every address of `--broadcast`, to `--serverIp`, and to this PC. Where it could not be sent; an error: it
/// went nowhere.
fn send_everywhere(
    socket: &DatagramSocket,
    config: &Config,
    datagram: &Datagram,
) -> Result<Vec<String>, String> {
    let port = config.udp_port.ok_or("there is no UDP port: --udpPort is off")?;
    let mut addresses: BTreeSet<Ipv4Addr> = config.broadcast.iter().copied().collect();
    addresses.insert(Ipv4Addr::LOCALHOST);
    if let IpAddr::V4(server) = config.server_ip {
        addresses.insert(server);
    }
    let count = addresses.len();
    let mut failures = Vec::new();
    for ip in addresses {
        if let Err(error) = socket.send_to(&encode(datagram), SocketAddr::new(ip.into(), port)) {
            failures.push(format!("cannot send to {ip}:{port}: {error}"));
        }
    }
    if failures.len() < count { Ok(failures) } else { Err(failures.join("; ")) }
}

/// `minim broadcast`, /notice: tells everybody. An error is a sentence.
pub fn broadcast(config: &Config, from: &str, text: &str) -> Result<(), String> {
    if !(1..=MAX_NOTICE).contains(&text.len()) {
        return Err(format!("a notice has 1 to {MAX_NOTICE} bytes, this one {}", text.len()));
    }
    let socket = any_port(config).map_err(|error| format!("no UDP socket: {error}"))?;
    let from: String = from.chars().take(MAX_NAME).collect();
    let notice = Datagram::Notice { from, text: text.to_owned() };
    if encode(&notice).len() > MAX_DATAGRAM {
        return Err(format!("as JSON, with its quotes, this notice has more than {MAX_DATAGRAM} bytes"));
    }
    send_everywhere(&socket, config, &notice).map(drop)
}

fn any_port(config: &Config) -> io::Result<DatagramSocket> {
    DatagramSocket::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0), &config.trace)
}

/// `minim client --find`: the server that answers first, within `FIND_DEADLINE`. An error says why nobody may have answered, and
/// the way round.
pub fn find(config: &Config) -> Result<Found, String> {
    let socket = any_port(config).map_err(|error| format!("no UDP socket: {error}"))?;
    let failures = send_everywhere(&socket, config, &Datagram::Who)?;
    let deadline = config.deadline(FIND_DEADLINE);
    while let Some(left) =
        deadline.checked_duration_since(Instant::now()).filter(|left| *left > Duration::ZERO)
    {
        let Ok((bytes, sender)) = socket.recv_from(Some(left)) else { continue };
        if let Some(Datagram::Here { name, chat_port, http_port }) = parse(&bytes) {
            return Ok(Found { name, ip: sender.ip(), chat_port, http_port });
        }
    }
    let addresses: Vec<String> = config.broadcast.iter().map(Ipv4Addr::to_string).collect();
    let asked = format!("on UDP port {} at {}", config.udp_port.unwrap_or_default(), addresses.join(", "));
    let failures: String = failures.iter().map(|failure| format!(" ({failure})")).collect();
    Err(format!("no server answers {asked}{failures}. {LIKELY_CAUSES}"))
}

const LIKELY_CAUSES: &str = "Is it running, with --serverIp 0.0.0.0? A firewall may drop UDP; a server in another subnet hears \
    no broadcast; wireless guests are often kept apart; with several network cards the wrong one may have been asked: \
    --broadcast takes the broadcast address of each. The way round: --serverIp ADDRESS";
