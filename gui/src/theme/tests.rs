use super::*;

/// How bright a colour is to the eye, as WCAG 2 measures it.
fn luminance(color: Color32) -> f64 {
    let channel = |byte: u8| {
        let share = f64::from(byte) / 255.0;
        if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    };
    let [r, g, b, alpha] = color.to_array();
    assert_eq!(alpha, 255, "contrast is measured between opaque colours");
    0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b)
}

fn contrast(one: Color32, other: Color32) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// Complaints about ink that is too weak on what it stands on.
fn weak(least: f64, pairs: &[(&str, Color32, Color32)]) -> Vec<String> {
    let measured = pairs.iter().map(|(what, ink, ground)| (what, contrast(*ink, *ground)));
    let weak = measured.filter(|(_, contrast)| *contrast < least);
    weak.map(|(what, contrast)| format!("{what}: {contrast:.2}, at least {least}")).collect()
}

#[test]
fn contrast_is_measured_as_the_rule_says() {
    let of = contrast(Color32::BLACK, Color32::WHITE);
    assert!((of - 21.0).abs() < 0.01, "{of}");
    let grey = contrast(Color32::from_rgb(0x77, 0x77, 0x77), Color32::WHITE);
    assert!((grey - 4.48).abs() < 0.01, "{grey}");
}

#[test]
fn text_can_be_read_on_whatever_it_stands_on() {
    for p in [DARK, LIGHT] {
        let mut pairs = vec![
            ("text on the ground", p.text, p.ground),
            ("hints on the ground", p.weak, p.ground),
            ("links on the ground", p.accent, p.ground),
            ("text on a surface", p.text, p.surface),
            ("hints on a surface", p.weak, p.surface),
            ("links on a surface", p.accent, p.surface),
            ("faults on a surface", p.danger, p.surface),
            ("warnings on a surface", p.warning, p.surface),
            ("what went well on a surface", p.good, p.surface),
            ("text in a field, a hovered row", p.text, p.raised),
            ("hints in a field, a hovered row", p.weak, p.raised),
            ("a draft in a hovered row", p.accent, p.raised),
            ("not sent in a hovered row", p.danger, p.raised),
            ("text in the open chat's row", p.text, p.selected),
            ("hints in the open chat's row", p.weak, p.selected),
            ("a draft in the open chat's row", p.accent, p.selected),
            ("not sent in the open chat's row", p.danger, p.selected),
            ("a button", p.on_accent, p.accent),
            ("a dangerous button", p.on_danger, p.danger),
            ("the other's words", p.text, p.their_bubble),
            ("times in the other's bubble", p.weak, p.their_bubble),
            ("links in the other's bubble", p.accent, p.their_bubble),
            ("own words", p.own_text, p.own_bubble),
            ("times in the own bubble", p.own_weak, p.own_bubble),
            ("links in the own bubble", p.own_accent, p.own_bubble),
            ("a hit in the other's words", p.text, p.mark),
            ("a hit in own words", p.own_text, p.mark),
        ];
        pairs.extend(p.people.map(|person| ("initials", p.on_people, person)));
        let weak = weak(4.5, &pairs);
        assert!(weak.is_empty(), "dark: {}: {weak:#?}", p.is_dark);
    }
}

#[test]
fn glyphs_can_be_told_from_what_they_stand_on() {
    for p in [DARK, LIGHT] {
        let pairs = [
            ("read in the own bubble", p.own_accent, p.own_bubble),
            ("a state in the own bubble", p.own_weak, p.own_bubble),
            ("few copies in the own bubble", p.warning, p.own_bubble),
            ("refused in the own bubble", p.danger, p.own_bubble),
            ("a server in sync", p.good, p.surface),
            ("a server behind", p.warning, p.surface),
            ("a server that is down", p.danger, p.surface),
            ("the ring of the focus", p.accent, p.surface),
            ("the ring of the focus on a field", p.accent, p.raised),
            ("the ring of the focus on a message", p.accent, p.ground),
            ("the ring of a hit", p.warning, p.ground),
            ("a link in a hit", p.own_accent, p.mark),
            ("an icon", p.weak, p.surface),
        ];
        let weak = weak(3.0, &pairs);
        assert!(weak.is_empty(), "dark: {}: {weak:#?}", p.is_dark);
    }
}

#[test]
fn the_icon_is_a_picture() {
    let icon = icon();
    assert_eq!((icon.width, icon.height), (256, 256));
}
