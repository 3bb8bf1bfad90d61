//! `tstr ctl` as a process of the test user, against an API that a test has started.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::people::Person;
use crate::process::{command, make_dir, try_run};
use crate::{Stack, binary};

/// A client with a token and a home of its own.
pub struct Ctl {
    server: String,
    token: String,
    home: PathBuf,
}

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// What it wrote to its standard output: the data.
    pub out: String,
    /// What it wrote to its standard error: the talk.
    pub err: String,
    line: String,
}

impl Ctl {
    /// Makes a client of a stack's administrator.
    pub fn of(stack: &Stack) -> Self {
        Self::new(stack.url(0), stack.admin_token())
    }

    /// Makes a client that has this token.
    pub fn new(server: impl Into<String>, token: &str) -> Self {
        Self { server: server.into(), token: token.to_owned(), home: make_dir("c") }
    }

    /// Returns the folder that is the client's home and where it works.
    pub fn home(&self) -> &PathBuf {
        &self.home
    }

    /// Makes a command; the words of the line are its arguments.
    pub fn command(&self, line: &str) -> Command {
        let mut ctl = command(binary());
        ctl.arg("ctl").args(line.split_whitespace()).env("HOME", &self.home).current_dir(&self.home);
        ctl.env("TSTR_SERVER", &self.server).env("TSTR_TOKEN", &self.token);
        ctl
    }

    /// Runs a command to its end.
    pub fn run(&self, line: &str) -> Ran {
        Ran::from(line, try_run(&mut self.command(line)))
    }

    /// Starts a command in the background.
    pub fn start(&self, line: &str) -> Child {
        let mut ctl = self.command(line);
        ctl.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start the client")
    }

    /// Fails unless a command writes, as JSON, just what the API answers at a path (of a list, its items), and nothing
    /// else. Both are asked until the API answers the same before and after the command.
    pub async fn answers_as_the_api(&self, line: &str, person: &Person, path: &str) -> Value {
        let ask = async || {
            let mut answer = person.get(path).await.expect(200);
            if let Some(items) = answer.get_mut("items") {
                answer = items.take();
            }
            answer
        };
        let mut before = ask().await;
        for _ in 0..20 {
            let ran = self.run(&format!("{line} -o json"));
            let after = ask().await;
            if before == after {
                assert_eq!(ran.json(), after, "{ran:?}");
                assert_eq!(ran.err, "", "{ran:?}");
                return after;
            }
            before = after;
        }
        panic!("{path} answers something else each time: {before}");
    }
}

impl Ran {
    /// Takes what a process has left.
    pub fn from(line: &str, output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the client writes UTF-8");
        let code = output.status.code().expect("the client ends by itself");
        Self { code, out: text(output.stdout), err: text(output.stderr), line: line.to_owned() }
    }

    /// Returns its output, if it did what it was asked to.
    #[track_caller]
    pub fn done(&self) -> &str {
        self.ended(0)
    }

    /// Returns its output, if it ended with this code.
    #[track_caller]
    pub fn ended(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "tstr ctl {}: {self:?}", self.line);
        &self.out
    }

    /// Returns its output as JSON, if it did what it was asked to.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(self.done()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns the words of a refusal: with this code, and with nothing on the standard output.
    #[track_caller]
    pub fn refused(&self, code: i32) -> &str {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "tstr ctl {}: {self:?}", self.line);
        assert!(!self.err.is_empty(), "tstr ctl {} says why", self.line);
        &self.err
    }
}
