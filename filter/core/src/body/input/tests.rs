use crate::body::rewrite::RequestBody;
use crate::request::api::Api;

fn size(body: &str) -> super::InputSize {
    let mut reader = RequestBody::new(Api::OpenAiChat);
    reader.scan(body.as_bytes());
    reader.read_input().size
}

/// Images, files and tokens of a message with this part.
fn parts(part: &str) -> (u64, u64, u64) {
    let found = size(&format!(r#"{{"messages":[{{"role":"user","content":[{part}]}}]}}"#));
    (found.images, found.files, found.text_tokens)
}

#[test]
fn white_space_between_tokens_weighs_nothing_and_everything_else_does() {
    let weigh = |text: &str| size(text).text_tokens;
    assert_eq!(weigh("{ \"a\" :\n 1 }          "), weigh("{\"a\":1}"));
    assert_eq!(weigh("{\"a\":1}"), 7);
    assert_eq!(weigh("{\"a\":\"zq  \"}"), 6 + 1 + 4);
    assert_eq!(weigh("{\"\u{e9}\":1}"), 6 + 22);
    let deep = format!("{}1", "[".repeat(20));
    assert_eq!(weigh(&format!("{{\"a\":{deep}")), 5 + 21);
}

#[test]
fn an_image_counts_by_its_kind_and_its_data_does_not() {
    let data = "QUJD".repeat(5000);
    let images = [
        format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}"#),
        format!(r#"{{"type":"input_image","image_url":"data:image/png;base64,{data}"}}"#),
        format!(
            r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}}"#
        ),
        format!(
            r#"{{"source":{{"data":"{data}","media_type":"image/png","type":"base64"}},"type":"image"}}"#
        ),
        format!(r#"{{"inlineData":{{"mimeType":"image/png","data":"{data}"}}}}"#),
        format!(r#"{{"inlineData":{{"data":"{data}","mimeType":"image/png"}}}}"#),
        format!(r#"{{"image":{{"format":"png","source":{{"bytes":"{data}"}}}}}}"#),
        r#"{"type":"image_url","image_url":{"url":"https://example.org/1.png"}}"#.to_owned(),
    ];
    for part in images {
        let (images, files, text_tokens) = parts(&part);
        assert_eq!((images, files), (1, 0), "{part}");
        assert!(text_tokens < 300, "{text_tokens}: {part}");
    }
}

#[test]
fn whatever_else_is_not_text_counts_as_a_file() {
    let files = [
        r#"{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"QUJD"}}"#,
        r#"{"type":"document","source":{"type":"url","url":"https://example.org/a.pdf"}}"#,
        r#"{"type":"image","source":{"type":"url","url":"https://example.org/a.pdf"},"type":"document"}"#,
        r#"{"type":"input_file","file_url":"https://example.org/a.pdf"}"#,
        r#"{"type":"file","file":{"file_id":"f"}}"#,
        r#"{"type":"input_audio","input_audio":{"data":"QUJD","format":"wav"}}"#,
        r#"{"fileData":{"fileUri":"gs://a/b.mp4"}}"#,
        r#"{"inlineData":{"data":"QUJD","mimeType":"application/pdf"}}"#,
        r#"{"document":{"source":{"s3Location":{"uri":"s3://a/b"}}}}"#,
        r#"{"type":"video_url","video_url":{"url":"https://example.org/a.mp4"}}"#,
        r#"{"type":"something_new","id":"x"}"#,
        r#"{"type":"item_reference","id":"x"}"#,
        r#"{"type":"tool_result","content":[{"type":"document","source":{"type":"file","file_id":"f"}}]}"#,
        r#"{"type":"image","content":[{"type":"document","source":{"type":"file"}}]}"#,
        r#"{"type":"image_url","image_url":{"url":"data:application/pdf;base64,QUJD"}}"#,
        r#"{"type":"input_image","image_url":"data:;base64,QUJD"}"#,
    ];
    for part in files {
        assert!(parts(part).1 >= 1, "{part}");
    }
    let reference = size(r#"{"input":[{"type":"item_reference","id":"x"}]}"#);
    assert_eq!((reference.images, reference.files), (0, 1));
}

#[test]
fn a_document_that_holds_text_counts_by_its_text() {
    let data = "zq".repeat(50);
    let part = format!(
        r#"{{"type":"document","source":{{"type":"text","media_type":"text/plain","data":"{data}"}}}}"#
    );
    let (images, files, text_tokens) = parts(&part);
    assert_eq!((images, files), (0, 0));
    assert!(text_tokens >= 100);
}

#[test]
fn data_counts_by_its_bytes_where_it_is_not_certain_to_be_data() {
    let data = "zq".repeat(500);
    let no_data_url = format!(r#"{{"type":"image_url","image_url":{{"url":"dat:{data}"}}}}"#);
    assert!(parts(&no_data_url).2 >= 1000);
    let no_base64 = format!(r#"{{"type":"image","source":{{"type":"text","data":"{data}"}}}}"#);
    assert!(parts(&no_base64).2 >= 1000);
}

#[test]
fn arguments_and_schemas_of_tools_are_text() {
    let data = "zq".repeat(50);
    let call = format!(
        r#"{{"type":"tool_use","id":"1","name":"f","input":{{"image_url":"{data}","file_id":"x"}}}}"#
    );
    let (images, files, text_tokens) = parts(&call);
    assert_eq!((images, files), (0, 0));
    assert!(text_tokens >= 100);
}

#[test]
fn a_part_that_contradicts_itself_counts_as_a_file() {
    let parts_of = [
        r#"{"type":"document","source":{"type":"base64","data":"QUJD","type":"text"}}"#,
        r#"{"type":"document","source":{"type":"text","data":"QUJD","type":"base64"}}"#,
        r#"{"type":"document","source":{"type":"url","url":"https://example.org/a.pdf","type":"text"}}"#,
        r#"{"type":"document","source":{"type":"base64","data":"QUJD"},"type":"image"}"#,
        r#"{"type":"image","type":"document","source":{"type":"base64","data":"QUJD"}}"#,
        r#"{"inlineData":{"mimeType":"image/png","data":"QUJD","mimeType":"application/pdf"}}"#,
        r#"{"inlineData":{"mimeType":"application/pdf","data":"QUJD","mimeType":"image/png"}}"#,
    ];
    for part in parts_of {
        assert!(parts(part).1 >= 1, "{part}");
    }
}

#[test]
fn names_that_some_server_understands_count_and_their_data_weighs() {
    let data = "zq".repeat(500);
    for part in [
        format!(r#"{{"Type":"image_url","Image_URL":{{"Url":"data:image/png;base64,{data}"}}}}"#),
        format!(r#"{{"type":"image_url","imageUrl":{{"url":"data:image/png;base64,{data}"}}}}"#),
        format!(r#"{{"InlineData":{{"MimeType":"image/png","Data":"{data}"}}}}"#),
    ] {
        let (images, _, text_tokens) = parts(&part);
        assert!(images == 1 && text_tokens >= 1000, "{images} {text_tokens}: {part}");
    }
    let file = r#"{"TYPE":"input_file","FILE_ID":"f"}"#;
    assert!(parts(file).1 >= 1);
}

#[test]
fn where_a_data_url_is_cut_changes_nothing() {
    let part =
        r#"{"messages":[{"content":[{"type":"input_image","image_url":"data:image/png;base64,QUJD"}]}]}"#;
    for cut in 1..part.len() {
        let mut reader = RequestBody::new(Api::OpenAiChat);
        let (first, second) = part.split_at(cut);
        reader.scan(first.as_bytes());
        reader.scan(second.as_bytes());
        assert_eq!(reader.read_input().size, size(part), "{cut}");
    }
}
