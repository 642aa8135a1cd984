//! `--set`, `--unset`, `--inc`, `--add`, `--remove`: one list, in the order in which they were typed.

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use moonforge::{FieldPath, PatchOp};
use serde_json::Value;

use crate::failure::Failure;
use crate::input;

/// The kinds of edits: the option, what its value looks like, what it does.
const KINDS: [(&str, &str, &str); 5] = [
    ("set", "PATH=JSON", "Replace the value at PATH whole"),
    ("unset", "PATH", "Take away what is at PATH"),
    (
        "inc",
        "PATH=N",
        "Add N to the number at PATH; increments of several devices all count",
    ),
    (
        "add",
        "PATH=JSON",
        "Append a value to the list at PATH unless it is there",
    ),
    (
        "remove",
        "PATH=JSON",
        "Take a value out of the list at PATH",
    ),
];

/// The edits of a patch as they were typed.
#[derive(Clone, Debug)]
pub(crate) struct EditArgs(Vec<(&'static str, String)>);

impl Args for EditArgs {
    fn augment_args(command: Command) -> Command {
        KINDS
            .into_iter()
            .fold(command, |command, (name, value, help)| {
                let arg = Arg::new(name).long(name).value_name(value).help(help);
                command.arg(arg.action(ArgAction::Append).allow_hyphen_values(true))
            })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for EditArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut found = Vec::new();
        for (name, ..) in KINDS {
            let indices = matches.indices_of(name).into_iter().flatten();
            let values = matches.get_many::<String>(name).into_iter().flatten();
            found.extend(
                indices
                    .zip(values)
                    .map(|(at, value)| (at, name, value.clone())),
            );
        }
        if found.is_empty() {
            let message = "say what to edit: --set, --unset, --inc, --add or --remove\n";
            return Err(clap::Error::raw(
                ErrorKind::MissingRequiredArgument,
                message,
            ));
        }
        found.sort_unstable_by_key(|(at, ..)| *at);
        Ok(Self(
            found
                .into_iter()
                .map(|(_, name, value)| (name, value))
                .collect(),
        ))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl EditArgs {
    /// The operations, in order. Values for one list, given one by one, are one operation where the first stands: other
    /// edits between them touch other places, or the patch is refused.
    pub(crate) fn into_ops(self) -> Result<Vec<PatchOp>, Failure> {
        let mut ops: Vec<PatchOp> = Vec::new();
        for (name, text) in self.0 {
            let op = operation(name, &text)?;
            if !ops.iter_mut().any(|before| takes(before, &op)) {
                ops.push(op);
            }
        }
        Ok(ops)
    }
}

/// Whether `op` adds to, or removes from, the list that `before` does; its values are taken over then.
fn takes(before: &mut PatchOp, op: &PatchOp) -> bool {
    use PatchOp::{ArrayRemove, ArrayUnion};
    match (before, op) {
        (
            ArrayUnion { path, values },
            ArrayUnion {
                path: same,
                values: more,
            },
        )
        | (
            ArrayRemove { path, values },
            ArrayRemove {
                path: same,
                values: more,
            },
        ) if *path == *same => {
            values.extend(more.iter().cloned());
            true
        }
        _ => false,
    }
}

fn operation(name: &str, text: &str) -> Result<PatchOp, Failure> {
    if name == "unset" {
        let path = path(text)?;
        return Ok(PatchOp::Unset { path });
    }
    let Some((at, value)) = input::split_outside_backticks(text, &["="]).map(|(l, _, r)| (l, r))
    else {
        let message = format!("--{name} takes PATH=VALUE, this is `{text}`");
        return Err(Failure::usage(message));
    };
    let (path, value) = (path(at)?, input::parse(value)?);
    Ok(match name {
        "set" => PatchOp::Set { path, value },
        "inc" => match value {
            Value::Number(by) => PatchOp::Increment { path, by },
            _ => {
                let message = format!("--inc takes PATH=NUMBER, this is `{text}`");
                return Err(Failure::new("not_a_number", message));
            }
        },
        "add" => PatchOp::ArrayUnion {
            path,
            values: vec![value],
        },
        _ => PatchOp::ArrayRemove {
            path,
            values: vec![value],
        },
    })
}

/// A path to a field.
pub(crate) fn path(text: &str) -> Result<FieldPath, Failure> {
    text.parse::<FieldPath>()
        .map_err(|e| Failure::new("invalid_path", format!("`{text}` is no path: {e}")))
}
