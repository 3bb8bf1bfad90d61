//! What happens at Ctrl-C and SIGTERM: the command ends at once, wherever it is, and says how to go on.
//!
//! A thread of its own listens, so that a command which is stuck in writing to a pipe can be interrupted as well.

use std::sync::{Arc, Mutex, PoisonError};

use rustix::termios::{OptionalActions, Termios, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Exit;
use crate::output::talk;

/// What is to be said and undone when the person interrupts.
#[derive(Debug, Default)]
pub struct Interrupt {
    note: Mutex<Option<String>>,
    terminal: Mutex<Option<Termios>>,
}

impl Interrupt {
    /// Begins to listen. Where that cannot be done, the signals end the process as usual.
    pub fn listen() -> Arc<Self> {
        let interrupt = Arc::new(Self::default());
        let own = Arc::clone(&interrupt);
        let listener = std::thread::Builder::new().name("signals".to_owned());
        let _ = listener.spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            if let Some(exit) = runtime.block_on(next_signal()) {
                own.leave();
                std::process::exit(i32::from(exit.code()));
            }
        });
        interrupt
    }

    /// Says this when the person interrupts from now on.
    pub fn note(&self, words: impl Into<String>) {
        *self.note.lock().unwrap_or_else(PoisonError::into_inner) = Some(words.into());
    }

    /// Says nothing any more.
    pub fn forget(&self) {
        *self.note.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Puts the terminal back to this when the person interrupts.
    pub fn restore(&self, terminal: Option<Termios>) {
        *self.terminal.lock().unwrap_or_else(PoisonError::into_inner) = terminal;
    }

    fn leave(&self) {
        if let Some(terminal) = self.terminal.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &terminal);
        }
        if let Some(note) = self.note.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The terminal has shown ^C on a line of its own kind.
            talk(&format!("\n{note}"));
        }
    }
}

async fn next_signal() -> Option<Exit> {
    let mut interrupt = signal(SignalKind::interrupt()).ok()?;
    let mut terminate = signal(SignalKind::terminate()).ok()?;
    tokio::select! {
        _ = interrupt.recv() => Some(Exit::Interrupted),
        _ = terminate.recv() => Some(Exit::Terminated),
    }
}
