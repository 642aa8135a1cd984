//! One test's project on the emulator, and plain HTTP calls into it: as another client, or as a console.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::plain::{decode_fields, fields};
use super::{OPEN_RULES, rules_path};

/// A project of its own on a running emulator.
#[derive(Clone, Debug)]
pub struct Project {
    host: String,
    id: String,
    http: reqwest::Client,
}

/// What came back: the status, and the body as JSON (null where it is none).
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

/// Somebody who talks plain HTTP to a project, without our adapter.
#[derive(Clone, Debug)]
pub struct Caller {
    project: Project,
    token: Option<String>,
}

/// The bearer token that the emulator takes for an administrator, whom no rule binds.
pub fn owner_token() -> String {
    "owner".to_owned()
}

/// An unsigned token, which the emulator takes for the user `uid` of the project `project_id`.
pub fn user_token(project_id: &str, uid: &str) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({ "alg": "none", "typ": "JWT" }));
    // The emulator doesn't check times: constants keep runs equal.
    let claims = part(json!({
        "iss": format!("https://securetoken.google.com/{project_id}"),
        "aud": project_id,
        "sub": uid,
        "user_id": uid,
        "auth_time": 1_700_000_000,
        "iat": 1_700_000_000,
        "exp": 4_000_000_000_i64,
        "firebase": { "sign_in_provider": "custom", "identities": {} },
    }));
    format!("{header}.{claims}.")
}

impl Project {
    /// Unique on every emulator: it may be shared by processes and outlive them.
    pub(super) fn fresh(host: &str, name: &str) -> Self {
        static RUN: OnceLock<u64> = OnceLock::new();
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let pid = std::process::id();
        let run = RUN.get_or_init(|| RandomState::new().hash_one(pid)) & 0xffff_ffff;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let clean = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        };
        let name: String = name.chars().map(clean).collect();
        // Another part of the process may have installed one: either is right.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .expect("no setting here can fail");
        Self {
            host: host.to_owned(),
            id: format!("demo-{name}-{run:08x}-{count}"),
            http,
        }
    }

    /// Its id, `demo-…`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The emulator's address: `127.0.0.1:8080`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// An unsigned token for the user `uid`.
    pub fn user_token(&self, uid: &str) -> String {
        user_token(&self.id, uid)
    }

    /// Puts these security rules in force.
    ///
    /// # Panics
    /// When the emulator refuses them; its message says where they are wrong.
    pub async fn load_rules(&self, rules: &str) {
        let path = format!("/emulator/v1/projects/{}:securityRules", self.id);
        let body =
            json!({ "rules": { "files": [{ "name": "firestore.rules", "content": rules }] } });
        let answer = self
            .send(reqwest::Method::PUT, &path, Some("owner"), Some(&body))
            .await;
        assert_eq!(
            answer.status, 200,
            "the emulator refused the rules: {}",
            answer.body
        );
    }

    /// Puts `firebase/firestore.rules` in force.
    ///
    /// # Panics
    /// When the file can't be read, or the emulator refuses it.
    pub async fn load_our_rules(&self) {
        let rules = std::fs::read_to_string(rules_path()).expect("firebase/firestore.rules");
        self.load_rules(&rules).await;
    }

    /// Lets everybody do everything.
    ///
    /// # Panics
    /// When the emulator doesn't answer.
    pub async fn load_open_rules(&self) {
        self.load_rules(OPEN_RULES).await;
    }

    /// Deletes all documents of the default database.
    ///
    /// # Panics
    /// When the emulator doesn't.
    pub async fn clear(&self) {
        let path = format!("/emulator/v1/{}", self.documents());
        let answer = self
            .send(reqwest::Method::DELETE, &path, Some("owner"), None)
            .await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// The full name of `collection/id` in the default database, as it stands in writes and in `batchGet`.
    pub fn name(&self, path: &str) -> String {
        format!("{}/{path}", self.documents())
    }

    /// Calls as the user `uid`, under the rules.
    pub fn user(&self, uid: &str) -> Caller {
        self.caller(Some(self.user_token(uid)))
    }

    /// Calls as an operator's console or an admin SDK does: no rule binds it.
    pub fn owner(&self) -> Caller {
        self.caller(Some(owner_token()))
    }

    /// Calls without any token, under the rules.
    pub fn stranger(&self) -> Caller {
        self.caller(None)
    }

    fn caller(&self, token: Option<String>) -> Caller {
        Caller {
            project: self.clone(),
            token,
        }
    }

    fn documents(&self) -> String {
        format!("projects/{}/databases/(default)/documents", self.id)
    }

    async fn send(
        &self,
        method: reqwest::Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Answer {
        let mut request = self
            .http
            .request(method, format!("http://{}{path}", self.host));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.expect("the emulator answers");
        let status = response.status().as_u16();
        let bytes = response
            .bytes()
            .await
            .expect("the emulator's answer is whole");
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status, body }
    }
}

impl Caller {
    /// `POST documents:METHOD` with `body`, as it is: `commit`, `batchGet`, `runQuery`, `runAggregationQuery`.
    pub async fn call(&self, method: &str, body: &Value) -> Answer {
        let path = format!("/v1/{}:{method}", self.project.documents());
        self.send(reqwest::Method::POST, &path, Some(body)).await
    }

    /// Commits these writes, in Firestore's own form; [`Project::name`] gives the names.
    pub async fn commit(&self, writes: &[Value]) -> Answer {
        self.call("commit", &json!({ "writes": writes })).await
    }

    /// `GET` of the document at `path` (`scenes/s1`).
    pub async fn get(&self, path: &str) -> Answer {
        let path = format!("/v1/{}", self.project.name(path));
        self.send(reqwest::Method::GET, &path, None).await
    }

    /// `batchGet` of the documents at these paths.
    pub async fn batch_get(&self, paths: &[&str]) -> Answer {
        let names: Vec<String> = paths.iter().map(|path| self.project.name(path)).collect();
        self.call("batchGet", &json!({ "documents": names })).await
    }

    /// `runQuery` of a `structuredQuery`.
    pub async fn query(&self, query: &Value) -> Answer {
        self.call("runQuery", &json!({ "structuredQuery": query }))
            .await
    }

    /// The fields at `path` as plain JSON ([`super::decode`]), None where nothing is there.
    ///
    /// # Panics
    /// When the read is refused.
    pub async fn read(&self, path: &str) -> Option<Value> {
        let answer = self.get(path).await;
        match answer.status {
            200 => Some(decode_fields(&answer.body["fields"])),
            404 => None,
            _ => panic!("reading {path}: {answer:?}"),
        }
    }

    /// Sets the whole document at `path` to this plain object, without precondition, mask or transform.
    pub async fn set(&self, path: &str, document: &Value) -> Answer {
        let name = self.project.name(path);
        let update = json!({ "name": name, "fields": fields(document) });
        self.commit(&[json!({ "update": update })]).await
    }

    /// Deletes the document at `path`, as consoles do.
    pub async fn delete(&self, path: &str) -> Answer {
        self.commit(&[json!({ "delete": self.project.name(path) })])
            .await
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> Answer {
        self.project
            .send(method, path, self.token.as_deref(), body)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_token_names_him_and_the_project() {
        let token = user_token("demo-p", "pia");
        let parts: Vec<&str> = token.split('.').collect();
        let claims = URL_SAFE_NO_PAD.decode(parts[1]).expect("base64");
        let claims: Value = serde_json::from_slice(&claims).expect("JSON");
        assert_eq!(
            (&claims["sub"], &claims["aud"]),
            (&json!("pia"), &json!("demo-p"))
        );
        assert_eq!(parts[2], "", "it is unsigned");
    }

    #[test]
    fn no_two_projects_are_the_same() {
        let (one, two) = (Project::fresh("h", "A test"), Project::fresh("h", "A test"));
        assert_ne!(one.id(), two.id());
        assert!(one.id().starts_with("demo-a-test-"), "{}", one.id());
    }
}
