//! What the client says, in two languages: the lines stand side by side in words.txt, prose is no code.
//!
//! Rules: a line is `key | English | Chinese`; without the third column both are the same. `{NAME}` stands for a value,
//! and every value passes `harmless` here, so that nobody can forget it. A line's first two columns say what it is:
//! two spaces, the answer to what was typed; `* `, something that happened; `! `, an error.
//! Not here: which line is said when. Start with `Words::fill`.

use std::fmt::Display;

use crate::client::screen::Line;
use crate::client::{Client, Failure};
use crate::config::Lang;
use crate::harmless::harmless;
use crate::message::{Code, Refusal};

const TABLE: &str = include_str!("words.txt");

/// What stands in the place of each `{NAME}`.
pub type Values<'a> = &'a [(&'a str, &'a dyn Display)];

/// The lines of one language.
#[derive(Debug, Clone, Copy)]
pub struct Words(pub Lang);

/// All rows: key, English, Chinese. Lines that are empty or begin with `#` are none.
pub fn rows() -> impl Iterator<Item = [&'static str; 3]> {
    let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let mut columns = line.split(" | ");
        [(); 3].map(|()| columns.next().unwrap_or_default())
    })
}

impl Words {
    /// The line of `key` with its values. A key that the table does not have is said itself; a test finds it first.
    pub fn say(self, key: &str, values: Values) -> String {
        self.fill(key, values).unwrap_or_else(|| key.to_owned())
    }

    /// The line of `key`; none where the table lacks the key, or `values` a value that the line needs.
    pub fn fill(self, key: &str, values: Values) -> Option<String> {
        let [_, english, chinese] = rows().find(|row| row[0] == key)?;
        let is_chinese = self.0 == Lang::Zh && !chinese.is_empty();
        let mut rest = if is_chinese { chinese } else { english };
        let mut filled = String::new();
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind.split_once('}')?;
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            filled += before;
            filled += &harmless(&value.to_string());
            rest = after; // a value is never searched for names: `{` in it means nothing
        }
        Some(filled + rest)
    }

    /// Several values in one place.
    pub fn list(self, values: &[String]) -> String {
        values.join(&self.say("comma", &[]))
    }
}

impl Client {
    /// The answer to what was typed.
    pub(super) fn answer(&mut self, key: &str, values: Values) {
        self.show(vec![Line::new("  ", &self.words.say(key, values))]);
    }

    /// Something that happened.
    pub(super) fn event(&mut self, key: &str, values: Values) {
        self.show(vec![Line::new("* ", &self.words.say(key, values))]);
    }

    /// Something that went wrong by itself: no command failed.
    pub(super) fn trouble(&mut self, key: &str, values: Values) {
        self.show(vec![Line::new("! ", &self.words.say(key, values))]);
    }

    /// A command failed, and why.
    pub(super) fn fail(&mut self, failure: Failure) {
        if let Failure::Refused(Refusal { code: Code::NotLoggedIn, .. }) = &failure {
            self.fence(); // HTTP says so first: KICKED, which says why, is on its way
        }
        self.failed += 1;
        if self.exit_code.is_none() {
            self.mention(failure);
        }
    }

    /// Says what went wrong, also where no command failed and it is tried again.
    pub(super) fn mention(&mut self, failure: Failure) {
        if let Failure::Said(line) = self.explain(failure, &[]) {
            self.show(vec![Line::new("! ", &line)]);
        }
    }

    /// A failure with a line of ours.
    pub(super) fn failure(&self, key: &str, values: Values) -> Failure {
        Failure::Said(self.words.say(key, values))
    }

    /// A failure as the server's code has it.
    pub(super) fn refused(&self, code: Code, values: Values) -> Failure {
        self.explain(Failure::Refused(Refusal::new(code, "")), values)
    }

    /// A refusal in our words, with what the command knows of it. Where the line of its code needs a value that is not
    /// there, the server's own text is said.
    pub(super) fn explain(&self, failure: Failure, values: Values) -> Failure {
        let Failure::Refused(Refusal { code, text, limit }) = failure else { return failure };
        let limit = limit.unwrap_or_default();
        let values = [values, &[("TEXT", &text), ("LIMIT", &limit)]].concat();
        let key = format!("refused.{code}");
        let line = self.words.fill(&key, &values);
        Failure::Said(line.unwrap_or_else(|| self.words.say("refused.badRequest", &values)))
    }
}
