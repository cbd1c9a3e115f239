//! Which routes of a contract may take an event, so that only their conditions are evaluated.
//!
//! Routes are put apart by their sources, then by what their conditions ask ([`ask`](crate::expr::ask)): a table of
//! values leads to the routes that ask for one. What is found is never too little: a route that is not among it
//! would have been passed over, without an error, by evaluating it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Route;
use crate::contract::Contract;
use crate::expr::Expr;
use crate::expr::ask::{Ask, Found, Place, Wanted};
use crate::tree::{NodeId, Tree};

/// In how many places of a table a route may be because its conditions list several values each.
const COPIES_MAX: usize = 1_000;
/// Tables that stand behind each other.
const TABLES_MAX: usize = 16;

/// The routes of one contract.
#[derive(Debug, Default)]
pub struct Index {
    groups: Vec<Group>,
}

/// Routes that deliver the same form.
#[derive(Debug)]
pub struct Group {
    /// The contract of the form, if it is not that of the event.
    other: Option<usize>,
    event_type: Arc<str>,
    /// Routes that name sources, by each name.
    by_source: HashMap<Box<str>, Branch>,
    any_source: Branch,
}

/// Routes of which nothing tells apart what is left of them, and those that a table tells apart.
#[derive(Debug, Default)]
struct Branch {
    routes: Vec<usize>,
    table: Option<Box<Table>>,
}

/// Routes that ask for a value at one place.
#[derive(Debug)]
struct Table {
    place: Place,
    texts: HashMap<Box<str>, Branch>,
    others: HashMap<Wanted, Branch>,
    /// All of them, for events of which only the conditions can tell.
    all: Vec<usize>,
    /// For each step to the place those that do not say that they are false without that member.
    absent: Vec<Vec<usize>>,
    /// Routes that do not ask for a value there.
    rest: Branch,
}

/// A route while tables are made.
#[derive(Clone, Debug)]
struct Entry {
    route: usize,
    asks: Vec<Ask>,
    copies: usize,
}

/// The event that routes are looked for, in the form that a group delivers.
#[derive(Clone, Copy)]
struct Asked<'e> {
    event_type: &'e str,
    source: &'e str,
    /// Without it only the conditions can tell.
    data: Option<(&'e Tree, NodeId)>,
}

impl Index {
    /// The index of the contract number `contract`.
    #[must_use]
    pub fn new(contract: usize, contracts: &[Contract], routes: &[Route]) -> Self {
        let mut forms: Vec<(usize, Vec<usize>)> = Vec::new();
        for (route, form) in
            routes.iter().enumerate().filter_map(|(index, route)| Some((index, route.delivers(contract)?)))
        {
            match forms.iter_mut().find(|(known, _)| *known == form) {
                Some((_, members)) => members.push(route),
                None => forms.push((form, vec![route])),
            }
        }
        let group = |(form, members): (usize, Vec<usize>)| {
            let mut by_source: HashMap<Box<str>, Vec<Entry>> = HashMap::new();
            let mut any_source = Vec::new();
            for index in members {
                let Some(route) = routes.get(index) else { continue };
                let condition = route.conditions.get(contract).and_then(Option::as_ref);
                let asks = condition.map(Expr::asks).unwrap_or_default();
                let entry = Entry { route: index, asks, copies: 1 };
                if route.sources.is_empty() {
                    any_source.push(entry);
                    continue;
                }
                for source in route.sources.iter().collect::<HashSet<_>>() {
                    by_source.entry(source.as_str().into()).or_default().push(entry.clone());
                }
            }
            Group {
                other: (form != contract).then_some(form),
                event_type: contracts.get(form).map(|form| Arc::clone(&form.full_type)).unwrap_or_default(),
                by_source: by_source
                    .into_iter()
                    .map(|(source, entries)| (source, Branch::new(entries, TABLES_MAX)))
                    .collect(),
                any_source: Branch::new(any_source, TABLES_MAX),
            }
        };
        Self { groups: forms.into_iter().map(group).collect() }
    }

    /// The routes, by the form that they deliver.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }
}

impl Group {
    /// The contract in whose form the routes of a source have to look at `data`; `None` where they look at none,
    /// or at that of the event.
    #[must_use]
    pub fn looks_at(&self, (name, uri): (&str, &str)) -> Option<usize> {
        self.other.filter(|_| self.branches(name, uri).any(|branch| branch.table.is_some()))
    }

    /// Adds the routes that may take an event, in any order and some perhaps twice. `data` is that of the form
    /// that they deliver; without it, a route is left out because of its sources alone.
    pub fn find(&self, (name, uri): (&str, &str), data: Option<(&Tree, NodeId)>, found: &mut Vec<usize>) {
        let event = Asked { event_type: &self.event_type, source: name, data };
        for branch in self.branches(name, uri) {
            branch.find(&event, found);
        }
    }

    /// Those of the routes that take a source; see [`names`](super::names).
    fn branches<'i>(&'i self, name: &'i str, uri: &'i str) -> impl Iterator<Item = &'i Branch> {
        let last = uri.rsplit('/').next().unwrap_or(uri);
        let named = [(name, true), (uri, uri != name), (last, last != name && last != uri)];
        let named = if self.by_source.is_empty() { [("", false); 3] } else { named };
        let named = named.into_iter().filter(|(_, new)| *new);
        named.filter_map(|(text, _)| self.by_source.get(text)).chain([&self.any_source])
    }
}

impl Branch {
    /// Makes tables of what most routes ask for, at most `tables` behind each other.
    fn new(entries: Vec<Entry>, tables: usize) -> Self {
        match place(&entries).filter(|_| tables > 0) {
            Some(place) => Self::with_table(entries, place, tables - 1),
            None => Self { routes: entries.iter().map(|entry| entry.route).collect(), table: None },
        }
    }

    fn with_table(entries: Vec<Entry>, place: Place, tables: usize) -> Self {
        let mut values: HashMap<Wanted, Vec<Entry>> = HashMap::new();
        let steps = if let Place::Field { steps, .. } = &place { steps.len() } else { 0 };
        let (mut all, mut absent, mut rest) = (Vec::new(), vec![Vec::new(); steps], Vec::new());
        for mut entry in entries {
            let Some(at) = entry.asks.iter().position(|ask| ask.place == place && entry.may_spread(ask))
            else {
                rest.push(entry);
                continue;
            };
            let ask = entry.asks.swap_remove(at);
            let distinct: HashSet<Wanted> = ask.values.into_iter().collect();
            entry.copies *= distinct.len();
            all.push(entry.route);
            for (guarded, routes) in ask.guarded.iter().zip(&mut absent) {
                if !guarded {
                    routes.push(entry.route);
                }
            }
            for value in distinct {
                values.entry(value).or_default().push(entry.clone());
            }
        }
        let (mut texts, mut others) = (HashMap::new(), HashMap::new());
        for (value, entries) in values {
            let branch = Self::new(entries, tables);
            match value {
                Wanted::Text(text) => texts.insert(text, branch),
                other => others.insert(other, branch),
            };
        }
        let rest = Self::new(rest, tables);
        Self { routes: Vec::new(), table: Some(Box::new(Table { place, texts, others, all, absent, rest })) }
    }

    fn find(&self, event: &Asked<'_>, found: &mut Vec<usize>) {
        found.extend_from_slice(&self.routes);
        let Some(table) = &self.table else { return };
        let looked =
            event.data.map_or(Found::Unclear, |data| table.place.find(event.event_type, event.source, data));
        let other = |value: Wanted| table.others.get(&value);
        let branch = match looked {
            Found::Text(text) => table.texts.get(text),
            Found::Number(value) => other(Wanted::Number(value)),
            Found::Bool(value) => other(Wanted::Bool(value)),
            Found::Null => other(Wanted::Null),
            Found::Other => None,
            Found::Absent(step) => {
                found.extend_from_slice(table.absent.get(step).unwrap_or(&table.all));
                None
            }
            Found::Unclear => {
                found.extend_from_slice(&table.all);
                None
            }
        };
        if let Some(branch) = branch {
            branch.find(event, found);
        }
        table.rest.find(event, found);
    }
}

impl Entry {
    fn may_spread(&self, ask: &Ask) -> bool {
        self.copies.saturating_mul(ask.values.len()) <= COPIES_MAX
    }
}

/// The place at which most of the routes ask for a value, if two of them do at any; the first of several.
fn place(entries: &[Entry]) -> Option<Place> {
    let mut counts: HashMap<&Place, (usize, usize)> = HashMap::new();
    for (position, entry) in entries.iter().enumerate() {
        let places = entry.asks.iter().filter(|ask| entry.may_spread(ask)).map(|ask| &ask.place);
        for place in places.collect::<HashSet<_>>() {
            counts.entry(place).or_insert((0, position)).0 += 1;
        }
    }
    let most = counts.into_iter().max_by_key(|(_, (count, first))| (*count, usize::MAX - first))?;
    (most.1.0 > 1).then(|| most.0.clone())
}
