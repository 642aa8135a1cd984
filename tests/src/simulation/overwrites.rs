//! Who may replace whose value.

use std::collections::BTreeMap;

use moonforge_model::{ConflictReason, DocRef, FieldPath, value_at};
use moonforge_testkit::simulated::Applied;
use serde_json::Value;

use super::oracle::{Edit, Evidence, Oracle};
use super::world::World;

/// What one person writes twice on one device is no conflict, but for what he wrote without seeing what was there. (Each value
/// begins with its device's name.)
pub(super) fn nobody_conflicts_with_himself(oracle: &Oracle, evidence: &Evidence, world: &World) {
    let history = world.server.history();
    for entry in evidence
        .journal
        .iter()
        .filter(|e| e.conflict.reason == ConflictReason::Overwritten)
    {
        let (kept, lost) = (&entry.conflict.kept, &entry.conflict.lost);
        let author = |value: &Value| {
            let (device, _) = value.as_str()?.split_once('-')?;
            Some(device.to_owned())
        };
        let blind = kept.as_str().is_some_and(|v| oracle.blind.contains(v));
        let is_text = lost.as_str().is_some_and(|t| t.contains('\n'));
        if author(kept).is_none() || author(kept) != author(lost) || blind || is_text {
            continue;
        }
        let path: FieldPath = entry.conflict.field.parse().expect("a path");
        assert!(
            [kept, lost].map(|v| was_brought_back(&history, &entry.doc, &path, v)) != [false; 2],
            "{} {}: {lost} conflicts with {kept} of the same device",
            entry.doc,
            entry.conflict.field,
        );
    }
}

/// Whether a value was gone and came back: somebody changed something beside it, who hadn't seen yet that it went.
fn was_brought_back(history: &[Applied], doc: &DocRef, path: &FieldPath, value: &Value) -> bool {
    let versions = history.iter().filter(|a| a.doc == *doc);
    let is_there = versions.filter_map(|a| Some(value_at(a.fields.as_ref()?, path) == Some(value)));
    let mut changes: Vec<bool> = is_there.skip_while(|there| !there).collect();
    changes.dedup();
    changes.len() > 2
}

/// Invariant 8 again, from the server's side: whoever replaced a value had seen it, or has a journal entry of it.
pub(super) fn no_silent_overwrite(oracle: &Oracle, evidence: &Evidence, world: &World) {
    let mut written: BTreeMap<(&DocRef, &FieldPath, &str), Option<&Value>> = BTreeMap::new();
    for recorded in &oracle.edits {
        if let Edit::Set { path, value, seen } = &recorded.edit {
            written.insert((&recorded.doc, path, value), seen.as_ref());
        }
    }
    let mut now: BTreeMap<(DocRef, FieldPath), Value> = BTreeMap::new();
    for applied in world.server.history() {
        let Some(fields) = &applied.fields else {
            continue;
        };
        for (doc, path, value) in written.keys() {
            if **doc != applied.doc {
                continue;
            }
            let there = value_at(fields, path);
            if there.is_none() {
                now.remove(&((*doc).clone(), (*path).clone()));
            }
            let Some(new) = there.filter(|v| v.as_str() == Some(*value)) else {
                continue;
            };
            let before = now.insert(((*doc).clone(), (*path).clone()), new.clone());
            let Some(before) = before.filter(|b| b != new) else {
                continue;
            };
            // Follow what the author saw back through what he wrote himself; or it was removed, and came anew: then what
            // was removed was seen.
            let removed: Vec<&Value> = oracle
                .edits
                .iter()
                .filter(|edit| edit.doc == **doc)
                .filter_map(|edit| match &edit.edit {
                    Edit::Remove { entry, seen } if entry.covers(path) => seen.as_ref(),
                    _ => None,
                })
                .collect();
            let mut knew = removed.contains(&&before);
            let mut known: Vec<&str> = vec![value];
            known.extend(removed.iter().filter_map(|seen| seen.as_str()));
            let mut next = 0;
            while let Some(text) = known.get(next).copied() {
                next += 1;
                let seen = written.get(&(*doc, *path, text)).copied().flatten();
                // What a form was saved over is in the journal; its author had written it, or seen it come.
                let told = evidence.journal.iter().filter_map(|entry| {
                    let here = entry.doc == **doc && entry.conflict.kept.as_str() == Some(text);
                    here.then_some(&entry.conflict.lost)
                });
                for value in seen.into_iter().chain(told) {
                    knew |= *value == before;
                    known.extend(value.as_str().filter(|text| !known.contains(text)));
                }
            }
            let text = before.as_str().unwrap_or_default();
            assert!(
                knew || evidence.told(doc, text),
                "{doc} {path}: {text} was silently replaced by {value}"
            );
        }
    }
}
