//! A person at the command line: a process a call.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use moonforge_testkit::emulator::Project;
use serde_json::Value;

use super::{Edit, Person};

/// A person at the command line.
pub struct CommandLine {
    database: PathBuf,
    cloud: String,
    token: String,
    host: String,
}

impl CommandLine {
    /// `uid`'s database at `path`, kept in step with the project through `proxy`.
    pub fn new(project: &Project, uid: &str, path: &Path, proxy: SocketAddr) -> Self {
        Self {
            database: path.to_owned(),
            cloud: format!("firestore://{}", project.id()),
            token: project.user_token(uid),
            host: proxy.to_string(),
        }
    }

    /// With another cloud.
    #[must_use]
    pub fn cloud(self, url: &str) -> Self {
        Self {
            cloud: url.to_owned(),
            ..self
        }
    }

    /// The program with these arguments, and what all calls have in common.
    fn command(&self, arguments: &[String]) -> Command {
        let mut command = Command::new(binary());
        command
            .arg("--json")
            .arg("--db")
            .arg(&self.database)
            .args(["--cloud", &self.cloud])
            .args(arguments)
            .env("MOONFORGE_TOKEN", &self.token)
            .env("FIRESTORE_EMULATOR_HOST", &self.host);
        command
    }

    /// Starts `moonforge` with these arguments as a process that goes on by itself, and says nothing.
    ///
    /// # Panics
    /// When it doesn't start.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let child = self
            .command(&words(arguments))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Running(Arc::new(Mutex::new(child.expect("the binary runs"))))
    }

    /// Runs `moonforge` with these arguments: what it printed, and its exit code.
    pub async fn call(&self, arguments: &[&str]) -> (Value, Option<i32>) {
        self.finish(words(arguments), String::new()).await
    }

    /// Runs `moonforge` with these arguments. It never waits in the runtime's own threads: the proxy needs them.
    async fn run(&self, arguments: Vec<String>) -> Value {
        self.run_with(arguments, String::new()).await
    }

    async fn run_with(&self, arguments: Vec<String>, stdin: String) -> Value {
        let (answer, code) = self.finish(arguments.clone(), stdin).await;
        let failed = matches!(code, Some(1 | 2));
        let says_so = answer.get("error").is_some() || answer["ok"] == false;
        assert_eq!(failed, says_so, "{arguments:?}: {answer}");
        answer
    }

    async fn finish(&self, arguments: Vec<String>, stdin: String) -> (Value, Option<i32>) {
        let mut command = self.command(&arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let run = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn()?;
            let mut pipe = child.stdin.take().expect("it is piped");
            // It reads all of stdin before it writes anything, so this can't block for good.
            pipe.write_all(stdin.as_bytes())?;
            drop(pipe);
            child.wait_with_output()
        });
        let output = run.await.expect("no panic").expect("the binary runs");
        let text = String::from_utf8(output.stdout).expect("UTF-8 on stdout");
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|e| {
            let stderr = String::from_utf8_lossy(&output.stderr);
            panic!("{arguments:?}: {e}: {text}{stderr}")
        });
        (answer, output.status.code())
    }
}

/// A process that goes on by itself. It ends when the last clone of this value is dropped.
#[derive(Clone)]
pub struct Running(Arc<Mutex<Child>>);

impl Running {
    /// Kills it (SIGKILL on Unix) and returns when it is gone. Says whether it had still been going on.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn kill(&self) -> bool {
        let mut child = self.0.lock().expect("no panic while held");
        let alive = child.try_wait().expect("a child of ours").is_none();
        child.kill().expect("a child of ours");
        child.wait().expect("a child of ours");
        alive
    }

    /// Whether it still goes on.
    ///
    /// # Panics
    /// When the system doesn't say.
    pub fn goes_on(&self) -> bool {
        let mut child = self.0.lock().expect("no panic while held");
        child.try_wait().expect("a child of ours").is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if Arc::strong_count(&self.0) == 1 {
            self.kill();
        }
    }
}

/// The binary `moonforge`, built from the sources as they are now, once a process.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        // target/PROFILE/deps/emulator-HASH
        let test = std::env::current_exe().expect("this test has a path");
        let folder = test
            .parent()
            .and_then(Path::parent)
            .expect("two folders up");
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(profile) => profile,
        };
        let target = folder.parent().expect("three folders up");
        let status = Command::new(cargo)
            .args([
                "build",
                "--quiet",
                "-p",
                "moonforge-cli",
                "--bin",
                "moonforge",
            ])
            .args(["--profile", profile, "--target-dir"])
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("cargo starts");
        assert!(status.success(), "the command line doesn't build");
        folder.join(format!("moonforge{}", std::env::consts::EXE_SUFFIX))
    })
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[async_trait]
impl Person for CommandLine {
    async fn put(&self, collection: &str, id: &str, document: Value) -> Value {
        // By stdin: an argument has its limits.
        let arguments = words(&["put", collection, "-", "--id", id]);
        self.run_with(arguments, document.to_string()).await
    }

    async fn patch(&self, collection: &str, id: &str, edits: &[Edit<'_>]) -> Value {
        let mut arguments = words(&["patch", collection, id]);
        for (kind, path, value) in edits {
            arguments.push(format!("--{kind}"));
            arguments.push(match *kind {
                "unset" => (*path).to_owned(),
                _ => format!("{path}={value}"),
            });
        }
        self.run(arguments).await
    }

    async fn get(&self, collection: &str, id: &str) -> Value {
        self.run(words(&["get", collection, id])).await
    }

    async fn ls(&self, collection: &str) -> Value {
        self.run(words(&["ls", collection, "--limit", "5000"]))
            .await
    }

    async fn rm(&self, collection: &str, id: &str) -> Value {
        self.run(words(&["rm", collection, id])).await
    }

    async fn restore(&self, collection: &str, id: &str) -> Value {
        self.run(words(&["restore", collection, id])).await
    }

    async fn sync(&self) -> Value {
        self.run(words(&["sync"])).await
    }

    async fn sync_scope(&self, scope: &str) -> Value {
        self.run(words(&["sync", "--scope", scope])).await
    }

    async fn join(&self, scope: &str) -> Value {
        self.run(words(&["scopes", "join", scope])).await
    }

    async fn leave(&self, scope: &str) -> Value {
        self.run(words(&["scopes", "leave", scope])).await
    }

    async fn outbox(&self) -> Value {
        self.run(words(&["outbox", "ls"])).await
    }

    async fn conflicts(&self) -> Value {
        self.run(words(&["conflicts", "ls"])).await
    }

    async fn retry(&self) -> Value {
        self.run(words(&["outbox", "retry"])).await
    }

    async fn doctor(&self) -> Value {
        self.run(words(&["doctor"])).await
    }

    async fn backup(&self, path: &Path) -> Value {
        let path = path.to_str().expect("a path in UTF-8");
        self.run(words(&["backup", path])).await
    }

    async fn quit(&self) {}
}
