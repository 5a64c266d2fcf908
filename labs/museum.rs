//! The museum: the chat server of the course report (2023) with its faults, for the labs that attack it. It runs inside a
//! check, on a free port of 127.0.0.1, and reports what happens to it. Start with `serve`.
//!
//! What is wrong here, and must stay so: one `recv` is taken for one message (Fig. 6-3); one key for everybody, in ECB, padded
//! with zeros (Fig. 6-5); no MAC, no nonce, no sequence; `fromId` is believed; passwords are bare MD5 (6.1), and SQL is put
//! together from what the client says, who is shown its errors. Copy nothing from this file.
//! Not here: all that the labs do not touch (registering, groups, files, HTTP).

#![allow(dead_code)] // each lab uses a part of it

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use minim::clock::now_ms;
use minim::des::{cbc_decrypt, cbc_encrypt, decrypt_block, encrypt_block, key_schedule};
use minim::md5_check::{hex, md5, random_bytes};
use serde_json::{Value, json};

/// The password of every user whom `open` lets in.
pub const PWD: &str = "123456";

/// How the bytes of a message become JSON.
#[derive(Clone, Copy)]
pub enum Cipher {
    /// They are JSON.
    None,
    /// All of it enciphered, block by block. The report's key: `hfut`, and four zeros behind.
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
    events: Sender<Event>, // the check may have seen enough
}

impl Museum {
    /// Opens it for these users; the first has uid 1.
    pub fn open(login_names: &[&str], cipher: Cipher) -> Museum {
        Museum::open_with(&login_names.iter().map(|name| (*name, PWD)).collect::<Vec<_>>(), cipher)
    }

    /// The same for users with passwords of their own.
    pub fn open_with(users: &[(&str, &str)], cipher: Cipher) -> Museum {
        let database = rusqlite::Connection::open_in_memory().expect("a database in memory");
        let table = "CREATE TABLE users (id INTEGER PRIMARY KEY, loginName TEXT, pwd TEXT)";
        database.execute(table, []).expect("a table");
        for (name, pwd) in users {
            let row = (name, hex(&md5(pwd.as_bytes())));
            database.execute("INSERT INTO users (loginName, pwd) VALUES (?, ?)", row).expect("a row");
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (sender, events) = channel();
        let (database, online_users) = (Mutex::new(database), Mutex::default());
        let hall: &Hall = Box::leak(Box::new(Hall { cipher, database, online_users, events: sender }));
        let serve = |client| _ = thread::spawn(|| hall.serve(client));
        thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(serve));
        Museum { address, events }
    }
}

impl Hall {
    /// Fig. 6-7: each recv is deciphered and parsed as if it were one message.
    fn serve(&self, mut client: TcpStream) {
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = client.read(&mut buffer) {
            let _ = self.events.send(Event::Recv(count));
            match self.cipher.open(&buffer[..count]) {
                None => _ = self.events.send(Event::BadJson),
                Some(sent) if sent["type"] == "LOGIN" => self.answer(self.login(&sent, &client), &client),
                Some(sent) if sent["type"] == "SEARCH" => self.answer(self.search(&sent), &client),
                Some(sent) if sent["type"] == "CHAT_SEND_MSG" => self.chat_send_msg(&sent),
                Some(_) => {}
            }
        }
    }

    fn login(&self, message: &Value, client: &TcpStream) -> rusqlite::Result<Value> {
        let name = message["loginName"].as_str().unwrap_or_default();
        let pwd = hex(&md5(message["pwd"].as_str().unwrap_or_default().as_bytes()));
        let query = format!("SELECT id, loginName FROM users WHERE loginName = '{name}' AND pwd = '{pwd}'");
        let users = self.select(&query)?;
        let Some((uid, name)) = users.first() else { return Ok(json!({"type": "ERROR"})) };
        let theirs = client.try_clone().expect("a clone");
        self.online_users.lock().expect("no panic").insert((*uid).into(), theirs);
        let _ = self.events.send(Event::LoggedIn(name.clone()));
        Ok(json!({"type": "LOGIN_OK", "uid": uid}))
    }

    /// searchUserByLoginname, here a message.
    fn search(&self, message: &Value) -> rusqlite::Result<Value> {
        let text = message["text"].as_str().unwrap_or_default();
        let query = format!("SELECT id, loginName FROM users WHERE loginName LIKE '%{text}%'");
        let users = self.select(&query)?;
        Ok(json!({"type": "FOUND", "names": users.iter().map(|(_, name)| name).collect::<Vec<_>>()}))
    }

    fn select(&self, query: &str) -> rusqlite::Result<Vec<(u32, String)>> {
        let database = self.database.lock().expect("no panic");
        database.prepare(query)?.query_map([], |row| row.try_into())?.collect()
    }

    fn answer(&self, answer: rusqlite::Result<Value>, mut client: &TcpStream) {
        let answer = answer.unwrap_or_else(|error| json!({"type": "ERROR", "text": error.to_string()}));
        let _ = client.write_all(&self.cipher.seal(&answer.to_string())); // who left does not hear it
    }

    /// Sends a message on, from whomever it says that it is.
    fn chat_send_msg(&self, message: &Value) {
        let [Some(from_id), Some(to_id)] = ["fromId", "toId"].map(|id| message[id].as_u64()) else { return };
        let text = message["msgText"].as_str().unwrap_or_default();
        if let Some(mut theirs) = self.online_users.lock().expect("no panic").get(&to_id) {
            let _ = theirs.write_all(&self.cipher.chat_send_msg(from_id, to_id, text));
            let _ = self.events.send(Event::Delivered(to_id, text.to_owned()));
        }
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
                let json = String::from_utf8(blocks.iter().flat_map(clear).collect()).ok()?;
                serde_json::from_str(json.trim_end_matches('\0')).ok()
            }
            Cipher::Cbc(key) => {
                let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
                let mut message: Value = serde_json::from_slice(parts.next()?).ok()?;
                let Some(sealed) = parts.next() else { return Some(message) };
                let (iv, text) = sealed.split_first_chunk()?;
                let text = cbc_decrypt(&key_schedule(&key), iv, text)?;
                message["msgText"] = String::from_utf8_lossy(&text).into();
                Some(message)
            }
        }
    }
}
