//! A PostgreSQL server of the test's own, on a socket in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A server; it ends with this.
pub(crate) struct Server {
    folder: TempDir,
    programs: PathBuf,
}

impl Server {
    /// Makes a cluster and starts a server for it. PostgreSQL refuses to run as root, so the user is Debian's `postgres`.
    pub(crate) fn start() -> Self {
        let programs = programs();
        let folder = TempDir::new().unwrap();
        run(Command::new("chown").arg("postgres").arg(folder.path()));
        let server = Self { folder, programs };
        server.run("initdb", &["--auth=trust", "--username=svpn", "--no-sync", "-D", &server.data()]);
        server.restart();
        server
    }

    /// Stops the server at once, as a crash would, if it runs; and starts it.
    pub(crate) fn restart(&self) {
        self.stop();
        let options = format!("-c listen_addresses= -c unix_socket_directories={}", self.folder.path().display());
        let log = self.folder.path().join("log");
        self.run("pg_ctl", &["start", "--wait", "-D", &self.data(), "-o", &options, "-l", log.to_str().unwrap()]);
    }

    /// How a client reaches it.
    pub(crate) fn address(&self) -> String {
        format!("postgres:///postgres?host={}&user=svpn", self.folder.path().display())
    }

    fn stop(&self) {
        let _not_running = self.command("pg_ctl", &["stop", "--mode=immediate", "--wait", "-D", &self.data()]).output();
    }

    fn data(&self) -> String {
        self.folder.path().join("data").to_str().unwrap().to_owned()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        run(&mut self.command(program, arguments));
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(self.programs.join(program)).args(arguments);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Where Debian has the server's programs: a folder a version.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is not installed: apt-get install postgresql");
    let mut found: Vec<_> = versions.map(|version| version.unwrap().path().join("bin")).filter(|bin| bin.join("initdb").exists()).collect();
    found.sort();
    found.pop().expect("PostgreSQL's server is not installed: apt-get install postgresql")
}

/// Its output goes to a file, not to a pipe: the server that is started would keep a pipe open.
fn run(command: &mut Command) {
    let said = tempfile::NamedTempFile::new().unwrap();
    let status = command.stdout(said.reopen().unwrap()).stderr(said.reopen().unwrap()).status().unwrap();
    assert!(status.success(), "{command:?}: {}", std::fs::read_to_string(Path::new(said.path())).unwrap());
}
