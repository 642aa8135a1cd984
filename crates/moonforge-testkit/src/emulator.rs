//! Google's Firestore emulator, for tests: found or started once a process, one project a test.
//!
//! `FIRESTORE_EMULATOR_HOST` names one that runs already. Without it, the emulator of the Google Cloud CLI
//! (component `cloud-firestore-emulator`, Java 17) is started on a free port of the loopback and ends with this
//! process, however that ends. A machine without it skips such tests with one line on stderr, unless
//! `MOONFORGE_REQUIRE_EMULATORS=1`.

mod plain;
mod project;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

pub use plain::{decode, encode, fields};
pub use project::{Answer, Caller, Project, owner_token, user_token};

/// Rules that allow everything to everybody, for tests that are about something else.
pub const OPEN_RULES: &str = "rules_version = '2';
service cloud.firestore {
  match /databases/{database}/documents {
    match /{document=**} { allow read, write: if true; }
  }
}
";

/// How long a starting emulator may take. Measured: 4–17 s.
const READY_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// Runs its arguments until its stdin closes, which happens whenever the process that holds the other end is gone.
const TETHER: &str = r#"exec 3<&0
"$@" </dev/null 3<&- & pid=$!
{ cat <&3 >/dev/null; kill $pid; } 2>/dev/null &
exec 3<&-
wait $pid"#;

/// A Firestore emulator that answers.
#[derive(Debug)]
pub struct Emulator {
    host: String,
    /// Holds the tether of one that we started.
    child: Option<Child>,
}

/// Why there is no emulator.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// This machine has none.
    #[error("{0}")]
    NotInstalled(String),
    /// There is one, but it didn't come up.
    #[error("{0}")]
    Failed(String),
}

impl Emulator {
    /// The emulator of this process, found or started at the first call; None where this machine has none.
    ///
    /// Blocks for up to a minute at the first call, in every thread that asks meanwhile.
    ///
    /// # Panics
    /// When `MOONFORGE_REQUIRE_EMULATORS=1` and there is none, or one that is there doesn't come up.
    pub fn shared() -> Option<&'static Emulator> {
        static SHARED: OnceLock<Result<Emulator, LaunchError>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            let found = Emulator::find_or_start();
            if let Err(LaunchError::NotInstalled(reason)) = &found {
                // Not `eprintln!`: the test harness would keep that to itself.
                let _ = writeln!(
                    std::io::stderr(),
                    "skipped: no Firestore emulator ({reason})"
                );
            }
            found
        });
        let required = std::env::var("MOONFORGE_REQUIRE_EMULATORS").is_ok_and(|v| v == "1");
        match shared {
            Ok(emulator) => Some(emulator),
            Err(LaunchError::NotInstalled(_)) if !required => None,
            Err(error) => panic!("a Firestore emulator is needed: {error}"),
        }
    }

    /// The one that `FIRESTORE_EMULATOR_HOST` names, else a new one that ends when this value is dropped.
    ///
    /// # Errors
    /// There is none, or it doesn't answer within a minute.
    pub fn find_or_start() -> Result<Emulator, LaunchError> {
        match std::env::var("FIRESTORE_EMULATOR_HOST") {
            Ok(host) if !host.is_empty() => {
                let mut found = Emulator { host, child: None };
                found.wait_until_ready()?;
                Ok(found)
            }
            _ => Emulator::start(&find_jar()?),
        }
    }

    fn start(jar: &Path) -> Result<Emulator, LaunchError> {
        let failed =
            |what: &str, error: std::io::Error| LaunchError::Failed(format!("{what}: {error}"));
        let port = free_port().map_err(|e| failed("no free port", e))?;
        let child = Command::new("sh")
            .args([
                "-c",
                TETHER,
                "emulator",
                "java",
                "-Duser.language=en",
                // A test run is too short for the optimising compiler to pay for itself: half the time of a small one.
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-cp",
            ])
            .arg(jar)
            .args([
                "com.google.cloud.datastore.emulator.firestore.CloudFirestore",
                "start",
            ])
            .arg("--host=127.0.0.1")
            .arg(format!("--port={port}"))
            .arg(format!("--rules={}", rules_path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| failed("sh", e))?;
        let mut emulator = Emulator {
            host: format!("127.0.0.1:{port}"),
            child: Some(child),
        };
        emulator.wait_until_ready()?;
        Ok(emulator)
    }

    fn wait_until_ready(&mut self) -> Result<(), LaunchError> {
        let mut waited = Duration::ZERO;
        while !self.answers() {
            if let Some(child) = &mut self.child
                && let Ok(Some(status)) = child.try_wait()
            {
                return Err(LaunchError::Failed(format!(
                    "the emulator ended with {status}"
                )));
            }
            if waited >= READY_WITHIN {
                let host = &self.host;
                return Err(LaunchError::Failed(format!(
                    "no emulator answers at {host}"
                )));
            }
            #[expect(clippy::disallowed_methods, reason = "waits for a real process")]
            std::thread::sleep(POLL);
            waited += POLL;
        }
        Ok(())
    }

    /// Whether `GET /` succeeds.
    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut addresses = self.host.to_socket_addrs()?;
            let address = addresses.next().ok_or(std::io::ErrorKind::NotFound)?;
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            write!(stream, "GET / HTTP/1.1\r\nHost: {}\r\n\r\n", self.host)?;
            // It keeps the connection open, whatever it is asked: the status line has to do.
            let mut status = [0; 12];
            stream.read_exact(&mut status)?;
            Ok(&status == b"HTTP/1.1 200")
        };
        ask().unwrap_or(false)
    }

    /// Where it listens, as `FIRESTORE_EMULATOR_HOST` wants it: `127.0.0.1:8080`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// A project that nothing else uses, named after `name`. Load rules before its first request.
    pub fn project(&self, name: &str) -> Project {
        Project::fresh(&self.host, name)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Closing the tether ends the emulator; waiting leaves no zombie.
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// `firebase/firestore.rules` of this workspace.
pub fn rules_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firebase/firestore.rules")
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The emulator's jar inside the Google Cloud CLI that `gcloud` on PATH belongs to.
fn find_jar() -> Result<PathBuf, LaunchError> {
    let none = |reason: &str| LaunchError::NotInstalled(reason.to_owned());
    let run = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(args)
            .stdin(Stdio::null())
            .output()
            .ok()
            .filter(|o| o.status.success())
    };
    let info = run("gcloud", &["info", "--format=value(installation.sdk_root)"])
        .ok_or_else(|| none("no gcloud on PATH"))?;
    let root = String::from_utf8_lossy(&info.stdout);
    let folder = "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar";
    let jar = Path::new(root.trim()).join(folder);
    if !jar.is_file() {
        return Err(none(
            "run: gcloud components install cloud-firestore-emulator",
        ));
    }
    run("java", &["-version"]).ok_or_else(|| none("no java on PATH"))?;
    Ok(jar)
}
