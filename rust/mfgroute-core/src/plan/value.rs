//! Compiling value specifications: sources, steps, times.

use crate::map::lookup::Index;
use crate::map::{
    Chain, DateSource, Factor, Lookup, Missing, SignRule, Source, Step, TimeSource, UnitRef, UnitStep,
};
use crate::path::Path;
use crate::plan::attributes;
use crate::plan::builder::Builder;
use crate::plan::fields::Names;
use crate::plan::forms::{fraction, number_format, round, text_rules, zone};
use crate::plan::quantities::{self, Quantity};
use crate::plan::read::File;
use crate::problem::Place;
use crate::time::{DateReader, TimeReader};
use crate::units::{self, CodeSet};
use crate::value::{NumberFormat, Rational, Round};
use crate::yaml::{Node, Value};

/// Keys that say where a value comes from.
pub const SOURCES: &[&str] =
    &["path", "const", "field", "meta", "lookup", "concat", "join", "date", "time", "cel"];
/// Keys that say what is done to it, in the order in which it is done.
pub const STEPS: &[&str] =
    &["text", "number", "sign", "codes", "code_set", "lookup", "unit", "scale", "round"];

/// What the compilation of one mapping shares.
pub struct Scope<'a> {
    /// Contracts, tables, rules.
    pub builder: &'a mut Builder,
    /// How numbers are written in texts, unless a field says otherwise.
    pub number: Option<NumberFormat>,
    /// How many `each` and `list` scopes are open.
    pub depth: usize,
    /// Whether the mapping is a conversion: then there is `data` and nothing else.
    pub conversion: bool,
}

impl Scope<'_> {
    /// Paths that start within the open scopes.
    pub fn paths(&self, node: &Node, file: &mut File<'_>) -> Vec<Path> {
        let paths = file.paths(node);
        if let Some(path) = paths.iter().find(|path| path.scopes_up().is_some_and(|up| up > self.depth)) {
            let open = self.depth;
            let hint = "count the `each` and `list` scopes, or start with `$.`";
            let message = format!("the path {path} climbs above the message, {open} scopes are open here");
            file.error_hint(node.place, message, hint);
        }
        paths
    }

    /// A source with its steps. `extra` are keys that the caller reads itself.
    pub fn chain(
        &mut self,
        node: &Node,
        names: &Names<'_>,
        extra: &[&str],
        file: &mut File<'_>,
    ) -> Option<Chain> {
        let node = &self.builder.resolve(node, file);
        let mut known: Vec<&str> = SOURCES.iter().chain(STEPS).chain(extra).copied().collect();
        if let Some(default) = node.get("default").filter(|_| !extra.contains(&"default")) {
            let hint = "write it at the field, or as missing: {default: …} of a lookup";
            file.error_hint(default.place, "default is final and has no meaning within a value", hint);
            known.push("default");
        }
        if !file.keys(node, "a value", &known) {
            return None;
        }
        let given: Vec<&str> = SOURCES.iter().copied().filter(|key| node.get(key).is_some()).collect();
        let sources: Vec<&str> = match given.len() {
            0 | 1 => given,
            // A lookup beside another source is a step.
            _ => given.into_iter().filter(|key| *key != "lookup").collect(),
        };
        let [source] = sources[..] else {
            let found = if sources.is_empty() { "no source".to_owned() } else { sources.join(" and ") };
            file.error(node.place, format!("a value has {found}, expected one of {}", SOURCES.join(", ")));
            return None;
        };
        let steps = self.steps(node, names, source == "lookup", file);
        let source = self.source(node, source, names, file)?;
        Some(Chain { source, steps })
    }

    fn source(&mut self, node: &Node, key: &str, names: &Names<'_>, file: &mut File<'_>) -> Option<Source> {
        let member = node.get(key)?;
        Some(match key {
            "path" => Source::Path(self.paths(member, file)),
            "const" => Source::Const(member.to_serde()),
            "field" => {
                let name = file.as_text(member, "field")?;
                match names.find(name) {
                    Some((up, index)) => Source::Field { up, index },
                    None => {
                        let message = format!("there is no field {name} to take the value of");
                        file.error_near(member.place, message, name, &names.all());
                        return None;
                    }
                }
            }
            "meta" => {
                let name = file.as_text(member, "meta")?;
                if self.conversion {
                    let message = "a conversion has no meta, expected values of data";
                    file.error_hint(member.place, message, "attributes of the envelope stay as they are");
                    return None;
                }
                attributes::check(name, member.place, file);
                Source::Meta(name.to_owned())
            }
            "lookup" => Source::Lookup(self.lookup(member, names, true, file)?),
            "concat" => {
                let parts: Vec<Chain> =
                    member.items().iter().filter_map(|part| self.chain(part, names, &[], file)).collect();
                if parts.is_empty() {
                    file.error(member.place, "concat has no parts, expected a list of values");
                }
                Source::Concat(parts)
            }
            "join" => Source::Join(self.paths(member, file)),
            "date" => Source::Date(Box::new(self.date(member, names, file)?)),
            "time" => Source::Time(Box::new(self.time(member, names, file)?)),
            _ => Source::Cel(Box::new(self.expr(member, false, file)?)),
        })
    }

    /// An expression over `message` and `item`, one that may be true or false if it is a `condition`.
    pub fn expr(&mut self, node: &Node, condition: bool, file: &mut File<'_>) -> Option<crate::expr::Expr> {
        let text = file.as_text(node, "cel")?;
        let env = crate::expr::ExprEnv { schema: None, data: false, message: true, event: !self.conversion };
        let compile =
            if condition { crate::expr::Expr::compile_condition } else { crate::expr::Expr::compile };
        match compile(text, &env) {
            Ok(expr) => Some(expr),
            Err(problem) => {
                let message =
                    format!("the expression is wrong at character {}: {}", problem.column, problem.message);
                match problem.hint {
                    Some(hint) => file.error_hint(node.place, message, hint),
                    None => file.error(node.place, message),
                }
                None
            }
        }
    }

    /// The steps of a value, in the fixed order of the interface.
    pub fn steps(
        &mut self,
        node: &Node,
        names: &Names<'_>,
        lookup_is_source: bool,
        file: &mut File<'_>,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        if let Some(text) = node.get("text") {
            steps.extend(text_rules(text, file).map(Step::Text));
        }
        let mut number = self.number;
        if let Some(format) = node.get("number") {
            if !format.entries().is_empty() {
                number = number_format(format, file);
            }
            steps.push(Step::Number(number));
        } else if node.get("unit").is_none() && (node.get("scale").is_some() || node.get("round").is_some()) {
            steps.push(Step::Number(number));
        }
        if let Some(sign) = node.get("sign") {
            if steps.iter().all(|step| !matches!(step, Step::Number(_))) {
                steps.push(Step::Number(number));
            }
            match file.as_text(sign, "sign") {
                Some("abs") => steps.push(Step::Sign(SignRule::Abs)),
                Some("negate") => steps.push(Step::Sign(SignRule::Negate)),
                other => {
                    let found = other.unwrap_or("no text").to_owned();
                    file.error(sign.place, format!("sign is {found}, expected abs or negate"));
                }
            }
        }
        if let Some(codes) = node.get("codes") {
            file_codes(codes, file);
            let table = codes.entries().iter().map(|(key, value)| (key.text.clone(), value.to_serde()));
            steps.push(Step::Codes(table.collect()));
        }
        if let Some(sets) = node.get("code_set") {
            file.keys(sets, "code_set", &["from", "to"]);
            if let (Some(from), Some(to)) = (code_set(sets, "from", file), code_set(sets, "to", file)) {
                steps.push(Step::CodeSet { from, to });
            }
        }
        if let Some(lookup) = node.get("lookup").filter(|_| !lookup_is_source) {
            steps
                .extend(self.lookup(lookup, names, false, file).map(|lookup| Step::Lookup(Box::new(lookup))));
        }
        let round = node.get("round").and_then(|round| self::round(round, file));
        let scale = node.get("scale").and_then(|scale| fraction(scale, file));
        match (node.get("unit"), scale) {
            (Some(unit), scale) => {
                let step = self.unit(unit, names, number, scale, round, file);
                steps.extend(step.map(|step| Step::Unit(Box::new(step))));
            }
            (None, Some(factor)) => steps.push(Step::Scale { factor, round }),
            (None, None) => steps.extend(round.map(Step::Round)),
        }
        steps
    }

    fn lookup(
        &mut self,
        node: &Node,
        names: &Names<'_>,
        source: bool,
        file: &mut File<'_>,
    ) -> Option<Lookup> {
        if let Value::Text(name) = &node.value {
            if source {
                let hint = "write {table: …, key: [{path: …}]}, or give a path beside it";
                file.error_hint(node.place, "a lookup as source has no key", hint);
                return None;
            }
            let index = self.builder.index(name, 1, node.place, file)?;
            let take = column(&index, None, node.place, file)?;
            return Some(Lookup { index, keys: Vec::new(), take, missing: Missing::Reject });
        }
        if !file.keys(node, "lookup", &["table", "key", "take", "missing"]) {
            return None;
        }
        let table = file.required_text(node, "lookup", "table")?.to_owned();
        let keys = self.keys(node, names, file);
        if source && keys.is_empty() {
            file.error(node.place, "a lookup as source has no key, expected a list of values");
            return None;
        }
        let index = self.builder.index(&table, keys.len().max(1), node.place, file)?;
        let take = column(&index, file.text(node, "take"), node.place, file)?;
        let missing = match node.get("missing").map(|missing| (&missing.value, missing)) {
            None => Missing::Reject,
            Some((Value::Text(text), _)) if text == "reject" => Missing::Reject,
            Some((Value::Text(text), _)) if text == "keep" => Missing::Keep,
            Some((Value::Map(_), missing)) if missing.get("default").is_some() => {
                Missing::Default(missing.get("default").map(Node::to_serde).unwrap_or_default())
            }
            Some((_, missing)) => {
                let found = missing.text().unwrap_or_else(|| missing.kind()).to_owned();
                file.error(
                    missing.place,
                    format!("missing is {found}, expected reject, keep or {{default: …}}"),
                );
                Missing::Reject
            }
        };
        Some(Lookup { index, keys, take, missing })
    }

    fn keys(&mut self, node: &Node, names: &Names<'_>, file: &mut File<'_>) -> Vec<Chain> {
        let Some(key) = node.get("key") else { return Vec::new() };
        match &key.value {
            Value::List(items) => {
                items.iter().filter_map(|item| self.chain(item, names, &[], file)).collect()
            }
            _ => self.chain(key, names, &[], file).into_iter().collect(),
        }
    }

    fn unit(
        &mut self,
        node: &Node,
        names: &Names<'_>,
        number: Option<NumberFormat>,
        scale: Option<Rational>,
        round: Option<Round>,
        file: &mut File<'_>,
    ) -> Option<UnitStep> {
        if !file.keys(node, "unit", &["from", "to", "factor"]) {
            return None;
        }
        let (Some(from), Some(to)) = (node.get("from"), node.get("to")) else {
            file.error(node.place, "unit has no `from` and `to`");
            return None;
        };
        let from_place = from.place;
        let (from, to) = (&self.builder.resolve(from, file), &self.builder.resolve(to, file));
        let to = &to_of(from, to);
        let quantity = Quantity { unit: node, from, to };
        let from = self.unit_ref(from, names, file)?;
        let to = self.unit_ref(to, names, file)?;
        self.check_factors(&quantity, names, file);
        let factor = node.get("factor").and_then(|factor| self.factor(factor, names, file));
        if let (UnitRef::Fixed(from), UnitRef::Fixed(to)) = (&from, &to) {
            match units::convert(*from, *to) {
                None if factor.is_none() => {
                    let (a, b) = (from.dimension_name(), to.dimension_name());
                    let message = format!("{} is a unit of {a}, {} of {b}", from.code(), to.code());
                    let hint = "add factor: {table: …, key: […], num: …, den: …}, which says how much of the one is in the other";
                    file.error_hint(from_place, message, hint);
                }
                Some(affine) if round.is_none() && !crate::value::terminates_always(affine) => {
                    let hint = "add for example round: {places: 6, mode: half_even}";
                    let message = format!(
                        "{} to {} may have no finite decimal form and there is no round",
                        from.code(),
                        to.code()
                    );
                    file.error_hint(from_place, message, hint);
                }
                _ => {}
            }
        } else if round.is_none() {
            let hint = "add for example round: {places: 3, mode: half_even}";
            file.error_hint(node.place, "units are read from the message and there is no round", hint);
        }
        Some(UnitStep { from, to, factor, number, scale, round })
    }

    fn unit_ref(&mut self, node: &Node, names: &Names<'_>, file: &mut File<'_>) -> Option<UnitRef> {
        let set = if node.get("set").is_some() { code_set(node, "set", file)? } else { CodeSet::Rec20 };
        if let (Some(fixed), 1 | 2) = (node.get("const"), node.entries().len()) {
            let text = file.as_text(fixed, "const")?;
            let unit = set.unit(text);
            if unit.is_none() {
                quantities::unknown_unit(text, set, fixed.place, file);
            }
            return unit.map(UnitRef::Fixed);
        }
        let chain = self.chain(node, names, &["set"], file)?;
        self.check_codes(node, set, names, file);
        Some(UnitRef::Read { chain, set })
    }

    fn factor(&mut self, node: &Node, names: &Names<'_>, file: &mut File<'_>) -> Option<Factor> {
        if !file.keys(node, "factor", &["table", "key", "num", "den"]) {
            return None;
        }
        let table = file.required_text(node, "factor", "table")?.to_owned();
        let keys = self.keys(node, names, file);
        let index = self.builder.index(&table, keys.len(), node.place, file)?;
        let num = column(&index, Some(file.required_text(node, "factor", "num")?), node.place, file)?;
        let den = match file.text(node, "den") {
            Some(name) => Some(column(&index, Some(name), node.place, file)?),
            None => None,
        };
        Some(Factor { index, keys, num, den })
    }

    /// A text read as an instant.
    pub fn time(&mut self, node: &Node, names: &Names<'_>, file: &mut File<'_>) -> Option<TimeSource> {
        const OWN: &[&str] = &["format", "zone", "ambiguous", "nonexistent"];
        let chain = self.chain(node, names, OWN, file)?;
        let zone = zone(node, false, file)?;
        match TimeReader::compile(file.text(node, "format"), zone) {
            Ok(rule) => Some(TimeSource { chain, rule }),
            Err(error) => {
                file.error(node.place, error.to_string());
                None
            }
        }
    }

    fn date(&mut self, node: &Node, names: &Names<'_>, file: &mut File<'_>) -> Option<DateSource> {
        const OWN: &[&str] = &["format", "zone", "day_starts", "ambiguous", "nonexistent"];
        let chain = self.chain(node, names, OWN, file)?;
        let zone = zone(node, true, file)?;
        let day_starts = file.text(node, "day_starts").map(str::to_owned);
        match DateReader::compile(file.text(node, "format"), zone, day_starts.as_deref()) {
            Ok(rule) => Some(DateSource { chain, rule }),
            Err(error) => {
                file.error(node.place, error.to_string());
                None
            }
        }
    }
}

/// `to: {codes: …}` has no source of its own: it translates what `from` reads.
fn to_of(from: &Node, to: &Node) -> Node {
    if to.get("codes").is_none() || SOURCES.iter().any(|key| to.get(key).is_some()) {
        return to.clone();
    }
    let source = from.entries().iter().filter(|(key, _)| SOURCES.contains(&key.text.as_str()));
    let entries = source.chain(to.entries()).cloned().collect();
    Node { value: Value::Map(entries), place: to.place, replaced: to.replaced }
}

fn column(index: &Index, name: Option<&str>, place: Place, file: &mut File<'_>) -> Option<usize> {
    index.column(name).map_err(|message| file.error(place, message)).ok()
}

fn file_codes(codes: &Node, file: &mut File<'_>) {
    if codes.entries().is_empty() {
        file.error(codes.place, "codes is empty, expected a mapping of code to value");
    }
}

fn code_set(node: &Node, key: &str, file: &mut File<'_>) -> Option<CodeSet> {
    let text = file.required_text(node, "the unit", key)?;
    let set = CodeSet::by_name(text);
    if set.is_none() {
        let place = node.get(key).map_or(node.place, |member| member.place);
        file.error(place, format!("{text} is not a code set, known are rec20, sap, sap_iso, ucum, x12_355"));
    }
    set
}
