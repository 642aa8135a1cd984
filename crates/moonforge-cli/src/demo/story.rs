//! What happens, in order.

use std::sync::atomic::Ordering;

use moonforge::{JournalEntry, SyncReport, increment, set};
use serde_json::{Value, json};

use super::device::Device;
use crate::commands::conflicts::items;
use crate::commands::tree::draw;
use crate::failure::Failure;
use crate::output::short;

const CAMPAIGN: (&str, &str) = ("campaigns", "ember-keep");
const ADVENTURE: (&str, &str) = ("adventures", "ash-road");
const CHAPTER: (&str, &str) = ("chapters", "across-the-river");
const BRIDGE: (&str, &str) = ("scenes", "bridge");
const MILL: (&str, &str) = ("scenes", "mill");
const AMBUSH: (&str, &str) = ("encounters", "ambush");
const OGRE: &str = "combatants.ogre.currentHp";

const OGRE_HP: i64 = 59;
const LAPTOP_DAMAGE: i64 = -12;
const TABLET_DAMAGE: i64 = -9;
const RIGHT_HP: i64 = OGRE_HP + LAPTOP_DAMAGE + TABLET_DAMAGE;

/// A step of the story, with what was found true after it.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) title: &'static str,
    pub(super) facts: Vec<String>,
    /// Who synced, and what came of it.
    pub(super) device: Option<&'static str>,
    pub(super) report: Option<SyncReport>,
}

impl Step {
    fn told(title: &'static str, facts: Vec<String>) -> Self {
        Self {
            title,
            facts,
            device: None,
            report: None,
        }
    }

    fn synced(title: &'static str, device: &Device, report: SyncReport, more: Vec<String>) -> Self {
        let mut facts = vec![format!(
            "{}: {} sent, {} received, {} merged, {} journaled, {} waiting",
            device.name,
            report.pushed,
            report.pulled,
            report.merged,
            report.conflicts,
            report.waiting
        )];
        facts.extend(more);
        Self {
            title,
            facts,
            device: Some(device.name),
            report: Some(report),
        }
    }
}

/// One place that both devices wrote to.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) what: &'static str,
    doc: (&'static str, &'static str),
    path: &'static str,
    pub(super) before: Value,
    pub(super) laptop: String,
    pub(super) tablet: String,
    pub(super) now: Value,
    pub(super) journaled: Vec<JournalEntry>,
    /// The same for scripts.
    pub(super) items: Vec<Value>,
}

/// Whether the devices agree.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) same_documents: bool,
    pub(super) documents: usize,
    pub(super) pending: u64,
    pub(super) idle_writes: u64,
    pub(super) hit_points_add_up: bool,
    pub(super) answers_lost: u64,
}

impl Verdict {
    pub(super) fn converged(&self) -> bool {
        self.same_documents && self.pending == 0 && self.idle_writes == 0 && self.hit_points_add_up
    }
}

/// The story as it went.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) steps: Vec<Step>,
    pub(super) subjects: Vec<Subject>,
    pub(super) tree: String,
    pub(super) verdict: Verdict,
}

pub(super) async fn play(laptop: &Device, tablet: &Device) -> Result<Played, Failure> {
    let mut steps = Vec::new();
    prepare(laptop).await?;
    let report = laptop.sync().await?;
    steps.push(Step::synced(
        "The laptop prepares the evening and syncs",
        laptop,
        report,
        vec![],
    ));
    let report = tablet.sync().await?;
    steps.push(Step::synced(
        "The tablet fetches it",
        tablet,
        report,
        vec![],
    ));

    let mut subjects = subjects(laptop).await?;
    laptop.set_away(true);
    tablet.set_away(true);
    steps.push(write_on_laptop(laptop).await?);
    steps.push(write_on_tablet(tablet).await?);
    let report = laptop.sync().await?;
    let why = match report.offline {
        true => "no network: everything written is kept, and waits",
        false => "reached the cloud, against expectation",
    };
    steps.push(Step::synced(
        "The laptop tries to sync",
        laptop,
        report,
        vec![why.to_owned()],
    ));

    laptop.set_away(false);
    tablet.set_away(false);
    steps.push(lose_an_answer(laptop).await?);
    let report = tablet.sync().await?;
    let hp = tablet.value(AMBUSH, OGRE).await?;
    let sum = format!(
        "ogre: {OGRE_HP} {LAPTOP_DAMAGE} {TABLET_DAMAGE} is {RIGHT_HP}; the tablet shows {hp}"
    );
    let title = "The tablet comes back and meets the laptop's edits";
    steps.push(Step::synced(title, tablet, report, vec![sum]));
    let report = laptop.sync().await?;
    steps.push(Step::synced(
        "The laptop hears of it",
        laptop,
        report,
        vec![],
    ));
    steps.push(bring_the_mill_back(laptop, tablet).await?);

    for subject in &mut subjects {
        subject.now = laptop.value(subject.doc, subject.path).await?;
        for device in [laptop, tablet] {
            let entries = journaled(subject, device).await?;
            subject.items.extend(items(&device.forge, &entries).await?);
            subject.journaled.extend(entries);
        }
    }
    let verdict = verdict(laptop, tablet).await?;
    let tree = draw(&laptop.forge.tree(CAMPAIGN.1).await?);
    Ok(Played {
        steps,
        subjects,
        tree,
        verdict,
    })
}

async fn prepare(laptop: &Device) -> Result<(), Failure> {
    let (campaign, adventure, chapter) = (CAMPAIGN.1, ADVENTURE.1, CHAPTER.1);
    laptop
        .put(CAMPAIGN, json!({"name": "The Ember Keep"}))
        .await?;
    let fields = json!({"campaignId": campaign, "name": "The Ash Road", "order": "a0"});
    laptop.put(ADVENTURE, fields).await?;
    let fields = json!({"campaignId": campaign, "adventureId": adventure, "name": "Across the river", "order": "a0"});
    laptop.put(CHAPTER, fields).await?;
    let bridge = json!({
        "campaignId": campaign, "chapterId": chapter, "title": "The bridge", "order": "a0",
        "readAloud": "Rain falls on the river.\nThe bridge is empty.\nA torch burns on the far side.",
    });
    laptop.put(BRIDGE, bridge).await?;
    let mill = json!({
        "campaignId": campaign, "chapterId": chapter, "title": "The old mill", "order": "a1",
        "summary": "Nobody lives here.",
    });
    laptop.put(MILL, mill).await?;
    let ambush = json!({
        "campaignId": campaign, "name": "Ambush on the bridge",
        "combatants": {
            "ogre": {"name": "Ogre", "currentHp": OGRE_HP, "maxHp": OGRE_HP},
            "goblin": {"name": "Goblin", "currentHp": 7, "maxHp": 7},
        },
    });
    laptop.put(AMBUSH, ambush).await
}

/// What both will write to.
async fn subjects(device: &Device) -> Result<Vec<Subject>, Failure> {
    let told = [
        (
            "the ogre's hit points",
            AMBUSH,
            OGRE,
            format!("{LAPTOP_DAMAGE}"),
            format!("{TABLET_DAMAGE}"),
        ),
        (
            "the scene's title",
            BRIDGE,
            "title",
            LAPTOP_TITLE.to_owned(),
            TABLET_TITLE.to_owned(),
        ),
        (
            "the text to read",
            BRIDGE,
            "readAloud",
            "line 2".to_owned(),
            "line 3".to_owned(),
        ),
        (
            "the old mill",
            MILL,
            "summary",
            "deleted".to_owned(),
            MILL_SUMMARY.to_owned(),
        ),
    ];
    let mut subjects = Vec::new();
    for (what, doc, path, laptop, tablet) in told {
        subjects.push(Subject {
            what,
            doc,
            path,
            before: device.value(doc, path).await?,
            laptop,
            tablet,
            now: Value::Null,
            journaled: Vec::new(),
            items: Vec::new(),
        });
    }
    Ok(subjects)
}

const LAPTOP_TITLE: &str = "The bridge of ash";
const TABLET_TITLE: &str = "The broken bridge";
const MILL_SUMMARY: &str = "The miller hides in the loft.";

async fn write_on_laptop(laptop: &Device) -> Result<Step, Failure> {
    laptop.patch(AMBUSH, increment(OGRE, LAPTOP_DAMAGE)).await?;
    laptop.patch(BRIDGE, set("title", LAPTOP_TITLE)).await?;
    let text = laptop.value(BRIDGE, "readAloud").await?;
    let text = text.as_str().unwrap_or_default();
    let text = text.replace("The bridge is empty.", "On the bridge stands an ogre.");
    laptop.patch(BRIDGE, set("readAloud", text)).await?;
    let gone = laptop.forge.documents(MILL.0)?.delete(MILL.1).await?;
    let hp = laptop.value(AMBUSH, OGRE).await?;
    let facts = vec![
        format!(
            "laptop: the ogre takes {}; it has {hp} here",
            -LAPTOP_DAMAGE
        ),
        format!("laptop: the scene is called “{LAPTOP_TITLE}”, and its second line is new"),
        format!("laptop: the old mill is deleted ({gone} document)"),
    ];
    Ok(Step::told("Both are offline. The laptop writes …", facts))
}

async fn write_on_tablet(tablet: &Device) -> Result<Step, Failure> {
    tablet.patch(AMBUSH, increment(OGRE, TABLET_DAMAGE)).await?;
    tablet.patch(BRIDGE, set("title", TABLET_TITLE)).await?;
    let text = tablet.value(BRIDGE, "readAloud").await?;
    let text = text.as_str().unwrap_or_default();
    let text = text.replace("A torch burns", "Three torches burn");
    tablet.patch(BRIDGE, set("readAloud", text)).await?;
    tablet.patch(MILL, set("summary", MILL_SUMMARY)).await?;
    let hp = tablet.value(AMBUSH, OGRE).await?;
    let facts = vec![
        format!(
            "tablet: the ogre takes {}; it has {hp} here",
            -TABLET_DAMAGE
        ),
        format!(
            "tablet, a little later: the scene is called “{TABLET_TITLE}”, and its third line is new"
        ),
        format!("tablet: the old mill gets a summary, “{MILL_SUMMARY}”"),
    ];
    Ok(Step::told("… and so does the tablet", facts))
}

/// The cloud takes the laptop's edits, but the laptop never hears so.
async fn lose_an_answer(laptop: &Device) -> Result<Step, Failure> {
    laptop
        .switch
        .lose_next_answer
        .store(true, Ordering::Relaxed);
    let report = laptop.sync().await?;
    let hp = laptop.value(AMBUSH, OGRE).await?;
    let lost = laptop.switch.answers_lost.load(Ordering::Relaxed);
    let facts = vec![
        format!(
            "{lost} answer was lost on the way: the cloud had the edits, the laptop could not know"
        ),
        format!(
            "it asked again; the ogre has {hp} (counted twice, the blow would leave {})",
            OGRE_HP + 2 * LAPTOP_DAMAGE
        ),
    ];
    Ok(Step::synced(
        "The network is back, and loses an answer",
        laptop,
        report,
        facts,
    ))
}

/// A delete wins over an edit, but loses nothing: a restore brings the edit back too.
async fn bring_the_mill_back(laptop: &Device, tablet: &Device) -> Result<Step, Failure> {
    let title = "The laptop restores the old mill, from the delete that it made";
    laptop.forge.documents(MILL.0)?.restore(MILL.1).await?;
    let report = laptop.sync().await?;
    tablet.sync().await?;
    let summary = tablet.value(MILL, "summary").await?;
    let fact = match tablet.forge.documents(MILL.0)?.get(MILL.1).await? {
        Some(_) => format!(
            "the tablet shows it again, with the summary “{}”",
            short(&summary, 60)
        ),
        None => "the tablet doesn't show it".to_owned(),
    };
    Ok(Step::synced(title, laptop, report, vec![fact]))
}

/// The entries about a subject in a device's journal.
async fn journaled(subject: &Subject, device: &Device) -> Result<Vec<JournalEntry>, Failure> {
    let mut entries = device.forge.conflicts().list().await?;
    entries.retain(|e| {
        let doc = (e.doc.collection.as_str(), e.doc.id.as_str());
        doc == subject.doc && (e.conflict.field == subject.path || subject.doc == MILL)
    });
    Ok(entries)
}

async fn verdict(laptop: &Device, tablet: &Device) -> Result<Verdict, Failure> {
    let mut idle_writes = 0;
    let mut pending = 0;
    for device in [laptop, tablet] {
        idle_writes += device.sync().await?.billed.writes;
        let counts = device.forge.outbox().counts().await?;
        pending += counts.pending + counts.parked;
    }
    let (here, there) = (laptop.export().await?, tablet.export().await?);
    let right = Value::from(RIGHT_HP);
    Ok(Verdict {
        same_documents: here == there,
        documents: here.len(),
        pending,
        idle_writes,
        hit_points_add_up: laptop.value(AMBUSH, OGRE).await? == right
            && tablet.value(AMBUSH, OGRE).await? == right,
        answers_lost: laptop.switch.answers_lost.load(Ordering::Relaxed),
    })
}
