//! `--cloud URL`.

use moonforge::{Cloud, Embedded, Firestore, SecretString, fixed_token};

use crate::failure::Failure;

/// The cloud that the URL names, for whoever `token` is. `None` where neither is given: the database's own default.
pub(crate) fn cloud(
    url: Option<&str>,
    default_dir: std::path::PathBuf,
    token: Option<SecretString>,
) -> Result<Cloud, Failure> {
    let url = url.filter(|url| !url.is_empty());
    let (scheme, rest) = match url {
        None => return Ok(embedded(Embedded::dir(default_dir), token)),
        Some(url) => url.split_once(':').ok_or_else(|| refuse(url))?,
    };
    match (scheme, rest.strip_prefix("//")) {
        ("local", _) if !rest.is_empty() => Ok(embedded(Embedded::dir(rest), token)),
        ("firestore", Some(rest)) => {
            let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
            // The bucket is where media are; documents don't need it.
            let known = |pair: &str| pair.is_empty() || pair.starts_with("bucket=");
            let (project, database) = match place.split_once('/') {
                Some((project, database)) => (project, Some(database)),
                None => (place, None),
            };
            if !query.split('&').all(known) {
                return Err(refuse(url.unwrap_or_default()));
            }
            let token = match token {
                Some(token) => fixed_token(token),
                None => moonforge::ports::StaticToken::none(),
            };
            let mut firestore = Firestore::new(project, token);
            if let Some(database) = database {
                firestore = firestore.database(database);
            }
            let names = firestore.check();
            names.map_err(|error| Failure::usage(error.to_string()))?;
            Ok(firestore.into())
        }
        _ => Err(refuse(url.unwrap_or_default())),
    }
}

/// In the embedded cloud a token only names the owner.
fn embedded(embedded: Embedded, token: Option<SecretString>) -> Cloud {
    use moonforge::ports::TokenProvider;
    let uid = token.and_then(|token| fixed_token(token).identity().uid);
    embedded.uid(uid).into()
}

fn refuse(url: &str) -> Failure {
    Failure::usage(format!(
        "`{url}` names no cloud; it is local:DIR or firestore://PROJECT[/DATABASE]?bucket=NAME"
    ))
}
