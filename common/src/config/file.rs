//! The text of an `.env` file as pairs.
//!
//! Owns: what of `dotenvy`'s syntax counts here. Driven by: `system`. Invariants: a value is what
//! stands there, never the process environment's; no complaint shows a value, which may be a
//! secret. Does not: know the keys.

/// Reads the pairs of an `.env` file's text; the process environment is neither asked nor changed.
///
/// # Errors
/// The sentence for the line that cannot be read.
pub fn parse_file(text: &str) -> Result<Vec<(String, String)>, String> {
    if let Some(line) = substitution(text) {
        return Err(format!(
            "line {line}: a $ stands for nothing here: put the value between '…', or write \\$"
        ));
    }
    dotenvy::from_read_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>().map_err(|error| {
        let dotenvy::Error::LineParse(unread, _) = &error else { return error.to_string() };
        let unread = unread.lines().next().unwrap_or_default();
        let line = text.lines().position(|line| line.contains(unread)).unwrap_or_default() + 1;
        format!("line {line}: expected NAME=value, with '…' around a value that has spaces")
    })
}

/// The first line in which `dotenvy` would put another value in place of a `$`.
fn substitution(text: &str) -> Option<usize> {
    (1..).zip(text.lines()).find(|(_, line)| substitutes(line)).map(|(number, _)| number)
}

fn substitutes(line: &str) -> bool {
    let mut quote = None;
    let mut before = ' ';
    let mut characters = line.trim_start().chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, '#') if before.is_whitespace() => return false,
            (None | Some('"'), '$') => return true,
            (None | Some('"'), '\\') => drop(characters.next()),
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
        before = character;
    }
    false
}
