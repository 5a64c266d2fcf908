//! The fault campaign: what minim promises while something around it breaks, under load, and what was counted. No part of
//! `cargo test`: it takes minutes.
//!
//!     cargo test --release --test campaign                          every fault, many rounds
//!     cargo test --release --test campaign -- short                 the same with few rounds, for CI
//!     cargo test --release --test campaign -- kill clock            these alone
//!     tests/mariadb.sh cargo test --release --test campaign         on MariaDB, which is stopped and killed too
//!
//! Linux only: it reads /proc. A fault whose tool is absent (unshare, ip, faketime, a database server) is left out by name.
//! Start with `faults.rs`; what the ten clients do meanwhile, and how it is counted, stands in `load.rs`.

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod load;
mod site;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use faults::{FAULTS, Fault, Outcome};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let is_short = words.iter().any(|word| word == "short");
    let named: Vec<&String> = words.iter().filter(|word| *word != "short").collect();
    if let Some(unknown) = named.iter().find(|name| FAULTS.iter().all(|fault| fault.name != **name)) {
        let names: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        eprintln!("there is no fault {unknown:?}; there are {}", names.join(", "));
        return ExitCode::from(2);
    }
    let mut is_good = true;
    for fault in
        FAULTS.iter().filter(|fault| named.is_empty() || named.iter().any(|name| *name == fault.name))
    {
        is_good &= run(fault, if is_short { fault.short } else { fault.rounds });
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether the promise was kept; what was counted is printed.
fn run(fault: &Fault, rounds: usize) -> bool {
    let (result, is_kept) = match catch_unwind(AssertUnwindSafe(|| (fault.run)(rounds))) {
        Ok(Outcome::LeftOut(why)) => (format!("left out: {why}"), true),
        Ok(Outcome::Elsewhere(is_kept)) => return is_kept,
        Ok(Outcome::Counted(report)) => (format!("rounds {rounds} · {report}"), report.is_kept()),
        Err(_) => ("stopped, see above".to_owned(), false),
    };
    let verdict = if is_kept { "" } else { "FAILED · " };
    println!("{}: {}\n    {verdict}{result}\n", fault.name, fault.promise);
    is_kept
}
