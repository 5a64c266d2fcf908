//! The command line, server.conf, and starts that fail: a clear error that names it, nothing overwritten, the right
//! exit code.

#![cfg(feature = "sqlite")] // where the servers of these tests keep their data

mod common;

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use common::{Folder, IN_A_FILE, Program, Server, refused, run};
use minim::md5_check::{hex, md5};

/// All files below a folder, each with the MD5 of its contents.
fn contents(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        match entry.is_dir() {
            true => files.extend(contents(&entry)),
            false => files.push((entry.display().to_string(), hex(&md5(&fs::read(&entry).expect("a file"))))),
        }
    }
    files.sort();
    files
}

#[test]
fn the_first_lines_are_those_of_the_contract_and_then_how_to_start_a_client() {
    let folder = Folder::new();
    let words = ["--chatPort", "0", "--httpPort", "0", "--udpPort", "off"];
    let mut program = Program::start(folder.path(), &words, &[]); // no verb: server
    assert_eq!(program.next_line().unwrap(), "minim server 0.1.0");
    let database = Path::new("data").join("minim.db");
    assert_eq!(program.next_line().unwrap(), format!("database  sqlite:{}", database.display()));
    assert!(program.next_line().unwrap().starts_with("chat      listening on 127.0.0.1:"));
    assert!(program.next_line().unwrap().starts_with("http      listening on 127.0.0.1:"));
    assert!(program.next_line().unwrap().contains("cargo run client"));
    assert!(folder.path().join(database).exists());
    program.line("/quit");
    assert_eq!(program.finish().0, 0);
}

#[test]
fn help_goes_to_standard_output_and_ends_with_0() {
    let folder = Folder::new();
    for words in [&["help"][..], &["--help"], &["server", "--help"], &["client", "--chatPort", "1", "--help"]]
    {
        let (code, output, errors) = run(folder.path(), words);
        assert_eq!((code, errors.as_str()), (0, ""), "{words:?}");
        assert!(output.contains("cargo run client") && output.contains("--chatPort"), "{output}");
    }
}

#[test]
fn a_wrong_command_line_is_named_and_ends_with_2() {
    let folder = Folder::new();
    let cases: [(&[&str], &[&str]); 29] = [
        (&["sever"], &["sever", "server"]),
        (&["server", "--chatport", "1"], &["--chatport", "chatPort", "dataDir"]),
        (&["server", "chatPort", "1"], &["chatPort", "--name value"]),
        (&["server", "--chatPort"], &["--chatPort", "value"]),
        (&["server", "--chatPort", "80x"], &["--chatPort 80x", "0 to 65535"]),
        (&["server", "--chatPort", "65536"], &["--chatPort 65536", "0 to 65535"]),
        (&["server", "--chatPort", "+1"], &["--chatPort +1", "0 to 65535"]),
        (&["server", "--udpPort", "on"], &["--udpPort on", "off"]),
        (&["client", "--serverIp", "localhost"], &["--serverIp localhost", "IPv4"]),
        (&["server", "--broadcast", "10.0.0.255,x"], &["--broadcast", "IPv4"]),
        (&["server", "--patience", "0"], &["--patience 0", "0.001"]),
        (&["server", "--patience", "nan"], &["--patience nan", "decimal"]),
        (&["server", "--patience", "1e400"], &["--patience 1e400", "decimal"]),
        (&["server", "--passphrase", ""], &["--passphrase", "empty"]),
        (&["server", "--maxClients", "7001"], &["--maxClients 7001", "7000"]),
        (&["server", "--passwordRounds", "0"], &["--passwordRounds 0", "1 to 100000"]),
        (&["server", "--passwordRounds", "100001"], &["--passwordRounds 100001", "1 to 100000"]),
        (&["server", "--trace", "all"], &["--trace all", "steps, frames, rounds"]),
        (&["server", "--http", "plainly"], &["--http plainly", "both, sealed, plain"]),
        (&["client", "--lang", "fr"], &["--lang fr", "en, zh"]),
        (&["client", "--timeZone", "8"], &["--timeZone 8", "+08:00"]),
        (&["client", "--timeZone", "+15:00"], &["--timeZone +15:00", "+08:00"]),
        (
            &["server", "--database", "postgres://a:geheim@b/c"],
            &["--database postgres://a:***@b/c", "sqlite:PATH"],
        ),
        (
            &["server", "--database", "mysql://root:geheim@127.0.0.1"],
            &["mysql://root:***@127.0.0.1", "/minim"],
        ),
        (
            &["server", "--database", "mysql://root:ge/geheim@127.0.0.1/minim"],
            &["mysql://root:***@127.0.0.1/minim", "/minim"],
        ),
        (&["server", "--database", "mysql://root@127.0.0.1/"], &["mysql://root@127.0.0.1/", "/minim"]),
        (&["server", "--database", "mysql://root@127.0.0.1:99999/x"], &["--database", ":3306/minim"]),
        (&["server", "--database", "mysql://root@127.0.0.1/x?a=b"], &["--database", ":3306/minim"]),
        (&["server", "--config", "no.conf"], &["no.conf", "cannot read"]),
    ];
    for (words, named) in cases {
        let (code, output, errors) = run(folder.path(), words);
        assert_eq!((code, output.as_str()), (2, ""), "{words:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "one line: {errors}");
        for name in named {
            assert!(errors.contains(name), "{words:?}: {errors:?} does not name {name:?}");
        }
        assert!(!errors.contains("geheim"), "{errors}");
    }
    assert!(contents(folder.path()).is_empty(), "nothing was written");
}

#[test]
fn every_option_of_the_contract_is_taken_also_those_whose_part_comes_later() {
    let folder = Folder::new();
    let words = [
        "server",
        "--chatPort",
        "0",
        "--httpPort",
        "0",
        "--udpPort",
        "0",
        "--tapPort",
        "1",
        "--serverIp",
        "127.0.0.1",
        "--broadcast",
        "127.255.255.255,10.0.0.255",
        "--name",
        "机房",
        "--dataDir",
        "d",
        "--database",
        "sqlite:x.db",
        "--passphrase",
        " a b ",
        "--maxFileSize",
        "0",
        "--maxClients",
        "1",
        "--trace",
        "rounds",
        "--patience",
        "0.5",
        "--httpHost",
        "minim.lan,x",
        "--passwordRounds",
        "1",
        "--http",
        "sealed",
        "--lang",
        "zh",
        "--timeZone",
        "-05:30",
    ];
    let mut program = Program::start(folder.path(), &words, &[]);
    program.expect("database  sqlite:x.db");
    program.expect("http      listening on ");
}

#[test]
fn server_conf_is_read_the_command_line_wins_and_errors_name_file_and_line() {
    let folder = Folder::new();
    let file = folder.path().join("server.conf");
    let lines = "\u{feff}# the lab's server\r\n\r\nchatPort = 0\r\n httpPort=0 # any\r\nudpPort = off\r\ndataDir = 数据\r\n\
                 passphrase = one two\r\nlang = zh\r\n";
    fs::write(&file, lines).unwrap();
    let mut program = Program::start(folder.path(), &["server", "--dataDir", "elsewhere"], &[]);
    program.expect("elsewhere");
    let chat = program.expect("chat      listening on ");
    let chat = chat.rsplit(' ').next().unwrap().parse().unwrap();
    common::peer::Peer::connect(chat, "one two").fence();
    assert!(!folder.path().join("数据").exists());
    drop(program);

    for (line, named) in [
        ("chatPort 80", "name = value"),
        ("chatprot = 80", "chatPort"),
        ("chatPort = x", "0 to 65535"),
        ("config = other.conf", "command line alone"),
        ("help = yes", "command line alone"),
        (
            "mysql://root:geheim@127.0.0.1/minim?a=b",
            "mysql://root:***@127.0.0.1/minim?a: there is no such option",
        ),
    ] {
        fs::write(&file, format!("# first\nudpPort = off\n{line}\n")).unwrap();
        let (code, output, errors) = run(folder.path(), &["server"]);
        assert_eq!((code, output.as_str()), (2, ""), "{line}");
        assert!(errors.contains("server.conf, line 3"), "{line}: {errors}");
        assert!(errors.contains(named) && !errors.contains("geheim"), "{line}: {errors}");
    }
    fs::write(&file, b"# \xff\n").unwrap();
    let (code, _, errors) = run(folder.path(), &["client"]);
    assert!(code == 2 && errors.contains("line 1") && errors.contains("UTF-8"), "{errors}");
}

#[test]
fn a_port_that_is_taken_is_named_with_its_option_and_ends_with_1() {
    let folder = Folder::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    for option in ["--chatPort", "--httpPort"] {
        let (code, errors) = refused(folder.path(), &[option, &port]);
        assert_eq!(code, 1);
        assert!(errors.contains(&port) && errors.contains(option), "{errors}");
    }
    let (code, errors) = refused(folder.path(), &["--serverIp", "192.0.2.1"]);
    assert!(code == 1 && errors.contains("192.0.2.1") && errors.contains("--serverIp"), "{errors}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = Folder::new();
    fs::write(folder.path().join("file"), "I am no folder").unwrap();
    for data_dir in ["file", "file/below"] {
        let (code, errors) = refused(folder.path(), &["--dataDir", data_dir]);
        assert_eq!(code, 1);
        assert!(errors.contains(data_dir) && errors.contains("--dataDir"), "{errors}");
    }
    let (code, errors) = refused(folder.path(), &["--database", "sqlite:no/such/folder/x.db"]);
    assert!(code == 1 && errors.contains("no/such/folder"), "{errors}");
    assert_eq!(fs::read_to_string(folder.path().join("file")).unwrap(), "I am no folder");
}

#[test]
fn a_file_that_is_no_database_of_ours_is_refused_and_not_touched() {
    let folder = Folder::new();
    let data = folder.path().join("data");
    fs::create_dir_all(&data).unwrap();
    let database = data.join("minim.db");

    fs::write(&database, "this is a diary, and no database at all. ".repeat(100)).unwrap();
    let before = fs::read(&database).unwrap();
    let (code, errors) = refused(folder.path(), &[]);
    assert!(code == 1 && errors.contains("minim.db"), "{errors}");
    assert_eq!(fs::read(&database).unwrap(), before);

    fs::remove_file(&database).unwrap();
    let other = rusqlite::Connection::open(&database).unwrap();
    other
        .execute_batch(
            "PRAGMA journal_mode=WAL; CREATE TABLE recipes (id INTEGER); INSERT INTO recipes VALUES (1)",
        )
        .unwrap();
    let database_files =
        || contents(&data).into_iter().filter(|(name, _)| name.contains("minim.db")).collect::<Vec<_>>();
    let before = database_files();
    let (code, errors) = refused(folder.path(), &[]);
    assert!(code == 1 && errors.contains("not minim's") && errors.contains("--database"), "{errors}");
    assert_eq!(before, database_files(), "also with rows in a -wal that nobody has merged yet");
    drop(other);
}

#[test]
fn a_database_of_another_schema_is_refused_with_both_md5s_and_not_touched() {
    let folder = Folder::new();
    let mut server = Server::start_in(folder, &IN_A_FILE);
    server.new_user("alice").fence();
    server.kill(); // as Ctrl-C does: rows stand in minim.db-wal
    let database = server.data().join("minim.db");
    assert!(server.data().join("minim.db-wal").exists());

    // What a lab's branch would have left: the same file, made by another schema.sql. Its MD5 is written at creation,
    // so it stands in the file itself; here it is overwritten there.
    let mut bytes = fs::read(&database).unwrap();
    let ours = hex(&md5(include_bytes!("../schema.sql")));
    let place = bytes.windows(32).position(|window| window == ours.as_bytes()).expect("the MD5 in the file");
    bytes[place..place + 32].copy_from_slice(b"0123456789abcdef0123456789abcdef");
    fs::write(&database, &bytes).unwrap();

    let before = contents(&server.data());
    let (code, errors) = refused(server.folder(), &[]);
    assert_eq!(code, 1, "{errors}");
    for named in ["minim.db", "0123456789abcdef0123456789abcdef", &ours, "--dataDir"] {
        assert!(errors.contains(named), "{errors:?} does not name {named}");
    }
    assert_eq!(before, contents(&server.data()));
}

#[test]
fn tables_loaded_by_hand_from_schema_sql_are_taken() {
    let folder = Folder::new();
    let path = folder.path().join("hand.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch(include_str!("../schema.sql")).unwrap();
    drop(database);
    let mut server = Server::start_in(folder, &["--database", "sqlite:hand.db"]);
    server.new_user("alice").fence();
    server.start_again();
    server.log_in("alice").fence();
}

#[test]
fn a_second_server_on_the_same_data_is_refused_by_name_and_the_first_unhurt() {
    let mut server = Server::with(&IN_A_FILE);
    let mut alice = server.new_user("alice");
    let (code, errors) = refused(server.folder(), &[]);
    assert!(code == 1 && errors.contains("data") && errors.contains("in use"), "{errors}");
    let database = format!("sqlite:{}", Path::new("data").join("minim.db").display());
    let (code, errors) = refused(server.folder(), &["--dataDir", "other", "--database", &database]);
    assert!(code == 1 && errors.contains("minim.db") && errors.contains("another server"), "{errors}");
    alice.fence();
    server.kill();
    server.start_again();
    server.log_in("alice").fence();
}
