//! The rules of campaigns: who may change one, and who is in it.

use moonforge_model::{DocRef, Fields};
use moonforge_ports::RemoteError;
use serde_json::Value;

use super::roles::{Role, affected, changed, role, texts};
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

/// A dm adds and removes players and viewers, and may leave. Roles of those who stay are the owner's affair.
fn dm_may(uid: &str, old: &Fields, new: &Fields) -> bool {
    let (before, now) = (texts(old.get("memberUids")), texts(new.get("memberUids")));
    let added = |who: &&str| !before.contains(who);
    let removed = |who: &&str| !now.contains(who);
    let low = |campaign: &Fields, who: &str| {
        matches!(role(campaign, who), Some(Role::Player | Role::Viewer))
    };
    new.get("memberUids").is_some_and(Value::is_array)
        && old.get("ownerUid") == new.get("ownerUid")
        && now.iter().copied().filter(added).all(|who| low(new, who))
        && before
            .iter()
            .copied()
            .filter(removed)
            .all(|who| who == uid || low(old, who))
        && changed(old, new, "roles")
            .iter()
            .all(|who| before.contains(who) != now.contains(who))
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
        format!("roles.{uid}"),
        format!("roles.`{uid}`"),
    ];
    texts(new.get("memberUids")) == rest
        && affected(old, new).iter().all(|key| allowed.contains(key))
        && roles.iter().all(|who| *who == uid && !keeps_role)
        && changed(old, new, "edited")
            .iter()
            .all(|key| entries.iter().any(|e| e == key))
}
