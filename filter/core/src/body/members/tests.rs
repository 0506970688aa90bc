use super::*;

#[test]
fn a_limit_is_one_wherever_a_server_may_look_for_it() {
    assert!(is_limit(&[Key::LimitLike]) && is_limit(&[Key::Other, Key::MaxTokens]));
    assert!(is_limit(&[Key::AdditionalModelRequestFields, Key::InferenceConfig, Key::LimitLike]));
    assert!(!is_limit(&[Key::MaxTokens, Key::MaxTokens]), "it would be inside of another change");
    assert!(
        !is_limit(&[Key::Metadata, Key::MaxTokens]) && !is_limit(&[Key::Messages, Key::Item, Key::MaxTokens])
    );
    assert!(is_limit_of(Api::OpenAiChat, &[Key::MaxTokens]));
    assert!(!is_limit_of(Api::OpenAiChat, &[Key::MaxOutputTokens]));
}

fn key(name: &str) -> Key {
    Members::built_in().key(&[], name.as_bytes())
}

#[test]
fn look_alikes_are_recognised() {
    assert_eq!((key("model"), key("MODEL"), key("Stream")), (Key::Model, Key::ModelLike, Key::StreamLike));
    assert_eq!(key("max_to\u{212A}en\u{17F}"), Key::LimitLike);
    for limit in ["MaxTokens", "n_predict", "max-new-tokens", "maxGenLen"] {
        assert_eq!(key(limit), Key::LimitLike, "{limit}");
    }
    assert_eq!((key("best_of"), key("N")), (Key::AnswersLike, Key::AnswersLike));
    assert_eq!(key("max_tokens"), Key::MaxTokens);
}

#[test]
fn every_name_that_decides_on_the_bill_has_look_alikes() {
    assert_eq!(look_alike(&[], b"Service-Tier"), Key::ServiceTier);
    assert!(
        matches!(key("\u{17F}tore"), Key::Refused(_)) && matches!(key("InferenceConfig"), Key::Refused(_))
    );
    assert_eq!((key("store"), key("generation_config")), (Key::Store, Key::GenerationConfig));
    assert_eq!(look_alike(&[Key::Tools, Key::Item], b"TYPE"), Key::Type);
    assert_eq!(look_alike(&[Key::AdditionalModelRequestFields, Key::Tools, Key::Item], b"Type"), Key::Type);
    let part = [Key::Messages, Key::Item, Key::Content, Key::Item];
    assert_eq!(look_alike(&part, b"imageUrl"), Key::ImageUrl);
    assert_eq!(look_alike(&part, b"cache_control"), Key::Other);
    assert_eq!(look_alike(&part, &[b'x'; 200]), Key::Other);
    let arguments = [&part[..], &[Key::Input]].concat();
    for free in [&arguments[..], &[Key::Metadata], &[Key::Tools, Key::Item, Key::Other]] {
        assert_eq!(look_alike(free, b"Type"), Key::Other, "{free:?}");
    }
}

#[test]
fn refused_members_are_recognised_in_any_spelling_and_named() {
    let members = Members::built_in();
    for name in
        ["models", "ROUTE", "web-search-options", "aws_secret_access_key", "_router_weights", "apiBase"]
    {
        let Key::Refused(number) = members.key(&[], name.as_bytes()) else { panic!("{name}") };
        assert!(members.refused_name(number).is_some());
    }
    assert_eq!(members.key(&[Key::GenerationConfig], b"responseModalities"), key("responseModalities"));
}

#[test]
fn what_the_client_may_name_freely_is_not_looked_into() {
    let members = Members::built_in();
    for holder in
        [&[Key::Metadata][..], &[Key::Tools], &[Key::Messages, Key::Item], &[Key::Other, Key::Other]]
    {
        assert_eq!(members.key(holder, b"route"), Key::Other, "{holder:?}");
        assert_eq!(members.key(holder, b"n_predict"), Key::Other, "{holder:?}");
    }
    assert_eq!(members.key(&[Key::Other], b"n_predict"), Key::LimitLike);
}

#[test]
fn the_configuration_adds_and_allows_names() {
    let members = Members::new(&MembersConfig {
        limits: vec!["answer_size".to_owned()],
        refuse: vec!["house_*".to_owned()],
        allow: vec!["provider".to_owned(), "aws_*".to_owned()],
        allow_tools: vec!["web_search*".to_owned()],
        stored_state: StoredState::Allow,
    });
    assert_eq!(members.key(&[], b"AnswerSize"), Key::LimitLike);
    assert!(matches!(members.key(&[], b"house_rules"), Key::Refused(_)));
    assert_eq!((members.key(&[], b"provider"), members.key(&[], b"aws_region")), (Key::Other, Key::Other));
    assert_eq!(members.key(&[], b"conversation"), Key::Conversation);
    assert!(members.allows_tool("web_search_20250305") && !members.allows_tool("code_execution"));
}
