//! A run as it is seen on a terminal of so many columns, and where there is none: bars that never wrap and leave nothing behind, colours.
#![cfg(unix)]

#[path = "common/tiny.rs"]
mod tiny;

use rustix::pty::{grantpt, openpt, ptsname, unlockpt, OpenptFlags};
use rustix::termios::{tcsetwinsize, Winsize};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output};
use tiny::TINY;
use unicode_width::UnicodeWidthChar;

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowdistill"));
    command.current_dir(folder).args(arguments).env_remove("NO_COLOR").env("TERM", "xterm");
    command
}

/// A folder with an experiment whose stages take long enough for a bar to be drawn a few times.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("tiny.ron"), TINY.replace("steps: 60", "steps: 300")).expect("written");
    folder
}

/// What a command writes to a terminal of so many columns, which is its standard input, output and error.
fn on_terminal(mut command: Command, columns: u16) -> String {
    let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&near).expect("granted");
    unlockpt(&near).expect("unlocked");
    let name = ptsname(&near, Vec::new()).expect("a name");
    let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
    let far = File::options().read(true).write(true).open(path).expect("its other end");
    tcsetwinsize(&near, Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).expect("a size");
    let end = || far.try_clone().expect("another one");
    command.stdin(end()).stdout(end()).stderr(end());
    let mut child = command.spawn().expect("started");
    // What is open here would keep the terminal open when the child has gone.
    drop((command, far));
    let (mut near, mut bytes, mut part) = (File::from(near), Vec::new(), [0; 4096]);
    // At its end a terminal says that there is an error.
    while let Ok(count @ 1..) = near.read(&mut part) {
        bytes.extend_from_slice(&part[..count]);
    }
    let text = String::from_utf8(bytes).expect("UTF-8");
    assert!(child.wait().expect("ended").success(), "{text}");
    text
}

/// What a bar consists of.
const BAR: [char; 2] = ['█', '░'];

/// A terminal that wraps, as those of people do.
struct Screen {
    columns: usize,
    rows: Vec<String>,
    at: [usize; 2],
    /// Times at which a bar was seen.
    bars: usize,
}

impl Screen {
    fn of(text: &str, columns: usize) -> Self {
        let mut screen = Self { columns, rows: vec![String::new()], at: [0, 0], bars: 0 };
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match c {
                '\r' => screen.at[1] = 0,
                '\n' => screen.down(1),
                '\u{1b}' => {
                    assert_eq!(rest.next(), Some('['), "no other sequences");
                    let parameters: String = rest.by_ref().take_while(|c| !c.is_ascii_alphabetic()).collect();
                    // The letter was taken with the parameters' end, so it is looked up in the text.
                    let end = text.len() - rest.as_str().len() - 1;
                    screen.control(text[end..].chars().next().expect("a letter"), &parameters);
                }
                c => screen.print(c),
            }
        }
        screen
    }

    fn down(&mut self, rows: usize) {
        self.at[0] += rows;
        while self.rows.len() <= self.at[0] {
            self.rows.push(String::new());
        }
    }

    fn print(&mut self, c: char) {
        let width = c.width().unwrap_or(0);
        if self.at[1] + width > self.columns {
            self.at[1] = 0;
            self.down(1);
        }
        let [row, column] = self.at;
        let row: &mut Vec<char> = &mut self.rows[row].chars().collect();
        row.resize(row.len().max(column + width), ' ');
        row[column] = c;
        self.rows[self.at[0]] = row.iter().collect();
        self.at[1] += width;
    }

    fn control(&mut self, letter: char, parameters: &str) {
        let count: usize = parameters.parse().unwrap_or(1);
        match letter {
            'm' => {}
            'A' => {
                self.check();
                self.at[0] -= count.min(self.at[0]);
            }
            'B' => self.down(count),
            'K' if parameters == "2" => self.rows[self.at[0]].clear(),
            other => panic!("no such sequence is known: {other} with {parameters}"),
        }
    }

    /// A picture is complete: at most one bar is on the screen, it begins its row, nothing is behind it, and its heading is above.
    fn check(&mut self) {
        let with_bar: Vec<usize> = (0..self.rows.len()).filter(|row| self.rows[*row].contains(BAR)).collect();
        let all = || self.rows.join("\n");
        let [row] = with_bar[..] else { return assert!(with_bar.is_empty(), "{}", all()) };
        assert!(self.rows[row].starts_with(BAR), "{}", all());
        assert!(self.rows[row + 1..].iter().all(|row| row.trim().is_empty()), "the bar wraps:\n{}", all());
        assert!(row > 0 && self.rows[row - 1].starts_with("stage "), "{}", all());
        self.bars += 1;
    }
}

#[test]
#[should_panic(expected = "the bar wraps")]
fn a_bar_that_wraps_would_be_seen() {
    Screen::of("stage 1 of 2\r\n░░░░ 45 %, 12 s left\u{1b}[1A", 12);
}

#[test]
fn bars_fit_any_terminal_and_leave_nothing_behind() {
    std::thread::scope(|scope| {
        for columns in [40, 60, 80, 100, 200] {
            scope.spawn(move || {
                let folder = folder();
                let text = on_terminal(command(folder.path(), &["run", "tiny.ron"]), columns);
                let screen = Screen::of(&text, usize::from(columns));
                assert!(screen.bars > 4, "{} bars", screen.bars);
                let left = screen.rows.join("\n");
                assert!(!left.contains(BAR) && !left.contains("stage 1 of 2"), "{left}");
                assert!(left.contains("teacher, maximum likelihood: done in "), "{left}");
                // The verdict in colour, then the parameters in lines that fit.
                let verdict = text.find("\u{1b}[1;3").expect("a coloured verdict");
                assert!(text[verdict..].contains("mVerdict: "), "{text}");
                if columns >= 60 {
                    let table = screen.rows.iter().position(|row| row.starts_with("parameter ")).expect("a table");
                    let of = |row: usize| screen.rows[table + row].split_whitespace().next();
                    assert_eq!([of(1), of(2)], [Some("x1"), Some("x2")], "{left}");
                }
                // A log of its own, without bars.
                let log = std::fs::read_to_string(folder.path().join("runs/tiny/run.log")).expect("a log");
                assert!(log.contains("stage 1 of 2") && !log.contains('\u{1b}'), "{log}");
                // Wider terminals are told more.
                assert!(columns < 200 || text.contains(" of 300, ") || text.contains(" of 300 "), "{text}");
                assert!(columns > 60 || !text.contains("steps/s"), "{text}");
            });
        }
    });
}

#[test]
fn colours_are_for_terminals_unless_somebody_says_otherwise() {
    let folder = folder();
    let run = |more: &[&str]| command(folder.path(), &[&["run", "tiny.ron", "--force", "-q"], more].concat());
    let coloured = |text: &str| text.contains("\u{1b}[1;3");
    let mut unwanted = run(&[]);
    unwanted.env("NO_COLOR", "1");
    assert!(!coloured(&on_terminal(unwanted, 80)));
    assert!(!coloured(&on_terminal(run(&["--color", "never"]), 80)));
    let text = |Output { stdout, stderr, .. }: Output| {
        [stdout, stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8")).concat()
    };
    assert!(coloured(&text(run(&["--color", "always"]).output().expect("it runs"))));

    // Without a terminal there are plain lines, and the whole report.
    let plain = command(folder.path(), &["run", "tiny.ron", "--force"]).output().expect("it runs");
    assert!(plain.status.success() && plain.stdout.starts_with(b"# tiny\n"));
    let plain = text(plain);
    assert!(!plain.contains(['\u{1b}', '\r']) && plain.contains("\nstage 2 of 2: student, "), "{plain}");
}
