//! Container images that tests run, built locally without a registry.

use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::process::{behind, command, run};
use crate::{binary, test_dir};

/// A shell and the tools of busybox.
pub const SHELL: &str = "localhost/tstr-test-shell:1";

/// Puts the test images into the store of a worker's data directory.
pub fn import(data_dir: &Path) {
    import_behind(&[], data_dir);
}

/// The same, with words in front of the command: where the store is another disk for those who enter a namespace.
pub fn import_behind(words: &[String], data_dir: &Path) {
    let mut import = command(binary());
    import.args(["podman", "--data-dir"]).arg(data_dir).args(["--", "import", "-q"]);
    import.args(["--change", "CMD=[\"/bin/sh\"]", "--change", "ENV=PATH=/bin"]).arg(root_fs()).arg(SHELL);
    run(&mut behind(words, import));
}

/// An image of another machine: nothing in it can be executed here.
pub const FOREIGN: &str = "localhost/tstr-test-foreign:1";

/// Puts the image of another machine into the store of a worker's data directory; its program is `/program`.
pub fn import_foreign(data_dir: &Path) {
    let script = r#"set -e
        mkdir foreign
        printf '\177ELF\002\001\001no program of this machine' >foreign/program
        chmod 755 foreign/program
        tar -C foreign --owner=0 --group=0 --numeric-owner -cf foreign.tar ."#;
    run(command("/bin/sh").args(["-c", script]).current_dir(data_dir));
    let mut import = command(binary());
    import.args(["podman", "--data-dir"]).arg(data_dir).args(["--", "import", "-q", "--arch", "arm64"]);
    run(import.arg(data_dir.join("foreign.tar")).arg(FOREIGN));
}

/// Returns an archive of a root file system with a static busybox, which the first caller makes.
pub(crate) fn root_fs() -> PathBuf {
    let archive = test_dir().join("shell.tar");
    let lock = std::fs::File::create(test_dir().join("shell.lock")).expect("create a lock file");
    flock(&lock, FlockOperation::LockExclusive).expect("lock");
    if !archive.exists() {
        let script = r#"set -e
            mkdir -p shell/bin shell/etc shell/tmp shell/proc shell/sys shell/dev shell/tstr
            cp /bin/busybox shell/bin/busybox
            for tool in $(/bin/busybox --list); do [ "$tool" = busybox ] || ln -sf busybox "shell/bin/$tool"; done
            echo 'root:x:0:0:root:/:/bin/sh' >shell/etc/passwd
            echo 'root:x:0:' >shell/etc/group
            chmod 1777 shell/tmp
            tar -C shell --owner=0 --group=0 --numeric-owner -cf shell.tar.new .
            mv shell.tar.new shell.tar"#;
        run(command("/bin/sh").args(["-c", script]));
    }
    archive
}
