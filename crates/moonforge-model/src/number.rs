//! Numbers that may have a fraction, in JSON's two forms.

use serde::{Serialize, Serializer};
use serde_json::Value;

/// An integer where the number is one, as other clients of Firestore write it, else a double.
pub(crate) fn as_json(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        Value::from(number as i64)
    } else {
        Value::from(number)
    }
}

/// For `serialize_with`: a field that may have a fraction.
pub(crate) fn serialize<S: Serializer>(number: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    number.map(as_json).serialize(to)
}
