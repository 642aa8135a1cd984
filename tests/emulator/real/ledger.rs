//! Who does what, and what has to come of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use moonforge_e2e::device::{CommandLine, Device, Running, World};
use moonforge_testkit::random::SeededRandom;
use serde_json::{Value, json};

use crate::scenario::{C, campaign, child};

/// Chests that everybody adds to.
const CHESTS: u64 = 3;

/// What the cloud has to hold in the end. Numbers and tags of chests are everybody's; a scene is edited by its own device
/// alone, so that nothing is ever a conflict.
#[derive(Default)]
struct Ledger {
    gold: BTreeMap<String, i64>,
    tags: BTreeMap<String, BTreeSet<String>>,
    /// Title and summary of what is there.
    scenes: BTreeMap<String, (String, Value)>,
    deleted: BTreeSet<String>,
    edits: u64,
}

/// A device at the command line.
pub(crate) struct Hand {
    pub(crate) device: Device,
    pub(crate) line: Arc<CommandLine>,
    /// Scenes that it made and didn't delete.
    scenes: Vec<String>,
}

/// A world of hands, and what they did.
pub(crate) struct Story {
    pub(crate) world: World,
    pub(crate) hands: Vec<Hand>,
    pub(crate) random: SeededRandom,
    ledger: Ledger,
}

impl Story {
    /// Begins with a campaign and its chests on all `count` devices.
    pub(crate) async fn begin(world: World, count: usize, seed: u64) -> Self {
        let mut hands = Vec::new();
        for name in ["a", "b", "c"].into_iter().take(count) {
            let project = &world.project;
            let made = world.device_with("gm", name, |path, proxy| {
                CommandLine::new(project, "gm", path, proxy)
            });
            let (device, line) = made.await;
            hands.push(Hand {
                device,
                line,
                scenes: Vec::new(),
            });
        }
        let mut ledger = Ledger::default();
        let first = &hands[0].device;
        first.put("campaigns", C, campaign("The Ember Keep")).await;
        for n in 0..CHESTS {
            let id = format!("chest{n}");
            let chest = json!({ "name": "Chest", "kind": "item", "props": { "gold": 0 } });
            first.put("entities", &id, child(chest)).await;
            ledger.gold.insert(id.clone(), 0);
            ledger.tags.insert(id, BTreeSet::new());
        }
        for hand in &hands {
            hand.device.sync_well().await;
        }
        Self {
            world,
            hands,
            random: SeededRandom::new(seed),
            ledger,
        }
    }

    /// One edit at a device, by a process that comes to its end: what it acknowledged has to count once.
    pub(crate) async fn edit(&mut self, who: usize) {
        let (hand, ledger, random) = (&mut self.hands[who], &mut self.ledger, &self.random);
        ledger.edits += 1;
        let number = ledger.edits;
        let scene = match hand.scenes.len() {
            0 => None,
            count => Some(random.below(count as u64) as usize),
        };
        match (random.below(10), scene) {
            (0..=4, _) => {
                let (id, by) = (
                    format!("chest{}", random.below(CHESTS)),
                    1 + random.below(9) as i64,
                );
                let edit = [("inc", "props.gold", json!(by))];
                hand.device.patch("entities", &id, &edit).await;
                *ledger.gold.entry(id).or_default() += by;
            }
            (5, _) => {
                let (id, tag) = (
                    format!("chest{}", random.below(CHESTS)),
                    format!("t{number}"),
                );
                hand.device
                    .patch("entities", &id, &[("add", "tags", json!(tag))])
                    .await;
                ledger.tags.entry(id).or_default().insert(tag);
            }
            (6, Some(index)) => {
                let id = hand.scenes.swap_remove(index);
                assert_eq!(hand.device.rm("scenes", &id).await, 1);
                ledger.scenes.remove(&id);
                ledger.deleted.insert(id);
            }
            (7 | 8, Some(index)) => {
                let id = &hand.scenes[index];
                let summary = json!(format!("As of {number}.\nThe bells.\n"));
                hand.device
                    .patch("scenes", id, &[("set", "summary", summary.clone())])
                    .await;
                ledger.scenes.get_mut(id).expect("it was made").1 = summary;
            }
            _ => {
                let (id, title) = (format!("s{number}"), format!("Scene {number}"));
                hand.device
                    .put("scenes", &id, child(json!({ "title": title })))
                    .await;
                hand.scenes.push(id.clone());
                ledger.scenes.insert(id, (title, Value::Null));
            }
        }
    }

    /// A process that syncs this device, once or for good.
    pub(crate) fn start_sync(&self, who: usize, watch: bool) -> Running {
        let arguments: &[&str] = if watch {
            &["sync", "--watch"]
        } else {
            &["sync"]
        };
        self.hands[who].line.start(arguments)
    }

    /// How many edits were made.
    pub(crate) fn edits(&self) -> u64 {
        self.ledger.edits
    }

    /// Heals the network, lets all devices come to rest, and compares them, a new device and the cloud with what was done.
    pub(crate) async fn end(&self) {
        for hand in &self.hands {
            hand.device.go_online();
            hand.device.proxy.settled().await;
        }
        let devices: Vec<&Device> = self.hands.iter().map(|hand| &hand.device).collect();
        self.world.settle(&devices).await;
        for device in &devices {
            assert_eq!(
                device.conflicts().await,
                [] as [Value; 0],
                "nobody met anybody"
            );
        }
        let device = devices[devices.len() - 1];
        for (id, gold) in &self.ledger.gold {
            let chest = self
                .world
                .remote(&format!("entities/{id}"))
                .await
                .expect("a chest");
            assert_eq!(chest["props"]["gold"], *gold, "{id}: {chest}");
            let mut tags = texts(&chest["tags"]);
            tags.sort();
            let mut expected: Vec<String> = self.ledger.tags[id].iter().cloned().collect();
            expected.sort();
            assert_eq!(tags, expected, "{id}: {chest}");
            assert_eq!(device.value("entities", id, "/props/gold").await, *gold);
        }
        let shown: BTreeMap<String, (String, Value)> =
            device.ls("scenes").await.into_iter().map(scene).collect();
        assert_eq!(shown, self.ledger.scenes);
        for id in &self.ledger.deleted {
            // One that was deleted before it was ever sent may never have been there.
            if let Some(tombstone) = self.world.remote(&format!("scenes/{id}")).await {
                assert!(!tombstone["deletedAt"].is_null(), "{tombstone}");
            }
        }
    }
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

fn scene(document: Value) -> (String, (String, Value)) {
    let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
    (text("id"), (text("title"), document["summary"].clone()))
}
