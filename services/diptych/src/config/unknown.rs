//! Keys that are no settings.

use figment::value::{Dict, Value};

use super::{load::Origins, mistake::Mistake};

/// Takes out what is no setting, or a group in the place of a setting, or the other way round.
pub(super) fn remove_unknown(
    origins: &Origins,
    tree: &mut Dict,
    known: &Dict,
    path: &mut Vec<String>,
    mistakes: &mut Vec<Mistake>,
) {
    tree.retain(|name, value| {
        path.push(name.clone());
        let keep = match (value, known.get(name)) {
            (Value::Dict(_, group), Some(Value::Dict(_, known))) => {
                remove_unknown(origins, group, known, path, mistakes);
                true
            }
            (_, Some(Value::Dict(_, known))) => {
                let keys: Vec<_> = known.keys().map(|key| format!("{name}.{key}")).collect();
                mistakes.push(origins.mistake(path, format!("this is a group of settings: {}", keys.join(", "))));
                false
            }
            (value @ Value::Dict(..), Some(_)) => {
                for leaf in leaves(value, path) {
                    mistakes.push(origins.mistake(&leaf, format!("{} is a single value, not a group", path.join("."))));
                }
                false
            }
            (value, None) => {
                let instead = no_such_setting(path, known);
                mistakes.extend(leaves(value, path).iter().map(|leaf| origins.mistake(leaf, instead.clone())));
                false
            }
            (_, Some(_)) => true,
        };
        path.pop();
        keep
    });
    for (name, value) in known {
        tree.entry(name.clone()).or_insert_with(|| value.clone());
    }
}

/// The paths of all single values in a value.
fn leaves(value: &Value, path: &[String]) -> Vec<Vec<String>> {
    let Value::Dict(_, group) = value else { return vec![path.to_vec()] };
    group.iter().flat_map(|(name, inner)| leaves(inner, &[path, std::slice::from_ref(name)].concat())).collect()
}

/// Says what there is instead: the nearest name of the same group, or all of them.
fn no_such_setting(path: &[String], known: &Dict) -> String {
    let name = path.last().map(String::as_str).unwrap_or_default();
    let nearest = known.keys().map(|key| (distance(name, key), key)).min();
    match nearest {
        Some((steps, key)) if steps <= 2 => {
            let group = path.iter().rev().skip(1).rev().map(|part| format!("{part}.")).collect::<String>();
            format!("there is no such setting; did you mean {group}{key}?")
        }
        _ => {
            let names: Vec<_> = known.keys().map(String::as_str).collect();
            format!("there is no such setting; here are {}", names.join(", "))
        }
    }
}

/// How many letters must be put in, taken out or changed to get from one name to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.bytes().enumerate() {
        let mut previous = index;
        let mut left = index + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(to.bytes()) {
            let changed = previous + usize::from(letter != other);
            previous = *cell;
            *cell = changed.min(left + 1).min(previous + 1);
            left = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
