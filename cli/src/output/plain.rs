//! Makes text safe for a terminal: a test's output may hold sequences that retitle the window, write to the clipboard
//! or hide what came before. Only colours and the like (SGR) pass.

/// The longest colour sequence that is kept; a longer one is dropped.
const MAX_SGR: usize = 64;

/// Which sequence the filter is inside of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate byte: one more byte ends it.
    Intermediate,
    /// Inside a control sequence (CSI).
    Control,
    /// Inside a string (OSC, DCS, SOS, PM, APC), which BEL or ST ends.
    Words,
    /// Inside a string, after ESC.
    WordsEscape,
}

/// Strips control sequences from a stream of bytes, however the stream is cut into pieces.
///
/// Keeps text, tabs, line ends and SGR sequences. A carriage return that no line feed follows becomes a line feed, so
/// that nothing is overwritten. Bytes that are not UTF-8 become U+FFFD. A string sequence also ends at a line feed, so
/// that one that is never closed cannot swallow the rest of a log.
#[derive(Debug)]
pub struct Filter {
    state: State,
    keep_colours: bool,
    coloured: bool,
    after_return: bool,
    sequence: String,
    foreign: bool,
    partial: Vec<u8>,
}

impl Filter {
    /// Makes a filter; without `keep_colours` it strips SGR as well.
    pub fn new(keep_colours: bool) -> Self {
        Self {
            state: State::Text,
            keep_colours,
            coloured: false,
            after_return: false,
            sequence: String::new(),
            foreign: false,
            partial: Vec::new(),
        }
    }

    /// Takes the next piece and returns what of it may be shown.
    pub fn feed(&mut self, piece: &[u8]) -> String {
        let mut bytes = std::mem::take(&mut self.partial);
        bytes.extend_from_slice(piece);
        let mut shown = String::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.take(text, &mut shown);
                    rest = &[];
                }
                Err(fault) => {
                    let (good, bad) = rest.split_at(fault.valid_up_to());
                    // The prefix was just found to be valid, so nothing is replaced here.
                    self.take(&String::from_utf8_lossy(good), &mut shown);
                    match fault.error_len() {
                        Some(len) => {
                            self.step('\u{FFFD}', &mut shown);
                            rest = &bad[len..];
                        }
                        None => {
                            self.partial = bad.to_vec();
                            rest = &[];
                        }
                    }
                }
            }
        }
        shown
    }

    /// Ends the stream: returns what was held back, and switches colours off that are still on.
    pub fn finish(&mut self) -> String {
        let mut shown = String::new();
        if !std::mem::take(&mut self.partial).is_empty() {
            self.step('\u{FFFD}', &mut shown);
        }
        if std::mem::take(&mut self.after_return) {
            shown.push('\n');
        }
        if std::mem::take(&mut self.coloured) {
            shown.push_str("\x1b[0m");
        }
        self.state = State::Text;
        shown
    }

    fn take(&mut self, text: &str, shown: &mut String) {
        for c in text.chars() {
            self.step(c, shown);
        }
    }

    fn step(&mut self, c: char, shown: &mut String) {
        // These begin something new or end everything, wherever they stand.
        match c {
            '\u{18}' | '\u{1a}' => return self.state = State::Text,
            '\n' => {
                self.after_return = false;
                self.state = State::Text;
                return shown.push('\n');
            }
            '\u{9b}' => return self.begin(State::Control, shown),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => return self.begin(State::Words, shown),
            '\u{80}'..='\u{9f}' => return self.state = State::Text,
            '\x1b' if self.state == State::Words => return self.state = State::WordsEscape,
            '\x1b' => return self.begin(State::Escape, shown),
            _ => {}
        }
        match self.state {
            State::Text => self.text(c, shown),
            State::Escape | State::WordsEscape => {
                self.state = match c {
                    '[' => {
                        self.sequence.clear();
                        self.foreign = false;
                        State::Control
                    }
                    ']' | 'P' | 'X' | '^' | '_' => State::Words,
                    ' '..='/' => State::Intermediate,
                    _ => State::Text,
                }
            }
            State::Intermediate => {
                if !(' '..='/').contains(&c) {
                    self.state = State::Text;
                }
            }
            State::Control => self.control(c, shown),
            State::Words => {
                if c == '\u{7}' {
                    self.state = State::Text;
                }
            }
        }
    }

    fn begin(&mut self, state: State, shown: &mut String) {
        self.end_return(shown);
        self.sequence.clear();
        self.foreign = false;
        self.state = state;
    }

    fn text(&mut self, c: char, shown: &mut String) {
        if c == '\r' {
            self.end_return(shown);
            self.after_return = true;
        } else if c == '\t' || !c.is_control() {
            self.end_return(shown);
            shown.push(c);
        }
    }

    fn control(&mut self, c: char, shown: &mut String) {
        match c {
            '0'..='9' | ';' | ':' if self.sequence.len() < MAX_SGR => self.sequence.push(c),
            // Anything else that may stand inside, and too much of it, makes it another sequence than a colour.
            ' '..='?' => self.foreign = true,
            'm' => {
                self.state = State::Text;
                if self.keep_colours && !self.foreign {
                    self.coloured = !matches!(self.sequence.as_str(), "" | "0");
                    shown.push_str("\x1b[");
                    shown.push_str(&self.sequence);
                    shown.push('m');
                }
            }
            _ => self.state = State::Text,
        }
    }

    fn end_return(&mut self, shown: &mut String) {
        if std::mem::take(&mut self.after_return) {
            shown.push('\n');
        }
    }
}

/// Returns a text as one line without any control character, for cells, messages and prompts.
pub fn one_line(text: &str) -> String {
    tame(text).replace(['\n', '\t'], " ")
}

/// Returns a text without any control character but tabs and line feeds.
pub fn tame(text: &str) -> String {
    let mut filter = Filter::new(false);
    filter.feed(text.as_bytes()) + &filter.finish()
}

/// Escapes what JSON allows in strings but a terminal may obey: DEL and the C1 controls. The text stays equal JSON.
pub fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        let mut filter = Filter::new(true);
        filter.feed(text.as_bytes()) + &filter.finish()
    }

    #[test]
    fn text_and_colours_pass() {
        assert_eq!(shown("plain\ttext\nünï 🎉\n"), "plain\ttext\nünï 🎉\n");
        assert_eq!(shown("\x1b[1;31mred\x1b[0m \x1b[38:5:196mx\x1b[m"), "\x1b[1;31mred\x1b[0m \x1b[38:5:196mx\x1b[m");
    }

    #[test]
    fn titles_clipboard_cursor_and_links_are_stripped() {
        for (text, expected) in [
            ("a\x1b]0;title\x07b", "ab"),
            ("a\x1b]52;c;ZXZpbA==\x1b\\b", "ab"),
            ("a\u{9d}52;c;x\u{9c}b", "ab"),
            ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("a\x1b[2J\x1b[1;1Hb", "ab"),
            ("a\u{9b}2Jb", "ab"),
            ("a\x1bPq#0;1\x1b\\b", "ab"),
            ("a\x1b_apc\x1b\\b\x1b^pm\x1b\\c\x1bXsos\x1b\\d", "abcd"),
            ("a\x1b(0b\x1bcc", "abc"),
            ("a\x07\x08\x7f\0b", "ab"),
            ("\x1b[?25lx\x1b[>4;2mx", "xx"),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_return_overwrites_nothing() {
        assert_eq!(shown("10%\r20%\r\ndone\r"), "10%\n20%\ndone\n");
    }

    #[test]
    fn a_string_that_is_never_closed_ends_with_its_line() {
        assert_eq!(shown("a\x1b]0;open\nb\n"), "a\nb\n");
    }

    #[test]
    fn colours_that_are_left_on_are_switched_off() {
        assert_eq!(shown("\x1b[31mred"), "\x1b[31mred\x1b[0m");
        assert_eq!(Filter::new(false).feed(b"\x1b[31mred"), "red");
    }

    #[test]
    fn what_is_not_utf_8_is_replaced() {
        let mut filter = Filter::new(true);
        assert_eq!(filter.feed(b"a\xffb\xc3"), "a\u{fffd}b");
        assert_eq!(filter.feed(b"\xa4c\xe2\x82"), "äc");
        assert_eq!(filter.finish(), "\u{fffd}");
    }

    #[test]
    fn cells_and_json_obey_nothing() {
        assert_eq!(one_line("a\nb\x1b[31mc\u{9b}1md"), "a bcd");
        let json = serde_json::to_string("a\u{9b}31m\u{7f}b").unwrap();
        assert_eq!(escape_json(&json), r#""a\u009b31m\u007fb""#);
        assert_eq!(serde_json::from_str::<String>(&escape_json(&json)).unwrap(), "a\u{9b}31m\u{7f}b");
    }

    /// Tells whether a text holds no control but tabs, line feeds and whole SGR sequences.
    fn is_tame(text: &str) -> bool {
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            if c == '\x1b' {
                if rest.next() != Some('[') {
                    return false;
                }
                loop {
                    match rest.next() {
                        Some('0'..='9' | ';' | ':') => {}
                        Some('m') => break,
                        _ => return false,
                    }
                }
            } else if c.is_control() && c != '\t' && c != '\n' {
                return false;
            }
        }
        true
    }

    /// Bytes that are mostly about sequences.
    fn wild() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            3 => Just(b"\x1b".to_vec()),
            3 => "[\\[\\]P_^X\\\\0-9;:?m>(cJH \r\n\t\x07]{1,4}".prop_map(String::into_bytes),
            1 => Just("\u{9b}".as_bytes().to_vec()),
            1 => Just("\u{9d}".as_bytes().to_vec()),
            2 => any::<Vec<u8>>(),
            2 => "\\PC{0,6}".prop_map(String::into_bytes),
        ];
        prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn whatever_comes_only_tame_text_is_shown(bytes in wild()) {
            let mut filter = Filter::new(true);
            let shown = filter.feed(&bytes) + &filter.finish();
            prop_assert!(is_tame(&shown), "{:?}", shown);
            let mut strict = Filter::new(false);
            let shown = strict.feed(&bytes) + &strict.finish();
            prop_assert!(!shown.contains('\x1b'), "{:?}", shown);
        }

        #[test]
        fn it_does_not_matter_how_the_stream_is_cut(bytes in wild(), cuts in prop::collection::vec(0usize..64, 0..6)) {
            let mut whole = Filter::new(true);
            let expected = whole.feed(&bytes) + &whole.finish();
            let mut cut = Filter::new(true);
            let (mut shown, mut rest) = (String::new(), bytes.as_slice());
            for at in cuts {
                let (piece, after) = rest.split_at(at.min(rest.len()));
                shown.push_str(&cut.feed(piece));
                rest = after;
            }
            shown.push_str(&cut.feed(rest));
            shown.push_str(&cut.finish());
            prop_assert_eq!(shown, expected);
        }

        #[test]
        fn text_without_controls_is_kept(text in "(\\PC|\n|\t){0,60}") {
            prop_assert_eq!(shown(&text), text);
        }
    }
}
