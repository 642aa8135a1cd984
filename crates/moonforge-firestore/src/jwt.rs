//! Whom a bearer token names.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// The `sub` of a JSON Web Token, which nobody verified: a hint for a message or a file name, never a ground to trust.
/// `None` for what is no such token, or has no subject (an emulator's `owner`, an OAuth access token).
///
/// ```
/// assert_eq!(moonforge_firestore::subject("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm5hIn0."), Some("anna".into()));
/// assert_eq!(moonforge_firestore::subject("owner"), None);
/// ```
pub fn subject(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        sub: String,
    }
    let mut parts = token.trim().split('.');
    let (_header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    (!claims.sub.is_empty()).then_some(claims.sub)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_without_a_subject_names_nobody() {
        assert_eq!(
            subject(&token(r#"{"sub":"ünï","exp":1}"#)),
            Some("ünï".to_owned())
        );
        for other in [
            "",
            "owner",
            "a.b",
            "a.b.c",
            "a.b.c.d",
            "ya29.a0Af_x-y",
            "..",
            &token("{}"),
            &token(r#"{"sub":""}"#),
            &token(r#"{"sub":5}"#),
            &format!("{}.x", token(r#"{"sub":"a"}"#)),
        ] {
            assert_eq!(subject(other), None, "{other}");
        }
    }
}
