//! What a worker and its guard say to each other, a line each.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::process::Process;

/// What the guard says once it is in a session of its own.
pub(crate) const READY: &str = "ready";
/// What it says to `hold`, before the container's name.
pub(crate) const HELD: &str = "held";
/// What it says to `free` when it left the container alone, before the container's name.
pub(crate) const FREED: &str = "freed";
/// What it says to `free` when it has killed the container, before the container's name.
pub(crate) const KILLED: &str = "killed";

/// When a container is to end unless the worker is heard of again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// When the worker itself asks it to end, by the time since boot.
    pub(crate) fence_at: Duration,
    /// When it is killed.
    pub(crate) kill_at: Duration,
}

/// What a worker tells its guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// Watch over a container, by its first process.
    Hold { name: String, process: Process, deadline: Deadline },
    /// The container may live longer.
    Extend { name: String, deadline: Deadline },
    /// The container is no concern any more.
    Free { name: String },
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.fence_at.as_millis(), self.kill_at.as_millis())
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold { name, process, deadline } => {
                write!(f, "hold {name} {} {} {deadline}", process.pid(), process.began())
            }
            Self::Extend { name, deadline } => write!(f, "extend {name} {deadline}"),
            Self::Free { name } => write!(f, "free {name}"),
        }
    }
}

impl FromStr for Order {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let words: Vec<&str> = line.split(' ').collect();
        let millis = |word: &str| word.parse().map(Duration::from_millis).map_err(|_| ());
        let deadline = |fence: &str, kill: &str| -> Result<_, ()> {
            Ok(Deadline { fence_at: millis(fence)?, kill_at: millis(kill)? })
        };
        match words[..] {
            ["hold", name, pid, began, fence, kill] => {
                let (pid, began) = (pid.parse().map_err(|_| ())?, began.parse().map_err(|_| ())?);
                let process = Process::known(pid, began).ok_or(())?;
                Ok(Self::Hold { name: name.to_owned(), process, deadline: deadline(fence, kill)? })
            }
            ["extend", name, fence, kill] => {
                Ok(Self::Extend { name: name.to_owned(), deadline: deadline(fence, kill)? })
            }
            ["free", name] => Ok(Self::Free { name: name.to_owned() }),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_as_it_was_written() {
        let deadline = Deadline { fence_at: Duration::from_millis(1500), kill_at: Duration::from_secs(7) };
        let process = Process::known(4711, 99).unwrap();
        for order in [
            Order::Hold { name: "tstr-a-1".into(), process, deadline },
            Order::Extend { name: "tstr-a-1".into(), deadline },
            Order::Free { name: "tstr-a-1".into() },
        ] {
            assert_eq!(order.to_string().parse(), Ok(order));
        }
    }

    #[test]
    fn nonsense_is_no_order() {
        for line in ["", "hold", "hold a 1 2 3 4", "hold a -5 2 3 4", "hold a 5 2 3", "extend a 1", "free", "free a b"]
        {
            assert_eq!(line.parse::<Order>(), Err(()), "{line}");
        }
    }
}
