//! Emoji: `:word:` in a text becomes one, where the table (emoji.txt) has the word in either language.
//!
//! Not here: emoji that somebody types as such, which are text like any other. Start with `with_emoji`.

use crate::client::arguments::show_rows;
use crate::client::{Client, Failure};
use crate::config::Lang;

const TABLE: &str = include_str!("emoji.txt");
const A_ROW: usize = 8;

/// Emoji, English word, Chinese word.
fn rows() -> impl Iterator<Item = [&'static str; 3]> {
    TABLE.lines().map(|line| {
        let mut words = line.split(' ');
        [(); 3].map(|()| words.next().unwrap_or_default())
    })
}

fn emoji(word: &str) -> Option<&'static str> {
    rows().find(|[_, english, chinese]| [english, chinese].contains(&&word)).map(|[emoji, ..]| emoji)
}

/// The text with an emoji for each `:word:`.
pub fn with_emoji(text: &str) -> String {
    let (mut done, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once(':') {
        done += before;
        let found = behind.split_once(':').and_then(|(word, after)| Some((emoji(word)?, after)));
        let (piece, after) = found.unwrap_or((":", behind));
        done += piece;
        rest = after;
    }
    done + rest
}

/// EMOJI for a text of nothing but emoji of the table, else TEXT.
pub fn msg_type(text: &str) -> &'static str {
    let mut rest = text.trim_start();
    while let Some(behind) = rows().find_map(|[emoji, ..]| rest.strip_prefix(emoji)) {
        rest = behind.trim_start();
    }
    if rest.is_empty() && !text.trim().is_empty() { "EMOJI" } else { "TEXT" }
}

/// `/emoji [WORD]`: all of them, or those whose word has WORD in it.
pub fn list(client: &mut Client, word: &str) -> Result<(), Failure> {
    let is_chinese = client.words.0 == Lang::Zh;
    let found = rows().filter(|[_, english, chinese]| english.contains(word) || chinese.contains(word));
    let name = |[emoji, english, chinese]: [&str; 3]| {
        format!("{emoji} :{}:", if is_chinese { chinese } else { english })
    };
    let names: Vec<String> = found.map(name).collect();
    if names.is_empty() {
        return Err(client.failure("noEmoji", &[("TEXT", &word)]));
    }
    let rows: Vec<Vec<String>> = names.chunks(A_ROW).map(<[String]>::to_vec).collect();
    show_rows(client, &rows);
    Ok(())
}
