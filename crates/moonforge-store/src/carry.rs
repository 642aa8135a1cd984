//! What the first app had queued, brought to this version's form at the file's first opening.
//!
//! It queued its model's JSON as it stood in memory: nulls, the protocol's own fields, Dart's dates. What can be carried is;
//! a value that doesn't fit the model goes to the conflict journal, and the rest of its operation on its way. An operation
//! that can't be read at all was in the campaign's row too, which is queued in its place; where there is no such row it
//! stays as it is, parked.

use moonforge_model::{
    CollectionConfig, Conflict, ConflictContext, ConflictReason, DocRef, FieldKind, FieldPath,
    Fields, LostSide, ParkReason, PatchOp, RESERVED_FIELDS, RowOp, TIMESTAMP_FIELDS, Timestamp,
    apply, check_patch, validate, value_at, without_reserved,
};
use serde_json::{Value, json};

use crate::error::StoreError;
use crate::tx::WriteTx;

/// How many operations are read at a time.
const SLICE: i64 = 200;

/// An operation of the first app, as the migration left it.
#[derive(sqlx::FromRow)]
struct Queued {
    n: i64,
    collection: String,
    doc_id: String,
    operation: String,
    payload: String,
}

impl WriteTx {
    /// Brings what version 1 had queued to this version's form, and lays it over its documents, which didn't always have it.
    pub(crate) async fn take_in_version_1(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let slice: Vec<Queued> = sqlx::query_as(
                "SELECT n, collection, doc_id, operation, payload FROM outbox_ops WHERE n > ?1 ORDER BY n LIMIT ?2",
            )
            .bind(after)
            .bind(SLICE)
            .fetch_all(self.conn())
            .await?;
            let Some(last) = slice.last() else { break };
            after = last.n;
            for queued in &slice {
                self.take_in(queued, now).await?;
            }
        }
        let docs: Vec<(String, String)> =
            sqlx::query_as("SELECT DISTINCT collection, doc_id FROM outbox_ops")
                .fetch_all(self.conn())
                .await?;
        for (collection, id) in docs {
            if let Ok(doc) = DocRef::parse(&collection, &id) {
                self.lay_over(&doc).await?;
            }
        }
        Ok(())
    }

    async fn take_in(&mut self, queued: &Queued, now: Timestamp) -> Result<(), StoreError> {
        let Ok(doc) = DocRef::parse(&queued.collection, &queued.doc_id) else {
            return self.set_apart(queued).await;
        };
        // What nothing here knows waits as it is.
        let Ok(config) = self.config(&doc.collection) else {
            return Ok(());
        };
        let raw = self.raw(&doc).await?;
        let shown: Option<Fields> = raw.and_then(|raw| serde_json::from_str(&raw.body).ok());
        let mut fit = Fit::new(&config, shown.as_ref());
        let op = match serde_json::from_str(&queued.payload) {
            Ok(payload) => fit.operation(payload),
            Err(_) => None,
        };
        let op = match (op, &shown) {
            (Some(op), _) => op,
            (None, Some(shown)) => {
                let text = Value::from(queued.payload.as_str());
                fit.lost.push((queued.operation.clone(), text));
                RowOp::Create {
                    fields: shown.clone(),
                }
            }
            (None, None) => return Ok(()),
        };
        let lost = fit.lost;
        sqlx::query(
            "UPDATE outbox_ops SET operation = ?2, payload = ?3, state = 'pending', reason = NULL, error = NULL
             WHERE n = ?1",
        )
        .bind(queued.n)
        .bind(op.name())
        .bind(serde_json::to_string(&op).map_err(StoreError::corrupt)?)
        .execute(self.conn())
        .await?;
        for (field, lost) in lost {
            let path = field.parse::<FieldPath>().ok();
            let kept = path.and_then(|path| value_at(shown.as_ref()?, &path));
            let entry = Conflict {
                kept: kept.cloned().unwrap_or_default(),
                field,
                lost,
                lost_side: LostSide::Local,
                reason: ConflictReason::TypeChanged,
                bring_back: Vec::new(),
                context: ConflictContext::default(),
            };
            self.journal(&doc, &entry, now).await?;
        }
        Ok(())
    }

    /// An operation for what can be no document: there is none to keep metadata for.
    async fn set_apart(&mut self, queued: &Queued) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM local_metas WHERE collection = ?1 AND doc_id = ?2")
            .bind(&queued.collection)
            .bind(&queued.doc_id)
            .execute(self.conn())
            .await?;
        sqlx::query("UPDATE outbox_ops SET state = 'parked', reason = ?2 WHERE n = ?1")
            .bind(queued.n)
            .bind(ParkReason::Invalid.code())
            .execute(self.conn())
            .await?;
        Ok(())
    }

    async fn lay_over(&mut self, doc: &DocRef) -> Result<(), StoreError> {
        let mut state = match self.load(doc).await {
            Ok(state) => state,
            // It stays as it is, for `doctor` to name.
            Err(StoreError::Corrupt(_) | StoreError::UnknownCollection(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        self.save(&mut state).await?;
        let (Some(view), Ok(config)) = (state.view(), self.config(&doc.collection)) else {
            return Ok(());
        };
        match validate(&config, &view.fields) {
            Err(why) if view.deleted.is_none() => {
                self.park(doc, ParkReason::Invalid, &why.to_string())
                    .await?;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Brings an operation of the first app to the form that the model has.
struct Fit {
    /// What single fields are checked against: nothing is required of them together.
    config: CollectionConfig,
    has_creation_time: bool,
    /// What can't be carried, by where it was for.
    lost: Vec<(String, Value)>,
}

impl Fit {
    fn new(config: &CollectionConfig, shown: Option<&Fields>) -> Self {
        let mut config = config.clone();
        config.in_campaign = false;
        for field in &mut config.fields {
            field.required = false;
        }
        Self {
            config,
            has_creation_time: shown.is_some_and(|s| s.contains_key("createdAt")),
            lost: Vec::new(),
        }
    }

    /// `None` where it is none that version 1 or this one knows.
    fn operation(&mut self, payload: Value) -> Option<RowOp> {
        let Value::Object(mut payload) = payload else {
            return None;
        };
        match (payload.remove("kind")?.as_str()?, payload) {
            ("create", mut payload) => match payload.remove("fields")? {
                Value::Object(fields) => Some(RowOp::Create {
                    fields: self.fields(fields),
                }),
                _ => None,
            },
            ("patch", mut payload) => match payload.remove("ops")? {
                Value::Array(ops) => Some(RowOp::Patch { ops: self.ops(ops) }),
                _ => None,
            },
            ("delete", payload) => Some(RowOp::Delete {
                delete_id: payload.get("deleteId")?.as_str()?.to_owned(),
            }),
            _ => None,
        }
    }

    /// A whole document: nothing in it unsets anything.
    fn fields(&mut self, fields: Fields) -> Fields {
        let mut carried = Fields::new();
        for (name, value) in without_reserved(fields) {
            let Some(value) = without_nulls(value).and_then(|v| self.time(&name, v)) else {
                continue;
            };
            let alone = Fields::from_iter([(name.clone(), value.clone())]);
            if validate(&self.config, &alone).is_ok() {
                carried.insert(name, value);
            } else {
                let path = FieldPath::field(&name).to_string();
                self.lost.push((path, value));
            }
        }
        carried
    }

    fn ops(&mut self, ops: Vec<Value>) -> Vec<PatchOp> {
        let mut carried: Vec<PatchOp> = Vec::new();
        for given in ops {
            let path = given["path"].as_str().unwrap_or_default().to_owned();
            let parsed = path.parse::<FieldPath>();
            if parsed.is_ok_and(|p| RESERVED_FIELDS.contains(&p.root()) || p.root() == "id") {
                continue;
            }
            let Ok(op) = serde_json::from_value(given.clone()) else {
                self.lost.push((path, given));
                continue;
            };
            let Some(op) = self.op_time(op) else { continue };
            let mut alone = Fields::new();
            let fits = apply(&mut alone, &op).is_ok() && validate(&self.config, &alone).is_ok();
            let before = carried.clone();
            if op.replaces() {
                carried.retain(|earlier| !op.path().covers(earlier.path()));
            }
            carried.push(op);
            if !fits || check_patch(&carried).is_err() {
                carried = before;
                self.lost.push((path, given));
            }
        }
        carried
    }

    fn op_time(&self, op: PatchOp) -> Option<PatchOp> {
        match op {
            PatchOp::Set { path, value } if path.segments().len() == 1 => {
                let value = self.time(path.root(), value)?;
                Some(PatchOp::Set { path, value })
            }
            op => Some(op),
        }
    }

    /// A time in the one form that it has here; other values as they are. `None` where something better is known.
    fn time(&self, name: &str, value: Value) -> Option<Value> {
        if self.config.kind_of(name) != FieldKind::Timestamp && !TIMESTAMP_FIELDS.contains(&name) {
            return Some(value);
        }
        let time = match &value {
            Value::Number(n) => n.as_f64().and_then(since_epoch),
            Value::String(text) => {
                let text = text.replacen(' ', "T", 1);
                let zoned = text.parse().ok();
                if zoned.is_none() && name == "createdAt" && self.has_creation_time {
                    let is_time = format!("{text}Z").parse::<Timestamp>().is_ok();
                    return (!is_time).then_some(value);
                }
                // Without a zone it is the time of some place, which nobody wrote down.
                zoned.or_else(|| format!("{text}Z").parse().ok())
            }
            _ => None,
        };
        Some(time.map_or(value, |time: Timestamp| json!(time)))
    }
}

/// Dart counts milliseconds or microseconds, others seconds; before the year 5000 they can't be taken for each other.
fn since_epoch(count: f64) -> Option<Timestamp> {
    let micros = match count.abs() {
        1e14.. => count,
        1e11.. => count * 1e3,
        _ => count * 1e6,
    };
    // One that has no text form is no time.
    let time = Timestamp::from_micros(micros as i64);
    time.to_string().parse().ok()
}

/// What is null is absent, in maps at every depth.
fn without_nulls(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(map) => Some(
            map.into_iter()
                .filter_map(|(name, value)| Some((name, without_nulls(value)?)))
                .collect(),
        ),
        value => Some(value),
    }
}
