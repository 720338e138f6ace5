use serde_json::json;

use super::*;
use crate::ids::{ConversationId, Cursor, Seq, Txn};

fn request(line: &str) -> Result<Request, ErrorReply> {
    RequestFrame::parse(line.as_bytes()).and_then(|frame| frame.request())
}

fn text_of(outcome: Result<Request, ErrorReply>) -> (ErrorCode, String) {
    let error = outcome.expect_err("refused");
    (error.code, error.text)
}

#[test]
fn the_lines_of_the_protocol_page_are_read_and_written_as_they_stand_there() {
    let txn = "5f0c000000000000000000000000aaaa";
    let line = format!(r#"{{"id":7,"op":"send","d":{{"to":"bob","text":"hi","txn":"{txn}"}}}}"#);
    let send = Request::Send(Send {
        to: Target::User("bob".into()),
        text: "hi".into(),
        txn: txn.parse().unwrap(),
    });
    assert_eq!(request(&line), Ok(send.clone()));
    assert_eq!(String::from_utf8(send.encode(7)).unwrap(), line + "\n");

    let ok = SendOk {
        conv: ConversationId(42),
        seq: Seq(118),
        ts: 1_795_420_800_123,
        copies: 3,
        of: 3,
        dup: false,
    };
    assert_eq!(
        String::from_utf8(Reply::Send(ok).encode(7)).unwrap(),
        "{\"id\":7,\"ok\":{\"conv\":\"c42\",\"seq\":118,\"ts\":1795420800123,\
         \"copies\":3,\"of\":3}}\n"
    );

    let refused = ErrorReply::with_text(ErrorCode::NoPrimary, "no primary: election in progress")
        .after_ms(200);
    assert_eq!(
        String::from_utf8(encode_error(Some(8), &refused)).unwrap(),
        "{\"id\":8,\"err\":{\"code\":\"no_primary\",\"retry\":\"elsewhere\",\"after_ms\":200,\
         \"text\":\"no primary: election in progress\"}}\n"
    );

    let event = Durable::Msg(MsgEvent {
        conv: ConversationId(42),
        seq: Seq(119),
        from: Some("bob".into()),
        text: "hey".into(),
        ts: 1_795_420_801_456,
        with: Some("bob".into()),
        txn: None,
        deleted: false,
    });
    let line = encode_event(&event, Some(Cursor { generation: 3, index: 90_412 }));
    let read: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(
        read,
        json!({"ev":"msg","cur":"3.90412","d":{"conv":"c42","seq":119,"from":"bob","text":"hey",
               "ts":1_795_420_801_456_u64,"with":"bob"}})
    );
    let ServerLine::Durable(back, cur) = ServerLine::parse(&line).unwrap() else {
        panic!("a durable event");
    };
    assert_eq!((back, cur), (event, Cursor { generation: 3, index: 90_412 }));
}

#[test]
fn a_missing_or_wrong_field_is_named() {
    let parse = |d: &str| text_of(request(&format!(r#"{{"id":1,"op":"login","d":{d}}}"#)));
    assert_eq!(parse("{}"), (ErrorCode::BadRequest, "missing field `user`".into()));
    let (code, text) = parse(r#"{"user":5,"pass":"x","device":"d"}"#);
    assert_eq!(code, ErrorCode::BadRequest);
    assert!(text.starts_with("field `user`: invalid type"), "{text}");
    let (_, text) = parse(r#"{"user":"a","user":"b","pass":"x","device":"d"}"#);
    assert!(text.contains("duplicate field `user`"), "{text}");
    assert_eq!(parse("[]").1, "field `d`: expected an object");
}

#[test]
fn a_refusal_repeats_no_more_than_the_beginning_of_what_it_refuses() {
    let long = "\u{1}é".repeat(10_000);
    let upto = serde_json::to_string(&long).unwrap();
    let (_, text) =
        text_of(request(&format!(r#"{{"id":1,"op":"read","d":{{"conv":"c1","upto":{upto}}}}}"#)));
    assert!(text.starts_with("field `upto`: invalid type") && text.len() < 300, "{text}");
}

#[test]
fn numbers_as_text_are_refused() {
    let (code, text) = text_of(request(r#"{"id":1,"op":"read","d":{"conv":"c1","upto":"5"}}"#));
    assert_eq!(code, ErrorCode::BadRequest);
    assert!(text.starts_with("field `upto`: invalid type"), "{text}");
}

#[test]
fn a_line_without_a_valid_id_has_no_id_to_answer_under() {
    for line in [
        "",
        "null",
        "[]",
        "5",
        "{",
        "{}",
        r#"{"op":"ping"}"#,
        r#"{"id":"1","op":"ping"}"#,
        r#"{"id":0,"op":"ping"}"#,
        r#"{"id":-1,"op":"ping"}"#,
        r#"{"id":1.5,"op":"ping"}"#,
        r#"{"id":9007199254740992,"op":"ping"}"#,
        r#"{"id":1e3,"op":"ping"}"#,
        r#"{"id":99999999999999999999999999,"op":"ping"}"#,
        r#"{"id":1,"id":2,"op":"ping"}"#,
        r#"{"id":1,"op":"ping"} x"#,
    ] {
        let error = RequestFrame::parse(line.as_bytes()).expect_err(line);
        assert_eq!(error.code, ErrorCode::BadRequest, "{line}");
    }
    assert!(RequestFrame::parse(b"{\"id\":1,\"op\":\"\xff\"}").is_err(), "not UTF-8");
    assert!(request(r#"{"id":9007199254740991,"op":"ping"}"#).is_ok());
}

#[test]
fn an_operation_nobody_knows_is_unknown_op_and_one_that_is_no_text_is_bad_request() {
    assert_eq!(text_of(request(r#"{"id":1,"op":"fly"}"#)).0, ErrorCode::UnknownOp);
    assert_eq!(text_of(request(r#"{"id":1,"op":7}"#)).0, ErrorCode::BadRequest);
    assert_eq!(text_of(request(r#"{"id":1}"#)).0, ErrorCode::BadRequest);
    assert_eq!(text_of(request(r#"{"id":1,"op":"admin_users"}"#)).0, ErrorCode::UnknownOp);
}

#[test]
fn depth_16_passes_and_depth_17_is_refused_under_its_id() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 2), "]".repeat(depth - 2));
        format!(r#"{{"id":1,"op":"ping","d":{{"extra":{open}{close}}}}}"#)
    };
    assert_eq!(request(&nested(16)), Ok(Request::Ping(Empty {})));
    assert_eq!(text_of(request(&nested(17))).0, ErrorCode::BadRequest);
    assert_eq!(text_of(request(&nested(30_000))).0, ErrorCode::BadRequest);
    let brackets_in_text = format!(r#"{{"id":1,"op":"ping","d":{{"x":"\"{}"}}}}"#, "{".repeat(40));
    assert_eq!(request(&brackets_in_text), Ok(Request::Ping(Empty {})));
}

#[test]
fn braces_in_a_text_are_text() {
    let txn = Txn([7; 16]);
    let send = Send { to: Target::Conversation(ConversationId(1)), text: "}{\n\"".into(), txn };
    let line = Request::Send(send.clone()).encode(3);
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
    let frame = RequestFrame::parse(&line[..line.len() - 1]).unwrap();
    assert_eq!(frame.request(), Ok(Request::Send(send)));
}

#[test]
fn unknown_fields_and_unknown_events_are_ignored() {
    assert!(request(r#"{"id":1,"op":"ping","d":{"new":1},"also":"new"}"#).is_ok());
    let line = br#"{"ev":"typing","d":{"conv":"c1"}}"#;
    assert!(matches!(ServerLine::parse(line), Ok(ServerLine::UnknownEvent)));
}

#[test]
fn an_unknown_error_code_still_says_what_helps() {
    let line = br#"{"id":1,"err":{"code":"full_moon","retry":"later","after_ms":5,"text":"wait"}}"#;
    let Ok(ServerLine::Reply { outcome: Err(error), .. }) = ServerLine::parse(line) else {
        panic!("a refusal");
    };
    assert_eq!((error.retry, error.after_ms), (Retry::Later, Some(5)));
}

#[test]
fn no_password_or_token_is_printed_by_debug() {
    let login = request(r#"{"id":1,"op":"login","d":{"user":"a","pass":"hunter22","device":"d"}}"#);
    assert!(!format!("{login:?}").contains("hunter22"));
    let ok = SignedInOk {
        user: "a".into(),
        token: "secret".into(),
        cur: Cursor { generation: 1, index: 1 },
        dup: false,
    };
    assert!(!format!("{:?}", Reply::Login(ok)).contains("secret"));
}

#[test]
fn every_operation_is_read_back_as_it_was_written() {
    let conv = ConversationId(4);
    let txn = Txn([1; 16]);
    let pass = || "12345678".to_owned();
    let requests = [
        Request::Hello(Hello { proto: vec![1], client: "t/1".into() }),
        Request::Ping(Empty {}),
        Request::Status(Empty {}),
        Request::Register(Register { user: "ann".into(), pass: pass(), device: "d".into(), txn }),
        Request::Login(Login { user: "ann".into(), pass: pass(), device: "d".into() }),
        Request::Resume(Resume { token: "t".into(), cur: None }),
        Request::Logout(Empty {}),
        Request::Sessions(Empty {}),
        Request::Revoke(Revoke { session: RevokeTarget::Others }),
        Request::Passwd(Passwd { old: pass(), new: pass() }),
        Request::DeleteAccount(DeleteAccount { pass: pass(), txn }),
        Request::Users(Users { prefix: String::new(), after: None, limit: Some(3) }),
        Request::Conversations(Conversations { after: Some(conv), limit: None }),
        Request::Send(Send { to: Target::Conversation(conv), text: "x".into(), txn }),
        Request::History(History { conv, page: Page::Before(Seq(9)), limit: None }),
        Request::Read(Mark { conv, upto: Seq(1) }),
        Request::Delivered(Mark { conv, upto: Seq(1) }),
        Request::Edit(Edit { conv, seq: Seq(1), text: "y".into(), txn }),
        Request::Delete(Delete { conv, seq: Seq(1), scope: Scope::All, txn }),
    ];
    let names: Vec<_> = requests.iter().map(Request::name).collect();
    assert_eq!(names, Request::NAMES, "every operation stands above, once");
    for sent in requests {
        let line = sent.encode(1);
        let frame = RequestFrame::parse(line.trim_ascii_end()).unwrap();
        assert_eq!(frame.request(), Ok(sent));
    }
}

#[test]
fn the_rules_for_names_passwords_and_texts_hold_at_their_edges() {
    for good in ["abc", "Ann_B.c-9", &"a".repeat(32)] {
        assert_eq!(check_name(good), Ok(()), "{good}");
    }
    for bad in ["", "ab", &"a".repeat(33), "1abc", "_abc", "a b", "añb", "abc\n", "аbc"] {
        assert_eq!(check_name(bad).unwrap_err().code, ErrorCode::InvalidName, "{bad:?}");
    }
    assert_eq!(check_password("ann", "12345678"), Ok(()));
    assert_eq!(check_password("ann", &"x".repeat(71)), Ok(()));
    for bad in ["1234567", &"x".repeat(72), "1234\u{0}678", &"é".repeat(36)] {
        assert_eq!(
            check_password("ann", bad).unwrap_err().code,
            ErrorCode::WeakPassword,
            "{bad:?}"
        );
    }
    assert!(check_password("Anneliese", "anneLIESE").is_err());
    for good in ["a", "a\n\tb", &"x".repeat(TEXT_BYTES_MAX), "}{", "مرحبا", "👩‍👩‍👧"]
    {
        assert_eq!(check_text(good), Ok(()), "{good:?}");
    }
    for bad in ["", " \n\t", &"x".repeat(TEXT_BYTES_MAX + 1), "a\0", "a\u{7}", "a\r\n", "\u{85}x"] {
        assert_eq!(check_text(bad).unwrap_err().code, ErrorCode::InvalidText, "{bad:?}");
    }
}
