//! Why a message or an item of it was refused by us.

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal,)+) => {
        /// A stable reject code. The text form is what users script against.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Code {
            /// Every code with its meaning, in the order of the reference page.
            pub const ALL: &'static [(Code, &'static str, &'static str)] =
                &[$((Code::$variant, $code, concat!($($doc),+)),)+];

            /// The stable text form.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $code,)+ }
            }
        }
    };
}

codes! {
    /// The message has no bytes, or only white space.
    PayloadEmpty = "payload_empty",
    /// The message is longer than the limit.
    MessageTooLarge = "message_too_large",
    /// The bytes are not valid in the declared encoding.
    Encoding = "encoding",
    /// A JSON message starts with a byte order mark.
    Bom = "bom",
    /// The message is not JSON as RFC 8259 defines it.
    BadJson = "bad_json",
    /// A JSON object has the same key twice.
    DuplicateKey = "duplicate_key",
    /// A JSON string holds half of a surrogate pair.
    LoneSurrogate = "lone_surrogate",
    /// A JSON key holds a NUL character.
    NulInKey = "nul_in_key",
    /// Values are nested more deeply than the limit.
    TooDeep = "too_deep",
    /// An object has more keys than the limit.
    TooManyKeys = "too_many_keys",
    /// The message has more values than the limit.
    TooManyNodes = "too_many_nodes",
    /// A text is longer than the limit.
    StringTooLong = "string_too_long",
    /// A number has more digits or a larger exponent than the limit.
    NumberTooLong = "number_too_long",
    /// The message is not well-formed XML.
    BadXml = "bad_xml",
    /// An XML document has a DOCTYPE, which is never read.
    Doctype = "doctype",
    /// A CSV row does not fit its header or its quoting.
    BadCsv = "bad_csv",
    /// The message does not satisfy the input schema of its mapping.
    InputInvalid = "input_invalid",
    /// No mapping of the source wants the message.
    NoMapping = "no_mapping",
    /// More than one mapping of the source wants the message.
    MappingAmbiguous = "mapping_ambiguous",
    /// A path found two values where one is meant.
    NotSingle = "not_single",
    /// A value that is needed is absent.
    Missing = "missing",
    /// A value has the wrong type for what the mapping does with it.
    WrongType = "wrong_type",
    /// A text is not a number in the declared form.
    BadNumber = "bad_number",
    /// A number does not fit into 38 digits.
    NumberOverflow = "number_overflow",
    /// A result has no finite decimal form and no rounding was declared.
    NotExact = "not_exact",
    /// A value is not in the table of codes.
    CodeUnknown = "code_unknown",
    /// A lookup table has no row for the key.
    LookupMissing = "lookup_missing",
    /// A unit is not in its code set.
    UnitUnknown = "unit_unknown",
    /// Two units are of different dimensions and no factor joins them.
    UnitIncompatible = "unit_incompatible",
    /// A text is not a time in the declared form.
    BadTime = "bad_time",
    /// A local time occurs twice because the clock was set back.
    TimeAmbiguous = "time_ambiguous",
    /// A local time does not occur because the clock was set forward.
    TimeNonexistent = "time_nonexistent",
    /// A text rule does not apply to the text.
    TextRule = "text_rule",
    /// An `each` found no item.
    EachEmpty = "each_empty",
    /// No entry of the mapping takes an item.
    ItemUnmatched = "item_unmatched",
    /// The mapping made nothing of the message.
    NoOutput = "no_output",
    /// An expression failed at run time.
    ExpressionFailed = "expression_failed",
    /// An event does not satisfy its contract.
    ContractInvalid = "contract_invalid",
    /// An event breaks a rule of its contract, or the rule has no answer for it.
    ContractRule = "contract_rule",
    /// The contract of an event is past its sunset.
    ContractSunset = "contract_sunset",
    /// An event cannot be converted to the version of its contract that a route takes.
    ConversionFailed = "conversion_failed",
    /// An event has the id of an earlier one and another content.
    Conflict = "conflict",
    /// An earlier message of the key was rejected, and the source says `on_reject: hold_key`: this one is kept and goes
    /// on when that one is decided about.
    KeyHeld = "key_held",
    /// An edit of a parked event changes a field of its key.
    KeyChanged = "key_changed",
    /// A canonical event is not a valid CloudEvent.
    BadCloudEvent = "bad_cloudevent",
    /// No contract is installed for the type of a canonical event.
    TypeUnknown = "type_unknown",
    /// A canonical event comes from a source that its sender may not speak for.
    SourceNotAllowed = "source_not_allowed",
}

/// One refused message or item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Index of the message in its intake.
    pub message: u32,
    /// Index of the item in its message; `None` when the whole message is meant.
    pub item: Option<u32>,
    /// Why.
    pub code: Code,
    /// RFC 6901 pointer into the message; empty means the whole message.
    pub pointer: String,
    /// Byte offset in the message, for errors of syntax.
    pub offset: Option<u64>,
    /// The field of the canonical event (`quantity.good`, `time`), where the mapping or the contract refused.
    pub field: Option<String>,
    /// Where people find the message: `BDE.csv:3`, for rows and lines of files.
    pub place: Option<String>,
    /// What was found, shortened to 200 characters.
    pub found: String,
    /// What was expected.
    pub expected: String,
    /// Keys of the events that were to be, as far as their fields did map; only for sources whose rejects hold keys.
    pub keys: Vec<String>,
}

impl Reject {
    /// A reject of a whole message; the caller adds where.
    #[must_use]
    pub fn new(code: Code, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            message: 0,
            item: None,
            code,
            pointer: String::new(),
            offset: None,
            field: None,
            place: None,
            found: shorten(&found.into()),
            expected: expected.into(),
            keys: Vec::new(),
        }
    }

    /// Says which value of the message is meant.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = pointer.into();
        self
    }

    /// Says which byte of the message is meant.
    #[must_use]
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = Some(offset as u64);
        self
    }

    /// Says which canonical field is meant.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}

/// Keeps the first 200 characters, so that a reject cannot grow with its message.
#[must_use]
pub fn shorten(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
