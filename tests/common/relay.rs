//! A relay between clients and a server, which can swallow what the server says.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Passes bytes between clients and a server; of connections that are mute it swallows those of the server.
pub struct Relay {
    pub address: SocketAddr,
    are_mute: Arc<Mutex<Vec<Arc<AtomicBool>>>>,
}

impl Relay {
    pub fn start(server: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let are_mute = Arc::new(Mutex::new(Vec::new()));
        let relay = Relay { address, are_mute: are_mute.clone() };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else { return };
                let back = (server.try_clone().expect("a clone"), client.try_clone().expect("a clone"));
                let is_mute = Arc::new(AtomicBool::new(false));
                are_mute.lock().expect("no panic").push(is_mute.clone());
                thread::spawn(move || pass(client, server, &AtomicBool::new(false)));
                thread::spawn(move || pass(back.0, back.1, &is_mute));
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

fn pass(mut from: TcpStream, mut to: TcpStream, is_mute: &AtomicBool) {
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        if !is_mute.load(Ordering::SeqCst) && to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
