//! What must be true at the end, from what people did.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use moonforge_model::{ConflictReason, DocRef, FieldPath, Folded, PatchOp, value_at};
use moonforge_store::JournalEntry;
use serde_json::Value;

use super::invariants::the_file_is_whole;
use super::overwrites::{no_silent_overwrite, nobody_conflicts_with_himself};
use super::profile::Profile;
use super::world::World;

/// One thing that a person did.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Create,
    Set {
        path: FieldPath,
        value: String,
        seen: Option<Value>,
    },
    Increment {
        path: FieldPath,
        by: i64,
    },
    Union {
        path: FieldPath,
        value: String,
    },
    Line {
        path: FieldPath,
        line: String,
    },
    /// Of an entry of a keyed map, by somebody who saw this name.
    Remove {
        entry: FieldPath,
        seen: Option<Value>,
    },
    /// An increment inside an entry of a keyed map, which may go with the entry.
    Inside,
    Delete,
    /// With the delete that it undoes.
    Restore(String),
}

#[derive(Clone, Debug)]
pub(super) struct Recorded {
    device: String,
    pub(super) doc: DocRef,
    pub(super) edit: Edit,
    /// Acknowledged; otherwise it may be there or not.
    certain: bool,
}

/// Everything that was done.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(super) edits: Vec<Recorded>,
    /// Copies and what they were copied from.
    copies: BTreeMap<String, String>,
    /// Values that were written over what their author didn't see: into a form, over whatever had come since it was opened,
    /// or as a new document, where the one that was there had left his device.
    pub(super) blind: BTreeSet<String>,
    /// What stood in journals that are no more.
    journal: Vec<JournalEntry>,
}

impl Oracle {
    pub(crate) fn record(&mut self, device: &str, doc: DocRef, edit: Edit, certain: bool) {
        self.edits.push(Recorded {
            device: device.to_owned(),
            doc,
            edit,
            certain,
        });
    }

    pub(crate) fn written_blindly(&mut self, value: &str) {
        self.blind.insert(value.to_owned());
    }

    /// What a device last added to a number of this document.
    pub(crate) fn last_increment(&self, device: &str, doc: &DocRef) -> Option<i64> {
        let mine = self.edits.iter().rev();
        mine.filter(|e| e.device == device && e.doc == *doc)
            .find_map(|e| match e.edit {
                Edit::Increment { by, .. } => Some(by),
                _ => None,
            })
    }

    /// How much was done so far.
    pub(crate) fn len(&self) -> usize {
        self.edits.len()
    }

    /// A device's file is what it was after the first `known` edits: what its person did since may be nowhere.
    pub(crate) fn put_back(&mut self, device: &str, known: usize, journal: Vec<JournalEntry>) {
        let since = self.edits[known..].iter_mut();
        since
            .filter(|e| e.device == device)
            .for_each(|e| e.certain = false);
        self.journal.extend(journal);
    }

    /// A device keeps its edits of a document to itself.
    pub(crate) fn parked(&mut self, device: &str, doc: &DocRef) {
        let edits = self.edits.iter_mut();
        edits
            .filter(|e| e.device == device && e.doc == *doc)
            .for_each(|e| e.certain = false);
    }

    pub(crate) fn copied(&mut self, from: &str, to: &str) {
        self.copies.insert(to.to_owned(), from.to_owned());
    }
}

pub(super) struct Evidence {
    pub(super) server: BTreeMap<DocRef, Folded>,
    pub(super) journal: Vec<JournalEntry>,
}

impl Evidence {
    /// Whether a journal tells of this text's loss in this document.
    pub(super) fn told(&self, doc: &DocRef, text: &str) -> bool {
        self.journal.iter().any(|e| {
            e.doc == *doc
                && (e.conflict.lost.to_string().contains(text)
                    || serde_json::to_string(&e.conflict.bring_back)
                        .is_ok_and(|t| t.contains(text)))
        })
    }
}

impl World {
    /// Checks the invariants at quiescence.
    pub(crate) async fn check(self: &Arc<Self>) {
        let evidence = self.evidence().await;
        for device in self.device_list() {
            the_file_is_whole(&device).await;
        }
        self.everyone_agrees(&evidence).await;
        self.nobody_holds_what_is_hidden(&evidence).await;
        self.another_sync_writes_nothing().await;
        if self.profile == Profile::Consoles {
            // What a console erases can't be told from what was never there; agreement is what is left to ask for.
            return;
        }
        let oracle = self.oracle.lock().expect("no panic while held");
        rev_rises_by_one(self);
        if self.profile != Profile::Erasers {
            edits_land_in_order(self);
        }
        nothing_is_doubtful(self.profile, &evidence);
        only_a_restore_undoes_a_delete(&oracle, self);
        entries_are_whole(self);
        increments_add_up(&oracle, &evidence);
        nothing_vanishes(&oracle, &evidence, self);
    }

    async fn evidence(&self) -> Evidence {
        let mut journal = self
            .oracle
            .lock()
            .expect("no panic while held")
            .journal
            .clone();
        for device in self.device_list() {
            journal.extend(
                device
                    .store()
                    .conflicts(true)
                    .await
                    .expect("the journal reads"),
            );
        }
        let server = self.documents_there().into_iter().map(|(doc, document)| {
            let version = moonforge_model::Version::decode(document.fields, document.update_time)
                .expect("our own documents decode");
            (doc, moonforge_model::fold(Some(&version), []))
        });
        Evidence {
            server: server.collect(),
            journal,
        }
    }
}

/// Invariant 5: among our own clients the rev rises by exactly 1 a write.
fn rev_rises_by_one(world: &World) {
    let mut revs: BTreeMap<DocRef, i64> = BTreeMap::new();
    for applied in world.server.history() {
        let Some(rev) = applied
            .fields
            .as_ref()
            .and_then(|f| f.get("rev"))
            .and_then(Value::as_i64)
        else {
            continue;
        };
        let before = revs.insert(applied.doc.clone(), rev);
        assert_eq!(
            rev,
            match (before, &applied.uid) {
                (Some(before), Some(_)) => before + 1,
                // A console leaves it as it is.
                (Some(before), None) => before,
                (None, _) => 0,
            },
            "{}: the rev jumped",
            applied.doc
        );
    }
}

/// Invariant 4: of each copy the edits of a document land in the order in which they were made, none again.
fn edits_land_in_order(world: &World) {
    let mut newest: BTreeMap<(DocRef, String), u64> = BTreeMap::new();
    for applied in world.server.history() {
        let writers = applied.fields.as_ref().and_then(|f| f.get("writers"));
        let accounts = writers.and_then(Value::as_object).into_iter().flatten();
        let copies = accounts.filter_map(|(_, copies)| copies.as_object());
        for (copy, entry) in copies.flatten() {
            let n = entry["n"].as_u64().expect("a number");
            let before = newest.insert((applied.doc.clone(), copy.clone()), n);
            assert!(
                before.is_none_or(|before| before <= n),
                "{}: edit {n} of {copy} landed after {before:?}",
                applied.doc
            );
        }
    }
}

/// Nobody ever makes half a combatant, so no merge may.
fn entries_are_whole(world: &World) {
    for applied in world.server.history() {
        let combatants = applied.fields.as_ref().and_then(|f| f.get("combatants"));
        for (key, entry) in combatants.and_then(Value::as_object).into_iter().flatten() {
            let whole = ["name", "currentHp", "maxHp"]
                .iter()
                .all(|field| entry.get(field).is_some());
            assert!(whole, "{}: half of {key}: {entry}", applied.doc);
        }
    }
}

/// Invariant 9: a deleted document comes back only by an explicit restore of that very delete.
fn only_a_restore_undoes_a_delete(oracle: &Oracle, world: &World) {
    let restored: BTreeSet<&str> = oracle
        .edits
        .iter()
        .filter_map(|e| match &e.edit {
            Edit::Restore(delete_id) => Some(delete_id.as_str()),
            _ => None,
        })
        .collect();
    let mut tombstones: BTreeMap<DocRef, String> = BTreeMap::new();
    for applied in world.server.history() {
        let Some(fields) = &applied.fields else {
            continue;
        };
        match fields.get("deleteId").and_then(Value::as_str) {
            Some(id) => drop(tombstones.insert(applied.doc.clone(), id.to_owned())),
            None => {
                if let Some(id) = tombstones.remove(&applied.doc) {
                    assert!(
                        restored.contains(id.as_str()),
                        "{}: came back, and nobody restored it",
                        applied.doc
                    );
                }
            }
        }
    }
}

/// Among our own clients it is always known whether an edit was applied; only files copied behind our back leave doubt.
fn nothing_is_doubtful(profile: Profile, evidence: &Evidence) {
    let doubtful = evidence
        .journal
        .iter()
        .find(|e| e.conflict.reason == ConflictReason::MayHaveBeenApplied);
    assert!(
        doubtful.is_none()
            || matches!(
                profile,
                Profile::Copies | Profile::PutBack | Profile::Erasers
            ),
        "nobody knows of {doubtful:?}"
    );
}

/// Invariant 6, at its sharpest: the sum of all increments that weren't journaled is there, none twice.
fn increments_add_up(oracle: &Oracle, evidence: &Evidence) {
    let mut sums: BTreeMap<(DocRef, FieldPath), (i64, Vec<i64>)> = BTreeMap::new();
    for edit in &oracle.edits {
        if let Edit::Increment { path, by } = &edit.edit {
            let sum = sums.entry((edit.doc.clone(), path.clone())).or_default();
            if edit.certain {
                sum.0 += by;
            } else {
                sum.1.push(*by);
            }
        }
    }
    for entry in &evidence.journal {
        for op in &entry.conflict.bring_back {
            if let PatchOp::Increment { path, by } = op {
                let by = by.as_i64().unwrap_or(0);
                let Some(sum) = sums.get_mut(&(entry.doc.clone(), path.clone())) else {
                    continue;
                };
                sum.0 -= by;
                if entry.conflict.reason == ConflictReason::MayHaveBeenApplied {
                    sum.1.push(by);
                }
            }
        }
    }
    for ((doc, path), (certain, doubtful)) in sums {
        let Some(document) = evidence.server.get(&doc) else {
            continue;
        };
        let there = value_at(&document.fields, &path)
            .and_then(Value::as_i64)
            .unwrap_or(0);
        let mut possible = BTreeSet::from([certain]);
        for by in doubtful {
            possible.extend(possible.clone().into_iter().map(|sum| sum + by));
        }
        assert!(
            possible.contains(&there),
            "{doc} {path}: {there}, not one of {possible:?}"
        );
    }
}

/// Invariants 1 and 8: what was acknowledged is in the document, was there and was replaced by somebody who knew it, or
/// stands in a journal.
fn nothing_vanishes(oracle: &Oracle, evidence: &Evidence, world: &World) {
    let history = world.server.history();
    let was_there = |doc: &DocRef, path: &FieldPath, text: &str| {
        history.iter().filter(|a| a.doc == *doc).any(|a| {
            a.fields
                .as_ref()
                .and_then(|f| value_at(f, path))
                .is_some_and(|v| v.to_string().contains(text))
        })
    };
    for (at, recorded) in oracle.edits.iter().enumerate().filter(|(_, r)| r.certain) {
        let Recorded {
            device, doc, edit, ..
        } = recorded;
        let Some(document) = evidence.server.get(doc) else {
            panic!("{doc}: written on {device}, and not at the server");
        };
        let there = |path: &FieldPath, text: &str| {
            value_at(&document.fields, path).is_some_and(|v| v.to_string().contains(text))
        };
        match edit {
            Edit::Union { path, value } => {
                assert!(
                    there(path, value) || evidence.told(doc, value),
                    "{doc} {path}: {value} of {device} is gone"
                );
            }
            Edit::Line { path, line } => {
                assert!(
                    there(path, line) || evidence.told(doc, line),
                    "{doc} {path}: the line {line} of {device} is gone"
                );
            }
            Edit::Set { path, value, .. } => {
                // The same person may have written over it before it left.
                let mut later = oracle.edits[at + 1..].iter().filter(|e| e.doc == *doc);
                let replaced = later.any(|later| match &later.edit {
                    Edit::Set { path: p, seen, .. } => {
                        p == path && seen.as_ref().and_then(Value::as_str) == Some(value)
                    }
                    Edit::Remove { entry, .. } => entry.covers(path),
                    _ => false,
                });
                assert!(
                    there(path, value)
                        || replaced
                        || was_there(doc, path, value)
                        || evidence.told(doc, value),
                    "{doc} {path}: {value} of {device} is gone"
                );
            }
            Edit::Create
            | Edit::Increment { .. }
            | Edit::Inside
            | Edit::Remove { .. }
            | Edit::Delete
            | Edit::Restore(_) => {}
        }
    }
    no_silent_overwrite(oracle, evidence, world);
    // A file that was put back conflicts with its own past; so does whoever writes again over an edit of which an eraser left
    // no trace, before he is told.
    if !matches!(world.profile, Profile::PutBack | Profile::Erasers) {
        nobody_conflicts_with_himself(oracle, evidence, world);
    }
}
