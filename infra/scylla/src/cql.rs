//! Parses CQL files into statements.

/// The statements of a file, without comments. String literals must not contain a semicolon or two dashes.
pub(crate) fn statements(file: &str) -> Vec<String> {
    let lines = file.lines().map(|line| line.split_once("--").map_or(line, |(before, _)| before).trim_end());
    let text: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    text.join("\n").split(';').map(|statement| statement.trim().to_owned()).filter(|text| !text.is_empty()).collect()
}

/// The only statement of a file.
pub(crate) fn statement(file: &str) -> String {
    statements(file).swap_remove(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_split_into_statements() {
        let file = "-- One; and\n-- more.\nCREATE a (\n    b int, -- c;\n    d int\n);\n\nSELECT 2;\n";
        assert_eq!(statements(file), ["CREATE a (\n    b int,\n    d int\n)", "SELECT 2"]);
        assert_eq!(statement("SELECT 1\n"), "SELECT 1");
    }
}
