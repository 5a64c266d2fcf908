//! UDP: finding a server, and telling something to everybody. On loopback; between three PCs where the system lets us have
//! network namespaces.

#![cfg(feature = "sqlite")] // where the servers of these tests keep their data, unless MINIM_TEST_DATABASE is set

mod common;

use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{DEADLINE, Folder, MINIM, Program, Server, run, script};
use minim::limits::{NOTICE_ADDRESSES, WHO_ANSWERS};
use serde_json::{Value, json};

/// A server with a UDP port, and where that is.
fn server() -> (Server, SocketAddr) {
    let mut server = Server::with(&["--udpPort", "0", "--name", "lab-server"]);
    let line = server.program.expect("udp       listening on ");
    let address = line.rsplit(' ').next().expect("an address").parse().expect("an address");
    (server, address)
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
    socket
}

fn receive(socket: &UdpSocket) -> Value {
    let mut bytes = [0; 2000];
    let (count, _) = socket.recv_from(&mut bytes).expect("a datagram");
    serde_json::from_slice(&bytes[..count]).expect("JSON")
}

fn send(socket: &UdpSocket, to: SocketAddr, datagram: Value) {
    socket.send_to(datagram.to_string().as_bytes(), to).expect("sent");
}

#[test]
fn who_asks_is_told_the_ports_and_nonsense_gets_no_answer() {
    let (server, address) = server();
    assert!(address.ip().is_loopback(), "{address}");
    let socket = socket();
    let here = json!({"type": "HERE", "name": "lab-server", "chatPort": server.chat.port(), "httpPort": server.http.port()});
    let nonsense: [&[u8]; 7] = [
        b"",
        &[b'x'; 65_000],
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"{\"type\":\"WHAT\"}",
        b"{\"type\":\"NOTICE\",\"text\":5}",
    ];
    for bytes in nonsense {
        let _ = socket.send_to(bytes, address); // 65,000 bytes do not fit everywhere
    }
    let long = format!("{{\"type\":\"WHO\",\"x\":\"{}\"}}", "x".repeat(1_400));
    socket.send_to(long.as_bytes(), address).expect("sent");
    send(&socket, address, json!({"type": "WHO", "more": "is ignored"}));
    assert_eq!(receive(&socket), here);
    for _ in 0..10_000 {
        send(&socket, address, json!({"type": "NOTICE", "from": "x", "text": "flood"}));
    }
    send(&socket, address, json!({"type": "WHO"}));
    let deadline = Instant::now() + DEADLINE;
    socket.set_read_timeout(Some(std::time::Duration::from_millis(200))).expect("a socket");
    let mut bytes = [0; 2000];
    while socket.recv_from(&mut bytes).is_err() {
        assert!(Instant::now() < deadline, "no answer any more");
        send(&socket, address, json!({"type": "WHO"})); // the flood may have pushed it out
    }
}

#[test]
fn a_notice_reaches_everybody_who_is_online_one_a_second_of_one_address() {
    let (server, address) = server();
    let (mut alice, mut bob) = (server.new_user("alice"), server.new_user("bob"));
    let socket = socket();
    for (from, text) in [("lab-pc-7", "九点验收"), ("lab-pc-7", "too soon"), ("", "x"), ("x", "")] {
        send(&socket, address, json!({"type": "NOTICE", "from": from, "text": text}));
    }
    for peer in [&mut alice, &mut bob] {
        let notice = peer.expect("BROADCAST");
        assert_eq!((&notice["from"], &notice["text"]), (&json!("lab-pc-7 at 127.0.0.1"), &json!("九点验收")));
        assert!(notice["sendTime"].as_u64().is_some_and(|time| time > 1_700_000_000_000), "{notice}");
    }
    send(&socket, address, json!({"type": "WHO"}));
    receive(&socket); // what was sent before has been heard
    alice.fence();
    assert!(alice.put_aside().iter().all(|told| told["type"] != "BROADCAST"), "one a second");
}

#[test]
fn a_client_finds_the_server_and_tells_everybody_and_broadcast_does_too() {
    let (server, address) = server();
    let (udp, folder) = (address.port().to_string(), Folder::new());
    assert_eq!(
        script(&server, &[], &["/register alice 123456 \"* Alice\"", "/register bob 123456 Bob"]).0,
        0
    );
    let words = ["client", "--find", "--udpPort", &udp, "--broadcast", "127.255.255.255", "--lang", "en"];
    let mut alice = Program::start(folder.path(), &words, &[]);
    alice.expect(&format!("connected to {}", server.chat));
    alice.line("/login alice 123456");
    alice.expect("  logged in as alice (\"* Alice\"), uid 1");
    let mut bob = server.console(&["--lang", "en"]);
    bob.line("/login bob 123456");
    bob.expect("  friends 0");
    alice.line("/notice");
    alice.expect("  notices 0");
    alice.line("/通知 the lab closes\u{1b}[2J at nine");
    alice.expect("  notice sent");
    for console in [&mut alice, &mut bob] {
        console.expect("* notice from \"* Alice\" at 127.0.0.1: the lab closes\\x1b[2J at nine");
    }
    bob.line("/notice");
    bob.expect("  notice from \"* Alice\" at 127.0.0.1: the lab closes");
    bob.expect("  notices 1");
    alice.line(&format!("/notice {}", "x".repeat(1_001)));
    alice.expect("! a notice has at most 1000 bytes, this one 1001");

    alice.line(&format!("/notice {}", "\"".repeat(900)));
    alice.expect("! as JSON, with its quotes, this notice has more than 1400 bytes");
    let words = ["broadcast", "again", "--udpPort", &udp, "--broadcast", "127.255.255.255"];
    let deadline = Instant::now() + DEADLINE;
    let told = |bob: &Program| bob.transcript.iter().any(|line| line.ends_with(" at 127.0.0.1: again"));
    while !told(&bob) {
        assert!(Instant::now() < deadline, "{:?}", bob.transcript); // within a second of the one before it is not heard
        assert_eq!(run(folder.path(), &words).0, 0);
        bob.line("/unread");
        bob.expect("  unread 0");
    }
    let (code, _, errors) = run(folder.path(), &["broadcast", "a", "b"]);
    assert!(code == 2 && errors.contains("one text"), "{errors}");
}

#[test]
fn a_client_that_finds_its_server_finds_it_again_at_another_address() {
    let (first, address) = server();
    let udp = address.port().to_string();
    let mut second = Server::start(); // it must know alice before she can find it
    for server in [&first, &second] {
        assert_eq!(script(server, &[], &["/register alice 123456 Alice"]).0, 0);
    }
    second.kill();
    let words = [
        "client",
        "--find",
        "--udpPort",
        &udp,
        "--broadcast",
        "127.255.255.255",
        "--lang",
        "en",
        "--patience",
        "0.5",
    ];
    let folder = Folder::new();
    let mut alice = Program::start(folder.path(), &words, &[]);
    alice.line("/login alice 123456");
    alice.expect("  friends 0");
    drop(first);
    alice.expect("! connection lost");
    second.options.extend(["--udpPort".to_owned(), udp]);
    second.start_again();
    alice.expect("* connected again, logged in as alice");
    alice.line("/status");
    assert!(alice.expect("  server ").ends_with(&second.chat.to_string()));
}

#[test]
fn where_no_server_answers_the_causes_and_the_way_round_are_said_soon() {
    let closed = socket().local_addr().expect("an address").port().to_string();
    let folder = Folder::new();
    let start = Instant::now();
    let words = ["client", "--find", "--udpPort", &closed, "--broadcast", "127.255.255.255"];
    let (code, printed, errors) = run(folder.path(), &words);
    assert!(start.elapsed().as_secs() < 4, "{:?}", start.elapsed());
    assert_eq!((code, printed.as_str()), (1, ""));
    for part in ["no server answers on UDP port", "firewall", "--broadcast", "--serverIp"] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    let (code, _, errors) = run(folder.path(), &["client", "--find", "--udpPort", "off"]);
    assert!(code == 1 && errors.contains("--udpPort is off"), "{errors}");
}

#[test]
fn listen_shows_notices_where_no_server_holds_the_port_and_a_server_without_it_goes_on() {
    let folder = Folder::new();
    let mut listen = Program::start(folder.path(), &["listen", "--udpPort", "0"], &[]);
    let line = listen.expect("udp       listening on ");
    let address: SocketAddr = line.rsplit(' ').next().expect("an address").parse().expect("an address");
    send(&socket(), address, json!({"type": "NOTICE", "from": "pc\n7", "text": "hello\u{202e}"}));
    listen.expect("notice from \"pc 7\" at 127.0.0.1: hello\\u{202e}");

    let port = address.port().to_string();
    let (code, _, errors) = run(folder.path(), &["listen", "--udpPort", &port]);
    assert!(code == 1 && errors.contains("cannot hear on UDP port"), "{errors}");
    let server = Server::with(&["--udpPort", &port]);
    server.peer().register("alice");
    let errors = server.errors();
    assert!(errors.contains("nobody will find this server by --find"), "{errors}");
}

/// Three PCs on one switch, the second with a card in another network too; what each says is prefixed with its number.
const THREE_PCS: &str = r#"
set -e
mount -t tmpfs none /run
mkdir -p /run/netns
ip link add lan type bridge
ip link add other type bridge
ip link set lan up
ip link set other up
card() {
    ip link add "$1$2" type veth peer name "$2" netns "pc$1"
    ip link set "$1$2" master "$3" up
    ip -n "pc$1" addr add "$4/24" brd + dev "$2"
    ip -n "pc$1" link set "$2" up
}
for n in 1 2 3; do
    ip netns add pc$n
    ip -n pc$n link set lo up
    card $n eth0 lan 10.9.0.$n
done
card 2 eth1 other 10.8.0.2
ip -n pc2 route add default dev eth1
ip -n pc3 route add default dev eth0
on() { ip netns exec "pc$1" "$MINIM" "${@:2}" 2>&1 | sed -u "s/^/$1 /"; }
wait_for() { grep -q "$2" <(tail -n +1 -F "$1" 2>/dev/null); }
mkfifo server client
sleep 60 >server &
on 1 server --serverIp 0.0.0.0 --name lab <server >server.txt &
wait_for server.txt "1 udp "
sleep 60 >client &
on 2 client --find --broadcast 10.9.0.255 --lang en <client >client.txt &
echo "/register alice 123456 Alice" >client
wait_for client.txt "2   friends 0"
on 3 listen >listen.txt &
wait_for listen.txt "3 udp "
on 3 broadcast "九点验收"
on 2 broadcast --broadcast 10.9.0.255 "下课"
wait_for listen.txt "下课"
wait_for client.txt "notice from"
wait_for listen.txt "notice from"
on 2 client --find </dev/null || true
on 3 client --find </dev/null || true
cat client.txt listen.txt
"#;

#[test]
fn between_three_pcs_a_server_is_found_through_the_card_that_is_named() {
    let folder = Folder::new();
    let script = ["-Urnm", "--kill-child", "-p", "-f", "timeout", "25", "bash", "-c", THREE_PCS];
    let mut command = Command::new("unshare");
    command
        .args(script)
        .current_dir(folder.path())
        .env("MINIM", MINIM)
        .env("USER", "carol")
        .stdin(Stdio::null());
    let probe = Command::new("unshare").args(["-Urnm", "ip", "link", "add", "x", "type", "bridge"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        eprintln!("left out: no network namespaces can be made here");
        return;
    }
    let output = command.output().expect("unshare");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    for line in [
        "2 minim: found lab at 10.9.0.1",
        "2 * notice from carol at 10.9.0.3: 九点验收",
        "3 notice from carol at ", // itself, or by its card
        "3 minim: found lab at 10.9.0.1",
        "2 minim: no server answers on UDP port 8889 at 255.255.255.255", // that went out by the other card
    ] {
        assert!(said.lines().any(|said| said.starts_with(line)), "{line:?} is missing in:\n{said}");
    }
}

/// Loopback has many addresses, as a liar on the LAN has: twenty of them are heard in a second. The same notice from two
/// addresses of one sender, which has one port, is one.
#[cfg(target_os = "linux")]
#[test]
fn invented_addresses_do_not_keep_everybody_busy_and_a_copy_is_no_second_notice() {
    let (server, address) = server();
    let mut alice = server.new_user("alice");
    let own = |last: u8, port: u16| {
        UdpSocket::bind((std::net::Ipv4Addr::new(127, 0, 1, last), port)).expect("a port")
    };
    let first = own(1, 0);
    let port = first.local_addr().expect("an address").port();
    let notice = json!({"type": "NOTICE", "from": "x", "text": "twice"});
    for socket in [&first, &own(2, port)] {
        send(socket, address, notice.clone());
    }
    for last in 3..=100 {
        send(&own(last, 0), address, json!({"type": "NOTICE", "from": "x", "text": format!("{last}")}));
    }
    let asker = socket();
    send(&asker, address, json!({"type": "WHO"}));
    receive(&asker); // all before it was heard
    alice.fence();
    let heard: Vec<Value> =
        alice.take_aside().into_iter().filter(|told| told["type"] == "BROADCAST").collect();
    assert!((2..=NOTICE_ADDRESSES).contains(&heard.len()), "{}", heard.len());
    assert_eq!(heard.iter().filter(|told| told["text"] == "twice").count(), 1);
}

/// Nobody is flooded through a server: of many questions in a second so many are answered, and later ones again.
#[test]
fn so_many_questions_are_answered_in_a_second_and_no_more() {
    let (_server, address) = server();
    let asker = socket();
    let who = json!({"type": "WHO"}).to_string();
    for _ in 0..3 * WHO_ANSWERS {
        asker.send_to(who.as_bytes(), address).expect("sent");
    }
    asker.set_read_timeout(Some(Duration::from_millis(500))).expect("a socket");
    let (mut answers, mut bytes) = (0, [0; 2000]);
    while asker.recv_from(&mut bytes).is_ok() {
        answers += 1;
    }
    assert!((1..=2 * WHO_ANSWERS).contains(&answers), "{answers}"); // a second may have ended meanwhile
    let start = Instant::now();
    asker.send_to(who.as_bytes(), address).expect("sent");
    while asker.recv_from(&mut bytes).is_err() {
        assert!(start.elapsed() < DEADLINE, "never again");
        asker.send_to(who.as_bytes(), address).expect("sent");
    }
}
