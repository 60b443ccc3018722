//! Converts numbers from common notations to the plain one: `-1234.50`, `1e5`.
//!
//! A cell is stripped from the outside (white space, parentheses, sign, currency, percent sign), then its separators
//! are classified: which one is the decimal point, and whether the others separate thousands (groups of three, or of
//! two before the last three as in India).

use iso_currency::Currency;

/// The separators of a column's numbers; `None` where each cell must be unambiguous by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NumberFormat {
    /// The decimal separator, `b'.'` or `b','`.
    pub decimal: Option<u8>,
    /// The separator of thousands; others (save the decimal one) are refused.
    pub thousands: Option<u8>,
}

impl NumberFormat {
    /// The decimal separator, where it is given or follows from that of the thousands.
    fn decimal_point(&self) -> Option<u8> {
        self.decimal.or(match self.thousands {
            Some(b',') => Some(b'.'),
            Some(b'.') => Some(b','),
            _ => None,
        })
    }

    /// Returns whether a plain notation, whose point is a dot, means what it says in this format.
    pub(super) fn reads_plainly(&self, text: &[u8]) -> bool {
        matches!(self.decimal_point(), None | Some(b'.')) || !text.contains(&b'.')
    }

    fn allows_thousands(&self, separator: u8) -> bool {
        self.thousands.is_none_or(|only| only == separator)
    }
}

/// Returns whether `text` is `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`.
pub(super) fn is_plain(text: &[u8]) -> bool {
    let rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits_at_start(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    let mut rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = digits_at_start(fraction);
        if digits == 0 {
            return false;
        }
        rest = &fraction[digits..];
    }
    rest.is_empty() || is_exponent(rest)
}

fn digits_at_start(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn is_exponent(text: &[u8]) -> bool {
    let [b'e' | b'E', power @ ..] = text else {
        return false;
    };
    let power = match power {
        [b'+' | b'-', digits @ ..] => digits,
        digits => digits,
    };
    !power.is_empty() && digits_at_start(power) == power.len()
}

/// The longest notation that is rewritten: what is longer and not plain is no number of a table.
const LONGEST: usize = 96;

/// A number in plain notation, on the stack.
#[derive(Debug)]
pub(super) struct PlainNumber {
    bytes: [u8; LONGEST],
    len: usize,
}

impl PlainNumber {
    fn new() -> Self {
        Self {
            bytes: [0; LONGEST],
            len: 0,
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len + bytes.len();
        self.bytes.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    /// Returns the notation.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Returns the notation; only ASCII is ever pushed.
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// What surrounds the digits of a number.
#[derive(Debug, Default)]
struct Surroundings {
    negative: bool,
    parenthesised: bool,
    signed: bool,
    currency: bool,
    percent: bool,
}

/// Reads the notation of `text` in `format` and writes the number plainly; `None` if it is no number.
pub(super) fn rewrite(text: &str, format: &NumberFormat) -> Option<PlainNumber> {
    // Four bytes a digit and as many separators: longer text is not looked at; nor are words.
    if text.len() > LONGEST * 4 || !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut around = Surroundings::default();
    let body = peel(text, &mut around)?;
    let (body, exponent) = match body.bytes().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) if is_exponent(&body.as_bytes()[at..]) => body.split_at(at),
        Some(_) => return None,
        None => (body, ""),
    };
    let digits = Digits::read(body)?;
    let (whole, fraction) = digits.divide(format)?;
    let mut plain = PlainNumber::new();
    if around.negative {
        plain.push(b"-")?;
    }
    if around.percent {
        if !exponent.is_empty() {
            return None;
        }
        push_hundredth(&mut plain, whole, fraction)?;
    } else {
        push_plain(&mut plain, whole, fraction)?;
        plain.push(exponent.as_bytes())?;
    }
    Some(plain)
}

fn push_plain(plain: &mut PlainNumber, whole: &[u8], fraction: &[u8]) -> Option<()> {
    let zeros = whole.iter().take_while(|&&digit| digit == b'0').count();
    match &whole[zeros..] {
        [] => plain.push(b"0")?,
        digits => plain.push(digits)?,
    }
    if !fraction.is_empty() {
        plain.push(b".")?;
        plain.push(fraction)?;
    }
    Some(())
}

/// Writes a hundredth of the number by moving its point: exact, and without idle zeros.
fn push_hundredth(plain: &mut PlainNumber, whole: &[u8], fraction: &[u8]) -> Option<()> {
    let mut moved = PlainNumber::new();
    moved.push(&b"00"[whole.len().min(2)..])?;
    moved.push(whole)?;
    let point = moved.len - 2;
    moved.push(fraction)?;
    let used = moved.as_bytes().iter().rposition(|&digit| digit != b'0');
    let end = used.map_or(point, |last| (last + 1).max(point));
    push_plain(plain, &moved.bytes[..point], &moved.bytes[point..end])
}

/// Strips what surrounds the digits, each kind at most once.
fn peel<'a>(text: &'a str, around: &mut Surroundings) -> Option<&'a str> {
    let mut text = text.trim();
    loop {
        let (first, last) = (text.chars().next()?, text.chars().next_back()?);
        if first.is_ascii_digit() && last.is_ascii_digit() {
            return Some(text);
        }
        let before = text.len();
        text = peel_once(text, first, last, around)?;
        if text.len() == before {
            return Some(text);
        }
        text = text.trim();
    }
}

fn peel_once<'a>(
    text: &'a str,
    first: char,
    last: char,
    around: &mut Surroundings,
) -> Option<&'a str> {
    if first == '(' && last == ')' {
        once(&mut around.parenthesised)?;
        once(&mut around.signed)?;
        around.negative = true;
        return text.get(1..text.len() - 1);
    }
    if is_minus(first) || first == '+' {
        once(&mut around.signed)?;
        around.negative = first != '+';
        return Some(&text[first.len_utf8()..]);
    }
    if matches!(last, '%' | '٪' | '％') {
        once(&mut around.percent)?;
        return (!around.currency).then(|| &text[..text.len() - last.len_utf8()]);
    }
    // Bookkeeping systems print the minus behind the number.
    if is_minus(last) {
        once(&mut around.signed)?;
        around.negative = true;
        return Some(&text[..text.len() - last.len_utf8()]);
    }
    let start = leading_currency(text);
    if start > 0 {
        once(&mut around.currency)?;
        return (!around.percent).then(|| &text[start..]);
    }
    let end = trailing_currency(text);
    if end > 0 {
        once(&mut around.currency)?;
        return (!around.percent).then(|| &text[..text.len() - end]);
    }
    Some(text)
}

/// Notes what may occur once; `None` when it did already.
fn once(seen: &mut bool) -> Option<()> {
    (!std::mem::replace(seen, true)).then_some(())
}

/// The hyphen, the minus sign, and the dashes that word processors make of it.
pub(super) fn is_minus(c: char) -> bool {
    matches!(
        c,
        '-' | '\u{2212}' | '\u{2010}'..='\u{2013}' | '\u{fe63}' | '\u{ff0d}'
    )
}

/// Signs of currencies (Unicode category Sc, without those of hundredths such as the cent).
pub(super) fn is_currency_sign(c: char) -> bool {
    matches!(
        c,
        '$' | '£' | '¤' | '¥' | '֏' | '؋' | '৳' | '૱' | '௹' | '฿' | '៛' | '\u{20a0}'
            ..='\u{20c0}' | '﷼' | '﹩' | '＄' | '￡' | '￥' | '￦'
    )
}

/// Bytes of the currency that `text` begins with: a sign, letters with a sign (`US$`), an ISO code.
fn leading_currency(text: &str) -> usize {
    let letters = letters_at_start(text.as_bytes());
    match text[letters..].chars().next() {
        // `US$`, `R$`: the country's letters before the sign.
        Some(sign)
            if is_currency_sign(sign)
                && letters <= 3
                && text.as_bytes()[..letters]
                    .iter()
                    .all(u8::is_ascii_uppercase) =>
        {
            letters + sign.len_utf8()
        }
        _ if is_code(&text[..letters]) => letters,
        _ => 0,
    }
}

fn letters_at_start(text: &[u8]) -> usize {
    text.iter()
        .take_while(|byte| byte.is_ascii_alphabetic())
        .count()
}

/// Bytes of the currency that `text` ends with: a sign or an ISO code.
fn trailing_currency(text: &str) -> usize {
    match text.chars().next_back() {
        Some(sign) if is_currency_sign(sign) => sign.len_utf8(),
        _ => {
            let bytes = text.as_bytes();
            let letters = bytes
                .iter()
                .rev()
                .take_while(|byte| byte.is_ascii_alphabetic())
                .count();
            if is_code(&text[text.len() - letters..]) {
                letters
            } else {
                0
            }
        }
    }
}

/// Whether this is an ISO 4217 code in capitals; not one that is rather a word before a number
/// (`TOP 10`, `ALL 3`, `XXX 5`).
fn is_code(text: &str) -> bool {
    text.len() == 3
        && !matches!(text, "TOP" | "ALL" | "XXX")
        && text.bytes().all(|byte| byte.is_ascii_uppercase())
        && Currency::from_code(text).is_some()
}

/// A separator within a number: its kind, and the number of digits before it.
#[derive(Debug, Clone, Copy)]
struct Separator {
    kind: u8,
    at: u8,
}

/// More separators than any number of this length has.
const MOST_SEPARATORS: usize = 32;

/// The digits of a number and the separators between them.
#[derive(Debug)]
struct Digits {
    digits: [u8; LONGEST],
    count: usize,
    separators: [Separator; MOST_SEPARATORS],
    separated: usize,
}

impl Digits {
    fn read(body: &str) -> Option<Self> {
        let mut read = Self {
            digits: [0; LONGEST],
            count: 0,
            separators: [Separator { kind: 0, at: 0 }; MOST_SEPARATORS],
            separated: 0,
        };
        for c in body.chars() {
            let kind = match c {
                '0'..='9' => {
                    *read.digits.get_mut(read.count)? = c as u8;
                    read.count += 1;
                    continue;
                }
                '.' | '٫' => b'.',
                ',' | '٬' | '，' => b',',
                // Blanks of every width that printers put between thousands.
                ' ' | '\u{a0}' | '\u{2007}' | '\u{2009}' | '\u{202f}' => b' ',
                '\'' | '’' => b'\'',
                '_' => b'_',
                _ => return None,
            };
            *read.separators.get_mut(read.separated)? = Separator {
                kind,
                // No number here has more digits than a byte can count.
                at: read.count as u8,
            };
            read.separated += 1;
        }
        (read.count > 0).then_some(read)
    }

    /// The digits before and after the decimal point, if the separators make sense in `format`.
    fn divide(&self, format: &NumberFormat) -> Option<(&[u8], &[u8])> {
        let digits = &self.digits[..self.count];
        let separators = &self.separators[..self.separated];
        let (groups, point) = match separators.split_last() {
            None => return Some((digits, &[])),
            Some((last, before)) if self.is_decimal(*last, before, format) => {
                (before, usize::from(last.at))
            }
            Some(_) => (separators, self.count),
        };
        let grouped = groups.is_empty() || self.are_thousands(groups, point, format);
        grouped.then(|| digits.split_at(point))
    }

    /// Whether the last separator divides the fraction off.
    fn is_decimal(&self, last: Separator, before: &[Separator], format: &NumberFormat) -> bool {
        if !matches!(last.kind, b'.' | b',') || before.iter().any(|s| s.kind == last.kind) {
            return false;
        }
        if let Some(point) = format.decimal_point() {
            return last.kind == point;
        }
        // Behind thousands of another kind it can only be the decimal point; alone, a dot is it,
        // and a comma where no thousands can be divided: `12,5`, `1234,567`, `0,123`.
        !before.is_empty()
            || last.kind == b'.'
            || self.count - usize::from(last.at) != 3
            || !(1..=3).contains(&last.at)
            || self.digits[0] == b'0'
    }

    /// Whether `groups` divide the digits before `point` into thousands.
    fn are_thousands(&self, groups: &[Separator], point: usize, format: &NumberFormat) -> bool {
        let kind = groups[0].kind;
        let first = groups[0].at;
        let even = groups.iter().all(|separator| separator.kind == kind);
        if !even || !(1..=3).contains(&first) || !format.allows_thousands(kind) {
            return false;
        }
        if format.decimal_point() == Some(kind) || self.digits[0] == b'0' {
            return false;
        }
        let last_at = groups[groups.len() - 1].at;
        let mut inner = groups.windows(2).map(|pair| pair[1].at - pair[0].at);
        let in_threes = inner.clone().all(|size| size == 3);
        let in_twos = kind == b',' && first <= 2 && inner.all(|size| size == 2);
        point - usize::from(last_at) == 3 && (in_threes || in_twos)
    }
}
