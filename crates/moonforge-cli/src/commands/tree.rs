//! `tree`.

use std::fmt::Write;

use moonforge::{Branch, Moonforge, StoredDoc, Tree};
use serde_json::{Map, Value, json};

use super::list::title;
use crate::failure::Failure;
use crate::output::{Outcome, Paint, Text, short};

pub(super) async fn tree(forge: &Moonforge, campaign: Option<&str>) -> Result<Outcome, Failure> {
    let trees = match campaign {
        Some(id) => vec![forge.tree(id).await?],
        None => {
            let campaigns = forge.documents("campaigns")?;
            let mut trees = Vec::new();
            for campaign in campaigns.list(&campaigns.query()).await?.items {
                trees.push(forge.tree(&campaign.doc.id).await?);
            }
            trees
        }
    };
    let mut outcome = Outcome::new(
        json!({ "campaigns": trees.iter().map(to_json).collect::<Vec<_>>() }),
        "",
    );
    outcome.text = match trees.is_empty() {
        true => vec![Text::from("no campaigns yet")],
        false => trees.iter().map(|tree| Text::Line(draw(tree))).collect(),
    };
    Ok(outcome)
}

fn to_json(tree: &Tree) -> Value {
    let counts: Map<String, Value> = tree
        .counts
        .iter()
        .map(|(name, count)| (name.to_string(), (*count).into()))
        .collect();
    let branches = |list: &[Branch]| list.iter().map(branch_to_json).collect::<Vec<_>>();
    json!({
        "collection": "campaigns",
        "id": tree.campaign.doc.id,
        "name": title(&tree.campaign),
        "children": branches(&tree.adventures),
        "orphans": branches(&tree.orphans),
        "counts": counts,
    })
}

fn branch_to_json(branch: &Branch) -> Value {
    json!({
        "collection": branch.doc.doc.collection,
        "id": branch.doc.doc.id,
        "name": title(&branch.doc),
        "children": branch.children.iter().map(branch_to_json).collect::<Vec<_>>(),
    })
}

/// A campaign as people see it.
pub(crate) fn draw(tree: &Tree) -> String {
    let mut out = Paint::Strong.on(&label(&tree.campaign));
    // Those that hang below others are drawn; the rest is counted.
    let drawn = ["adventures", "chapters", "scenes"];
    let counted: Vec<String> = tree
        .counts
        .iter()
        .filter(|(name, count)| **count > 0 && !drawn.contains(&name.as_str()))
        .map(|(name, count)| format!("{name}: {count}"))
        .collect();
    let mut last = counted.is_empty() && tree.orphans.is_empty();
    limbs(&mut out, &tree.adventures, "", last);
    last = counted.is_empty();
    if !tree.orphans.is_empty() {
        let corner = if last { "└" } else { "├" };
        let _ = write!(
            out,
            "\n{corner}─ {}",
            Paint::Faint.on("without a parent here")
        );
        limbs(
            &mut out,
            &tree.orphans,
            if last { "   " } else { "│  " },
            true,
        );
    }
    if !last {
        let _ = write!(out, "\n└─ {}", Paint::Faint.on(&counted.join(", ")));
    }
    out
}

fn limbs(out: &mut String, branches: &[Branch], indent: &str, closes: bool) {
    for (i, branch) in branches.iter().enumerate() {
        let last = closes && i + 1 == branches.len();
        let (corner, below) = if last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        let _ = write!(out, "\n{indent}{corner}{}", label(&branch.doc));
        limbs(out, &branch.children, &format!("{indent}{below}"), true);
    }
}

fn label(doc: &StoredDoc) -> String {
    let state = match (&doc.deleted, doc.dirty) {
        (Some(_), _) => Paint::Faint.on(" (deleted)"),
        (None, true) => Paint::Faint.on(" (not sent yet)"),
        (None, false) => String::new(),
    };
    let title = short(&Value::from(title(doc)), 60);
    let id = Paint::Faint.on(&format!("{}", doc.doc));
    format!("{title} {id}{state}")
}
