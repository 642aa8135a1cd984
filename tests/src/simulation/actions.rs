//! What people do: every value that they write is one that nobody else writes, so that it can be found again.

use std::sync::Arc;

use moonforge_model::{DocRef, Fields, PatchOp, value_at};
use moonforge_store::StoreError;
use serde_json::{Value, json};

use super::device::Device;
use super::oracle::Edit;
use super::world::{Profile, World};

fn doc(collection: &str, id: &str) -> DocRef {
    DocRef::parse(collection, id).expect("a sound name")
}

fn fields(value: Value) -> Fields {
    match value {
        Value::Object(map) => map,
        _ => Fields::new(),
    }
}

fn path(text: &str) -> moonforge_model::FieldPath {
    text.parse().expect("a sound path")
}

impl World {
    /// One edit on a device, as its person sees it.
    pub(crate) async fn edit(self: &Arc<Self>, device: &Arc<Device>) {
        if self.rng.one_in(4) && self.save_form(device).await {
            return;
        }
        // What an eraser strikes, and what is crowded, is to be something that many write; what is late, one of many that
        // are asked for together.
        let (campaigns, entities) = match self.profile {
            Profile::Erasers | Profile::Crowded => (1, 1),
            Profile::SlowCommits => (1, 6),
            _ => (2, 3),
        };
        let campaign = format!("c{}", self.rng.below(campaigns));
        let entity = format!("{campaign}-e{}", self.rng.below(entities));
        let entity = doc("entities", &entity);
        let scene = doc("scenes", &format!("{campaign}-s{}", self.rng.below(2)));
        let player = device.remote.uid().as_deref() != Some("gm");
        // What a player does to a campaign is another matter.
        let choice = match self.rng.below(20) {
            choice if player => choice.clamp(2, 15),
            choice if self.profile == Profile::SlowCommits => choice.clamp(1, 14),
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
        let store = device.store();
        let at = device.engine().edit_time().await.expect("the store reads");
        let view = {
            let target = target.clone();
            let load =
                store.write(move |tx| Box::pin(async move { Ok(tx.load(&target).await?.view()) }));
            match load.await {
                Ok(view) => view,
                Err(StoreError::Interrupted) => return,
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
        self.note(device, target, edit, result);
    }

    /// A value that nobody else writes.
    fn unique(&self, device: &Device) -> String {
        let mut outcome = self.outcome.lock().expect("no panic while held");
        outcome.edits += 1;
        format!("{}-{}", device.name, outcome.edits)
    }

    /// Saves what was open on the screen, with one field changed, over whatever came since. False where nothing was open.
    async fn save_form(self: &Arc<Self>, device: &Arc<Device>) -> bool {
        let form = device.form.lock().expect("no panic while held").take();
        let Some((target, read)) = form else {
            return false;
        };
        let unique = self.unique(device);
        let field = match target.collection.as_str() {
            "scenes" | "sessions" => "title",
            "secrets" => "info",
            _ => "name",
        };
        let mut left = read.clone();
        left.insert(field.to_owned(), unique.as_str().into());
        self.oracle
            .lock()
            .expect("no panic while held")
            .written_in_a_form(&unique);
        let edit = Edit::Set {
            path: path(field),
            seen: read.get(field).cloned(),
            value: unique,
        };
        let at = device.engine().edit_time().await.expect("the store reads");
        match device.store().upsert(target.clone(), read, left, at).await {
            // Deleted meanwhile, or no longer for these eyes.
            Err(StoreError::Deleted(_) | StoreError::NotFound(_)) => {}
            result => self.note(device, target, edit, result.map(|_| ())),
        }
        true
    }

    fn note(&self, device: &Device, target: DocRef, edit: Edit, result: Result<(), StoreError>) {
        let certain = match result {
            Ok(()) => true,
            // Killed around the commit: it may be there without having been acknowledged.
            Err(StoreError::Interrupted) => false,
            Err(error) => panic!("{}: {target}: {edit:?}: {error:?}", device.name),
        };
        self.log(format!(
            "{} edits {target}: {edit:?} {}",
            device.name,
            if certain { "" } else { "(?)" }
        ));
        self.oracle.lock().expect("no panic while held").record(
            &device.name,
            target,
            edit,
            certain,
        );
    }

    /// Makes the campaigns that nobody made, on this device.
    pub(crate) async fn make_missing_campaigns(self: &Arc<Self>, device: &Arc<Device>) {
        for n in 0..2 {
            let campaign = format!("c{n}");
            let target = doc("campaigns", &campaign);
            // One that is only here goes out with the next sync.
            let wanted = target.clone();
            let here = device
                .store()
                .write(move |tx| Box::pin(async move { Ok(tx.load(&wanted).await?.view()) }))
                .await
                .expect("the store reads");
            if self.server.document(&target).is_none() && here.is_none() {
                let at = device.engine().edit_time().await.expect("the store reads");
                let created = self.creation(&target, &campaign, &format!("made-{n}"));
                match device.store().put(target, created, at).await {
                    Ok(_) | Err(StoreError::Deleted(_)) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
    }

    /// What an operator does at a console that knows nothing of the protocol.
    pub(crate) fn console(&self) {
        let documents = self.documents_there();
        let children: Vec<&DocRef> = documents
            .keys()
            .filter(|d| d.collection.as_str() != "campaigns")
            .collect();
        if children.is_empty() {
            return;
        }
        let target = children[self.rng.below(children.len() as u64) as usize];
        let note = Some(Value::from(format!(
            "console-{}",
            self.rng.below(1_000_000)
        )));
        let now = Some(Value::from(self.server.now().to_string()));
        let changes = match self.rng.below(6) {
            0 => vec![(path("note"), note)],
            1 => vec![(path("note"), note), (path("updatedAt"), now)],
            2 => vec![(path("writers"), None)],
            3 => vec![(path("rev"), Some(json!(0))), (path("note"), note)],
            4 => vec![
                (path("edited"), None),
                (path("name"), note.clone()),
                (path("title"), note),
            ],
            _ => {
                self.log(format!("console deletes {target}"));
                self.server.console_delete(target);
                return;
            }
        };
        self.log(format!("console writes {target}: {changes:?}"));
        self.server.console_patch(target, &changes);
    }

    fn creation(&self, target: &DocRef, campaign: &str, unique: &str) -> Fields {
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
        let chance = self.rng.below(10);
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
                    _ => 1 + self.rng.below(9) as i64,
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
