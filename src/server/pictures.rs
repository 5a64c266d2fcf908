//! Head pictures: /uploadPicture stores one, /static/headPic/DATE/UUID.EXT gives it to anybody.
//!
//! Rules: what a picture is, its first octets say, never its name. What a request names is compared with the one form that
//! names have here before any path is made of it, so nothing leads out of the folder. A name never gets other content.
//! Not here: whose picture it is (`users.picUrl`), HTTP (api.rs).

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;

use crate::clock::{Civil, civil, now_ms};
use crate::limits::MAX_PICTURE;
use crate::md5_check::{hex, random_bytes};
use crate::message::{Code, Refusal};
use crate::server::Server;

/// What the URLs of pictures begin with.
const PREFIX: &str = "/static/headPic/";

/// First octets, what a name ends with, type. The signatures stand in ISO/IEC 10918-1, the PNG specification (5.2), GIF89a (17).
const KINDS: [(&[u8], &str, &str); 4] = [
    (b"\xff\xd8\xff", "jpg", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png", "image/png"),
    (b"GIF87a", "gif", "image/gif"),
    (b"GIF89a", "gif", "image/gif"),
];

/// A picture as it is served.
pub struct Picture {
    /// Its name for ever, without the ending.
    pub uuid: String,
    /// `image/jpeg` and so on.
    pub content_type: &'static str,
    /// All of it.
    pub octets: Vec<u8>,
}

/// Stores a picture: its URL. `badRequest` where it is none, `diskFull`.
pub fn store(server: &Server, octets: &[u8]) -> Result<String, Refusal> {
    let kind = KINDS.iter().find(|(start, ..)| octets.starts_with(start));
    let Some((_, extension, _)) = kind else {
        return Err(Refusal::bad("body: must be a JPEG, PNG or GIF"));
    };
    let Civil { year, month, day, .. } = civil(now_ms(), 0);
    let date = format!("{year:04}-{month:02}-{day:02}");
    let name = format!("{}.{extension}", uuid());
    let folder = folder(server).join(&date);
    let path = folder.join(&name);
    let written = fs::create_dir_all(&folder).and_then(|()| {
        let mut file = File::create_new(&path)?;
        file.write_all(octets)?;
        file.sync_all()
    });
    if let Err(error) = written {
        let _ = fs::remove_file(&path); // half a picture is none
        server.troubles.warn(&format!("cannot store {}: {error}", path.display()));
        let code = if error.kind() == ErrorKind::StorageFull { Code::DiskFull } else { Code::DatabaseDown };
        return Err(Refusal::new(code, "the server cannot store the picture, try again later"));
    }
    Ok(format!("{PREFIX}{date}/{name}"))
}

/// The picture of a URL. None: there is no such one.
pub fn load(server: &Server, url: &str) -> Option<Picture> {
    let (date, name) = url.strip_prefix(PREFIX)?.split_once('/')?;
    let (uuid, extension) = name.split_once('.')?;
    let (_, _, content_type) = KINDS.iter().find(|(_, ending, _)| *ending == extension)?;
    if !has_form(date, "dddd-dd-dd") || !has_form(uuid, "xxxxxxxx-xxxx-4xxx-vxxx-xxxxxxxxxxxx") {
        return None;
    }
    let file = File::open(folder(server).join(date).join(name)).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut octets = Vec::new();
    file.take(MAX_PICTURE as u64).read_to_end(&mut octets).ok()?;
    Some(Picture { uuid: uuid.to_owned(), content_type, octets })
}

/// A picUrl is empty, or what `store` gave. `badRequest`.
pub fn require_ours(server: &Server, pic_url: &str) -> Result<(), Refusal> {
    if pic_url.is_empty() || load(server, pic_url).is_some() {
        return Ok(());
    }
    Err(Refusal::bad("picUrl: must be empty, or what /uploadPicture gave"))
}

fn folder(server: &Server) -> PathBuf {
    server.config.data_dir.join("headPic")
}

/// A random UUID: 122 random bits, version 4 and variant 10 in the others (RFC 9562, 5.4).
fn uuid() -> String {
    let mut bytes = random_bytes::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex(&bytes);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// Whether each character is what stands in its place: `d` for a digit, `x` for a hex digit, `v` for the variant's four,
/// anything else for itself.
fn has_form(text: &str, form: &str) -> bool {
    let fits = |(octet, place): (u8, u8)| match place {
        b'd' => octet.is_ascii_digit(),
        b'x' => matches!(octet, b'0'..=b'9' | b'a'..=b'f'),
        b'v' => matches!(octet, b'8' | b'9' | b'a' | b'b'),
        _ => octet == place,
    };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
}
