//! Building a write: all rows of one document folded over its base, under a precondition on that base.

use std::collections::BTreeMap;

use moonforge_model::mutant::{Mutant, planted};
use moonforge_model::{
    CollectionConfig, Envelope, FieldPath, Fields, Folded, Guard, Row, TOMBSTONE_RETENTION,
    Timestamp, Version, WriterMark, Writers, canonical_fields, set_at, time_value, value_at,
};
use moonforge_ports::{MAX_DOCUMENT_BYTES, Precondition, RemoteWrite, WriteResult, document_size};
use moonforge_store::{Base, DocState};
use serde_json::{Value, json};

/// A write that is ready to leave.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    /// What is sent.
    pub(crate) write: RemoteWrite,
    /// The version that it makes, but for its times.
    version: Version,
    /// All rows in it.
    pub(crate) rows: Vec<u64>,
    /// Those of them that no earlier request carried.
    pub(crate) fresh: Vec<u64>,
    /// Roughly how many bytes it has on the wire.
    pub(crate) bytes: usize,
}

impl Planned {
    /// Whether the document would be larger than Firestore allows, of which the write may send only a part.
    pub(crate) fn is_too_large(&self) -> bool {
        let Envelope {
            edited, writers, ..
        } = &self.version.envelope;
        let edited: usize = edited.keys().map(|path| path.len() + 9).sum();
        let marks = writers.values().flatten();
        let marks: usize = marks
            .map(|(copy, mark)| copy.len() + mark.op.len() + 20)
            .sum();
        let fields = document_size(&self.write.doc, &self.version.fields);
        fields + edited + marks > MAX_DOCUMENT_BYTES
    }

    /// The version that the remote now holds, known from its answer without a read.
    pub(crate) fn outcome(mut self, result: &WriteResult) -> Version {
        self.version.fields = canonical_fields(self.version.fields);
        self.version.envelope.update_time = result.update_time;
        self.version.envelope.updated_at = result.server_times.first().copied();
        self.version
    }
}

/// Builds the write of a document with rows, or `None` where its base has to be read first.
///
/// `uid` is the account; `writer` the key under `writers` (the account, or a fixed word where there are none); `now` the
/// remote's time, as far as it is known.
pub(crate) fn plan(
    config: &CollectionConfig,
    state: &DocState,
    uid: Option<&str>,
    writer: &str,
    now: Timestamp,
) -> Option<Planned> {
    let base = match &state.base {
        Base::Absent { .. } => None,
        Base::Known(version) => Some(version),
        Base::Unknown { .. } => return None,
    };
    let rows: Vec<&Row> = state
        .edits()
        .filter(|r| !planted(Mutant::ParkedSettledByLater) || r.parked.is_none())
        .collect();
    let mut folded = fold_with_owner(config, base, &rows, uid);
    if planted(Mutant::TombstoneResurrected) && folded.deleted.is_some() && !folded.deletion_touched
    {
        folded.deleted = None;
        folded.deletion_touched = true;
    }
    keep_tombstone(&mut folded, base, now);
    let marks = marks(&rows);
    let rev = match config.guard {
        Guard::Rev => {
            Some(base.map_or(0, |b| b.envelope.rev.map_or(0, |rev| rev.saturating_add(1))))
        }
        Guard::UpdateTime => base.and_then(|b| b.envelope.rev),
    };
    let mut writers: Writers = base.map(|b| b.envelope.writers.clone()).unwrap_or_default();
    writers
        .entry(writer.to_owned())
        .or_default()
        .extend(marks.clone());
    let (fields, mask) = match base {
        None => (whole(&mut folded, rev, &writers), None),
        Some(base) => {
            let (fields, mask) = changed(config, base, &folded, rev, writer, &marks);
            (fields, Some(mask))
        }
    };
    let write = RemoteWrite {
        doc: state.doc.clone(),
        mask,
        server_time: vec![FieldPath::field("updatedAt")],
        precondition: base.map_or(Precondition::MustNotExist, |b| {
            Precondition::UpdateTime(b.envelope.update_time)
        }),
        fields,
    };
    let bytes = serde_json::to_string(&write.fields).map_or(0, |text| text.len()) + 512;
    let envelope = Envelope {
        update_time: Timestamp::EPOCH,
        rev,
        updated_at: None,
        deleted: folded.deleted,
        edited: folded.edited,
        writers,
    };
    Some(Planned {
        write,
        version: Version {
            fields: folded.fields,
            envelope,
        },
        rows: rows.iter().map(|r| r.n).collect(),
        fresh: rows.iter().filter(|r| !r.sent).map(|r| r.n).collect(),
        bytes,
    })
}

/// A campaign is created by its owner, who is a member: stamped from the account where the document doesn't say.
fn fold_with_owner(
    config: &CollectionConfig,
    base: Option<&Version>,
    rows: &[&Row],
    uid: Option<&str>,
) -> Folded {
    let mut folded = moonforge_model::fold(base, rows.iter().copied());
    if let (None, Some(uid), "campaigns") = (base, uid, config.name.as_str()) {
        folded
            .fields
            .entry("ownerUid")
            .or_insert_with(|| uid.into());
        folded
            .fields
            .entry("memberUids")
            .or_insert_with(|| json!([uid]));
    }
    folded
}

/// A delete that waited here for half as long as tombstones are kept, or longer, is kept as long from now on: others
/// haven't seen it yet, and rules let nobody purge at once.
fn keep_tombstone(folded: &mut Folded, base: Option<&Version>, now: Timestamp) {
    if folded.deleted == base.and_then(|b| b.envelope.deleted.clone()) {
        return;
    }
    if let Some(purge_at) = folded.deleted.as_mut().and_then(|d| d.purge_at.as_mut())
        && *purge_at <= now.saturating_add(TOMBSTONE_RETENTION / 2)
    {
        *purge_at = now.saturating_add(TOMBSTONE_RETENTION);
    }
}

/// Per incarnation, the newest of the rows.
fn marks(rows: &[&Row]) -> BTreeMap<String, WriterMark> {
    let mut marks: BTreeMap<String, WriterMark> = BTreeMap::new();
    for row in rows {
        let mark = WriterMark {
            n: row.n,
            op: row.op_id.clone(),
        };
        let newest = marks
            .entry(row.incarnation.clone())
            .or_insert_with(|| mark.clone());
        if row.n > newest.n {
            *newest = mark;
        }
    }
    marks
}

fn mark_value(mark: &WriterMark) -> Value {
    json!({ "n": mark.n, "op": mark.op })
}

/// A creation: everything.
fn whole(folded: &mut Folded, rev: Option<i64>, writers: &Writers) -> Fields {
    let mut fields = folded.fields.clone();
    if let Some(rev) = rev {
        fields.insert("rev".into(), rev.into());
    }
    let edited = folded
        .edited
        .iter()
        .map(|(k, at)| (k.clone(), time_value(*at)));
    fields.insert("edited".into(), Value::Object(edited.collect()));
    let writers = writers.iter().map(|(uid, copies)| {
        let copies = copies.iter().map(|(i, mark)| (i.clone(), mark_value(mark)));
        (uid.clone(), Value::Object(copies.collect()))
    });
    fields.insert("writers".into(), Value::Object(writers.collect()));
    put_deletion(&mut fields, folded);
    fields
}

fn put_deletion(fields: &mut Fields, folded: &Folded) {
    if let Some(deletion) = &folded.deleted {
        fields.insert("deletedAt".into(), deletion.at.to_string().into());
        if let Some(id) = &deletion.delete_id {
            fields.insert("deleteId".into(), id.as_str().into());
        }
        if let Some(at) = deletion.purge_at {
            fields.insert("purgeAt".into(), time_value(at));
        }
    }
}

/// A change: every path that a row touches, also where the value came out equal, and what the protocol keeps of it.
fn changed(
    config: &CollectionConfig,
    base: &Version,
    folded: &Folded,
    rev: Option<i64>,
    writer: &str,
    marks: &BTreeMap<String, WriterMark>,
) -> (Fields, Vec<FieldPath>) {
    let mut fields = Fields::new();
    let mut mask = paths_on_the_wire(base, folded);
    for path in &mask {
        if let Some(value) = value_at(&folded.fields, path) {
            set_at(&mut fields, path, value.clone());
        }
    }
    if let (Guard::Rev, Some(rev)) = (config.guard, rev) {
        fields.insert("rev".into(), rev.into());
        mask.push(FieldPath::field("rev"));
    }
    if folded.deletion_touched {
        put_deletion(&mut fields, folded);
        mask.extend(["deletedAt", "deleteId", "purgeAt"].map(FieldPath::field));
    }
    let edited = FieldPath::field("edited");
    for (key, at) in &folded.edited {
        if base.envelope.edited.get(key) != Some(at) {
            set_at(&mut fields, &edited.child(key), time_value(*at));
            mask.push(edited.child(key));
        }
    }
    let dropped = base
        .envelope
        .edited
        .keys()
        .filter(|key| !folded.edited.contains_key(*key));
    mask.extend(dropped.map(|key| edited.child(key)));
    let own = FieldPath::field("writers").child(writer);
    for (incarnation, mark) in marks {
        set_at(&mut fields, &own.child(incarnation), mark_value(mark));
        mask.push(own.child(incarnation));
    }
    (fields, mask)
}

/// The touched paths, but where what is inside a map doesn't tell all of it on the wire, the map: where a key's name depends
/// on its neighbours, and where the map is new and empty, because what it was begun with went again.
fn paths_on_the_wire(base: &Version, folded: &Folded) -> Vec<FieldPath> {
    let mut mask: Vec<FieldPath> = Vec::with_capacity(folded.touched.len());
    let mut widened: Vec<FieldPath> = Vec::new();
    for path in &folded.touched {
        match map_of_tags(&folded.fields, path).or_else(|| new_map(base, folded, path)) {
            Some(map) => widened.push(map),
            None => mask.push(path.clone()),
        }
    }
    // The widest first: one may hold another.
    widened.sort_by_key(|map| map.segments().len());
    for map in widened {
        if !mask.iter().any(|path| path.covers(&map)) {
            mask.retain(|path| !map.covers(path));
            mask.push(map);
        }
    }
    mask
}

/// The highest map above `path` that holds a key beginning with `$`, and is on the way or right above it: alone in its map
/// such a key may stand for a value that JSON lacks, and has another name on the wire then.
fn map_of_tags(fields: &Fields, path: &FieldPath) -> Option<FieldPath> {
    let tag = |name: &String| name.starts_with('$');
    let above = std::iter::successors(path.parent(), FieldPath::parent);
    let within = above
        .filter(|map| path.segments().get(map.segments().len()).is_some_and(tag))
        .last();
    within.or_else(|| {
        let parent = path.parent()?;
        let members = value_at(fields, &parent)?.as_object()?;
        members.keys().any(tag).then_some(parent)
    })
}

/// The highest map above a `path` that holds nothing, which is here and not in the base: to delete inside it makes no map
/// there.
fn new_map(base: &Version, folded: &Folded, path: &FieldPath) -> Option<FieldPath> {
    if value_at(&folded.fields, path).is_some() {
        return None;
    }
    let is_map = |fields: &Fields, path: &FieldPath| {
        value_at(fields, path).is_some_and(|value| value.is_object())
    };
    std::iter::successors(path.parent(), FieldPath::parent)
        .filter(|map| is_map(&folded.fields, map) && !is_map(&base.fields, map))
        .last()
}
