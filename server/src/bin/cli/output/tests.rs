use super::*;

#[test]
fn what_others_write_cannot_steer_the_terminal() {
    let nasty = "a\u{1b}]0;title\u{7}b\u{9b}2Jc\u{202e}d\re";
    assert_eq!(safe(nasty), "a\\u{1b}]0;title\\u{7}b\\u{9b}2Jc\\u{202e}d\\u{d}e");
    assert_eq!(safe("你好 👩‍👩‍👧 é\n\t."), "你好 👩‍👩‍👧 é\n\t.", "every script stays as it is");
    assert_eq!(safe_line("one\ntwo\tthree"), "one two three");
    assert_eq!(safe_block("one\ntwo", 4), "one\n    two");
}

#[test]
fn columns_are_as_wide_as_their_widest_cell() {
    let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
    let rows = [row(["name", "n"]), row(["a", "12"]), row(["longer", "3"])];
    assert_eq!(Colours(false).table(&rows), ["name    n", "a       12", "longer  3"]);
}

#[test]
fn a_time_that_makes_no_sense_is_shown_as_none() {
    assert_eq!(moment(u64::MAX), "-");
    assert!(moment(0).starts_with("19"), "{}", moment(0));
}
