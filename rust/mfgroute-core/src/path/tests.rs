//! What paths find.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;
use crate::decode::Limits;
use crate::decode::json::JsonDecoder;
use crate::decode::xml::XmlDecoder;

const ORDER: &str = r#"{"id":"A-1","qty":{"good":3},"serials":["s1","s2"],"one":["x"],"none":[],"nil":null,
    "odd name":{"it's":7},"lots":[null,"L1"],"grid":[[1,2],[3,4]],
    "units":[{"sn":"U1","parts":[{"pn":"A","sn":"a1"},{"pn":"B","sn":"b1"}]},
             {"sn":"U2","parts":[{"pn":"A","sn":"a2"},{"pn":"C","qty":4,"ok":true}]}]}"#;

const PERFORMANCE: &str = r#"<Sync xmlns="urn:x" releaseID="7"><Data>
    <Response><Order>4711</Order>
      <Segment><ID>1</ID>
        <Material><Use>Consumed</Use><Lot>R1</Lot></Material>
        <Material><Use>Produced</Use><Lot>P1</Lot><Prop><ID>SCRAP</ID><Value>1.5</Value></Prop></Material>
      </Segment>
      <Segment><ID>2</ID><Material><Use>Produced</Use><Lot unit="KG">P2</Lot></Material></Segment>
    </Response>
    <Nil a="1"/><Size unit="MM">12</Size></Data></Sync>"#;

fn json(text: &str) -> Tree {
    let mut tree = Tree::new();
    JsonDecoder::new(Limits::default()).decode(text.as_bytes(), &mut tree).unwrap();
    tree
}

fn xml(text: &str) -> Tree {
    let mut tree = Tree::new();
    XmlDecoder::new(Limits::default()).decode(text.as_bytes(), &mut tree).unwrap();
    tree
}

fn at(tree: &Tree, path: &str, items: &[NodeId]) -> Vec<String> {
    let mut out = Vec::new();
    Path::parse(path).unwrap().find(tree, &Scopes { root: 0, items }, &mut out);
    out.iter().map(|&id| tree.json(id)).collect()
}

fn found(tree: &Tree, path: &str) -> String {
    at(tree, path, &[]).join(" ")
}

fn many(tree: &Tree, path: &str) -> String {
    let mut out = vec![0];
    Path::parse(path).unwrap().find_many(tree, &Scopes::root(0), &mut out);
    assert_eq!(out.first(), Some(&0), "what was there stays");
    out.iter().skip(1).map(|&id| tree.json(id)).collect::<Vec<_>>().join(" ")
}

fn one(tree: &Tree, path: &str) -> Result<Option<String>, usize> {
    let mut work = vec![0];
    let result = Path::parse(path).unwrap().find_scalar(tree, &Scopes::root(0), &mut work);
    assert_eq!(work, [0]);
    result.map(|id| id.map(|id| tree.text(id).to_owned())).map_err(|error| error.count)
}

#[test]
fn names_walk_into_objects_and_over_arrays() {
    let tree = json(ORDER);
    assert_eq!(found(&tree, "qty.good"), "3");
    assert_eq!(found(&tree, "units.sn"), r#""U1" "U2""#);
    assert_eq!(found(&tree, "units.parts.sn"), r#""a1" "b1" "a2""#);
    assert_eq!(found(&tree, "'odd name'.'it''s'"), "7");
    assert_eq!(found(&tree, "qty.missing"), "");
    assert_eq!(found(&tree, "id.missing"), "");
    assert_eq!(found(&tree, "serials"), r#"["s1","s2"]"#);
}

#[test]
fn brackets_select_items_of_arrays() {
    let tree = json(ORDER);
    assert_eq!(found(&tree, "serials[1]"), r#""s2""#);
    assert_eq!(found(&tree, "serials[2]"), "");
    assert_eq!(found(&tree, "units[*].sn"), r#""U1" "U2""#);
    assert_eq!(found(&tree, "units[1].parts[0].sn"), r#""a2""#);
    assert_eq!(found(&tree, "units.parts[0].sn"), r#""a1" "a2""#);
    assert_eq!(found(&tree, "units[*].parts[pn=A].sn"), r#""a1" "a2""#);
    assert_eq!(found(&tree, "units[parts.pn=C].sn"), r#""U2""#);
    assert_eq!(found(&tree, "units.parts[qty=4].pn"), r#""C""#);
    assert_eq!(found(&tree, "units.parts[ok=true].pn"), r#""C""#);
    assert_eq!(found(&tree, "units.parts[pn='A'][0].sn"), r#""a1" "a2""#);
    assert_eq!(found(&tree, "grid[1][0]"), "3");
    assert_eq!(found(&tree, "serials[#=s2]"), r#""s2""#);
    assert_eq!(found(&tree, "id[0]"), r#""A-1""#);
    assert_eq!(found(&json("[{\"a\":1},{\"a\":2}]"), "$[1].a"), "2");
    assert_eq!(found(&json("[{\"a\":1},{\"a\":2}]"), "[*].a"), "1 2");
    assert_eq!(found(&json("[{\"a\":1},{\"a\":2}]"), "a"), "1 2");
}

#[test]
fn brackets_select_among_xml_siblings_of_one_parent() {
    let tree = xml(PERFORMANCE);
    assert_eq!(found(&tree, "Data.Response.Segment[0].ID"), r#""1""#);
    assert_eq!(found(&tree, "Data.Response.Segment[*].ID"), r#""1" "2""#);
    assert_eq!(found(&tree, "Data.Response.Segment.Material[0].Lot.#text"), r#""R1" "P2""#);
    assert_eq!(found(&tree, "Data.Response.Segment[ID=2].Material[Use=Produced].Lot.@unit"), r#""KG""#);
    assert_eq!(found(&tree, "Data.Response[Order=4711].Order"), r#""4711""#);
    assert_eq!(found(&tree, "@releaseID"), r#""7""#);
    let scrap = "Data.Response.Segment[0].Material[Use=Produced].Prop[ID=SCRAP].Value";
    assert_eq!(one(&tree, scrap), Ok(Some("1.5".to_owned())));
    assert_eq!(found(&tree, "Data.Response.Segment.Material[Lot=P2].Use"), r#""Produced""#);
    assert_eq!(found(&tree, "Data.Size[@unit=MM].#text"), r#""12""#);
}

#[test]
fn any_depth_finds_all_in_document_order() {
    let tree = json(ORDER);
    assert_eq!(found(&tree, "**.sn"), r#""U1" "a1" "b1" "U2" "a2""#);
    assert_eq!(found(&tree, "units[0].**.sn"), r#""U1" "a1" "b1""#);
    assert_eq!(found(&tree, "$.units.parts.**.qty"), "4");
    assert_eq!(found(&xml(PERFORMANCE), "**.Use"), r#""Consumed" "Produced" "Produced""#);
}

#[test]
fn prefixes_start_at_the_root_or_in_enclosing_items() {
    let tree = json(ORDER);
    let items = |path: &str, within: &[NodeId]| {
        let mut out = Vec::new();
        Path::parse(path).unwrap().find_many(&tree, &Scopes { root: 0, items: within }, &mut out);
        out
    };
    let unit = *items("units", &[]).last().unwrap();
    let part = items("parts", &[unit])[0];
    let scopes = [unit, part];
    assert_eq!(at(&tree, "pn", &scopes), [r#""A""#]);
    assert_eq!(at(&tree, "^.sn", &scopes), [r#""U2""#]);
    assert_eq!(at(&tree, "^.^.id", &scopes), [r#""A-1""#]);
    assert_eq!(at(&tree, "$.id", &scopes), [r#""A-1""#]);
    assert!(at(&tree, "^.^.^.id", &scopes).is_empty());
    assert_eq!(at(&tree, "#", &scopes), [r#"{"pn":"A","sn":"a2"}"#]);
    assert_eq!(at(&tree, "^.#", &scopes), at(&tree, "#", &scopes[..1]));
    assert_eq!(at(&tree, "^[0].sn", &scopes), [r#""U2""#]);
    assert_eq!(at(&tree, "$", &scopes), at(&tree, "#", &[]));
}

#[test]
fn many_takes_one_or_many_or_none() {
    let tree = json(ORDER);
    assert_eq!(many(&tree, "serials"), r#""s1" "s2""#);
    assert_eq!(many(&tree, "id"), r#""A-1""#);
    assert_eq!(many(&tree, "none"), "");
    assert_eq!(many(&tree, "absent"), "");
    assert_eq!(many(&tree, "nil"), "");
    assert_eq!(many(&tree, "lots"), r#"null "L1""#);
    assert_eq!(many(&tree, "grid"), "[1,2] [3,4]");
    assert_eq!(many(&tree, "grid[*]"), "[1,2] [3,4]");
    assert_eq!(many(&tree, "grid[0]"), "1 2");
    assert_eq!(many(&xml(PERFORMANCE), "Data.Response.Segment.ID"), r#""1" "2""#);
}

#[test]
fn one_is_never_the_first_of_two() {
    let tree = json(ORDER);
    assert_eq!(one(&tree, "serials"), Err(2));
    assert_eq!(one(&tree, "serials[*]"), Err(2));
    assert_eq!(one(&tree, "units.sn"), Err(2));
    assert_eq!(one(&tree, "one"), Ok(Some("x".to_owned())));
    assert_eq!(one(&tree, "none"), Ok(None));
    assert_eq!(one(&tree, "absent"), Ok(None));
    assert_eq!(one(&tree, "nil"), Ok(Some(String::new())));
    let tree = xml(PERFORMANCE);
    assert_eq!(one(&tree, "Data.Response.Segment.ID"), Err(2));
    assert_eq!(one(&tree, "Data.Response.Segment[1].ID"), Ok(Some("2".to_owned())));
}

#[test]
fn an_element_with_attributes_stands_for_its_text() {
    let tree = xml(PERFORMANCE);
    assert_eq!(one(&tree, "Data.Size"), Ok(Some("12".to_owned())));
    assert_eq!(one(&tree, "Data.Size.#text"), Ok(Some("12".to_owned())));
    assert_eq!(one(&tree, "Data.Response.Order.#text"), Ok(Some("4711".to_owned())));
    assert_eq!(one(&tree, "Data.Nil"), Ok(None));
    let mut work = Vec::new();
    let response = Path::parse("Data.Response").unwrap();
    let id = response.find_scalar(&tree, &Scopes::root(0), &mut work).unwrap().unwrap();
    assert_eq!(tree.kind(id), Kind::Object);
}

#[test]
fn a_warm_evaluation_does_not_grow_its_memory() {
    let tree = json(ORDER);
    let path = Path::parse("units[*].parts[pn=A].sn").unwrap();
    let mut out = Vec::with_capacity(64);
    let before = (out.as_ptr(), out.capacity());
    path.find(&tree, &Scopes::root(0), &mut out);
    assert_eq!(before, (out.as_ptr(), out.capacity()));
}

#[test]
fn display_is_canonical_and_reads_back() {
    let cases = [
        ("a.b", "a.b"),
        ("'a'.'b c'", "a.'b c'"),
        ("'it''s'", "'it''s'"),
        ("'Rückmelde-Nr'", "Rückmelde-Nr"),
        ("'Maschinenzeit (h)'", "'Maschinenzeit (h)'"),
        ("a[0][*][k=v]", "a[0][*][k=v]"),
        ("a[k.@m='v w']", "a[k.@m=v w]"),
        ("a['k k'='x]''y']", "a['k k'='x]''y']"),
        ("a[k='']", "a[k='']"),
        ("a[k= v ]", "a[k=v]"),
        ("$", "$"),
        ("$.a", "$.a"),
        ("$[1].a", "$[1].a"),
        ("^.^.a", "^.^.a"),
        ("^", "^"),
        ("^.#", "^"),
        ("$.#", "$"),
        ("#", "#"),
        ("a.#text", "a.#text"),
        ("'#'", "'#'"),
        ("**.a[0]", "**.a[0]"),
        ("a.**.@x", "a.**.@x"),
        ("a[#=x]", "a[#=x]"),
        ("[*].a", "[*].a"),
    ];
    for (text, canonical) in cases {
        let path = Path::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(path.to_string(), canonical, "{text}");
        assert_eq!(Path::parse(canonical).unwrap(), path, "{text}");
    }
}

#[test]
fn a_wrong_path_is_explained_with_its_column() {
    let cases = [
        ("", 1),
        ("a..b", 3),
        ("a.", 3),
        (".a", 1),
        ("a b", 2),
        ("Maschinenzeit (h)", 14),
        ("a[", 3),
        ("a[]", 3),
        ("a[-1]", 3),
        ("a[b]", 4),
        ("a[b=", 3),
        ("a[b='x]", 5),
        ("'a", 1),
        ("''", 1),
        ("$a", 2),
        ("$.", 3),
        ("a.#", 3),
        ("a.$.b", 3),
        ("**", 3),
        ("a.@", 4),
        ("a]", 2),
        ("a=b", 2),
        ("**.a.**.b", 6),
        ("ü.ü b", 4),
    ];
    for (text, column) in cases {
        let error = Path::parse(text).expect_err(text);
        assert_eq!(error.column, column, "{text}: {error}");
    }
    assert!(Path::parse(&"a".repeat(LENGTH_MAX)).is_ok());
    assert!(Path::parse(&"a".repeat(LENGTH_MAX + 1)).is_err());
    assert!(Path::parse(&"a.".repeat(70)).is_err());
    assert!(Path::parse("a b").unwrap_err().message.contains("put a name with other characters in '…'"));
}

proptest! {
    #[test]
    fn any_text_is_refused_or_has_a_canonical_form(parts in prop::collection::vec(prop::sample::select(vec![
        "a", "ü", ".", "[", "]", "*", "0", "=", "'", "''", "@x", "#", "#text", "**.", "$", "^", " ", "[k=v]", "[#='x']", "'o n'",
    ]), 0..10)) {
        if let Ok(path) = Path::parse(&parts.concat()) {
            let canonical = path.to_string();
            prop_assert_eq!(Path::parse(&canonical).unwrap(), path.clone(), "{}", canonical);
            let tree = json(ORDER);
            let mut work = Vec::new();
            path.find_many(&tree, &Scopes::root(0), &mut work);
            let many = work.len();
            work.clear();
            let one = path.find_one(&tree, &Scopes::root(0), &mut work);
            prop_assert!(many <= 1 || one.is_err());
            prop_assert!(work.is_empty());
        }
    }
}
