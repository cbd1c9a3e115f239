//! Conditions over cells.

use serde_json::Value as Json;

use super::super::op::Cond;
use super::super::piece::Piece;
use super::Run;
use crate::value::Decimal;

impl<'p> Run<'p, '_> {
    /// Whether a condition holds.
    pub(in super::super) fn holds(&self, cond: &'p Cond) -> Option<bool> {
        match cond {
            Cond::All(parts) => {
                for part in parts {
                    if !self.holds(part)? {
                        return Some(false);
                    }
                }
                Some(true)
            }
            Cond::Any(parts) => {
                for part in parts {
                    if self.holds(part)? {
                        return Some(true);
                    }
                }
                Some(false)
            }
            Cond::Not(part) => Some(!self.holds(part)?),
            Cond::In { at, values } => {
                let piece = self.piece(*at);
                Some(!piece.is_absent() && values.iter().any(|value| self.equal(&piece, value)))
            }
            Cond::Present { at, present } => Some(self.piece(*at).is_absent() != *present),
            Cond::Prefix { at, prefix } => {
                let piece = self.piece(*at);
                let text = self.text(&piece).unwrap_or_default();
                Some(!piece.is_absent() && text.starts_with(&**prefix))
            }
        }
    }

    fn equal(&self, piece: &Piece<'p>, value: &Json) -> bool {
        match (piece, value) {
            (Piece::Bool(found), Json::Bool(expected)) => found == expected,
            (Piece::Number { .. } | Piece::LongNumber(_), Json::Number(expected)) => {
                let found = self.text(piece).map(Decimal::parse);
                found.is_some_and(|found| found.is_ok() && found == Decimal::parse(&expected.to_string()))
            }
            (Piece::Clean(_) | Piece::Wide(_) | Piece::Arena(_), Json::String(expected)) => {
                self.bytes_of(piece) == Some(expected.as_bytes())
            }
            (Piece::Clean(_) | Piece::Wide(_) | Piece::Arena(_), Json::Number(expected)) => {
                self.text(piece) == Some(expected.as_str())
            }
            (Piece::Clean(_) | Piece::Wide(_) | Piece::Arena(_), Json::Bool(expected)) => {
                self.text(piece) == Some(if *expected { "true" } else { "false" })
            }
            _ => false,
        }
    }
}
