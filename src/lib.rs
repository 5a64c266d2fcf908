//! minim: a LAN instant messenger to learn from. The text of this file is the map (in a browser: Source, above on the
//! right): the modules in reading order, each with what it needs.
//! The names are those of the course brief that minim answers (online_users, CHAT_SEND_MSG, the HTTP paths); comments call
//! it "the brief". A module needs only what stands above it. The numbers are the stations of one message from keyboard to screen.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod des; //         the cipher of FIPS 46-3                needs nothing
pub mod limits; //      every limit by its name                needs nothing
pub mod clock; //       the wall clock and the calendar        needs nothing
pub mod harmless; //    what a terminal must not obey          needs nothing
pub mod warnings; //    warnings for the operator              needs nothing
pub mod md5_check; //   MD5, HMAC, passwords, random bytes     needs limits
pub mod trace; //       the wire made visible                  needs des, harmless, limits, md5_check
pub mod config; //      options and server.conf                needs limits, trace
pub mod cipher_page; // what the verbs des and md5 show        needs des, md5_check, config, harmless
pub mod message; //     the dictionary of both sides           needs nothing
pub mod fields; //      what each field of a request may be    needs harmless, limits, message
pub mod http; //        HTTP/1.1; knows nothing of chat        needs limits, clock
pub mod socket; //      the socket calls by their names        needs limits, trace
pub mod lan; //         UDP: finding, and telling everybody    needs config, limits, message, socket
pub mod store; //     4 all the SQL there is; knows no socket  needs config, clock, limits, md5_check, message, trace, warnings
pub mod wire; //      2 hello and frames                       needs des, limits, md5_check, socket, trace
pub mod tap; //         somebody in the middle                 needs config, limits, md5_check, socket, trace, wire
pub mod channel; //     what HTTP runs on, plain or sealed     needs http, limits, socket, trace, wire
pub mod server; //    3 server/chat.rs, 5 server/online.rs     needs all of the above but des, cipher_page, tap
pub mod client; //    1, and 6 client/screen.rs                needs all above server but those and fields, store, warnings
pub mod demo; //        the guided tour                        needs server, client, config, harmless, lan, limits, md5_check, trace
