//! The museum: the chat server of the course report (2023) with its faults, for the labs that attack it. It runs inside a
//! check, on a free port of 127.0.0.1, and reports what happens to it.
//!
//! What is wrong here, and must stay so: one `recv` is taken for one message (Fig. 6-3); one key for everybody, in ECB, padded
//! with zeros (Fig. 6-5); no MAC, no nonce, no sequence; `fromId` is believed; passwords are bare MD5 (6.1), and SQL is put
//! together from what the client says. Copy nothing from this file.
//! Not here: all that the labs do not touch (registering, groups, files, HTTP). Start with `serve`.

#![allow(dead_code)] // each lab uses a part of it

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use minim::clock::now_ms;
use minim::des::{cbc_decrypt, cbc_encrypt, decrypt_block, encrypt_block, key_schedule};
use minim::md5_check::{hex, md5, random_bytes};
use serde_json::{Value, json};

/// The password of every user.
pub const PWD: &str = "123456";
/// The key of the report: four letters, and zeros behind.
pub const HFUT: [u8; 8] = *b"hfut\0\0\0\0";

/// How the bytes of a message become JSON.
#[derive(Clone, Copy)]
pub enum Cipher {
    /// They are JSON.
    None,
    /// All of it enciphered, block by block.
    Ecb([u8; 8]),
    /// What the repair often looks like: JSON in clear, a line feed, and msgText alone: 8 bytes of IV, then CBC. Still no MAC.
    Cbc([u8; 8]),
}

/// What happens to the museum, in the order in which it happens to one connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// One recv brought so many bytes.
    Recv(usize),
    /// They were no message.
    BadJson,
    /// By this loginName.
    LoggedIn(String),
    /// This text was sent on to the user with this uid.
    Delivered(u64, String),
}

/// The museum, open until the check ends.
pub struct Museum {
    pub address: SocketAddr,
    pub events: Receiver<Event>,
}

/// What the threads share.
struct Hall {
    cipher: Cipher,
    database: Mutex<rusqlite::Connection>,
    /// Fig. 5-5.
    online_users: Mutex<HashMap<u64, TcpStream>>,
    events: Sender<Event>,
}

impl Museum {
    /// Opens it for these users; the first has uid 1.
    pub fn open(login_names: &[&str], cipher: Cipher) -> Museum {
        let database = rusqlite::Connection::open_in_memory().expect("a database in memory");
        let table = "CREATE TABLE users (id INTEGER PRIMARY KEY, loginName TEXT, pwd TEXT)";
        database.execute(table, []).expect("a table");
        for name in login_names {
            let row = (name, hex(&md5(PWD.as_bytes())));
            database.execute("INSERT INTO users (loginName, pwd) VALUES (?, ?)", row).expect("a row");
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (sender, events) = channel();
        let (database, online_users) = (Mutex::new(database), Mutex::default());
        let hall = Arc::new(Hall { cipher, database, online_users, events: sender });
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let hall = hall.clone();
                thread::spawn(move || hall.serve(connection));
            }
        });
        Museum { address, events }
    }
}

impl Hall {
    /// Fig. 6-7: each recv is deciphered and parsed as if it were one message.
    fn serve(&self, mut connection: TcpStream) {
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = connection.read(&mut buffer) {
            self.tell(Event::Recv(count));
            let Some(message) = self.cipher.open(&buffer[..count]) else {
                self.tell(Event::BadJson);
                continue;
            };
            match message["type"].as_str() {
                Some("LOGIN") => self.login(&message, &connection),
                Some("CHAT_SEND_MSG") => self.chat_send_msg(&message),
                _ => {}
            }
        }
    }

    fn login(&self, message: &Value, mut connection: &TcpStream) {
        let name = message["loginName"].as_str().unwrap_or_default();
        let pwd = hex(&md5(message["pwd"].as_str().unwrap_or_default().as_bytes()));
        let query = format!("SELECT id, loginName FROM users WHERE loginName = '{name}' AND pwd = '{pwd}'");
        let database = self.database.lock().expect("no panic");
        let user: Result<(u32, String), _> = database.query_row(&query, [], |row| row.try_into());
        drop(database);
        let answer = match &user {
            Ok((uid, _)) => json!({"type": "LOGIN_OK", "uid": uid}),
            Err(_) => json!({"type": "ERROR"}),
        };
        if let Ok((uid, name)) = user {
            let theirs = connection.try_clone().expect("a clone");
            self.online_users.lock().expect("no panic").insert(uid.into(), theirs);
            self.tell(Event::LoggedIn(name));
        }
        let _ = connection.write_all(&self.cipher.seal(&answer.to_string())); // who left does not hear it
    }

    /// Sends a message on, from whomever it says that it is.
    fn chat_send_msg(&self, message: &Value) {
        let (from_id, to_id) = (message["fromId"].as_u64(), message["toId"].as_u64());
        let (Some(from_id), Some(to_id)) = (from_id, to_id) else { return };
        let text = message["msgText"].as_str().unwrap_or_default();
        if let Some(mut theirs) = self.online_users.lock().expect("no panic").get(&to_id) {
            let _ = theirs.write_all(&self.cipher.chat_send_msg(from_id, to_id, text));
            self.tell(Event::Delivered(to_id, text.to_owned()));
        }
    }

    fn tell(&self, event: Event) {
        let _ = self.events.send(event); // the check may have seen enough
    }
}

impl Cipher {
    /// LOGIN as the report's client sends it.
    pub fn login(self, login_name: &str) -> Vec<u8> {
        self.seal(&json!({"type": "LOGIN", "loginName": login_name, "pwd": PWD}).to_string())
    }

    /// CHAT_SEND_MSG, its fields in the order of Fig. 6-5.
    pub fn chat_send_msg(self, from_id: u64, to_id: u64, text: &str) -> Vec<u8> {
        let now = now_ms();
        let head = format!(
            r#"{{"type":"CHAT_SEND_MSG","isFriend":true,"fromId":{from_id},"toId":{to_id},"sendTime":{now}"#
        );
        let Cipher::Cbc(key) = self else {
            return self.seal(&format!(r#"{head},"msgText":{}}}"#, json!(text)));
        };
        let iv = random_bytes();
        let text = cbc_encrypt(&key_schedule(&key), &iv, text.as_bytes());
        [head.as_bytes(), b"}\n", &iv, &text].concat()
    }

    /// JSON as it goes over the wire.
    fn seal(self, json: &str) -> Vec<u8> {
        let Cipher::Ecb(key) = self else { return json.as_bytes().to_vec() };
        let keys = key_schedule(&key);
        let mut bytes = json.as_bytes().to_vec();
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let blocks = bytes.as_chunks::<8>().0.iter();
        blocks.flat_map(|block| encrypt_block(&keys, u64::from_be_bytes(*block)).to_be_bytes()).collect()
    }

    /// What one recv brought, as a message.
    pub fn open(self, bytes: &[u8]) -> Option<Value> {
        match self {
            Cipher::None => serde_json::from_slice(bytes).ok(),
            Cipher::Ecb(key) => {
                let keys = key_schedule(&key);
                let (blocks, []) = bytes.as_chunks::<8>() else { return None };
                let clear = |block: &[u8; 8]| decrypt_block(&keys, u64::from_be_bytes(*block)).to_be_bytes();
                let bytes: Vec<u8> = blocks.iter().flat_map(clear).collect();
                let end = bytes.iter().rposition(|byte| *byte != 0)? + 1;
                serde_json::from_slice(&bytes[..end]).ok()
            }
            Cipher::Cbc(key) => {
                let Some(at) = bytes.iter().position(|byte| *byte == b'\n') else {
                    return serde_json::from_slice(bytes).ok();
                };
                let mut message: Value = serde_json::from_slice(&bytes[..at]).ok()?;
                let (iv, text) = bytes[at + 1..].split_first_chunk()?;
                let text = cbc_decrypt(&key_schedule(&key), iv, text)?;
                message["msgText"] = String::from_utf8_lossy(&text).into();
                Some(message)
            }
        }
    }
}
