//! The emulator, one project of it, and plain HTTP into that: what the floors talk through.

use std::sync::Arc;

use crate::sample::{USER, campaign_creation, scene_creation};
use futures_util::{StreamExt, TryStreamExt, stream};
use moonforge::ports::RemoteStore;
use moonforge::{Cloud, Endpoint, Firestore, SecretString, fixed_token};
use moonforge_testkit::emulator::{Emulator, LaunchError, Project, owner_token};
use reqwest::Client;
use serde_json::{Value, json};

/// Under whose name requests are made. The emulator is much faster for one whom no rule binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Credential {
    /// A member, under the rules that an app deploys.
    User,
    /// An administrator, whom no rule binds.
    Admin,
}

impl Credential {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

/// A failure that ends the measurement, in words.
pub(crate) type Failed = Box<dyn std::error::Error + Send + Sync>;

/// A project with our rules, and who asks.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) project: Project,
    pub(crate) credential: Credential,
    token: String,
    rest: Client,
    // The emulator ends with it, where it is ours.
    _emulator: Emulator,
}

/// Documents in a request that prepares something.
const A_SEEDING: usize = 400;

impl Place {
    pub(crate) async fn open(credential: Credential) -> Result<Self, LaunchError> {
        let emulator = tokio::task::spawn_blocking(Emulator::find_or_start)
            .await
            .map_err(|e| LaunchError::Failed(e.to_string()))??;
        let project = emulator.project("bench");
        project.load_our_rules().await;
        let token = match credential {
            Credential::User => project.user_token(USER),
            Credential::Admin => owner_token(),
        };
        Ok(Self {
            project,
            credential,
            token,
            rest: client(),
            _emulator: emulator,
        })
    }

    /// The cloud for Moonforge, with something between the two.
    pub(crate) fn cloud(
        &self,
        decorate: impl Fn(Arc<dyn RemoteStore>) -> Arc<dyn RemoteStore> + Send + Sync + 'static,
    ) -> Cloud {
        let token = fixed_token(SecretString::from(self.token.clone()));
        let endpoint = Endpoint::Emulator(self.project.host().to_owned());
        let firestore = Firestore::new(self.project.id(), token).endpoint(endpoint);
        Cloud::from(firestore).decorated(decorate)
    }

    /// `POST documents:METHOD`; the answer, whose status was 200.
    pub(crate) async fn call(
        &self,
        method: &str,
        body: &Value,
        token: &str,
    ) -> Result<reqwest::Response, Failed> {
        let (host, id) = (self.project.host(), self.project.id());
        let url = format!("http://{host}/v1/projects/{id}/databases/(default)/documents:{method}");
        let body = serde_json::to_vec(body)?;
        let request = self.rest.post(url).bearer_auth(token);
        let request = request
            .header("content-type", "application/json")
            .body(body);
        let answer = request.send().await?;
        match answer.error_for_status_ref() {
            Ok(_) => Ok(answer),
            Err(error) => Err(format!("{error}: {}", answer.text().await?).into()),
        }
    }

    /// The token of whoever is measured.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Commits as the administrator, for what comes before or between.
    pub(crate) async fn prepare(&self, writes: Vec<Value>) -> Result<(), Failed> {
        let body = json!({ "writes": writes });
        self.call("commit", &body, &owner_token()).await?;
        Ok(())
    }

    /// The campaign, and the first `n` scenes.
    pub(crate) async fn seed(&self, n: usize) -> Result<(), Failed> {
        self.prepare(vec![campaign_creation(&self.project)]).await?;
        let starts = (0..n).step_by(A_SEEDING);
        stream::iter(starts)
            .map(|start| {
                let scenes = start..n.min(start + A_SEEDING);
                let writes = scenes.map(|i| scene_creation(&self.project, i)).collect();
                self.prepare(writes)
            })
            .buffer_unordered(2)
            .try_collect()
            .await
    }
}

fn client() -> Client {
    // Another part of the process may have installed one: either is right.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder().no_proxy().http1_only();
    builder.build().expect("no setting here can fail")
}
