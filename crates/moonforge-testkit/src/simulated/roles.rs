//! Who somebody is in a campaign.

use moonforge_model::Fields;
use serde_json::Value;

/// A member's standing in a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Owner,
    Dm,
    Player,
    Viewer,
}

impl Role {
    /// Owner and dm see and write everything.
    pub(super) fn leads(self) -> bool {
        matches!(self, Role::Owner | Role::Dm)
    }
}

/// What `uid` is in a campaign; `None` for one who is no member. A member without a role is a dm; a role that is unknown
/// gives no more than a viewer has.
pub(super) fn role(campaign: &Fields, uid: &str) -> Option<Role> {
    if !texts(campaign.get("memberUids")).contains(&uid) {
        return None;
    }
    if campaign.get("ownerUid").and_then(Value::as_str) == Some(uid) {
        return Some(Role::Owner);
    }
    Some(
        match campaign.get("roles").and_then(|roles| roles.get(uid)) {
            None => Role::Dm,
            Some(Value::String(text)) if text == "dm" => Role::Dm,
            Some(Value::String(text)) if text == "player" => Role::Player,
            Some(_) => Role::Viewer,
        },
    )
}

/// The texts of a list.
pub(super) fn texts(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Whether players see a child.
pub(super) fn for_players(child: &Fields) -> bool {
    child.get("visibility").and_then(Value::as_str) == Some("players")
}

/// Whether an entry of `edited` counts for one of these fields: for all, for itself, or for what is inside it.
pub(super) fn dates(entry: &str, fields: &[&str]) -> bool {
    let (field, _) = entry.split_once('.').unwrap_or((entry, ""));
    entry == "*" || fields.contains(&field)
}

/// The names at the top whose values differ, as `diff().affectedKeys()` in the rules.
pub(super) fn affected<'a>(old: &'a Fields, new: &'a Fields) -> Vec<&'a str> {
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let set = new
        .iter()
        .filter(|(key, value)| old.get(*key) != Some(value))
        .map(|(key, _)| key);
    gone.chain(set).map(String::as_str).collect()
}

/// The keys of the map `name` that differ between two versions; a version may lack the map.
pub(super) fn changed<'a>(old: &'a Fields, new: &'a Fields, name: &str) -> Vec<&'a str> {
    match (
        old.get(name).and_then(Value::as_object),
        new.get(name).and_then(Value::as_object),
    ) {
        (Some(old), Some(new)) => affected(old, new),
        (Some(one), None) | (None, Some(one)) => one.keys().map(String::as_str).collect(),
        (None, None) => Vec::new(),
    }
}
