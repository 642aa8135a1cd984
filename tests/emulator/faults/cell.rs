//! One cell of the fault table: an operation, a fault at its first request, and what has to hold after.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use moonforge::ports::{Identity, TokenError, TokenProvider};
use moonforge::{Endpoint, Firestore, SecretString, Timeouts};
use moonforge_e2e::device::{Device, Library, World};
use moonforge_testkit::proxy::Matcher;
use serde_json::{Value, json};

use super::kinds::{Kind, What};

/// How long a device of the table waits for an answer, or a piece of one.
const PATIENCE: Timeouts = Timeouts {
    connect: Duration::from_secs(1),
    headers: Duration::from_secs(6),
    idle: Duration::from_secs(6),
};

/// After so many runs everything has to be in step.
const RUNS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Patch,
    Delete,
    Page,
    Named,
}

impl Operation {
    pub(crate) const ALL: [Self; 5] = [
        Self::Create,
        Self::Patch,
        Self::Delete,
        Self::Page,
        Self::Named,
    ];

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Page => "page of a pull",
            Self::Named => "read by name",
        }
    }
}

pub(crate) struct Cell<'a> {
    pub(crate) world: &'a World,
    pub(crate) kind: &'a Kind,
    pub(crate) operation: Operation,
    pub(crate) name: String,
}

/// An emulator user's token, which is as good as new when it is renewed.
struct Renewable {
    uid: String,
    token: String,
    renewed: Arc<AtomicU32>,
}

#[async_trait]
impl TokenProvider for Renewable {
    async fn token(&self) -> Result<Option<SecretString>, TokenError> {
        Ok(Some(self.token.clone().into()))
    }

    async fn refresh(&self) -> Result<(), TokenError> {
        self.renewed.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn identity(&self) -> Identity {
        Identity {
            uid: Some(self.uid.clone()),
        }
    }
}

/// What it took to be in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Took {
    pub(crate) runs: usize,
    /// Those that came to the proxy, in all these runs.
    pub(crate) requests: usize,
}

/// What the chest holds, how often it was written, and whether it is there.
type Chest = (i64, i64, bool);

/// Syncs; once more where the machine is so slow that the device lost its patience.
async fn in_step(device: &Device) -> Value {
    for _ in 1..RUNS {
        let report = device.sync().await;
        if report["offline"] == false && report.get("stopped").is_none() {
            return report;
        }
    }
    device.sync_well().await
}

impl Cell<'_> {
    /// Plays it. Says what it took to be in step.
    ///
    /// # Panics
    /// When anything isn't as it has to be.
    pub(crate) async fn play(&self) -> Took {
        let (a, renewed) = self.device("a").await;
        let (b, _) = self.device("b").await;
        a.put(
            "campaigns",
            &self.name,
            json!({ "name": "Keep", "ownerUid": self.uid(), "memberUids": [self.uid()] }),
        )
        .await;
        if self.operation != Operation::Create {
            a.put("entities", &self.name, self.chest(0)).await;
        }
        in_step(&a).await;
        let expected = self.edit(&a, &b).await;
        self.strike(&a).await;
        let before = a.proxy.seen().len();
        let runs = self.sync_until_in_step(&a).await;
        let requests = a.proxy.seen().len() - before;
        assert_eq!(a.proxy.armed(), 0, "{self}: no request met the fault");
        let told = matches!(&self.kind.what, What::Strikes(fault) if format!("{fault:?}").contains("code: 401"));
        assert_eq!(
            renewed.load(Ordering::SeqCst),
            u32::from(told),
            "{self}: the token was renewed"
        );
        self.check(&a, &b, expected).await;
        Took { runs, requests }
    }

    fn uid(&self) -> String {
        format!("u-{}", self.name)
    }

    fn chest(&self, gold: i64) -> Value {
        json!({ "campaignId": self.name, "name": "Chest", "kind": "item", "props": { "gold": gold } })
    }

    async fn device(&self, name: &str) -> (Device, Arc<AtomicU32>) {
        let renewed = Arc::new(AtomicU32::new(0));
        let project = &self.world.project;
        let tokens = Renewable {
            uid: self.uid(),
            token: project.user_token(&self.uid()),
            renewed: renewed.clone(),
        };
        let cloud = Firestore::new(project.id(), tokens).timeouts(PATIENCE);
        let name = format!("{}-{name}", self.name);
        let uid = self.uid();
        let made = self.world.device_with(&uid, &name, |path, proxy| {
            Library::on(path, cloud.endpoint(Endpoint::Emulator(proxy.to_string())))
        });
        (made.await.0, renewed)
    }

    async fn inc(&self, device: &Device, by: i64) {
        let edits = [("inc", "props.gold", json!(by))];
        device.patch("entities", &self.name, &edits).await;
    }

    /// Makes what the operation is about; says what has to come of it.
    async fn edit(&self, a: &Device, b: &Device) -> Chest {
        if matches!(self.operation, Operation::Page | Operation::Named) {
            in_step(b).await;
            self.inc(b, 30).await;
            in_step(b).await;
        }
        match self.operation {
            Operation::Create => {
                a.put("entities", &self.name, self.chest(5)).await;
                self.inc(a, 2).await;
                (7, 0, true)
            }
            Operation::Patch => {
                self.inc(a, 7).await;
                (7, 1, true)
            }
            Operation::Delete => {
                self.inc(a, 7).await;
                assert_eq!(a.rm("entities", &self.name).await, 1);
                (7, 1, false)
            }
            Operation::Page => (30, 1, true),
            // Its write is stale, so that the document is read.
            Operation::Named => {
                self.inc(a, 7).await;
                (37, 2, true)
            }
        }
    }

    /// Prepares the fault.
    async fn strike(&self, a: &Device) {
        let when = match self.operation {
            Operation::Create | Operation::Patch | Operation::Delete => {
                Matcher::path(":commit").containing(format!("entities/{}", self.name))
            }
            Operation::Page => Matcher::path(":runQuery").containing("entities"),
            Operation::Named => Matcher::path(":batchGet"),
        };
        match &self.kind.what {
            What::Strikes(fault) => a.proxy.fail(when, fault.clone()),
            What::Nothing => {}
            What::Refused if self.operation == Operation::Named => {
                // As soon as the commit that makes the read necessary is answered.
                let proxy = a.proxy.clone();
                let down = async move { proxy.down().await };
                a.proxy.before_answer(Matcher::path(":commit"), down);
            }
            What::Refused => a.proxy.down().await,
        }
    }

    /// Syncs until nothing waits, and says how many runs that took.
    async fn sync_until_in_step(&self, a: &Device) -> usize {
        for run in 1..=RUNS {
            let report = a.sync().await;
            assert_eq!(report["parked"], 0, "{self}: {report}");
            if run == 1 && matches!(self.kind.what, What::Refused) {
                assert_eq!(report["offline"], true, "{self}: {report}");
                a.proxy.up().await;
            }
            let ended_well = report["offline"] == false && report.get("stopped").is_none();
            if ended_well && a.outbox().await.is_empty() {
                return run;
            }
        }
        panic!("{self}: not in step after {RUNS} runs");
    }

    /// Everything is there once, nowhere is anything left, and nothing is written any more.
    async fn check(&self, a: &Device, b: &Device, (gold, rev, there): Chest) {
        if !format!("{:?}", self.kind_of()).contains("Stall") {
            a.proxy.settled().await;
        }
        for device in [a, b] {
            let report = in_step(device).await;
            assert_eq!(report["billed"]["writes"], 0, "{self}: {report}");
            assert_eq!(device.outbox().await, [] as [Value; 0], "{self}");
            assert_eq!(device.conflicts().await, [] as [Value; 0], "{self}");
            let health = device.person.doctor().await;
            assert_eq!(health["ok"], true, "{self}: {health}");
            let shown = device.get("entities", &self.name).await;
            let shown = shown.map(|chest| chest["props"]["gold"].clone());
            assert_eq!(shown, there.then(|| json!(gold)), "{self}");
        }
        let path = format!("entities/{}", self.name);
        let chest = self.world.remote(&path).await.expect("it is in the cloud");
        let found = (
            &chest["props"]["gold"],
            &chest["rev"],
            chest["deletedAt"].is_null(),
        );
        assert_eq!(found, (&json!(gold), &json!(rev), there), "{self}: {chest}");
        a.person.quit().await;
        b.person.quit().await;
    }

    fn kind_of(&self) -> Option<&moonforge_testkit::proxy::Fault> {
        match &self.kind.what {
            What::Strikes(fault) => Some(fault),
            What::Refused | What::Nothing => None,
        }
    }
}

impl std::fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.kind.words, self.operation.words())
    }
}
