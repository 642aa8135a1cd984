//! Random histories of three devices under random policies, with and without an app's resolver, that edit, sync, settle
//! entries of the journal and take that back: all end with one document, another sync writes nothing, and no value goes
//! that nobody saw, unless a journal has it. `POLICY_SEEDS` says how many histories,
//! `POLICY_FIRST_SEED` where to begin.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use moonforge_model::{
    ConflictResolver, Contested, DocRef, FieldPath, FieldPolicy, PatchOp, Registry, Verdict,
    canonical, value_at,
};
use moonforge_ports::RandomExt;
use moonforge_store::{Resolution, StoreError};
use moonforge_testkit::random::SeededRandom;
use serde_json::{Value, json};

use crate::support::{Cloud, Device, doc, set};

const STEPS: usize = 40;

struct Dice(SeededRandom);

impl Dice {
    fn below(&self, n: usize) -> usize {
        (self.0.unit() * n as f64) as usize % n
    }

    fn one<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

fn registry(dice: &Dice) -> Registry {
    use FieldPolicy::*;
    let sides = [LaterWins, RemoteWins, LocalWins, Manual];
    let mut registry = Registry::builtin();
    let mut state = |path, policies: &[FieldPolicy]| {
        let policy = *dice.one(policies);
        registry.state_policy("encounters", path, policy).unwrap();
    };
    state(None, &sides);
    if dice.below(2) == 0 {
        state(Some("name"), &sides);
        state(Some("notes"), &sides);
        state(Some("props"), &[KeyedMap, LaterWins, LocalWins]);
        state(Some("props.a"), &sides);
        state(Some("combatants.`*`.name"), &sides);
    }
    state(Some("entityIds"), &[Set]);
    state(Some("round"), &[Counter]);
    registry
}

/// Depends on both values alone, not on who asks.
fn fair(asked: &Contested<'_>) -> Verdict {
    let text = |v: Option<&Value>| v.map(canonical).unwrap_or_default();
    let mut sides = [text(asked.ours), text(asked.theirs)];
    sides.sort();
    match (sides.concat().len() % 4, asked.ours) {
        (0, Some(Value::String(_))) => Verdict::Custom(json!(sides.join("|"))),
        (1, _) => Verdict::Custom(json!([["odd"]])),
        (2, _) if text(asked.ours) >= text(asked.theirs) => Verdict::Ours,
        (2, _) => Verdict::Theirs,
        _ => Verdict::Default,
    }
}

/// What was written, and which of it some later author had before his eyes when he replaced it.
#[derive(Default)]
struct Oracle {
    written: BTreeSet<String>,
    replaced: BTreeSet<String>,
    counted: i64,
}

impl Oracle {
    fn word(&mut self) -> String {
        let word = format!("w{}x", self.written.len());
        self.written.insert(word.clone());
        word
    }

    /// Whatever stands at the path goes with the author's knowledge.
    fn sees(&mut self, fields: &moonforge_model::Fields, path: &FieldPath) {
        let there = value_at(fields, path).map(canonical).unwrap_or_default();
        let gone = self.written.iter().filter(|word| there.contains(*word));
        self.replaced.extend(gone.cloned());
    }
}

async fn edit(device: &Device, there: &DocRef, dice: &Dice, oracle: &mut Oracle) {
    let now = device.view(there).await.unwrap().fields;
    let path = |text: &str| -> FieldPath { text.parse().unwrap() };
    let op = match dice.below(11) {
        0 | 1 => set("name", oracle.word()),
        2 => set("props.a", oracle.word()),
        3 => set("props.b.c", oracle.word()),
        4 => set("props", json!({"a": oracle.word(), "d": oracle.word()})),
        5 => set("combatants.k1.name", oracle.word()),
        6 => set(
            "combatants.k1",
            json!({"name": oracle.word(), "currentHp": 3}),
        ),
        7 => PatchOp::Unset {
            path: path(dice.one::<&str>(&["combatants.k1", "props.a", "props"])),
        },
        8 => {
            let by = dice.below(9) as i64 - 4;
            let round = now["round"].as_i64().unwrap();
            oracle.counted += by;
            set("round", round + by)
        }
        9 => {
            let mut list = now["entityIds"].as_array().unwrap().clone();
            list.push(oracle.word().into());
            set("entityIds", list)
        }
        _ => {
            let text = now["notes"].as_str().unwrap();
            let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
            let at = dice.below(lines.len());
            // The author replaces that line with his eyes open.
            let gone = oracle
                .written
                .iter()
                .filter(|word| lines[at].contains(*word));
            let gone: Vec<String> = gone.cloned().collect();
            oracle.replaced.extend(gone);
            lines[at] = oracle.word();
            let to = lines.join("\n");
            let from = text.to_owned();
            PatchOp::Text {
                path: path("notes"),
                from,
                to,
            }
        }
    };
    if op.replaces() && !["round", "entityIds"].contains(&op.path().root()) {
        // A text or list in the way of a member goes with it.
        oracle.sees(&now, op.path());
    }
    device.patch(there, vec![op]).await;
}

/// A person looks at the journal. What an entry shows as kept and what is at its place is before his eyes.
async fn decide(device: &Device, there: &DocRef, dice: &Dice, oracle: &mut Oracle) {
    let entries = device.store.conflicts(true).await.unwrap();
    if entries.is_empty() {
        return;
    }
    let entry = dice.one(&entries);
    let (id, at) = (entry.conflict_id, device.edit_time().await);
    let now = device.view(there).await.unwrap().fields;
    let path: FieldPath = entry.conflict.field.parse().unwrap();
    let shown = canonical(&entry.conflict.kept);
    let outcome = if entry.resolved_at.is_some() {
        let undone = device.store.undo_resolution(id, at).await;
        for path in undone.iter().flat_map(|undone| &undone.restored) {
            oracle.sees(&now, &path.parse().unwrap());
        }
        undone.map(|_| ())
    } else {
        let choice = match dice.below(3) {
            0 => Resolution::Keep,
            1 => Resolution::Take,
            _ if path.root() == "notes" => Resolution::Keep,
            _ if path.segments().len() > 1 && value_at(&now, &path).is_none() => Resolution::Keep,
            _ => Resolution::Value(match entry.conflict.kept {
                Value::Object(_) => json!({"name": oracle.word()}),
                _ => oracle.word().into(),
            }),
        };
        let replaces = choice != Resolution::Keep;
        let done = device.store.resolve_conflict(id, choice, at).await;
        if replaces && done.is_ok() {
            let seen = oracle.written.iter().filter(|word| shown.contains(*word));
            let seen: Vec<String> = seen.cloned().collect();
            oracle.replaced.extend(seen);
        }
        done.map(|_| ())
    };
    match outcome {
        Ok(())
        | Err(StoreError::NothingToBringBack(_) | StoreError::Invalid(_) | StoreError::Patch(_)) => {
        }
        Err(error) => panic!("{error:?} of {entry:?}"),
    }
}

#[tokio::test]
async fn nothing_is_lost_untold_and_all_agree_whatever_the_policies() {
    let seeds = std::env::var("POLICY_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok());
    for seed in 0..seeds.unwrap_or(25_u64) {
        let dice = Dice(SeededRandom::new(seed + 1));
        let cloud = Cloud::new();
        let registry = registry(&dice);
        let app: Option<Arc<dyn ConflictResolver>> = match seed % 2 {
            0 => None,
            _ => Some(Arc::new(fair)),
        };
        let there = doc("encounters", "e");
        let mut devices = Vec::new();
        for name in ["a", "b", "c"] {
            devices.push(cloud.device_of(name, registry.clone(), app.clone()).await);
        }
        let fields = json!({"campaignId": "c", "name": "Ambush", "notes": "one\ntwo\nthree\nfour", "round": 0,
            "entityIds": ["e1"], "props": {"a": "x"}, "combatants": {"k1": {"name": "Orc", "currentHp": 9}}});
        devices[0].put(&there, fields).await;
        for device in &devices {
            device.sync().await;
            cloud.pass(1);
        }
        let mut oracle = Oracle::default();
        for _ in 0..STEPS {
            let device = dice.one(&devices);
            match dice.below(10) {
                0..6 => edit(device, &there, &dice, &mut oracle).await,
                6..9 => {
                    device.sync().await;
                }
                _ => decide(device, &there, &dice, &mut oracle).await,
            }
            cloud.pass(1);
        }
        for _ in 0..2 {
            for device in &devices {
                cloud.pass(40);
                device.sync().await;
            }
        }
        check(seed, &cloud, &devices, &there, &oracle).await;
    }
}

async fn check(seed: u64, cloud: &Cloud, devices: &[Device], there: &DocRef, oracle: &Oracle) {
    let version = cloud.server.document(there).unwrap().update_time;
    let mut shown = BTreeMap::new();
    let mut told = String::new();
    for (n, device) in devices.iter().enumerate() {
        cloud.pass(40);
        let report = device.sync().await;
        assert_eq!(report.billed.writes, 0, "seed {seed}: another sync writes");
        let fields = device.view(there).await.unwrap().fields;
        shown.insert(n, canonical(&Value::Object(fields)));
        for entry in device.store.conflicts(true).await.unwrap() {
            let conflict = entry.conflict;
            told.push_str(&canonical(&conflict.lost));
            told.push_str(&serde_json::to_string(&conflict.bring_back).unwrap());
        }
        assert_eq!(device.store.doctor().await.unwrap(), [], "seed {seed}");
    }
    assert_eq!(cloud.server.document(there).unwrap().update_time, version);
    assert!(
        shown.values().all(|s| *s == shown[&0]),
        "seed {seed}: {shown:#?}"
    );
    for word in &oracle.written {
        let known =
            shown[&0].contains(word) || told.contains(word) || oracle.replaced.contains(word);
        assert!(known, "seed {seed}: {word} is lost untold: {}", shown[&0]);
    }
    let fields = devices[0].view(there).await.unwrap().fields;
    assert_eq!(
        fields["round"], oracle.counted,
        "seed {seed}: a count was lost"
    );
}
