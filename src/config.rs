//! The options: command line, `server.conf`, defaults (README, options).
//!
//! Rules: strict. A name that is not known and a value that its option does not take are errors that say where it
//! stands and what would be right. The command line wins over the file. Every verb knows every option, so that one
//! file serves server and client; a verb's own options stand on the command line alone. Not here: what an option does.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits::{MAX_CLIENTS, MAX_NAME, MAX_NUMBER, MAX_PASSWORD_ROUNDS, PASSWORD_ROUNDS, patiently};
use crate::trace::{LEVELS, Level, Trace};

/// The passphrase where none is given: everybody knows it.
pub const PASSPHRASE: &str = "hfut";

/// Name, kind of value, default and meaning of each option, in the order in which help prints them.
#[rustfmt::skip]
const OPTIONS: &[[&str; 4]] = &[
    ["config", "FILE", "server.conf", "where further options stand, one `name = value` a line"],
    ["serverIp", "ADDRESS", "127.0.0.1", "to listen on or connect to; 0.0.0.0 or :: opens it to the LAN"],
    ["chatPort", "PORT", "8888", "TCP port of the chat; 0: any free one"],
    ["httpPort", "PORT", "8080", "TCP port of HTTP; 0: any free one"],
    ["tapPort", "PORT", "8887", "where `tap` listens"],
    ["udpPort", "PORT|off", "8889", "finding and telling on the LAN; off: none"],
    ["broadcast", "ADDRESSES", "255.255.255.255", "where to broadcast, with commas: one for each network card"],
    ["name", "NAME", "COMPUTERNAME or HOSTNAME, else minim", "what a server is called when it is looked for"],
    ["dataDir", "FOLDER", "data", "files, pictures, the SQLite database"],
    ["database", "URL", "minim.db in dataDir", "sqlite:PATH; mysql://user:password@host:3306/minim"],
    ["passphrase", "TEXT", "hfut", "both ends must agree"],
    ["maxFileSize", "BYTES", "4294967296", "longest file"],
    ["maxClients", "NUMBER", "4096", "chat connections at the same time"],
    ["trace", "LEVEL", "off", "off, steps, frames or rounds: how much of the wire to show, on standard error"],
    ["patience", "NUMBER", "1", "multiplies every deadline of a connection"],
    ["httpHost", "NAMES", "none", "further names of this server for HTTP, with commas"],
    ["passwordRounds", "NUMBER", "10000", "what a guess at a password costs: HMACs for each one that is stored now"],
    ["http", "WAY", "both", "server: both or sealed; client: plain, else sealed"],
    ["lang", "LANGUAGE", "from the locale", "en or zh: the client's words"],
    ["timeZone", "+HH:MM", "+08:00 in Chinese, else +00:00", "for showing times"],
    ["help", "", "", "show this"],
];

/// Verb, name, kind of value and meaning of each option that one verb alone knows, and never server.conf.
#[rustfmt::skip]
const OWN_OPTIONS: [[&str; 4]; 8] = [
    ["tap", "script", "FILE", "accidents, one a line: out|in NUMBER drop|repeat|delay MS|flip [BIT]"],
    ["tap", "seed", "NUMBER", "draws what is left out, the same for a whole class"],
    ["demo", "fast", "", "do not wait for Enter between the steps"],
    ["client", "find", "", "look for a server on the LAN instead of --serverIp"],
    ["des", "decrypt", "", "decrypt instead"],
    ["des", "text", "", "CBC over a whole text; with --decrypt TEXT is the ciphertext in hex"],
    ["des", "iv", "HEX", "the initialisation vector of --text, 16 hex digits (a fresh one)"],
    ["md5", "file", "PATH", "of a file instead of TEXT"],
];

/// Verbs that take words without a name: KEY, BLOCK, TEXT.
const VERBS_WITH_WORDS: [&str; 3] = ["des", "md5", "broadcast"];

/// What stands behind a verb and is its own.
#[derive(Debug, Default)]
pub struct Own {
    /// Words without a name, in order.
    pub words: Vec<String>,
    options: Vec<(String, String)>,
}

impl Own {
    /// The value of an option of the verb's own, empty for one that takes none. None: it was not given.
    pub fn value(&self, name: &str) -> Option<&str> {
        let last = self.options.iter().rfind(|(given, _)| given == name);
        last.map(|(_, value)| value.as_str())
    }
}

/// All options, with their values.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the server listens, and the client connects to.
    pub server_ip: IpAddr,
    /// TCP port of the chat.
    pub chat_port: u16,
    /// TCP port of HTTP.
    pub http_port: u16,
    /// TCP port of the relay.
    pub tap_port: u16,
    /// UDP port; none: off.
    pub udp_port: Option<u16>,
    /// Where to broadcast.
    pub broadcast: Vec<Ipv4Addr>,
    /// The server's name on the LAN.
    pub name: String,
    /// A client's: the server is looked for, at the start and whenever it is away.
    pub finds: bool,
    /// Where all files stand.
    pub data_dir: PathBuf,
    /// Where the database is.
    pub database: Database,
    /// The shared secret, exact bytes; never empty.
    pub passphrase: String,
    /// Longest file, in bytes.
    pub max_file_size: u64,
    /// Chat connections at the same time.
    pub max_clients: usize,
    /// How much of the wire to show, and where.
    pub trace: Arc<Trace>,
    /// Multiplies every deadline of a connection; 0.001 to 1,000,000.
    pub patience: f64,
    /// Further names under which HTTP may be asked for.
    pub http_host: Vec<String>,
    /// Iterations of the digest of a password that is stored from now on.
    pub password_rounds: u32,
    /// Which of the two ways into HTTP.
    pub http: Http,
    /// The client's words.
    pub lang: Lang,
    /// Minutes east of Greenwich, for showing times; where none is said, the language decides.
    pub time_zone: Option<i64>,
}

impl Config {
    /// The moment when a deadline of a connection passes that begins now.
    pub fn deadline(&self, limit: Duration) -> Instant {
        Instant::now() + patiently(limit, self.patience)
    }

    /// Minutes east of Greenwich in which times are shown; unless it is said, those of China for who reads Chinese.
    pub fn offset(&self) -> i64 {
        self.time_zone.unwrap_or(if self.lang == Lang::Zh { 8 * 60 } else { 0 })
    }
}

/// Which database, by its URL.
#[derive(Debug, Clone, PartialEq)]
pub enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// `mysql://…`, with its password.
    Mysql(String),
}

/// Ways into HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http {
    /// Server: plain and sealed. Client: sealed.
    Both,
    /// Sealed alone.
    Sealed,
    /// Client: plain. Server: both.
    Plain,
}

/// Languages of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    /// English.
    En,
    /// Chinese.
    Zh,
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Database::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Database::Mysql(url) => f.write_str(&masked(url)),
        }
    }
}

/// A word for an error: a URL's password, between `://` and the last `@`, becomes `***`, also one with a `/` in it, which is
/// the error then; other words stay as they are.
fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((account, behind)) = rest.rsplit_once('@') else { return url.to_owned() };
    match account.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***@{behind}"),
        None => url.to_owned(),
    }
}

/// The options of a command line (`words` stand behind the verb), of the file that it names, or of `server.conf` in the
/// current folder where there is one, and what is the verb's own. None: `--help` was asked for. An error says what was
/// wrong, where, and what would be right; the exit code is then 2.
pub fn read(verb: &str, words: &[String]) -> Result<Option<(Config, Own)>, String> {
    let mut given: Vec<(&str, &str)> = Vec::new();
    let mut own = Own::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(name) = word.strip_prefix("--") else {
            if VERBS_WITH_WORDS.contains(&verb) {
                own.words.push(word.clone());
                continue;
            }
            let word = masked(word);
            return Err(format!("{word:?} is no option: options are written --name value"));
        };
        let own_option = OWN_OPTIONS.iter().find(|[of, own_name, ..]| *of == verb && *own_name == name);
        if own_option.is_none() {
            known(name, verb).map_err(|error| format!("--{name}: {error}"))?;
        }
        if name == "help" {
            return Ok(None);
        }
        let value = match own_option {
            Some([_, _, "", _]) => "",
            _ => words.next().ok_or_else(|| format!("--{name} needs a value behind it"))?,
        };
        match own_option {
            Some(_) => own.options.push((name.to_owned(), value.to_owned())),
            None => given.push((name, value)),
        }
    }

    let mut config = defaults();
    match given.iter().rfind(|(name, _)| *name == "config") {
        Some((_, file)) => read_file(&mut config, Path::new(file))?,
        None if Path::new("server.conf").exists() => {
            read_file(&mut config, Path::new("server.conf"))?;
        }
        None => {}
    }
    for (name, value) in given {
        let wrong = |error| format!("--{name} {}: {error}", masked(value));
        set(&mut config, name, value).map_err(wrong)?;
    }
    if matches!(&config.database, Database::Sqlite(path) if path.as_os_str().is_empty()) {
        config.database = Database::Sqlite(config.data_dir.join("minim.db"));
    }
    Ok(Some((config, own)))
}

fn defaults() -> Config {
    Config {
        server_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        chat_port: 8888,
        http_port: 8080,
        tap_port: 8887,
        udp_port: Some(8889),
        broadcast: vec![Ipv4Addr::BROADCAST],
        name: name_from_environment(),
        finds: false,
        data_dir: PathBuf::from("data"),
        database: Database::Sqlite(PathBuf::new()), // empty: minim.db in the data folder, once that is known
        passphrase: PASSPHRASE.to_owned(),
        max_file_size: 4_294_967_296,
        max_clients: 4096,
        trace: Trace::on_standard_error(Level::Off),
        patience: 1.0,
        http_host: Vec::new(),
        password_rounds: PASSWORD_ROUNDS,
        http: Http::Both,
        lang: lang_from_environment(),
        time_zone: None,
    }
}

fn name_from_environment() -> String {
    let name = std::env::var("COMPUTERNAME").or_else(|_| std::env::var("HOSTNAME"));
    name.ok().filter(|name| is_name(name)).unwrap_or_else(|| "minim".to_owned())
}

/// The first of the locale's variables that is set decides; only `zh…` is Chinese.
fn lang_from_environment() -> Lang {
    let variables = ["LC_ALL", "LC_MESSAGES", "LANG"].map(|name| std::env::var(name).unwrap_or_default());
    let locale = variables.into_iter().find(|value| !value.is_empty());
    if locale.is_some_and(|locale| locale.starts_with("zh")) { Lang::Zh } else { Lang::En }
}

/// Lines `name = value`; `#` and what follows it is a comment; blanks around name and value do not count.
fn read_file(config: &mut Config, file: &Path) -> Result<(), String> {
    let shown = file.display();
    let bytes = std::fs::read(file).map_err(|error| format!("cannot read {shown}: {error}"))?;
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let outcome = read_line(config, line);
        outcome.map_err(|error| format!("{shown}, line {}: {error}", index + 1))?;
    }
    Ok(())
}

fn read_line(config: &mut Config, line: &[u8]) -> Result<(), String> {
    let line = std::str::from_utf8(line).map_err(|_| "not UTF-8: save the file as UTF-8")?;
    let line = line.trim_start_matches('\u{feff}'); // some editors begin a file with it
    let line = line.split('#').next().unwrap_or_default().trim();
    if line.is_empty() {
        return Ok(());
    }
    let (name, value) = line.split_once('=').ok_or("not name = value")?;
    let (name, value) = (name.trim(), value.trim());
    if name == "config" || name == "help" {
        return Err(format!("{name} stands on the command line alone"));
    }
    known(name, "").map_err(|error| format!("{}: {error}", masked(name)))?; // it may be a URL
    set(config, name, value).map_err(|error| format!("{name} = {}: {error}", masked(value)))
}

/// Whether there is such an option; those of the verb's own are in the list as well.
fn known(name: &str, verb: &str) -> Result<(), String> {
    let mut names: Vec<&str> = OPTIONS.iter().map(|[name, ..]| *name).collect();
    if names.contains(&name) {
        return Ok(());
    }
    names.extend(OWN_OPTIONS.iter().filter(|[of, ..]| *of == verb).map(|[_, own_name, ..]| own_name));
    Err(format!("there is no such option; there are {}", names.join(", ")))
}

/// Gives one option its value, or says what it takes.
fn set(config: &mut Config, name: &str, value: &str) -> Result<(), String> {
    match name {
        "serverIp" => config.server_ip = value.parse().map_err(|_| "not an IPv4 or IPv6 address")?,
        "chatPort" => config.chat_port = port(value)?,
        "httpPort" => config.http_port = port(value)?,
        "tapPort" => config.tap_port = port(value)?,
        "udpPort" if value == "off" => config.udp_port = None,
        "udpPort" => config.udp_port = Some(port(value).map_err(|error| error + ", nor off")?),
        "broadcast" => config.broadcast = addresses(value)?,
        "name" if is_name(value) => config.name = value.to_owned(),
        "name" => return Err(format!("not 1 to {MAX_NAME} characters without control characters")),
        "dataDir" if value.is_empty() => return Err("not a folder".to_owned()),
        "dataDir" => config.data_dir = PathBuf::from(value),
        "database" => config.database = database(value)?,
        "passphrase" if value.is_empty() => return Err("an empty passphrase is none".to_owned()),
        "passphrase" => config.passphrase = value.to_owned(),
        "maxFileSize" => config.max_file_size = number(value, 0, MAX_NUMBER - 1)?,
        "maxClients" => config.max_clients = number(value, 1, MAX_CLIENTS)? as usize,
        "trace" => config.trace.set_level(one_of(value, &LEVELS)?),
        "patience" => config.patience = patience(value)?,
        "httpHost" => {
            let names = value.split(',').map(|host| host.trim().to_owned());
            config.http_host = names.filter(|host| !host.is_empty()).collect();
        }
        "passwordRounds" => config.password_rounds = number(value, 1, MAX_PASSWORD_ROUNDS.into())? as u32,
        "http" => {
            let ways = [("both", Http::Both), ("sealed", Http::Sealed), ("plain", Http::Plain)];
            config.http = one_of(value, &ways)?;
        }
        "lang" => config.lang = one_of(value, &[("en", Lang::En), ("zh", Lang::Zh)])?,
        "timeZone" => config.time_zone = Some(time_zone(value)?),
        _ => {} // "config": read already
    }
    Ok(())
}

fn is_name(value: &str) -> bool {
    (1..=MAX_NAME).contains(&value.chars().count()) && !value.contains(char::is_control)
}

fn port(value: &str) -> Result<u16, String> {
    number(value, 0, 65_535).map(|port| port as u16)
}

/// Digits alone: `parse` would take a sign too.
fn number(value: &str, least: u64, most: u64) -> Result<u64, String> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|number| digits && (least..=most).contains(number));
    number.ok_or_else(|| format!("not a number from {least} to {most}"))
}

fn addresses(value: &str) -> Result<Vec<Ipv4Addr>, String> {
    let addresses: Result<Vec<_>, _> = value.split(',').map(|address| address.trim().parse()).collect();
    addresses.map_err(|_| "not IPv4 addresses with commas between them".to_owned())
}

fn database(value: &str) -> Result<Database, String> {
    let names_a_database = |url: &str| {
        let opts = mysql::Opts::from_url(url).ok();
        opts.is_some_and(|opts| opts.get_db_name().is_some_and(|name| !name.is_empty()))
    };
    match value.strip_prefix("sqlite:") {
        Some(path) if !path.is_empty() => Ok(Database::Sqlite(PathBuf::from(path))),
        None if value.starts_with("mysql://") && names_a_database(value) => {
            Ok(Database::Mysql(value.to_owned()))
        }
        _ => Err("not sqlite:PATH, nor mysql://user:password@host:3306/minim".to_owned()),
    }
}

fn patience(value: &str) -> Result<f64, String> {
    let decimal = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let factor = value.parse().ok().filter(|factor| decimal && (0.001..=1_000_000.0).contains(factor));
    factor.ok_or_else(|| "not a decimal from 0.001 to 1000000".to_owned())
}

fn one_of<T: Copy>(value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    let chosen = choices.iter().find(|(word, _)| *word == value).map(|(_, choice)| *choice);
    chosen.ok_or_else(|| format!("not one of {}", words.join(", ")))
}

/// `+08:00` as 480 minutes; the world has -12:00 to +14:00, and -14:59 to +14:59 is taken.
fn time_zone(value: &str) -> Result<i64, String> {
    let minutes = || {
        let (hours, minutes) = value.get(1..)?.split_once(':')?;
        let two_digits = hours.len() == 2 && minutes.len() == 2;
        let minutes = number(hours, 0, 14).ok()? * 60 + number(minutes, 0, 59).ok()?;
        let sign = if value.starts_with('-') { -1 } else { 1 };
        (two_digits && value.starts_with(['+', '-'])).then_some(sign * minutes as i64)
    };
    minutes().ok_or_else(|| "not like +08:00 or -05:30, from -14:59 to +14:59".to_owned())
}

/// The table of all options, for help.
pub fn help() -> String {
    let mut lines = String::from("options (also in server.conf as name = value; # begins a comment):\n");
    for [name, value, default, meaning] in OPTIONS {
        lines += &format!("  {:24}{meaning}", format!("--{name} {value}"));
        lines += &if default.is_empty() { "\n".to_owned() } else { format!(" ({default})\n") };
    }
    lines += "\noptions of one verb (on the command line alone):\n";
    for [verb, name, value, meaning] in OWN_OPTIONS {
        lines += &format!("  {:24}{meaning}\n", format!("{verb} --{name} {value}"));
    }
    lines
}
