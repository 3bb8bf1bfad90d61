//! A room: a namespace of mounts and one of the network that the harness keeps open, for processes that are to see a
//! small disk or a bad network where others see none.
//!
//! Nothing of it is seen from outside. When its last process has ended the kernel takes mounts, loop devices, interfaces
//! and packet filters away, so a test that is killed leaves nothing behind. It takes root to make one; who is put into it
//! is the test user as everywhere.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::{Process, make_dir, run, test_ids};
use crate::test_dir;

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
    /// Fails where the tests are not root: a row that needs a room is never skipped.
    pub fn open() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this row mounts disks or filters packets: run the tests as root"
        );
        let dir = make_dir("r");
        let mut keeper = Command::new("setpriv");
        keeper.args(["--pdeathsig", "KILL", "--", "unshare", "--mount", "--net", "--propagation", "private"]);
        keeper.args(["sh", "-c", "ip link set lo up; echo open >&2; exec sleep infinity"]);
        keeper.current_dir(test_dir()).stdin(Stdio::null());
        let keeper = Process::start(keeper, dir.join("keeper.log"));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !keeper.log_text().contains("open") {
            assert!(std::time::Instant::now() < deadline, "no namespaces can be made: {}", keeper.log_text());
            std::thread::sleep(std::time::Duration::from_millis(10));
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
