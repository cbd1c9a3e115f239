//! Members that a contract requires of the objects which a mapping makes, and that no field makes.

use crate::plan::read::File;
use crate::problem::Place;
use crate::schema::Schema;

/// The fields of one entry, or of the items of a list.
pub struct Made<'a> {
    /// The contract.
    pub schema: &'a Schema,
    /// How it is called in messages.
    pub label: &'a str,
    /// Where the fields are in the contract; empty for an entry.
    pub prefix: Vec<&'a str>,
    /// Names of the fields, such as `quantity.good`, with their places.
    pub fields: Vec<(&'a str, Place)>,
}

impl Made<'_> {
    /// Notes what is missing: of the whole at `place`, of an object that some fields make at the first of them.
    pub fn check(&self, place: Place, file: &mut File<'_>) {
        let mut objects: Vec<(&str, Place)> = vec![("", place)];
        for (name, place) in &self.fields {
            for (end, _) in name.match_indices('.') {
                let object = name.get(..end).unwrap_or_default();
                if objects.iter().all(|(known, _)| *known != object) {
                    objects.push((object, *place));
                }
            }
        }
        for (object, place) in objects {
            let steps = object.split('.').filter(|step| !step.is_empty());
            let path: Vec<&str> = self.prefix.iter().copied().chain(steps).collect();
            for member in self.schema.required_members(&path) {
                let name = if object.is_empty() { member } else { format!("{object}.{member}") };
                if !self.covers(&name) {
                    self.note(&name, place, file);
                }
            }
        }
    }

    /// Whether a field makes this member, something below it, or the whole that it is in.
    fn covers(&self, name: &str) -> bool {
        let below =
            |whole: &str, part: &str| part.strip_prefix(whole).is_some_and(|rest| rest.starts_with('.'));
        self.fields.iter().any(|(field, _)| *field == name || below(name, field) || below(field, name))
    }

    fn note(&self, name: &str, place: Place, file: &mut File<'_>) {
        let mut full = self.prefix.clone();
        full.push(name);
        let full = full.join(".").replace(".*", "[]");
        let message = format!("{} requires {full}, which no field makes", self.label);
        file.error_hint(place, message, format!("add it to `fields`, for example {name}: {{path: …}}"));
    }
}
