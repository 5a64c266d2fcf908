//! 100,000 requests that are broken in all ways that chance finds: no panic, no hang, no memory kept. No part of `cargo test`,
//! since it takes a while:
//!
//!     cargo test --release --test mutated
//!
//! Chance has a seed, so that a failure comes again; the request that showed it is printed.

#![cfg(all(feature = "sqlite", target_os = "linux"))] // Linux says how much memory a process has

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::thread;

use common::{Server, connect};
use minim::wire::MAGIC;

const REQUESTS: usize = 100_000;
const THREADS: usize = 8;
/// Before memory is measured first: threads and caches are there then.
const WARM_UP: usize = 4_000;

/// Requests of all kinds; SID stands for that of a session, MAGIC for what a hello begins with.
const WHOLE: [&str; 14] = [
    "GET /checkLoginName?loginName=bob HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /getFriendsById HTTP/1.1\r\nHost: localhost\r\nCookie: sid=SID\r\nConnection: close\r\n\r\n",
    "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 21\r\n\r\nloginName=alice&pwd=x",
    "POST /checkLoginName HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n{\"loginName\":\"bob\"}",
    "POST /checkLoginName HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\n{\"log\r\nE\r\ninName\":\"bob\"}\r\n0\r\nTrailer: 1\r\n\r\n",
    "POST /uploadPicture HTTP/1.1\r\nHost: localhost\r\nCookie: sid=SID\r\nContent-Length: 6\r\n\r\nGIF90a",
    "GET /static/headPic/2026-01-01/3f1b6a52-0d1c-4c7e-9a54-2f7d0c9b1e11.png HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: W/\"a,b\", *\r\n\r\n",
    "GET http://localhost/searchUserByLoginname?loginName=%E4%BD%A0+a HTTP/1.1\r\nHost: localhost\r\nCookie: a=b; sid=SID\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HEAD /getGroups HTTP/1.1\r\nHost: [::1]:8080\r\nCookie: sid=SID\r\nExpect: 100-continue\r\n\r\n",
    "GET /getChatRecords?isFriend=false&toId=1&text=%27%25_&limit=100 HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: sid=SID\r\n\r\n",
    "POST /createGroup HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nCookie: sid=SID\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"gname\":\"a\"}",
    "GET /getNoHandleMessages?type=REQUEST HTTP/1.0\r\nCookie: sid=SID\r\n\r\n",
    "MAGICabcdefghijklmnop\0\0\0\x28aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

/// Octets that mean something somewhere in a request, or must not stand there.
const PROBES: &[u8] = b"\r\n\0 :;,\"%#?&=/\x7f\x80\xff";

/// Marsaglia's xorshift, 64 bits.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    fn request(&mut self, sid: &str) -> Vec<u8> {
        let magic = String::from_utf8_lossy(&MAGIC);
        let whole = |chance: &mut Chance| {
            WHOLE[chance.below(WHOLE.len())].replace("SID", sid).replace("MAGIC", &magic).into_bytes()
        };
        let mut octets = whole(self);
        for _ in 0..self.below(5) {
            let (at, length) = (self.below(octets.len()), 1 + self.below(12));
            let end = (at + length).min(octets.len());
            match self.below(7) {
                0 if !octets.is_empty() => octets[at] = self.below(256) as u8,
                1 => octets.insert(at, PROBES[self.below(PROBES.len())]),
                2 => drop(octets.drain(at..end)),
                3 => octets = [&octets[..end], &octets[at..]].concat(),
                4 => octets.truncate(at),
                5 => octets.extend(whole(self)),
                _ => octets.splice(at..end, vec![b'9'; length]).for_each(drop),
            }
        }
        octets
    }
}

/// Sends a request and ends our side; what came back until the server ended its own.
fn exchange(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    let mut answer = Vec::new();
    let _ = stream.write_all(request); // the server may have closed already
    let _ = stream.shutdown(Shutdown::Write);
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("no end of the answer to {}", request.escape_ascii())
        }
        _ => answer,
    }
}

fn storm(address: SocketAddr, sid: &str, seed: u64, requests: usize) {
    let mut chance = Chance(seed);
    for _ in 0..requests {
        let request = chance.request(sid);
        let answer = exchange(address, &request);
        let is_http = answer.is_empty() || answer.starts_with(b"HTTP/1.1 ") || answer.starts_with(&MAGIC);
        let is_panic = answer.starts_with(b"HTTP/1.1 500");
        assert!(is_http && !is_panic, "{}\n{}", request.escape_ascii(), answer.escape_ascii());
    }
}

/// Memory that a process has now, in KiB.
fn memory(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the server runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn whatever_comes_the_server_answers_or_closes_and_keeps_nothing_of_it() {
    let server = Server::start();
    let alice = server.new_user("alice");
    let (address, sid) = (server.http, alice.session_id.clone());
    let all = |requests: usize, seed: u64| {
        thread::scope(|scope| {
            for number in 0..THREADS as u64 {
                let sid = &sid;
                scope.spawn(move || storm(address, sid, seed + number, requests / THREADS));
            }
        });
    };
    all(WARM_UP, 1_000);
    let before = memory(server.program.id());
    all(REQUESTS, 1);
    let grown = memory(server.program.id()).saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB more than before");
    assert_eq!(server.get("/checkLoginName?loginName=bob", None)["ok"], true);
    let errors = server.errors();
    assert!(!errors.contains("panicked"), "{errors}");
}
