//! Lists of files with their SHA-256, in the format of `sha256sum`.

use std::{collections::BTreeMap, fmt::Write, fs, io, path::Path};

use sha2::{Digest, Sha256};

/// The checksums of a list: file name to SHA-256 in hexadecimal.
pub(super) fn parse(list: &str) -> BTreeMap<&str, &str> {
    list.lines().filter_map(|line| line.split_once("  ")).map(|(sum, name)| (name, sum)).collect()
}

/// Compares a folder with a list. Returns a line for each file that differs, is missing, or is not in the list.
pub(super) fn differences(folder: &Path, list: &str) -> io::Result<Vec<String>> {
    let mut expected = parse(list);
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match expected.remove(name.as_str()) {
            None => lines.push(format!("{name} is not in the list")),
            Some(sum) => {
                let found = sha256(&fs::read(entry.path())?);
                if found != sum {
                    lines.push(format!("{name} has the SHA-256 {found}, not {sum}"));
                }
            }
        }
    }
    lines.extend(expected.keys().map(|name| format!("{name} is missing")));
    lines.sort();
    Ok(lines)
}

/// Returns the SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns the first 8 digits of the checksum, which distinguish lists in folder names.
pub(super) fn short(text: &str) -> String {
    let mut sum = sha256(text.as_bytes());
    sum.truncate(8);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn every_difference_is_reported() {
        assert_eq!(sha256(b"abc"), ABC);
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("a.jar", "abc"), ("b.jar", "abd"), ("c.jar", "abc")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let list = format!("{ABC}  a.jar\n{ABC}  b.jar\n{ABC}  d.jar\n");
        let found = differences(folder.path(), &list).unwrap();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("b.jar has the SHA-256 ") && found[0].ends_with(&format!(", not {ABC}")));
        assert_eq!(found[1..], ["c.jar is not in the list", "d.jar is missing"]);

        let list = format!("{ABC}  a.jar\n{}  b.jar\n{ABC}  c.jar\n", sha256(b"abd"));
        assert_eq!(differences(folder.path(), &list).unwrap(), Vec::<String>::new());
    }
}
