//! A folder with databases and a cloud, and calls of the program in it.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A folder of its own for a test.
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A database `{name}.db`, in step with the cloud in `cloud`.
    pub(crate) fn device(&self, name: &str) -> Device {
        Device {
            dir: self.path().to_owned(),
            db: self.path().join(format!("{name}.db")),
            cloud: format!("local:{}", self.path().join("cloud").display()),
            token: None,
        }
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

/// One device: a database and its cloud.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) dir: PathBuf,
    pub(crate) db: PathBuf,
    pub(crate) cloud: String,
    pub(crate) token: Option<String>,
}

/// How a call ended.
pub(crate) struct Done {
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// Stdout as the one JSON document that it is.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("{e}\nstdout: {}\nstderr: {}", self.stdout, self.stderr))
    }

    #[track_caller]
    pub(crate) fn exits(self, exit: i32) -> Self {
        let (out, err) = (&self.stdout, &self.stderr);
        assert_eq!(self.exit, exit, "stdout: {out}\nstderr: {err}");
        self
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            exit: output.status.code().expect("the program ends by itself"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Device {
    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moonforge"));
        command.current_dir(&self.dir).args(args);
        for name in [
            "MOONFORGE_TOKEN",
            "FIRESTORE_EMULATOR_HOST",
            "RUST_LOG",
            "NO_COLOR",
        ] {
            command.env_remove(name);
        }
        command
            .env("MOONFORGE_DB", &self.db)
            .env("MOONFORGE_CLOUD", &self.cloud);
        if let Some(token) = &self.token {
            command.env("MOONFORGE_TOKEN", token);
        }
        command
    }

    /// The call as people make it.
    pub(crate) fn plain(&self, args: &[&str]) -> Done {
        self.command(args).output().unwrap().into()
    }

    /// The call as scripts make it.
    pub(crate) fn run(&self, args: &[&str]) -> Done {
        let mut command = self.command(args);
        command.arg("--json").output().unwrap().into()
    }

    /// The same with something on stdin.
    pub(crate) fn run_with(&self, args: &[&str], stdin: impl AsRef<[u8]>) -> Done {
        let mut child = self
            .command(args)
            .arg("--json")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that refuses early doesn't read all of it.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_ref());
        child.wait_with_output().unwrap().into()
    }

    /// A call that has to succeed; its answer.
    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> Value {
        self.run(args).exits(0).json()
    }

    #[track_caller]
    pub(crate) fn put(&self, collection: &str, id: &str, document: Value) -> Value {
        self.ok(&["put", collection, &document.to_string(), "--id", id])
    }

    #[track_caller]
    pub(crate) fn get(&self, collection: &str, id: &str) -> Value {
        self.ok(&["get", collection, id])
    }

    /// A campaign `k` with the scene `s`.
    pub(crate) fn with_a_scene(self) -> Self {
        self.put("campaigns", "k", json!({"name": "The Ember Keep"}));
        self.put(
            "scenes",
            "s",
            json!({"campaignId": "k", "title": "Ash", "props": {"torches": 5}}),
        );
        self
    }

    /// All that the database shows, and what waits: to compare before and after.
    #[track_caller]
    pub(crate) fn everything(&self) -> (String, Value, Value) {
        let mut status = self.ok(&["status"]);
        status["oldest_pending_age_s"].take();
        (
            self.run(&["export"]).exits(0).stdout,
            self.ok(&["outbox", "ls"]),
            status,
        )
    }

    /// Runs calls that change nothing, all of them together.
    #[track_caller]
    pub(crate) fn unchanged_by(&self, calls: impl FnOnce()) {
        let before = self.everything();
        calls();
        assert_eq!(self.everything(), before);
    }

    /// The call is refused with this code, as one JSON error.
    #[track_caller]
    pub(crate) fn refused(&self, args: &[&str], code: &str) {
        assert_refused(&self.run(args), code);
    }

    /// The call is refused with this code, as one JSON error, and changes nothing.
    #[track_caller]
    pub(crate) fn refuses(&self, args: &[&str], code: &str) {
        self.refuses_with(args, "", code);
    }

    #[track_caller]
    pub(crate) fn refuses_with(&self, args: &[&str], stdin: impl AsRef<[u8]>, code: &str) {
        self.unchanged_by(|| assert_refused(&self.run_with(args, stdin), code));
    }
}

/// One JSON error with a sentence, exit code 2 for a call that makes no sense and 1 for others.
#[track_caller]
pub(crate) fn assert_refused(done: &Done, code: &str) {
    let error = done.json();
    assert_eq!(error["error"]["code"], code, "{error}");
    assert_eq!(done.exit, if code == "usage" { 2 } else { 1 }, "{error}");
    assert!(
        error["error"]["message"].as_str().unwrap().len() > 10,
        "{error}"
    );
    assert_eq!(error.as_object().unwrap().len(), 1, "{error}");
}

/// A token as an emulator's user has one: unsigned, with the user in `sub`.
pub(crate) fn token_of(uid: &str) -> String {
    let claims = URL_SAFE_NO_PAD.encode(json!({ "sub": uid }).to_string());
    format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#))
}
