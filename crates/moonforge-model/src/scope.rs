//! Scopes: the parts of the cloud that a device may hold instead of everything.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::id::DocId;
use crate::path::{FieldPath, check_field_name};
use crate::registry::Registry;
use crate::schema::{CollectionConfig, FieldKind};
use crate::value::Fields;

/// The name of scopes that hold what was opened here.
const ACCESSED: &str = "accessed";
/// The key that names one campaign.
const CAMPAIGN: &str = "campaignId";
const CAMPAIGNS: &str = "campaigns";
const LONGEST_NAME: usize = 100;

/// A part of the cloud: what a device that joined it holds.
///
/// `keys` are equality filters, and all of them hold: `campaignId` (or `id`) names a campaign, with everything in it; a key
/// of campaigns (`ownerUid`, `memberUids`, `ruleset`) all campaigns that match, with everything in them; any other one is a
/// scope key of an app's own collection. Where a key's field is a list, the value is one of its items. A collection that
/// doesn't know one of the keys isn't in the scope. `name` is for people, and selects nothing.
///
/// Written as `NAME:KEY=VALUE,KEY=VALUE`, where a comma or backslash of a value has a backslash before it.
///
/// ```
/// use moonforge_model::SyncScope;
/// let scope: SyncScope = "table:campaignId=keep".parse()?;
/// assert_eq!(scope, SyncScope::new("table", [("campaignId", "keep")])?);
/// assert_eq!(scope.to_string(), "table:campaignId=keep");
/// # Ok::<(), moonforge_model::InvalidScope>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SyncScope {
    name: String,
    keys: BTreeMap<String, String>,
}

/// Why something is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScope {
    /// Not of the form `NAME:KEY=VALUE`.
    #[error("`{0}` is no scope: it has the form NAME:KEY=VALUE, as in campaign:campaignId=ID")]
    Form(String),
    /// Empty, too long, or with a colon or a control character.
    #[error("a scope can't be called `{0}`")]
    Name(String),
    /// A key that can be no field.
    #[error("`{0}` can't be a scope's key")]
    Key(String),
    /// A value that nothing can equal.
    #[error("the scope's key `{0}` has a value that no document can have")]
    Value(String),
    /// A key that is there twice.
    #[error("the scope has the key `{0}` twice")]
    Twice(String),
    /// Without a key, everything would be in it.
    #[error("the scope `{0}` has no key; only `accessed` needs none")]
    NoKey(String),
    /// No collection knows all of its keys.
    #[error("no collection can be narrowed down by {0}")]
    Unknown(String),
    /// The cloud answers one question about one list at a time.
    #[error("the scope `{0}` asks about two lists of the same document")]
    TwoLists(String),
}

/// What must hold of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldMatch {
    /// The field.
    pub path: FieldPath,
    /// What it is, or one of its items.
    pub value: String,
    /// Whether it is a list that has the value as an item.
    pub in_list: bool,
}

/// What a scope asks of the documents of one collection; all of it must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The campaign that they are in, or that they are.
    pub campaign: Option<String>,
    /// What holds of that campaign's own document.
    pub of_campaign: Vec<FieldMatch>,
    /// What holds of the documents themselves.
    pub of_document: Vec<FieldMatch>,
}

impl SyncScope {
    /// The scope of this name and these keys.
    ///
    /// # Errors
    /// A name or key that can't be one, and no key at all.
    pub fn new<K: Into<String>, V: Into<String>>(
        name: impl Into<String>,
        keys: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, InvalidScope> {
        let name = name.into();
        let bad = |c: char| c == ':' || c.is_control();
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains(bad) || name == "*" {
            return Err(InvalidScope::Name(name));
        }
        let mut checked = BTreeMap::new();
        for (key, value) in keys {
            let (key, value) = (key.into(), value.into());
            let key = if key == "id" { CAMPAIGN.into() } else { key };
            if check_field_name(&key).is_err() || key.contains(['=', ',', ':', '.', '`']) {
                return Err(InvalidScope::Key(key));
            }
            let fits = match key.as_str() {
                CAMPAIGN => DocId::new(value.as_str()).is_ok(),
                _ => !value.is_empty() && !value.contains(char::is_control),
            };
            if !fits {
                return Err(InvalidScope::Value(key));
            }
            if checked.insert(key.clone(), value).is_some() {
                return Err(InvalidScope::Twice(key));
            }
        }
        if checked.is_empty() && name != ACCESSED {
            return Err(InvalidScope::NoKey(name));
        }
        Ok(Self {
            name,
            keys: checked,
        })
    }

    /// One campaign, with everything in it.
    pub fn campaign(id: &DocId) -> Self {
        Self {
            name: "campaign".to_owned(),
            keys: BTreeMap::from([(CAMPAIGN.to_owned(), id.to_string())]),
        }
    }

    /// What was opened on this device, and what it links to.
    pub fn accessed() -> Self {
        Self {
            name: ACCESSED.to_owned(),
            keys: BTreeMap::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its keys and their values.
    pub fn keys(&self) -> &BTreeMap<String, String> {
        &self.keys
    }

    /// Whether it holds what was opened here, rather than all that matches.
    pub fn is_accessed(&self) -> bool {
        self.name == ACCESSED
    }

    /// The campaign that it is limited to, if it names one.
    pub fn campaign_id(&self) -> Option<&str> {
        self.keys.get(CAMPAIGN).map(String::as_str)
    }

    /// Whether any collection answers its keys.
    ///
    /// # Errors
    /// [`InvalidScope::Unknown`], [`InvalidScope::TwoLists`].
    pub fn check(&self, registry: &Registry) -> Result<(), InvalidScope> {
        let reaches: Vec<Reach> = registry
            .iter()
            .filter_map(|config| self.reach(registry, config))
            .collect();
        if reaches.is_empty() {
            let keys: Vec<&str> = self.keys.keys().map(String::as_str).collect();
            return Err(InvalidScope::Unknown(keys.join(" and ")));
        }
        let lists = |of: &[FieldMatch]| of.iter().filter(|m| m.in_list).count();
        if reaches
            .iter()
            .any(|r| lists(&r.of_document) > 1 || lists(&r.of_campaign) > 1)
        {
            return Err(InvalidScope::TwoLists(self.to_string()));
        }
        Ok(())
    }

    /// Brings a new document into the scope: what the keys say of its own fields is filled in where it is absent. Says
    /// whether the document is in the scope then, as far as that stands in itself.
    pub fn fill(
        &self,
        registry: &Registry,
        config: &CollectionConfig,
        id: &DocId,
        fields: &mut Fields,
    ) -> bool {
        let Some(reach) = self.reach(registry, config) else {
            return false;
        };
        let is_campaign = config.name.as_str() == CAMPAIGNS;
        let mut wanted = reach.of_document;
        match &reach.campaign {
            Some(campaign) if is_campaign && campaign != id.as_str() => return false,
            Some(campaign) if !is_campaign => {
                wanted.push(FieldMatch::new(config, CAMPAIGN, campaign));
            }
            _ => {}
        }
        if is_campaign {
            wanted.extend(reach.of_campaign);
        }
        wanted.iter().all(
            |FieldMatch {
                 path,
                 value,
                 in_list,
             }| {
                let field = fields.entry(path.root()).or_insert(Value::Null);
                match (field, in_list) {
                    (field @ Value::Null, false) => {
                        *field = value.as_str().into();
                        true
                    }
                    (field @ Value::Null, true) => {
                        *field = Value::Array(vec![value.as_str().into()]);
                        true
                    }
                    (Value::Array(items), true) => items.iter().any(|i| i.as_str() == Some(value)),
                    (field, _) => field.as_str() == Some(value),
                }
            },
        )
    }

    /// What it asks of the documents of a collection; `None` where that isn't in the scope, because it doesn't know one of
    /// the keys.
    ///
    /// The documents of campaigns themselves are in a scope when they match what it asks of campaigns, whatever else it
    /// asks of what is in them: who may see that, and what is deleted above it, stands there.
    pub fn reach(&self, registry: &Registry, config: &CollectionConfig) -> Option<Reach> {
        let is_campaigns = config.name.as_str() == CAMPAIGNS;
        let campaigns = registry.get(CAMPAIGNS);
        let mut reach = Reach::default();
        let mut foreign = false;
        for (key, value) in &self.keys {
            if key == CAMPAIGN && (is_campaigns || config.in_campaign) {
                reach.campaign = Some(value.clone());
            } else if !is_campaigns && config.scope_keys.contains(key) {
                reach.of_document.push(FieldMatch::new(config, key, value));
            } else if let Some(campaigns) = campaigns
                && campaigns.scope_keys.contains(key)
                && (is_campaigns || config.in_campaign)
            {
                reach
                    .of_campaign
                    .push(FieldMatch::new(campaigns, key, value));
            } else if is_campaigns {
                foreign = true;
            } else {
                return None;
            }
        }
        let reached = !foreign
            || registry
                .iter()
                .any(|other| other.in_campaign && self.reach(registry, other).is_some());
        reached.then_some(reach)
    }
}

impl FieldMatch {
    /// That the field `key` of a collection's documents is `value`, or has it as an item where it is a list.
    pub fn new(config: &CollectionConfig, key: &str, value: &str) -> Self {
        Self {
            path: FieldPath::field(key),
            value: value.to_owned(),
            in_list: config.kind_of(key) == FieldKind::StringList,
        }
    }
}

impl fmt::Display for SyncScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (i, (key, value)) in self.keys.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace(',', "\\,");
            write!(f, "{}{key}={value}", if i == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}

impl FromStr for SyncScope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        let form = || InvalidScope::Form(text.to_owned());
        if text == ACCESSED {
            return Ok(Self::accessed());
        }
        let (name, keys) = text.split_once(':').ok_or_else(form)?;
        let mut pairs = Vec::new();
        for pair in split_unescaped(keys) {
            let (key, value) = pair.split_once('=').ok_or_else(form)?;
            pairs.push((key.to_owned(), value.to_owned()));
        }
        Self::new(name, pairs)
    }
}

/// Parts at commas that have no backslash before them, and takes the backslashes off.
fn split_unescaped(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        let last = parts.last_mut().expect("there is always one");
        match c {
            '\\' => last.extend(characters.next()),
            ',' => parts.push(String::new()),
            c => last.push(c),
        }
    }
    parts
}
