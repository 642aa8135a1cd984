//! The semantics of a Firestore database: commits, reads, and the operator's console.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use moonforge_model::{DocRef, FieldPath, Fields, Timestamp, canonical_fields, set_at, unset_at};
use moonforge_ports::{
    BatchGet, CommitAnswer, Precondition, RemoteDocument, RemoteError, RemoteErrorKind,
    RemoteWrite, WriteResult, check_document,
};
use serde_json::Value;

use super::rules;

/// How much one request may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a commit, beyond which it is answered `RESOURCE_EXHAUSTED`.
    pub request_bytes: usize,
    /// Distinct campaigns that the rules look up for a user's commit or batch of reads, beyond which it is denied.
    pub campaigns: usize,
    /// The same for a query or an aggregation: ten in production, where the emulator takes as many as in a commit.
    pub queried_campaigns: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: 4 << 20,
            campaigns: 20,
            queried_campaigns: 10,
        }
    }
}

/// One change of one document, for oracles.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The document.
    pub doc: DocRef,
    /// The version that the change made; for a hard delete, when it was.
    pub update_time: Timestamp,
    /// Whose request it was; `None` for an administrator or the console.
    pub uid: Option<String>,
    /// What the document held from then on; `None` after a hard delete.
    pub fields: Option<Fields>,
}

/// A Firestore database in memory. All methods say what Firestore was measured to say.
///
/// A `uid` of `None` is an administrator, whom no rules bind.
#[derive(Debug)]
pub struct Database {
    pub(super) documents: BTreeMap<DocRef, RemoteDocument>,
    pub(super) limits: Limits,
    history: Vec<Applied>,
    last: Timestamp,
}

pub(super) fn error(kind: RemoteErrorKind, message: impl Into<String>) -> RemoteError {
    RemoteError::new(kind, message)
}

impl Default for Database {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Database {
    /// An empty database.
    pub fn new(limits: Limits) -> Self {
        Self {
            documents: BTreeMap::new(),
            limits,
            history: Vec::new(),
            last: Timestamp::from_micros(i64::MIN),
        }
    }

    /// Applies all writes or none. `request_time` is when the request arrived, `now` the server's clock at this moment.
    pub fn commit(
        &mut self,
        uid: Option<&str>,
        writes: &[RemoteWrite],
        request_time: Timestamp,
        now: Timestamp,
    ) -> Result<CommitAnswer, RemoteError> {
        let bytes: usize = writes.iter().map(request_bytes).sum();
        if bytes > self.limits.request_bytes {
            return Err(error(
                RemoteErrorKind::ResourceExhausted,
                format!("received message larger than max ({bytes} bytes)"),
            ));
        }
        let mut after = BTreeMap::new();
        for write in writes {
            let fields = self.merged(write, request_time)?;
            if after.insert(write.doc.clone(), fields).is_some() {
                let message = format!("{} is written twice in one commit", write.doc);
                return Err(error(RemoteErrorKind::InvalidArgument, message));
            }
        }
        if let Some(uid) = uid {
            rules::check_commit(self, uid, &after, request_time)?;
        }
        for write in writes {
            let there = self.documents.get(&write.doc).map(|d| d.update_time);
            if let Precondition::UpdateTime(expected) = write.precondition
                && there != Some(expected)
            {
                let message = format!("the stored version {there:?} is not {expected}");
                return Err(error(RemoteErrorKind::FailedPrecondition, message));
            }
            // Firestore looks at a document's size last, and calls one that is too large an invalid argument.
            if let Some(fields) = after.get(&write.doc) {
                check_document(&write.doc, fields)
                    .map_err(|e| error(RemoteErrorKind::InvalidArgument, e.message))?;
            }
        }
        let commit_time = self.tick(now);
        let results = writes
            .iter()
            .filter_map(|write| Some((write, after.remove(&write.doc)?)))
            .map(|(write, fields)| WriteResult {
                update_time: self.store(&write.doc, fields, uid, commit_time),
                server_times: vec![request_time; write.server_time.len()],
            })
            .collect();
        Ok(CommitAnswer {
            results,
            commit_time,
        })
    }

    /// The document that a write makes. Existence is checked here, for Firestore reports it before its rules run.
    fn merged(&self, write: &RemoteWrite, at: Timestamp) -> Result<Fields, RemoteError> {
        if let Some(message) = write.conflicting_paths() {
            return Err(error(RemoteErrorKind::InvalidArgument, message));
        }
        let old = self.documents.get(&write.doc).map(|d| &d.fields);
        match (write.precondition, old) {
            (Precondition::MustNotExist, Some(_)) => {
                let message = format!("Document already exists: {}", write.doc);
                return Err(error(RemoteErrorKind::AlreadyExists, message));
            }
            (Precondition::MustExist, None) => {
                let message = format!("No document to update: {}", write.doc);
                return Err(error(RemoteErrorKind::NotFound, message));
            }
            _ => {}
        }
        Ok(canonical_fields(write.apply(old, at)))
    }

    fn store(
        &mut self,
        doc: &DocRef,
        fields: Fields,
        uid: Option<&str>,
        commit_time: Timestamp,
    ) -> Timestamp {
        if let Some(old) = self.documents.get(doc)
            && old.fields == fields
        {
            return old.update_time;
        }
        self.history.push(Applied {
            doc: doc.clone(),
            update_time: commit_time,
            uid: uid.map(str::to_owned),
            fields: Some(fields.clone()),
        });
        let stored = RemoteDocument {
            doc: doc.clone(),
            fields,
            update_time: commit_time,
        };
        self.documents.insert(doc.clone(), stored);
        commit_time
    }

    /// A time later than every version and every answer so far.
    fn tick(&mut self, now: Timestamp) -> Timestamp {
        self.last = now.max(self.last.saturating_add(Duration::from_micros(1)));
        self.last
    }

    /// A time by which everything so far is visible, and below every version to come.
    pub(super) fn read_time(&mut self, now: Timestamp) -> Timestamp {
        self.last = self.last.max(now);
        self.last
    }

    /// Reads documents by name; one that `uid` may not read denies all.
    pub fn get(
        &mut self,
        uid: Option<&str>,
        docs: &[DocRef],
        now: Timestamp,
    ) -> Result<BatchGet, RemoteError> {
        if let Some(uid) = uid {
            rules::check_get(self, uid, docs)?;
        }
        let mut answer = BatchGet {
            found: Vec::new(),
            missing: Vec::new(),
            read_time: self.read_time(now),
        };
        for doc in docs.iter().collect::<BTreeSet<_>>() {
            match self.documents.get(doc) {
                Some(found) => answer.found.push(found.clone()),
                None => answer.missing.push(doc.clone()),
            }
        }
        Ok(answer)
    }

    /// Writes a document whole, as an operator does who knows nothing of revisions.
    pub fn console_set(&mut self, doc: &DocRef, fields: Fields, now: Timestamp) -> Timestamp {
        let at = self.tick(now);
        self.store(doc, canonical_fields(fields), None, at)
    }

    /// Sets (`Some`) and deletes (`None`) single fields. A document that isn't there is made.
    pub fn console_patch(
        &mut self,
        doc: &DocRef,
        changes: &[(FieldPath, Option<Value>)],
        now: Timestamp,
    ) -> Timestamp {
        let mut fields = self
            .documents
            .get(doc)
            .map_or_else(Fields::new, |d| d.fields.clone());
        for (path, value) in changes {
            match value {
                Some(value) => set_at(&mut fields, path, value.clone()),
                None => drop(unset_at(&mut fields, path)),
            }
        }
        self.console_set(doc, fields, now)
    }

    /// Deletes a document for good; whether it was there.
    pub fn console_delete(&mut self, doc: &DocRef, now: Timestamp) -> bool {
        let was_there = self.documents.remove(doc).is_some();
        if was_there {
            let update_time = self.tick(now);
            self.history.push(Applied {
                doc: doc.clone(),
                update_time,
                uid: None,
                fields: None,
            });
        }
        was_there
    }

    /// All documents, by name.
    pub fn documents(&self) -> &BTreeMap<DocRef, RemoteDocument> {
        &self.documents
    }

    /// Every change so far, in order.
    pub fn history(&self) -> &[Applied] {
        &self.history
    }
}

fn request_bytes(write: &RemoteWrite) -> usize {
    let mask = write
        .mask
        .iter()
        .flatten()
        .map(|path| path.to_string().len() + 4)
        .sum::<usize>();
    moonforge_ports::document_size(&write.doc, &write.fields) + mask
}
