//! Tests of `binding`.

use super::*;

fn binding(key: &str, arguments: &[(&str, Value)]) -> Binding {
    let arguments: Table =
        arguments.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Binding::new("x".into(), Destination::Queue("q".into()), key.into(), &arguments)
}

#[test]
fn the_order_of_arguments_makes_no_other_binding() {
    let one = binding("k", &[("a", Value::I32(1)), ("b", Value::I32(2))]);
    let other = binding("k", &[("b", Value::I32(2)), ("a", Value::I32(1))]);

    assert_eq!(one, other);
    assert_eq!(one.properties_key(), other.properties_key());
    assert_ne!(one, binding("k", &[("a", Value::I32(1))]));
    assert_ne!(binding("k", &[]), binding("l", &[]));
}

#[test]
fn the_properties_key_names_a_binding_among_those_of_its_ends() {
    let arguments = [("a", Value::I32(1))];

    assert_eq!(binding("", &[]).properties_key(), "~");
    assert_eq!(binding("k.l", &[]).properties_key(), "k.l");
    assert!(binding("k", &arguments).properties_key().starts_with("k~"));
    assert!(binding("", &arguments).properties_key().starts_with('~'));
    assert_ne!(
        binding("k", &arguments).properties_key(),
        binding("k", &[("a", Value::I32(2))]).properties_key()
    );
}
