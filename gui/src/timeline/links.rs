//! Links in a text: `http://` and `https://` and nothing else.
//!
//! Owns: finding them. Driven by: `bubble`. Invariant: what is found is a part of the text as it
//! stands there: what is shown is what is opened. Does not: open anything.

use std::ops::Range;

/// A link in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// Where it stands, in bytes.
    pub(super) bytes: Range<usize>,
    /// And in characters.
    pub(super) chars: Range<usize>,
    /// Where it leads.
    pub(super) target: String,
}

/// All links of a text, in their order.
pub(super) fn find(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    let mut from = 0;
    while let Some(start) = next_start(text, from) {
        let rest = &text[start..];
        let end = rest.find(|c: char| c.is_whitespace() || "<>\"`".contains(c));
        let mut target = &rest[..end.unwrap_or(rest.len())];
        target = target.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'']);
        // A bracket that was opened before the link ends behind it.
        if target.ends_with(')') && target.matches(')').count() > target.matches('(').count() {
            target = &target[..target.len() - 1];
        }
        let end = start + target.len();
        let scheme = target.find("://").map_or(0, |at| at + 3);
        if target.len() > scheme {
            let chars = text[..start].chars().count();
            links.push(Link {
                bytes: start..end,
                chars: chars..chars + target.chars().count(),
                target: target.to_owned(),
            });
        }
        from = end.max(start + 1);
        while !text.is_char_boundary(from) {
            from += 1;
        }
    }
    links
}

fn next_start(text: &str, from: usize) -> Option<usize> {
    let found = ["http://", "https://"].into_iter().filter_map(|scheme| {
        let mut at = from;
        loop {
            let found = at + text.get(at..)?.find(scheme)?;
            let before = text[..found].chars().next_back();
            if before.is_none_or(|c| !c.is_alphanumeric()) {
                return Some(found);
            }
            at = found + scheme.len();
        }
    });
    found.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(text: &str) -> Vec<String> {
        find(text).into_iter().map(|link| link.target).collect()
    }

    #[test]
    fn links_end_where_the_sentence_goes_on() {
        assert_eq!(targets("see https://a.example/x."), ["https://a.example/x"]);
        assert_eq!(targets("(https://a.example/y_(z))"), ["https://a.example/y_(z)"]);
        assert_eq!(targets("http://a, https://b!"), ["http://a", "https://b"]);
    }

    #[test]
    fn only_the_web_is_linked() {
        assert!(targets("file:///etc javascript:alert(1) xhttp://no https://").is_empty());
    }

    #[test]
    fn places_are_counted_in_characters_too() {
        let links = find("é https://a.example");
        assert_eq!(links[0].chars, 2..19);
        assert_eq!(links[0].bytes, 3..20);
    }
}
