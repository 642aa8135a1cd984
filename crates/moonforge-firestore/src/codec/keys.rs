//! How a key's leading `$` are counted on either side.
//!
//! [`swap`] pairs the keys of both sides: `$x` with `$$x`, `$$$x` with `$$$$x`. That leaves two kinds of map, each with one
//! key, which would be read as what they aren't: here `{"$timestamp": "2026-…"}`, when another client wrote
//! `$$timestamp`; there `{"$array": […]}` inside an array, when `$$array` was written here. For these the pairs move up by
//! one, to make room for the tag: `{"$timestamp": "2026-…"}` there is `$$timestamp` here, `$$` is `$$$`, and so on.

use moonforge_model::Fields;

use super::{only_member, tags};

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Directly inside an array, where Firestore allows no array.
    InArray,
    /// In a field or a map.
    Elsewhere,
}

/// A key's name on the other side. Its own inverse.
pub(super) fn swap(key: &str) -> String {
    match split(key) {
        (0, _) => key.to_owned(),
        (dollars, stem) if dollars % 2 == 1 => join(dollars + 1, stem),
        (dollars, stem) => join(dollars - 1, stem),
    }
}

/// The name on the wire of a local map's only key, where it isn't what [`swap`] says.
pub(super) fn only_name_to_wire(map: &Fields, place: Place) -> Option<String> {
    let (dollars, stem, like) = only_key(map)?;
    match like {
        Like::Tag if dollars > 1 => Some(join(dollars - 1, stem)),
        Like::Array if place == Place::InArray => Some(join(dollars + 1, stem)),
        _ => None,
    }
}

/// The local name of a wire map's only key, where it isn't what [`swap`] says. The map's values are local ones already.
pub(super) fn only_name_to_local(map: &Fields, place: Place) -> Option<String> {
    let (dollars, stem, like) = only_key(map)?;
    match like {
        Like::Tag => Some(join(dollars + 1, stem)),
        Like::Array if place == Place::InArray && dollars > 1 => Some(join(dollars - 1, stem)),
        _ => None,
    }
}

enum Like {
    Tag,
    Array,
}

fn only_key(map: &Fields) -> Option<(usize, &str, Like)> {
    let (key, payload) = only_member(map)?;
    match split(key) {
        (0, _) => None,
        (dollars, stem) if tags::payload_to_wire(stem, payload).is_some() => {
            Some((dollars, stem, Like::Tag))
        }
        (dollars, stem @ "array") if payload.is_array() => Some((dollars, stem, Like::Array)),
        _ => None,
    }
}

fn split(key: &str) -> (usize, &str) {
    let stem = key.trim_start_matches('$');
    (key.len() - stem.len(), stem)
}

fn join(dollars: usize, stem: &str) -> String {
    "$".repeat(dollars) + stem
}
