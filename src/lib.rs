//! minim: a LAN instant messenger to learn from. This is the map: the modules in reading order, each with what it needs.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod des; //         the cipher of FIPS 46-3                needs nothing
pub mod limits; //      every limit by its name                needs nothing
pub mod md5_check; //   MD5, HMAC, passwords, random bytes     needs limits
