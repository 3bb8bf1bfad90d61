//! A room: a namespace of mounts and one of the network that the harness keeps open, for processes that are to see a
//! small disk or a bad network where others see none.
//!
//! Nothing of it is seen from outside. When its last process has ended the kernel takes mounts, loop devices, interfaces
//! and packet filters away, so a test that is killed leaves nothing behind. It takes root to make one; who is put into it
//! is the test user as everywhere. A row that wants a room begins with [`by_root`], so that an ordinary user who has
//! `sudo` can run it too. Without root a user namespace would do for the disk, but no rootless Podman starts inside of one:
//! the programs that hand it its user ids are root's, who is nobody there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::geteuid;

use crate::process::{Process, make_dir, run, test_ids};
use crate::test_dir;

/// The longest that a row may take which root runs for us.
const LONGEST: Duration = Duration::from_secs(600);

/// Lets root run a row where we are an ordinary user, by `sudo`; `row` is the row itself. Tells whether that was done: then
/// nothing is left to be done here.
///
/// What the row starts belongs to the test user all the same; only its room is root's.
///
/// # Panics
///
/// Fails with the row, and where `sudo` asks for a password or is not there: a row that needs a room is never skipped.
pub fn by_root<F: Fn()>(_row: F) -> bool {
    if geteuid().is_root() {
        return false;
    }
    // What all rows share is made by its owner first: root's would be closed to those that come after this one.
    crate::images::root_fs();
    let path = std::any::type_name::<F>();
    let row = path.split_once("::").map(|(_, row)| row).expect("a row is in a module");
    let mut again = Command::new("sudo");
    again.args(["-n", "--", "timeout", "--kill-after=10", &LONGEST.as_secs().to_string(), "/usr/bin/env"]);
    // Nothing of it is secret; `sudo` hands nothing on by itself.
    let ours = std::env::vars().filter(|(name, _)| name.starts_with("TSTR_") || name == "RUST_BACKTRACE");
    again.args(ours.map(|(name, value)| format!("{name}={value}")));
    again.arg(format!("TSTR_TEST_RUN_DIR={}", std::env::var("XDG_RUNTIME_DIR").unwrap_or_default()));
    again.arg(std::env::current_exe().expect("we are a program")).args(["--exact", row, "--nocapture"]);
    let status = again.current_dir(test_dir()).stdin(Stdio::null()).status();
    let status = status.expect("this row mounts disks or filters packets: run it as root, or as somebody who has sudo");
    assert!(status.success(), "root ran {row}: {status} (sudo must not ask for a password: try `sudo -v` before)");
    true
}

/// A room; it ends with its last process.
pub struct Room {
    keeper: Process,
    dir: PathBuf,
}

impl Room {
    /// Makes a room.
    ///
    /// # Panics
    ///
    /// Fails where the tests are not root: see [`by_root`].
    pub fn open() -> Self {
        assert!(geteuid().is_root(), "this row mounts disks or filters packets, and does not begin with by_root");
        let dir = make_dir("r");
        let mut keeper = Command::new("setpriv");
        keeper.args(["--pdeathsig", "KILL", "--", "unshare", "--mount", "--net", "--propagation", "private"]);
        keeper.args(["sh", "-c", "ip link set lo up; echo open >&2; exec sleep infinity"]);
        keeper.current_dir(test_dir()).stdin(Stdio::null());
        let keeper = Process::start(keeper, dir.join("keeper.log"));
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while !keeper.log_text().contains("open") {
            assert!(std::time::Instant::now() < deadline, "no namespaces can be made: {}", keeper.log_text());
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { keeper, dir }
    }

    /// Returns the words in front of a command that is to see the room's disks.
    pub fn with_disks(&self) -> Vec<String> {
        vec!["nsenter".into(), format!("--mount=/proc/{}/ns/mnt", self.keeper.pid()), "--".into()]
    }

    /// Returns the words in front of a command that is to have the room's network.
    pub fn with_network(&self) -> Vec<String> {
        vec!["nsenter".into(), format!("--net=/proc/{}/ns/net", self.keeper.pid()), "--".into()]
    }

    /// Runs a script of the shell in it, as root; fails with what it printed when it fails.
    pub fn run(&self, script: &str) -> String {
        let namespaces = format!("/proc/{}/ns", self.keeper.pid());
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--mount={namespaces}/mnt"))
            .arg(format!("--net={namespaces}/net"))
            .args(["--", "sh", "-ec"]);
        run(command.arg(script).current_dir(test_dir()).stdin(Stdio::null()))
    }

    /// Puts a disk of the test user in memory in the place of a folder.
    pub fn tmpfs(&self, at: &Path, mib: u32) {
        let ((uid, gid), at) = (test_ids(), at.display());
        self.run(&format!("mount -t tmpfs -o size={mib}m,mode=700,uid={uid},gid={gid} tmpfs {at}"));
    }

    /// Puts a disk of the test user with a file system in the place of a folder.
    pub fn ext4(&self, at: &Path, mib: u32) {
        let ((uid, gid), at, file) = (test_ids(), at.display(), self.dir.join(format!("disk-{mib}")));
        let file = file.display();
        self.run(&format!(
            "truncate -s {mib}M {file}; mkfs.ext4 -q -m 0 -E root_owner={uid}:{gid} {file}
             mount -o loop {file} {at}; rmdir {at}/lost+found; chmod 700 {at}"
        ));
    }

    /// Fills the disk at a place to its last block.
    pub fn fill(&self, at: &Path) {
        let at = at.display();
        self.run(&format!(
            "for size in 1M 4K; do dd if=/dev/zero bs=$size status=none >>{at}/filler 2>/dev/null || sync -f {at}; done
             free=$(df --output=avail -k {at} | tail -n 1); [ $free -le 64 ]"
        ));
    }

    /// Takes away what [`Room::fill`] put there.
    pub fn empty(&self, at: &Path) {
        self.run(&format!("rm -f {}/filler", at.display()));
    }
}

/// The two ends of a cable between the machine and a room.
#[derive(Debug, Clone)]
pub struct Cable {
    /// The address of the machine's end.
    pub here: String,
    /// The name of the machine's end.
    pub name: String,
}

impl Room {
    /// Lays a cable between the machine and the room, with addresses that nobody else uses.
    pub fn cable(&self) -> Cable {
        let [a, b, c, ..] = *uuid::Uuid::new_v4().as_bytes();
        let (name, net) = (format!("tstr{a:02x}{b:02x}{c:02x}"), format!("169.254.{}.{}", 1 + a % 250, b & 0xfc));
        let (stem, last) = net.rsplit_once('.').expect("it has dots");
        let last: u8 = last.parse().expect("a byte");
        let (here, there) = (format!("{stem}.{}", last + 1), format!("{stem}.{}", last + 2));
        let pid = self.keeper.pid();
        let lay = format!(
            "ip link add {name} type veth peer name road netns {pid}
             ip addr add {here}/30 dev {name}; ip link set {name} up"
        );
        run(Command::new("sh").args(["-ec", &lay]));
        self.run(&format!("ip addr add {there}/30 dev road; ip link set road up"));
        Cable { here, name }
    }

    /// Makes the cable bad, in both directions: of a hundred packets so many are lost, and no more bits pass in a second.
    pub fn spoil(&self, cable: &Cable, percent: u32, kbit: u32) {
        self.run(&format!(
            "nft add table inet bad
             for hook in input output; do
                 nft add chain inet bad $hook \"{{ type filter hook $hook priority 0; }}\"
                 nft add rule inet bad $hook meta l4proto tcp numgen random mod 100 '<' {percent} counter drop
             done
             tc qdisc add dev road root tbf rate {kbit}kbit burst 16kb latency 500ms"
        ));
        let here = format!("tc qdisc add dev {} root tbf rate {kbit}kbit burst 16kb latency 500ms", cable.name);
        run(Command::new("sh").args(["-ec", &here]));
    }

    /// Returns how many packets the room has lost.
    pub fn lost(&self) -> u64 {
        let rules = self.run("nft list table inet bad");
        let counts =
            rules.split("counter packets ").skip(1).filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok());
        counts.sum()
    }

    /// Makes it good again.
    pub fn mend(&self, cable: &Cable) {
        self.run("nft delete table inet bad; tc qdisc del dev road root");
        run(Command::new("sh").args(["-ec", &format!("tc qdisc del dev {} root", cable.name)]));
    }
}
