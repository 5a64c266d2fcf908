//! The screen: the thread that owns the output, and how rows come to stand above the line being typed.
//!
//! Rules: the terminal stays in line mode, and no setting of it is changed: however the program dies, the terminal is
//! sane. Whatever is shown is one `write_all` and a flush. The kernel keeps the typed text and nobody can read it, so
//! the typed row is moved down, never redrawn. A message was shown only when its write succeeded: then `main` hears so.
//! Not here: what is said (words.rs), what is harmless (harmless.rs). Start with `Painter::show`.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};

use crate::client::width::broken;
use crate::client::{Client, Event};
use crate::clock::{Civil, civil};
use crate::harmless::{obeys_colours, obeys_escapes};
use crate::limits::{MAX_LOG, MAX_WIDTH, MIN_WIDTH, SCREEN_BATCHES, USUAL_WIDTH};
use crate::trace::{self, Level, Trace};

/// What the output is, and what it understands.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// A person types and reads: prompt, clock times, questions.
    pub is_terminal: bool,
    /// Escape sequences are obeyed.
    pub has_escapes: bool,
    /// Colours are wanted.
    pub has_colours: bool,
    /// Columns of a row above the typed one.
    pub width: usize,
}

impl Look {
    /// As the environment says. `std` cannot ask for the window's width; two consoles often share a screen.
    pub fn from_environment(is_terminal: bool) -> Look {
        let columns = std::env::var("COLUMNS").unwrap_or_default();
        let width = columns.parse().unwrap_or(USUAL_WIDTH).clamp(MIN_WIDTH, MAX_WIDTH);
        let (has_escapes, has_colours) = (obeys_escapes(is_terminal), obeys_colours(is_terminal));
        Look { is_terminal, has_escapes, has_colours, width }
    }
}

/// One thing to say: rows of text that are harmless already.
#[derive(Debug, Clone)]
pub struct Line {
    /// What the first row begins with: two spaces, `* `, `! `, or nothing.
    pub mark: String,
    /// Further ones begin with four spaces.
    pub rows: Vec<String>,
    /// When it was sent, in milliseconds since 1970: at a terminal the clock time stands behind the mark.
    pub sent: Option<u64>,
    /// Of a message that is read when it was shown: its id.
    pub id: Option<u64>,
}

impl Line {
    /// Behind a mark: `  ` the answer to what was typed, `* ` something that happened, `! ` an error.
    pub fn new(mark: &str, text: &str) -> Line {
        Line { mark: mark.to_owned(), rows: vec![text.to_owned()], sent: None, id: None }
    }

    /// Mark, time, and the rows.
    pub fn rows(&self, time: &str) -> Vec<String> {
        let mut rows = self.rows.clone();
        if let Some(first) = rows.first_mut() {
            first.insert_str(0, &format!("{}{time}", self.mark));
        }
        rows
    }
}

/// What the screen's thread is told.
enum Order {
    /// Show these lines.
    Show(Vec<Line>),
    /// Print this and leave the cursor behind it. True: what is typed there is concealed.
    Prompt(String, bool),
    /// Enter was pressed; true: the typed row held a password.
    Typed(bool),
    /// The input ended without Enter.
    InputEnded,
    /// Rows have so many columns from here on.
    Width(usize),
    /// Nothing more will come.
    End,
}

/// The way to the screen's thread.
pub struct Screen {
    orders: SyncSender<Order>,
    thread: JoinHandle<()>,
    is_terminal: bool,
}

impl Screen {
    /// Starts the thread. It tells `main` which messages were shown, and when nobody reads the output any more. `time_zone`:
    /// minutes east of Greenwich. An error: no thread.
    pub fn start(
        output: Box<dyn Write + Send>,
        look: Look,
        time_zone: i64,
        to_main: Sender<Event>,
    ) -> io::Result<Screen> {
        let (orders, to_do) = mpsc::sync_channel(SCREEN_BATCHES);
        let mut painter = Painter { output, look, time_zone, prompt: None, day: None };
        let thread = thread::Builder::new().name("screen".to_owned());
        let thread = thread.spawn(move || paint_all(&mut painter, &to_do, &to_main))?;
        Ok(Screen { orders, thread, is_terminal: look.is_terminal })
    }

    /// Shows lines, in one write. False: the terminal is stopped (Ctrl-S) and too much waits for it already. A script
    /// waits here until its reader has read.
    pub fn show(&self, lines: Vec<Line>) -> bool {
        self.order(Order::Show(lines))
    }

    /// Shows a prompt or a question.
    pub fn prompt(&self, text: String, is_concealed: bool) {
        self.order(Order::Prompt(text, is_concealed));
    }

    /// Enter was pressed: no prompt stands now. `held_password`: the row is to be erased.
    pub fn typed(&self, held_password: bool) {
        self.order(Order::Typed(held_password));
    }

    /// The window has so many columns now.
    pub fn set_width(&self, columns: usize) {
        self.order(Order::Width(columns));
    }

    /// There will be no more input.
    pub fn input_ended(&self) {
        self.order(Order::InputEnded);
    }

    /// A trace whose lines stand above the typed one. Of a stopped terminal it drops what has no room, since nobody may wait
    /// for that while a call is being said.
    pub fn trace(&self, level: Level) -> Arc<Trace> {
        let orders = self.orders.clone();
        Trace::new(level, move |lines| {
            let lines = lines.iter().map(|line| Line::new("", line)).collect();
            let shown = orders.try_send(Order::Show(lines));
            !matches!(shown, Err(TrySendError::Disconnected(_)))
        })
    }

    fn order(&self, order: Order) -> bool {
        match self.is_terminal {
            true => self.orders.try_send(order).is_ok(),
            false => self.orders.send(order).is_ok(),
        }
    }

    /// Waits until all is shown.
    pub fn finish(self) {
        let _ = self.orders.send(Order::End); // an error: nobody reads, and the thread has ended
        let _ = self.thread.join(); // an error: it panicked, and has said so
    }
}

impl Client {
    /// Hands lines to the screen. False: it takes no more now.
    pub(super) fn show(&mut self, lines: Vec<Line>) -> bool {
        self.log.extend(lines.iter().flat_map(|line| line.rows("")));
        while self.log.len() > MAX_LOG {
            self.log.pop_front();
        }
        let has_messages = !ids(&lines).is_empty();
        let is_taken = self.screen.show(lines);
        self.unreported += usize::from(is_taken && has_messages);
        is_taken
    }
}

/// `-- 2026-11-24 (+08:00) --`, in a time zone of so many minutes east of Greenwich.
fn date_row(moment: &Civil, time_zone: i64) -> String {
    let Civil { year, month, day, .. } = moment;
    let (hours, minutes) = (time_zone.abs() / 60, time_zone.abs() % 60);
    let sign = if time_zone < 0 { '-' } else { '+' };
    format!("-- {year}-{month:02}-{day:02} ({sign}{hours:02}:{minutes:02}) --")
}

/// The screen's thread.
fn paint_all(painter: &mut Painter, to_do: &Receiver<Order>, to_main: &Sender<Event>) {
    for order in to_do {
        let painted = match &order {
            Order::Show(lines) => painter.show(lines),
            Order::Prompt(text, is_concealed) => painter.prompt(text, *is_concealed),
            Order::Typed(held_password) => painter.typed(*held_password),
            Order::InputEnded => painter.input_ended(),
            Order::Width(columns) => {
                painter.look.width = *columns;
                Ok(())
            }
            Order::End => return,
        };
        if painted.is_err() {
            let _ = to_main.send(Event::OutputGone);
            return;
        }
        let shown = if let Order::Show(lines) = &order { ids(lines) } else { Vec::new() };
        if !shown.is_empty() && to_main.send(Event::Shown(shown)).is_err() {
            return;
        }
    }
}

/// The ids of the messages among these lines.
fn ids(lines: &[Line]) -> Vec<u64> {
    lines.iter().filter_map(|line| line.id).collect()
}

/// What the screen's thread knows.
struct Painter {
    output: Box<dyn Write + Send>,
    look: Look,
    time_zone: i64,
    /// The prompt behind which somebody types now; true: concealed.
    prompt: Option<(String, bool)>,
    /// Of the message shown last: year, month, day.
    day: Option<(i64, i64, i64)>,
}

impl Painter {
    /// Station 6 of a message: where a prompt stands, above it.
    fn show(&mut self, lines: &[Line]) -> io::Result<()> {
        let rows = self.rows(lines);
        let mut text = String::new();
        match &self.prompt {
            Some((_, is_concealed)) if self.look.has_escapes => {
                let broken = rows.iter().flat_map(|row| broken(row, self.look.width));
                let above = broken.map(|row| above(&self.coloured(&row), *is_concealed));
                text += &format!("\x1b[?7l{}\x1b[?7h", above.collect::<String>());
            }
            Some((prompt, _)) => text += &format!("\n{}\n{prompt}", rows.join("\n")),
            None => rows.iter().for_each(|row| text += &format!("{}\n", self.coloured(row))),
        }
        self.write(&text)
    }

    /// The rows of these lines; at a terminal messages have a clock time, and the first of a day a date line before it.
    fn rows(&mut self, lines: &[Line]) -> Vec<String> {
        let mut rows = Vec::new();
        for line in lines {
            let mut time = String::new();
            if let Some(sent) = line.sent.filter(|_| self.look.is_terminal) {
                let moment = civil(sent, self.time_zone);
                let day = Some((moment.year, moment.month, moment.day));
                if std::mem::replace(&mut self.day, day) != day {
                    rows.push(date_row(&moment, self.time_zone));
                }
                time = format!("[{:02}:{:02}] ", moment.hour, moment.minute);
            }
            rows.extend(line.rows(&time));
        }
        rows
    }

    fn prompt(&mut self, text: &str, is_concealed: bool) -> io::Result<()> {
        let conceal = if is_concealed && self.look.has_escapes { "\x1b[8m" } else { "" };
        self.prompt = Some((text.to_owned(), is_concealed));
        self.write(&format!("{text}{conceal}"))
    }

    /// The echo of Enter has moved the cursor to the next row. A password goes from the row above, whether concealed or not.
    fn typed(&mut self, held_password: bool) -> io::Result<()> {
        match self.prompt.take() {
            Some((prompt, true)) if self.look.has_escapes => {
                self.write(&format!("\x1b[0m\x1b[A\r\x1b[K{prompt}\n"))
            }
            Some(_) if held_password && self.look.has_escapes => self.write("\x1b[A\r\x1b[K"),
            _ => Ok(()),
        }
    }

    fn input_ended(&mut self) -> io::Result<()> {
        match self.prompt.take() {
            Some((_, true)) if self.look.has_escapes => self.write("\x1b[0m\n"),
            Some(_) => self.write("\n"),
            None => Ok(()),
        }
    }

    /// Time dim, what happened yellow, errors red, names cyan; none of it reaches beyond its row.
    fn coloured(&self, row: &str) -> String {
        if !self.look.has_colours {
            return row.to_owned();
        }
        let has_time = |(time, _): &(&str, &str)| row.starts_with('[') && time.len() == "[20:40".len();
        if let Some((time, rest)) = row.split_once("] ").filter(has_time) {
            let (name, text) = rest.split_once(": ").unwrap_or(("", rest));
            let colon = if name.is_empty() { "" } else { ": " };
            return format!("\x1b[2m{time}]\x1b[0m \x1b[36m{name}\x1b[0m{colon}{text}");
        }
        match row.get(..2) {
            Some("* ") => format!("\x1b[33m*\x1b[0m {}", &row[2..]),
            Some("! ") => format!("\x1b[31m!\x1b[0m {}", &row[2..]),
            _ => trace::coloured(row),
        }
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.output.write_all(text.as_bytes())?;
        self.output.flush()
    }
}

/// One row above the typed one: save the cursor (ESC 7), make room below (CR LF; at the bottom all scrolls up), go back
/// up, insert a row (ESC [ L), which moves the typed one down; then to the saved column (ESC 8), one row down.
fn above(row: &str, is_concealed: bool) -> String {
    let (show, conceal) = if is_concealed { ("\x1b[0m", "\x1b[8m") } else { ("", "") };
    format!("\x1b7\r\n\x1b[A\x1b[L{show}{row}\x1b8\x1b[B{conceal}")
}
