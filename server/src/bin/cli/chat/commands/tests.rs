use super::*;

#[test]
fn a_line_is_a_message_unless_it_begins_with_one_slash() {
    assert_eq!(Line::parse("  "), Line::Empty);
    assert_eq!(Line::parse("hello /to"), Line::Text("hello /to".to_owned()));
    assert_eq!(Line::parse("//etc/hosts"), Line::Text("/etc/hosts".to_owned()));
    assert_eq!(Line::parse("one\ntwo"), Line::Text("one\ntwo".to_owned()));
}

#[test]
fn commands_take_what_they_need_and_say_what_is_missing() {
    assert_eq!(Line::parse("/to bob"), Line::To("bob".to_owned()));
    assert_eq!(Line::parse("/edit 3 new  text"), Line::Edit(Seq(3), "new  text".to_owned()));
    assert_eq!(Line::parse("/delete #3"), Line::Delete(Seq(3), Scope::Me));
    assert_eq!(Line::parse("/delete 3 all"), Line::Delete(Seq(3), Scope::All));
    for wrong in ["/to", "/edit", "/edit x y", "/edit 3", "/delete", "/delete 3 some", "/list 3"] {
        assert!(matches!(Line::parse(wrong), Line::Wrong(_)), "{wrong}");
    }
}

#[test]
fn an_unknown_command_gets_a_hint() {
    let Line::Wrong(hint) = Line::parse("/history") else { panic!("it is unknown") };
    assert!(hint.contains("/help"), "{hint}");
}
