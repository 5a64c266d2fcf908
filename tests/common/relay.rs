//! A relay between clients and a server, which can swallow what the server says, or cut a connection after so many bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Passes bytes between clients and a server; of connections that are mute it swallows those of the server.
pub struct Relay {
    pub address: SocketAddr,
    are_mute: Arc<Mutex<Vec<Arc<AtomicBool>>>>,
    /// Connections that were cut.
    pub cuts: Arc<AtomicUsize>,
}

impl Relay {
    pub fn start(server: SocketAddr) -> Relay {
        Relay::cutting(server, |_| i64::MAX)
    }

    /// Connection number N, from 1, is cut after `life(N)` bytes.
    pub fn cutting(server: SocketAddr, life: impl Fn(usize) -> i64 + Send + 'static) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let are_mute = Arc::new(Mutex::new(Vec::new()));
        let cuts = Arc::new(AtomicUsize::new(0));
        let relay = Relay { address, are_mute: are_mute.clone(), cuts: cuts.clone() };
        thread::spawn(move || {
            for (number, client) in (1..).zip(listener.incoming().map_while(Result::ok)) {
                let Ok(server) = TcpStream::connect(server) else { return };
                let back = (server.try_clone().expect("a clone"), client.try_clone().expect("a clone"));
                let is_mute = Arc::new(AtomicBool::new(false));
                are_mute.lock().expect("no panic").push(is_mute.clone());
                let life = Arc::new((AtomicI64::new(life(number)), cuts.clone()));
                let same = life.clone();
                thread::spawn(move || pass(client, server, &AtomicBool::new(false), &life));
                thread::spawn(move || pass(back.0, back.1, &is_mute, &same));
            }
        });
        relay
    }

    /// The connections that stand now are mute; later ones are not.
    pub fn mute(&self) {
        let are_mute = self.are_mute.lock().expect("no panic");
        are_mute.iter().for_each(|is_mute| is_mute.store(true, Ordering::SeqCst));
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, is_mute: &AtomicBool, life: &(AtomicI64, Arc<AtomicUsize>)) {
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        let left = life.0.fetch_sub(count as i64, Ordering::SeqCst);
        if left <= count as i64 {
            life.1.fetch_add(usize::from(left > 0), Ordering::SeqCst);
            break;
        }
        if !is_mute.load(Ordering::SeqCst) && to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
