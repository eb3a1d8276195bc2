//! Presets: settings for providers that many use. They are data alone, in `presets.toml`; an operator can write the same.

use figment::Figment;
use figment::providers::{Format, Toml};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

const PRESETS: &str = include_str!("presets.toml");

/// A table over the preset that it names.
pub(super) fn with(preset: &Value, table: Map<String, Value>) -> Result<Map<String, Value>, String> {
    let mut presets = all()?;
    let name = preset.as_str().unwrap_or_default();
    let Some(mut settings) = presets.remove(name) else {
        let known: Vec<_> = presets.keys().map(String::as_str).collect();
        return Err(format!("there is no preset {preset}: there are {}", known.join(", ")));
    };
    // Another body is one as a whole, unless both are tables.
    lay_over(&mut settings, table);
    Ok(settings)
}

/// Every preset by its name.
pub(super) fn all() -> Result<BTreeMap<String, Map<String, Value>>, String> {
    Figment::from(Toml::string(PRESETS))
        .extract()
        .map_err(|error| format!("the presets cannot be read: {error}"))
}

/// Puts `upper` over `lower`: tables field by field, everything else as a whole.
fn lay_over(lower: &mut Map<String, Value>, upper: Map<String, Value>) {
    for (name, value) in upper {
        match (lower.get_mut(&name), value) {
            (Some(Value::Object(below)), Value::Object(above)) => lay_over(below, above),
            (_, value) => drop(lower.insert(name, value)),
        }
    }
}
