//! What people do: every value that they write is one that nobody else writes, so that it can be found again.

use std::sync::Arc;

use moonforge_model::{DocRef, Fields, PatchOp, RowOp, value_at};
use moonforge_store::{OutboxEntry, Store, StoreError};
use serde_json::{Value, json};

use super::device::Device;
use super::oracle::Edit;
use super::profile::Profile;
use super::world::World;

pub(crate) fn doc(collection: &str, id: &str) -> DocRef {
    DocRef::parse(collection, id).expect("a sound name")
}

fn fields(value: Value) -> Fields {
    match value {
        Value::Object(map) => map,
        _ => Fields::new(),
    }
}

pub(crate) fn path(text: &str) -> moonforge_model::FieldPath {
    text.parse().expect("a sound path")
}

impl World {
    /// One edit on a device, as its person sees it.
    pub(crate) async fn edit(self: &Arc<Self>, device: &Arc<Device>) {
        if self.rng.one_in(4) && self.save_form(device).await {
            return;
        }
        let (campaigns, entities) = self.profile.breadth();
        let campaign = format!("c{}", self.rng.below(campaigns));
        let entity = format!("{campaign}-e{}", self.rng.below(entities));
        let entity = doc("entities", &entity);
        let scene = doc("scenes", &format!("{campaign}-s{}", self.rng.below(2)));
        let player = device.remote.uid().as_deref() != Some("gm");
        // What a player does to a campaign is another matter.
        let choice = match self.rng.below(20) {
            choice if player => choice.clamp(2, 15),
            choice if self.profile == Profile::SlowCommits => choice.clamp(1, 14),
            // Many write what the eraser strikes.
            2..=5 if self.profile == Profile::Erasers => 7,
            choice => choice,
        };
        let target = match choice {
            0 | 1 => doc("campaigns", &campaign),
            2..=4 => scene,
            5 => doc("sessions", &format!("{campaign}-n0")),
            16..=18 => doc("encounters", &format!("{campaign}-x0")),
            19 => doc("secrets", &format!("entities~{campaign}-e0")),
            _ => entity,
        };
        let unique = self.unique(device);
        // Sometimes it is another process on the same file that writes.
        let store = match device.second() {
            Some(second) if self.rng.one_in(2) => second,
            _ => device.store(),
        };
        let at = device.engine().edit_time().await.expect("the store reads");
        let view = {
            let target = target.clone();
            let load =
                store.write(move |tx| Box::pin(async move { Ok(tx.load(&target).await?.view()) }));
            match load.await {
                Ok(view) => view,
                Err(StoreError::Interrupted | StoreError::DiskFull) => return,
                Err(error) => panic!("{error:?}"),
            }
        };
        let live = view.as_ref().is_some_and(|v| v.deleted.is_none());
        if let Some(view) = view.as_ref().filter(|_| live && self.rng.one_in(6)) {
            let read = (target.clone(), view.fields.clone());
            *device.form.lock().expect("no panic while held") = Some(read);
        }
        let (result, edit) = match (choice, &view) {
            (_, None) => {
                let created = self.creation(&target, &campaign, &unique);
                self.oracle
                    .lock()
                    .expect("no panic while held")
                    .written_blindly(&unique);
                let edit = Edit::Create;
                (
                    store.put(target.clone(), created, at).await.map(|_| ()),
                    edit,
                )
            }
            (6, Some(_)) if live => (
                store.delete(target.clone(), at).await.map(|_| ()),
                Edit::Delete,
            ),
            (_, Some(view)) if !live => {
                if !self.rng.one_in(2) {
                    return;
                }
                let delete_id = view.deleted.as_ref().map(|d| d.id().to_owned());
                (
                    store.restore(target.clone(), at).await.map(|_| ()),
                    Edit::Restore(delete_id.unwrap_or_default()),
                )
            }
            (_, Some(view)) => {
                let (op, edit) = self.change(&device.name, &target, &view.fields, &unique);
                (
                    store
                        .patch(target.clone(), None, vec![op], at)
                        .await
                        .map(|_| ()),
                    edit,
                )
            }
        };
        let written = result.is_ok().then(|| edit.clone());
        self.note(device, target.clone(), edit, result);
        if let Some(Edit::Set { path, value, .. }) = written.filter(|_| self.rng.one_in(4)) {
            reads_see_ones_own_writes(&device.store(), &target, &path, &value).await;
        }
    }

    /// What was added to a number, and may be there already, is taken back: two edits that come to nothing together.
    pub(crate) async fn take_back(self: &Arc<Self>, device: &Arc<Device>) {
        let outbox = device.store().outbox().await.expect("the outbox reads");
        let gold = path("props.gold");
        let added = |entry: &OutboxEntry| match &entry.row.row.op {
            RowOp::Patch { ops } if entry.row.row.sent => match ops.as_slice() {
                [PatchOp::Increment { path, by }] if *path == gold => by.as_i64(),
                _ => None,
            },
            _ => None,
        };
        let alone = |doc: &DocRef| outbox.iter().filter(|e| e.doc == *doc).count() == 1;
        let mut lone = outbox.iter().filter(|entry| alone(&entry.doc));
        let Some((doc, by)) = lone.find_map(|entry| Some((entry.doc.clone(), -added(entry)?)))
        else {
            return;
        };
        let at = device.engine().edit_time().await.expect("the store reads");
        let op = PatchOp::increment(gold.clone(), by);
        let result = device.store().patch(doc.clone(), None, vec![op], at).await;
        let edit = Edit::Increment { path: gold, by };
        match result {
            // Deleted meanwhile, or no longer for these eyes.
            Err(StoreError::Deleted(_) | StoreError::NotFound(_)) => {}
            result => self.note(device, doc, edit, result.map(|_| ())),
        }
    }

    /// A value that nobody else writes.
    pub(crate) fn unique(&self, device: &Device) -> String {
        let number = self.trace.with(|outcome| {
            outcome.edits += 1;
            outcome.edits
        });
        format!("{}-{number}", device.name)
    }

    pub(crate) fn note(
        &self,
        device: &Device,
        target: DocRef,
        edit: Edit,
        result: Result<(), StoreError>,
    ) {
        let certain = match result {
            Ok(()) => true,
            // Killed around the commit: it may be there without having been acknowledged.
            Err(StoreError::Interrupted) => false,
            // Not acknowledged, and not there: nothing happened.
            Err(StoreError::DiskFull | StoreError::Invalid(_) | StoreError::Patch(_)) => return,
            Err(error) => panic!("{}: {target}: {edit:?}: {error:?}", device.name),
        };
        let words = format!("{edit:?}");
        let words: String = words.chars().take(300).collect();
        let doubt = if certain { "" } else { "(?)" };
        self.log(format!("{} edits {target}: {words} {doubt}", device.name));
        self.oracle.lock().expect("no panic while held").record(
            &device.name,
            target,
            edit,
            certain,
        );
    }

    pub(crate) fn creation(&self, target: &DocRef, campaign: &str, unique: &str) -> Fields {
        match target.collection.as_str() {
            "campaigns" => fields(json!({"name": unique, "ownerUid": "gm", "memberUids": ["gm"]})),
            "entities" if self.profile == Profile::Members => {
                let visibility = ["gm", "players"][self.rng.below(2) as usize];
                fields(
                    json!({"name": unique, "kind": "npc", "campaignId": campaign,
                              "visibility": visibility, "playerUids": ["pl"]}),
                )
            }
            "scenes" => {
                fields(json!({"title": unique, "campaignId": campaign, "content": "first\nlast\n"}))
            }
            "sessions" => fields(json!({"title": unique, "campaignId": campaign})),
            "encounters" => fields(json!({"name": unique, "campaignId": campaign})),
            "secrets" => fields(
                json!({"target": format!("entities/{campaign}-e0"), "campaignId": campaign,
                          "gmNotes": "first\nlast\n"}),
            ),
            _ => fields(json!({"name": unique, "kind": "npc", "campaignId": campaign})),
        }
    }

    fn change(
        &self,
        author: &str,
        target: &DocRef,
        seen: &Fields,
        unique: &str,
    ) -> (PatchOp, Edit) {
        let title = match target.collection.as_str() {
            "scenes" | "sessions" => "title",
            _ => "name",
        };
        let set = |at: &str| {
            let path = path(at);
            let before = value_at(seen, &path).cloned();
            let op = PatchOp::Set {
                path: path.clone(),
                value: unique.into(),
            };
            (
                op,
                Edit::Set {
                    path,
                    value: unique.to_owned(),
                    seen: before,
                },
            )
        };
        let chance = match self.profile {
            // Where numbers add up, the harm that an eraser does shows.
            Profile::Erasers => self.rng.below(6),
            _ => self.rng.below(10),
        };
        let scrolls = self.profile == Profile::Limits && target.collection.as_str() == "entities";
        if scrolls && self.rng.one_in(6) {
            return self.scroll(target, seen, unique);
        }
        match (target.collection.as_str(), chance) {
            ("encounters", 0..=8) => self.fight(seen, unique, chance),
            ("entities", 0..=3) => {
                let gold = path("props.gold");
                // What was just added is often taken back: two edits that come to nothing together.
                let mine = self.oracle.lock().expect("no panic while held");
                let added = mine.last_increment(author, target);
                drop(mine);
                let by = match added {
                    Some(by) if self.rng.one_in(2) => -by,
                    // So many that sums tell which of them are in.
                    _ => 1 + self.rng.below(999) as i64,
                };
                (
                    PatchOp::increment(gold.clone(), by),
                    Edit::Increment { path: gold, by },
                )
            }
            ("entities", 4 | 5) => {
                let tags = path("tags");
                let op = PatchOp::ArrayUnion {
                    path: tags.clone(),
                    values: vec![unique.into()],
                };
                (
                    op,
                    Edit::Union {
                        path: tags,
                        value: unique.to_owned(),
                    },
                )
            }
            ("entities", 6) => set("props.mood"),
            ("scenes", 0..=5) | ("secrets", _) => {
                let text = match target.collection.as_str() {
                    "secrets" => "gmNotes",
                    _ => "content",
                };
                let content = path(text);
                let old = value_at(seen, &content)
                    .and_then(Value::as_str)
                    .unwrap_or("");
                let mut lines: Vec<&str> = old.lines().collect();
                let line = self.rng.below(lines.len() as u64 + 1) as usize;
                lines.insert(line, unique);
                let text = lines.join("\n") + "\n";
                let op = PatchOp::Set {
                    path: content.clone(),
                    value: text.into(),
                };
                (
                    op,
                    Edit::Line {
                        path: content,
                        line: unique.to_owned(),
                    },
                )
            }
            _ => set(title),
        }
    }

    /// What happens to one of three combatants: he comes, is hit, gets another name, or goes.
    fn fight(&self, seen: &Fields, unique: &str, chance: u64) -> (PatchOp, Edit) {
        let entry = path(&format!("combatants.k{}", self.rng.below(3)));
        let name = entry.child("name");
        let before = value_at(seen, &name).cloned();
        let named = Edit::Set {
            path: name.clone(),
            value: unique.to_owned(),
            seen: before.clone(),
        };
        match (before, chance) {
            (None, _) => {
                let value = json!({"name": unique, "currentHp": 20, "maxHp": 20});
                (PatchOp::Set { path: entry, value }, named)
            }
            (Some(_), 0..=4) => {
                let by = -1 - self.rng.below(5) as i64;
                let hit = PatchOp::increment(entry.child("currentHp"), by);
                (hit, Edit::Inside)
            }
            (Some(_), 5 | 6) => {
                let value = unique.into();
                (PatchOp::Set { path: name, value }, named)
            }
            (seen, _) => {
                let removal = PatchOp::Unset {
                    path: entry.clone(),
                };
                (removal, Edit::Remove { entry, seen })
            }
        }
    }
}

/// Invariant 11: reads see one's own writes.
async fn reads_see_ones_own_writes(
    store: &Store,
    target: &DocRef,
    path: &moonforge_model::FieldPath,
    value: &str,
) {
    let read = store.get(target).await.expect("the store reads");
    let there = read.as_ref().and_then(|doc| value_at(&doc.fields, path));
    assert_eq!(
        there.and_then(Value::as_str),
        Some(value),
        "{target} {path}: what was just written isn't read"
    );
}
