//! A campaign as a tree, and a file as lines.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures_util::stream::{self, Stream, StreamExt as _};
use moonforge_model::{Collection, DocId, DocRef, FieldPath, Fields, RESERVED_FIELDS};
use serde_json::Value;

use crate::error::StoreError;
use crate::open::Store;
use crate::query::{Comparison, Direction, QuerySpec, Where};
use crate::read::StoredDoc;

/// How many documents an export reads at a time.
const EXPORT_PAGE: u32 = 200;

/// A document and what hangs below it, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// The document.
    pub doc: StoredDoc,
    /// What names it as its parent, by `order`, then id.
    pub children: Vec<Branch>,
}

impl Branch {
    /// How many documents hang below this one, at any depth.
    pub fn descendants(&self) -> usize {
        self.children.iter().map(|c| 1 + c.descendants()).sum()
    }
}

/// A campaign with all that is visible in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The campaign; a tombstone has nothing below it.
    pub campaign: StoredDoc,
    /// Documents without a parent of their own: adventures, with chapters and scenes below.
    pub adventures: Vec<Branch>,
    /// Chapters and scenes that name no parent, or one that isn't here, with what hangs below them.
    pub orphans: Vec<Branch>,
    /// How many documents each collection has in this campaign, flat ones (entities, sessions, …) included.
    pub counts: BTreeMap<Collection, u64>,
}

impl Store {
    /// A campaign with all that is visible in it.
    pub async fn tree(&self, campaign: &DocId) -> Result<Tree, StoreError> {
        let doc = DocRef::new(Collection::new("campaigns")?, campaign.clone());
        let found = self.get(&doc).await?;
        let found = found.ok_or_else(|| StoreError::NotFound(doc))?;
        let mut tree = Tree {
            campaign: found,
            adventures: Vec::new(),
            orphans: Vec::new(),
            counts: BTreeMap::new(),
        };
        let has_children: HashSet<&Collection> = self
            .registry()
            .iter()
            .filter_map(|c| Some(&c.parent.as_ref()?.collection))
            .collect();
        let mut all = Vec::new();
        for config in self.registry().iter().filter(|c| c.in_campaign) {
            let page = self.list(&in_campaign(&config.name, campaign)).await?;
            tree.counts
                .insert(config.name.clone(), page.items.len() as u64);
            if config.parent.is_some() || has_children.contains(&config.name) {
                all.extend(page.items);
            }
        }
        let present: HashSet<DocRef> = all.iter().map(|d| d.doc.clone()).collect();
        let mut below: HashMap<DocRef, Vec<StoredDoc>> = HashMap::new();
        let (mut roots, mut orphans) = (Vec::new(), Vec::new());
        for doc in all {
            match self.parent_of(&doc) {
                Parentage::Root => roots.push(doc),
                Parentage::Below(parent) if present.contains(&parent) => {
                    below.entry(parent).or_default().push(doc);
                }
                Parentage::Below(_) | Parentage::Orphan => orphans.push(doc),
            }
        }
        tree.adventures = roots.into_iter().map(|d| branch(d, &mut below)).collect();
        tree.orphans = orphans.into_iter().map(|d| branch(d, &mut below)).collect();
        Ok(tree)
    }

    fn parent_of(&self, doc: &StoredDoc) -> Parentage {
        let config = self.registry().get(doc.doc.collection.as_str());
        let Some(parent) = config.and_then(|c| c.parent.as_ref()) else {
            return Parentage::Root;
        };
        let id = doc.fields.get(&parent.field).and_then(Value::as_str);
        match id.and_then(|id| DocId::new(id).ok()) {
            Some(id) => Parentage::Below(DocRef::new(parent.collection.clone(), id)),
            None => Parentage::Orphan,
        }
    }

    /// Visible documents for a file of JSON Lines: `collection`, `id` and the model's fields, without those of the sync
    /// protocol; a field `collection` of the document's own goes by `$collection` (and `$collection` by `$$collection`, …).
    /// Collections come in the order of their registration, documents by id; pages are read as they are asked for.
    pub fn export(
        &self,
        collection: Option<&Collection>,
    ) -> Result<impl Stream<Item = Result<Value, StoreError>> + Send + use<>, StoreError> {
        if let Some(name) = collection {
            self.table(name)?;
        }
        let mut specs: Vec<QuerySpec> = self
            .registry()
            .iter()
            .filter(|c| collection.is_none_or(|name| *name == c.name))
            .map(|c| QuerySpec {
                limit: Some(EXPORT_PAGE),
                ..QuerySpec::all(c.name.clone())
            })
            .collect();
        specs.reverse();
        let start = (self.clone(), specs);
        let pages = stream::try_unfold(start, async |(store, mut specs)| {
            let Some(mut spec) = specs.pop() else {
                return Ok::<_, StoreError>(None);
            };
            let page = store.list(&spec).await?;
            if page.next.is_some() {
                spec.after = page.next;
                specs.push(spec);
            }
            Ok(Some((page.items, (store, specs))))
        });
        Ok(pages.flat_map(|page| {
            stream::iter(match page {
                Ok(items) => items.into_iter().map(|doc| Ok(line(doc))).collect(),
                Err(error) => vec![Err(error)],
            })
        }))
    }
}

enum Parentage {
    Root,
    Below(DocRef),
    Orphan,
}

fn branch(doc: StoredDoc, below: &mut HashMap<DocRef, Vec<StoredDoc>>) -> Branch {
    // Taken out, so that a ring of parents ends.
    let children = below.remove(&doc.doc).unwrap_or_default();
    Branch {
        children: children.into_iter().map(|c| branch(c, below)).collect(),
        doc,
    }
}

fn in_campaign(collection: &Collection, campaign: &DocId) -> QuerySpec {
    QuerySpec {
        filters: vec![Where {
            path: FieldPath::field("campaignId"),
            op: Comparison::Eq,
            value: campaign.as_str().into(),
        }],
        order: vec![(FieldPath::field("order"), Direction::Asc)],
        ..QuerySpec::all(collection.clone())
    }
}

fn line(doc: StoredDoc) -> Value {
    let mut line = Fields::new();
    line.insert("collection".into(), doc.doc.collection.as_str().into());
    line.insert("id".into(), doc.doc.id.as_str().into());
    line.extend(
        doc.fields
            .into_iter()
            .filter(|(name, _)| !RESERVED_FIELDS.contains(&name.as_str()))
            .map(|(name, value)| (name_in_line(name), value)),
    );
    Value::Object(line)
}

/// A line's `collection` is the document's place, so a field of that name goes by `$collection`, and one that is called so
/// by `$$collection`.
fn name_in_line(name: String) -> String {
    match name.trim_start_matches('$') {
        "collection" => format!("${name}"),
        _ => name,
    }
}
