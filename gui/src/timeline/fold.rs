//! Texts as they are compared: without case, accents and the like.
//!
//! Owns: which letters count as the same. Driven by: `find`. Invariant: each character of the
//! result knows which character of the text it comes from. Does not: know languages: where a sign
//! makes another letter (as in Cyrillic), it stays one.

/// A text's folded characters, each with the number of the one it comes from.
pub(super) fn fold(text: &str) -> Vec<(usize, char)> {
    let mut all = Vec::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        if c.is_ascii() {
            all.push((at, c.to_ascii_lowercase()));
        } else {
            let parts = c.to_lowercase().filter(|c| !is_sign(*c));
            all.extend(parts.map(|c| (at, base(c))));
        }
    }
    all
}

/// The same without where they come from.
pub(super) fn folded(text: &str) -> Vec<char> {
    fold(text).into_iter().map(|(_, c)| c).collect()
}

/// A sign that stands above or below the letter before it.
fn is_sign(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}')
}

/// The letter under a sign.
fn base(c: char) -> char {
    match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'ǎ' | 'ạ'..='ặ' => 'a',
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => 'c',
        'ď' | 'đ' => 'd',
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' | 'ẹ'..='ệ' => 'e',
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => 'g',
        'ĥ' | 'ħ' => 'h',
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' | 'ǐ' | 'ỉ'..='ị' => 'i',
        'ĵ' => 'j',
        'ķ' => 'k',
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => 'l',
        'ñ' | 'ń' | 'ņ' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' | 'ơ' | 'ǒ' | 'ọ'..='ợ' => 'o',
        'ŕ' | 'ŗ' | 'ř' => 'r',
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => 's',
        'ţ' | 'ť' | 'ŧ' | 'ț' => 't',
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' | 'ư' | 'ǔ' | 'ụ'..='ự' => 'u',
        'ŵ' => 'w',
        'ý' | 'ÿ' | 'ŷ' | 'ỳ'..='ỹ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        'ά' => 'α',
        'έ' => 'ε',
        'ή' => 'η',
        'ί' | 'ϊ' | 'ΐ' => 'ι',
        'ό' => 'ο',
        'ύ' | 'ϋ' | 'ΰ' => 'υ',
        'ώ' => 'ω',
        'ς' => 'σ',
        'ё' => 'е',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_accents_do_not_count() {
        assert_eq!(folded("ÀÉÎõÜ"), folded("aeiou"));
        assert_eq!(folded("Łódź"), folded("lodz"));
        assert_eq!(folded("e\u{301}te\u{301}"), folded("été"));
        assert_eq!(folded("Việt ΜΆΪΟΣ"), folded("viet μαιος"));
        assert_ne!(folded("й"), folded("и"), "another letter");
    }

    #[test]
    fn each_character_knows_where_it_comes_from() {
        assert_eq!(fold("e\u{301}B"), [(0, 'e'), (2, 'b')]);
    }
}
