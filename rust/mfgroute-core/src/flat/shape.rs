//! What a message must look like: its input schema and what the mapping reads, as one flat table.
//!
//! A schema that says more than the table can hold has no shape; its mapping runs on trees.

use std::sync::Arc;

use super::want::{CellNo, Wants};
use super::word::Words;
use crate::schema::Schema;
use crate::schema::program::{ArrayRules, ObjectRules, Program, Sub, SubId, Types};
use crate::tree::write_json_string;

/// Index of a place in the table.
pub(super) type PlaceNo = u32;
/// The place of any value that nobody asks for.
pub(super) const ANYTHING: PlaceNo = 0;
/// Names that one object may declare: each has a bit.
const MEMBERS_MAX: usize = 128;
/// Nesting of declared places; a schema that names itself runs into it.
const DEPTH_MAX: usize = 24;
/// Places of one table.
const PLACES_MAX: usize = 4096;

/// The table.
#[derive(Debug)]
pub(super) struct Shape {
    places: Vec<Place>,
    schema: Option<Arc<Schema>>,
    /// Cells of the frame of the message.
    pub(super) cells: u32,
    /// The place of the message.
    pub(super) root: PlaceNo,
}

/// What one value must be. Where the table has no rule for a kind that a value has, the message is handed
/// back.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Allowed types.
    pub(super) types: u8,
    /// Where a scalar is noted.
    pub(super) cell: Option<CellNo>,
    pub(super) text: TextCheck,
    pub(super) number: NumberCheck,
    pub(super) object: Option<ObjectShape>,
    pub(super) array: Option<ArrayShape>,
    /// Where a list is noted, with the cells of each item.
    pub(super) list: Option<(CellNo, u32)>,
    /// The subschema with further rules for a text or number.
    pub(super) rules: Option<SubId>,
    /// All that is asked of plain ASCII here, where that is no more than a length.
    pub(super) plain: Option<PlainText>,
}

/// A text that is noted and of which only the length counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlainText {
    pub(super) min: u32,
    /// How much longer it may be.
    pub(super) more: u32,
    pub(super) cell: CellNo,
}

/// What a text must be.
#[derive(Debug)]
pub(super) struct TextCheck {
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) choice: Option<Words>,
}

impl Default for TextCheck {
    fn default() -> Self {
        Self { min: 0, max: u32::MAX, choice: None }
    }
}

/// What a number must be, if whole numbers can say it.
#[derive(Debug, Default)]
pub(super) struct NumberCheck {
    pub(super) min: Option<i64>,
    pub(super) max: Option<i64>,
}

/// What an object must hold.
#[derive(Debug, Default)]
pub(super) struct ObjectShape {
    pub(super) members: Vec<Member>,
    pub(super) required: Seen,
    /// The place of other members; `None` refuses them.
    pub(super) additional: Option<PlaceNo>,
    pub(super) min: u32,
    pub(super) max: u32,
}

/// Members of one object, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen([u64; MEMBERS_MAX / 64]);

impl Seen {
    /// Adds a member; false when it was there.
    #[inline]
    pub(super) fn take(&mut self, member: &Member) -> bool {
        let Some(half) = self.0.get_mut(member.half) else { return false };
        let new = *half & member.bit == 0;
        *half |= member.bit;
        new
    }

    /// Whether it has all members that another has.
    pub(super) fn has(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(own, other)| own & other == *other)
    }
}

/// A member that has a name in the table.
#[derive(Debug)]
pub(super) struct Member {
    /// `"name":` as it stands in a compact message.
    pub(super) key: Box<[u8]>,
    /// The first bytes of `key`, and which of them count.
    pub(super) head: (u128, u128),
    pub(super) place: PlaceNo,
    /// Its bit, and the half of [`Seen`] that has it.
    pub(super) bit: u64,
    pub(super) half: usize,
}

/// What an array must hold.
#[derive(Debug)]
pub(super) struct ArrayShape {
    pub(super) item: PlaceNo,
    pub(super) min: u32,
    pub(super) max: u32,
}

impl Place {
    fn plain(&self) -> Option<PlainText> {
        let TextCheck { min, max, choice } = &self.text;
        let only_length = self.types & Types::STRING != 0 && choice.is_none() && self.rules.is_none();
        let more = max.checked_sub(*min).filter(|_| only_length)?;
        Some(PlainText { min: *min, more, cell: self.cell? })
    }
}

impl Member {
    pub(super) fn new(name: &str, place: PlaceNo, index: usize) -> Option<Self> {
        // A name that JSON escapes is found by no comparison of bytes.
        let mut written = Vec::new();
        write_json_string(name, &mut written);
        if written.len() != name.len() + 2 {
            return None;
        }
        let key: Vec<u8> = format!("\"{name}\":").into_bytes();
        let (mut head, mut mask) = ([0; 16], [0; 16]);
        for ((byte, head), mask) in key.iter().zip(&mut head).zip(&mut mask) {
            (*head, *mask) = (*byte, 0xff);
        }
        let head = (u128::from_le_bytes(head), u128::from_le_bytes(mask));
        Some(Self { key: key.into(), head, place, bit: 1 << (index % 64), half: index / 64 })
    }

    /// The name, as it is in the message.
    pub(super) fn name(&self) -> &[u8] {
        self.key.get(1..self.key.len() - 2).unwrap_or_default()
    }
}

impl Shape {
    /// Makes the table, or says what it cannot hold.
    pub(super) fn new(schema: Option<&Arc<Schema>>, wants: &Wants) -> Result<Self, String> {
        let program = match schema {
            None => None,
            Some(schema) => Some(schema.program().ok_or("the input schema runs in the fallback")?),
        };
        let everything = Place {
            types: Types::ANY.0,
            object: Some(ObjectShape { additional: Some(ANYTHING), max: u32::MAX, ..ObjectShape::default() }),
            array: Some(ArrayShape { item: ANYTHING, min: 0, max: u32::MAX }),
            ..Place::default()
        };
        let mut builder = Builder { program, wants, places: vec![everything] };
        let root = builder.place(program.map(|_| 0), Some(wants.root(0)), 0)?;
        Ok(Self { places: builder.places, schema: schema.cloned(), cells: wants.cells(0), root })
    }

    /// A place by its number.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "numbers of places come from this table")]
    pub(super) fn place(&self, place: PlaceNo) -> &Place {
        &self.places[place as usize]
    }

    /// A subschema by its number.
    pub(super) fn rules(&self, sub: SubId) -> Option<&Sub> {
        Some(self.schema.as_deref()?.program()?.sub(sub))
    }
}

struct Builder<'b> {
    program: Option<&'b Program>,
    wants: &'b Wants,
    places: Vec<Place>,
}

impl<'b> Builder<'b> {
    fn place(&mut self, sub: Option<SubId>, want: Option<usize>, depth: usize) -> Result<PlaceNo, String> {
        let sub = sub.zip(self.program).map(|(id, program)| plain(program, id)).transpose()?;
        if want.is_none() && sub.is_none_or(|(_, sub)| is_open(sub)) {
            return Ok(ANYTHING);
        }
        if depth > DEPTH_MAX || self.places.len() >= PLACES_MAX {
            return Err("the input schema is too large, or names itself".to_owned());
        }
        let number = self.places.len();
        self.places.push(Place::default());
        let want = want.map(|want| self.wants.get(want));
        let mut place = Place { types: Types::ANY.0, ..Place::default() };
        if let Some((id, sub)) = sub {
            leaf(&mut place, id, sub)?;
        }
        let below =
            want.filter(|want| want.cell.is_some() || want.list.is_some() || !want.members.is_empty());
        place.cell = want.and_then(|want| want.cell);
        let wants_members = want.is_some_and(|want| !want.members.is_empty());
        if let Some((cell, frame)) = want.and_then(|want| want.list) {
            if place.cell.is_some() || wants_members {
                return Err("one place is read both as a list and as a value".to_owned());
            }
            place.list = Some((cell, self.wants.cells(frame)));
            let rules = sub.and_then(|(_, sub)| sub.array.as_deref());
            place.array = Some(self.array(rules, Some(self.wants.root(frame)), depth)?);
        } else if place.cell.is_none() && !wants_members && place.types & Types::ARRAY != 0 {
            let rules = sub.and_then(|(_, sub)| sub.array.as_deref());
            place.array = Some(self.array(rules, None, depth)?);
        }
        if (below.is_none() || wants_members) && place.types & Types::OBJECT != 0 {
            let rules = sub.and_then(|(_, sub)| sub.object.as_deref());
            let members = want.map_or(&[][..], |want| &want.members);
            place.object = Some(self.object(rules, members, depth)?);
        }
        place.plain = place.plain();
        if let Some(slot) = self.places.get_mut(number) {
            *slot = place;
        }
        Ok(number as PlaceNo)
    }

    fn array(
        &mut self,
        rules: Option<&'b ArrayRules>,
        want: Option<usize>,
        depth: usize,
    ) -> Result<ArrayShape, String> {
        if rules.is_some_and(|rules| !rules.is_plain()) {
            return Err("the input schema has prefixItems, uniqueItems or contains".to_owned());
        }
        let item = self.place(rules.and_then(|rules| rules.items), want, depth + 1)?;
        Ok(ArrayShape {
            item,
            min: rules.and_then(|rules| rules.min).map_or(0, clamp),
            max: rules.and_then(|rules| rules.max).map_or(u32::MAX, clamp),
        })
    }

    fn object(
        &mut self,
        rules: Option<&'b ObjectRules>,
        wanted: &[(Box<str>, usize)],
        depth: usize,
    ) -> Result<ObjectShape, String> {
        let none = ObjectRules::default();
        let rules = rules.unwrap_or(&none);
        if !rules.is_plain() {
            return Err("the input schema has patternProperties, propertyNames or dependencies".to_owned());
        }
        let mut shape = ObjectShape {
            min: rules.min.map_or(0, clamp),
            max: rules.max.map_or(u32::MAX, clamp),
            ..ObjectShape::default()
        };
        let open = !rules.additional.is_some_and(|sub| self.program.is_some_and(|p| p.sub(sub).never));
        shape.additional = open.then(|| self.place(rules.additional, None, depth + 1)).transpose()?;
        for property in &rules.properties {
            let want = wanted.iter().find(|(name, _)| *name == property.name).map(|(_, want)| *want);
            let sub = property.sub.or(rules.additional);
            let place = self.place(sub, want, depth + 1)?;
            shape.add(&property.name, place, rules.required.contains(&property.name))?;
        }
        for (name, want) in wanted {
            if open && !rules.properties.iter().any(|property| property.name == *name) {
                let place = self.place(rules.additional, Some(*want), depth + 1)?;
                shape.add(name, place, rules.required.contains(name))?;
            }
        }
        let undeclared =
            rules.required.iter().find(|name| !shape.members.iter().any(|m| m.name() == name.as_bytes()));
        match undeclared {
            Some(name) => Err(format!("the input schema requires {name}, which it does not describe")),
            None => Ok(shape),
        }
    }
}

impl ObjectShape {
    fn add(&mut self, name: &str, place: PlaceNo, required: bool) -> Result<(), String> {
        if self.members.len() >= MEMBERS_MAX {
            return Err(format!("an object has more than {MEMBERS_MAX} members"));
        }
        let member = Member::new(name, place, self.members.len())
            .ok_or_else(|| format!("the name {name:?} is written with escapes"))?;
        if required {
            self.required.take(&member);
        }
        self.members.push(member);
        Ok(())
    }
}

/// A bound on a length or count; no message has four thousand million of anything.
pub(super) fn clamp(bound: usize) -> u32 {
    u32::try_from(bound).unwrap_or(u32::MAX)
}

/// Follows references; refuses what combines schemas.
pub(super) fn plain(program: &Program, mut id: SubId) -> Result<(SubId, &Sub), String> {
    use crate::schema::program::Apply;
    for _ in 0..16 {
        let sub = program.sub(id);
        match sub.apply.as_slice() {
            [] => return Ok((id, sub)),
            [Apply::Ref(next)] if has_no_rules(sub) => id = *next,
            _ => break,
        }
    }
    Err("a schema combines others (allOf, anyOf, oneOf, not, if)".to_owned())
}

fn has_no_rules(sub: &Sub) -> bool {
    sub.types == Types::ANY
        && !sub.never
        && sub.values.is_none()
        && sub.string.is_none()
        && sub.number.is_none()
        && sub.decimal.is_none()
        && sub.array.is_none()
        && sub.object.is_none()
}

fn is_open(sub: &Sub) -> bool {
    has_no_rules(sub) && sub.apply.is_empty()
}

/// The rules of scalars.
pub(super) fn leaf(place: &mut Place, id: SubId, sub: &Sub) -> Result<(), String> {
    place.types = if sub.never { 0 } else { sub.types.0 };
    let mut choice = None;
    if let Some(values) = sub.values.as_deref() {
        if let Some(constant) = &values.constant {
            let text = constant.as_str().ok_or("a schema has a `const` that is not a text")?;
            choice = Some(Words::new([text].into_iter()));
        }
        if let Some(one_of) = &values.one_of {
            if !one_of.others.is_empty() || choice.is_some() {
                return Err("a schema has an `enum` of other values than texts".to_owned());
            }
            choice = Some(Words::new(one_of.texts()));
        }
        place.types &= Types::STRING;
    }
    place.text.choice = choice;
    if let Some(rules) = sub.string.as_deref() {
        place.text.min = rules.min.map_or(0, clamp);
        place.text.max = rules.max.map_or(u32::MAX, clamp);
        if rules.pattern.is_some() || rules.format.is_some() || rules.codes.is_some() {
            place.rules = Some(id);
        }
    }
    if let Some(rules) = sub.number.as_deref() {
        let whole = |bound: &Option<crate::schema::program::Bound>| {
            bound.as_ref().map(|bound| {
                let decimal = bound.decimal.filter(|decimal| decimal.scale() == 0);
                decimal.and_then(|decimal| i64::try_from(decimal.coefficient()).ok())
            })
        };
        let simple = rules.above.is_none() && rules.below.is_none() && rules.multiple.is_none();
        match (whole(&rules.minimum), whole(&rules.maximum)) {
            (Some(None), _) | (_, Some(None)) => place.rules = Some(id),
            _ if !simple => place.rules = Some(id),
            (min, max) => (place.number.min, place.number.max) = (min.flatten(), max.flatten()),
        }
    }
    if sub.decimal.is_some() {
        place.rules = Some(id);
    }
    Ok(())
}
