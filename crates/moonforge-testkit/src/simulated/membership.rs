//! The rules of campaigns: who may change one, and who is in it.

use moonforge_model::{DocRef, Fields};
use moonforge_ports::RemoteError;
use serde_json::Value;

use super::roles::{Role, affected, changed, dates, role, texts};
use super::rules::denied;

/// Whether `uid` may make this campaign out of what is there.
pub(super) fn check_campaign(
    doc: &DocRef,
    uid: &str,
    old: Option<&Fields>,
    new: &Fields,
) -> Result<(), RemoteError> {
    let Some(old) = old else {
        return match role(new, uid) {
            Some(Role::Owner) => Ok(()),
            _ => denied(format!("{doc} is made by its owner, who is a member")),
        };
    };
    let mine = role(old, uid);
    let open = match mine {
        None => false,
        Some(Role::Owner) => owner_stays(new),
        Some(Role::Dm) => dm_may(uid, old, new),
        Some(Role::Player | Role::Viewer) => leaves(uid, old, new),
    };
    if open {
        Ok(())
    } else {
        denied(format!("{uid} ({mine:?}) may not change {doc} so"))
    }
}

/// The owner may do anything, as long as whoever owns it then is a member.
fn owner_stays(new: &Fields) -> bool {
    let owner = new.get("ownerUid").and_then(Value::as_str);
    owner.is_some_and(|owner| texts(new.get("memberUids")).contains(&owner))
}

/// How many people a dm may let in, and how many he may remove, in one write: rules know no loops.
const PEOPLE: usize = 8;
/// How many of the newest members may have been let in by somebody else at the same time.
const LATE: usize = 2;

/// A dm adds and removes players and viewers, and may leave. Roles of those who stay are the owner's affair, and so is when
/// they were given.
fn dm_may(uid: &str, old: &Fields, new: &Fields) -> bool {
    let (before, now) = (texts(old.get("memberUids")), texts(new.get("memberUids")));
    let added = without(&now, &before);
    let removed = without(&before, &now);
    let others = without(&removed, &[uid]);
    let moved = [added.as_slice(), removed.as_slice()].concat();
    let owner = old.get("ownerUid");
    let low = |campaign: &Fields, people: &[&str]| {
        people.len() <= PEOPLE
            && people
                .iter()
                .all(|who| is_low(campaign, who) && owner.and_then(Value::as_str) != Some(*who))
    };
    new.get("memberUids").is_some_and(Value::is_array)
        && owner == new.get("ownerUid")
        && low(new, &added)
        && low(old, &others)
        && changed(old, new, "roles")
            .iter()
            .all(|who| moved.contains(who))
        && dates_roles(old, new, &moved, &now)
}

fn without<'a>(people: &[&'a str], others: &[&str]) -> Vec<&'a str> {
    let left = people.iter().copied();
    left.filter(|who| !others.contains(who)).collect()
}

/// Whether a role gives no more than a player has.
fn is_low(campaign: &Fields, who: &str) -> bool {
    let role = campaign.get("roles").and_then(|roles| roles.get(who));
    role.is_some_and(|role| role != "dm")
}

/// Of roles, `edited` changes for those who come and go, and for a player or viewer whom somebody else let in at the same
/// time.
fn dates_roles(old: &Fields, new: &Fields, moved: &[&str], now: &[&str]) -> bool {
    let named = |entry: &str, who: &str| entry == role_path(who) || entry == quoted_role_path(who);
    let late = &now[now.len().saturating_sub(LATE)..];
    changed(old, new, "edited")
        .iter()
        .filter(|entry| dates(entry, &["ownerUid", "roles"]))
        .all(|entry| {
            moved.iter().any(|who| named(entry, who))
                || moved.len() <= PEOPLE
                    && late.iter().any(|who| named(entry, who) && is_low(new, who))
        })
}

fn role_path(uid: &str) -> String {
    format!("roles.{uid}")
}

fn quoted_role_path(uid: &str) -> String {
    format!("roles.`{uid}`")
}

/// Anyone leaves, and does nothing else in that write. A role left behind stays as it was.
fn leaves(uid: &str, old: &Fields, new: &Fields) -> bool {
    let mut rest = texts(old.get("memberUids"));
    rest.retain(|who| *who != uid);
    let allowed = [
        "memberUids",
        "roles",
        "rev",
        "updatedAt",
        "edited",
        "writers",
    ];
    let roles = changed(old, new, "roles");
    let keeps_role = new.get("roles").and_then(|roles| roles.get(uid)).is_some();
    let entries = [
        "memberUids".to_owned(),
        "roles".to_owned(),
        role_path(uid),
        quoted_role_path(uid),
    ];
    texts(new.get("memberUids")) == rest
        && affected(old, new).iter().all(|key| allowed.contains(key))
        && roles.iter().all(|who| *who == uid && !keeps_role)
        && changed(old, new, "edited")
            .iter()
            .all(|key| entries.iter().any(|e| e == key))
}
